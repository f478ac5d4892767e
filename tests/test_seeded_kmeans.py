"""Clusters that start from labels: by hand, against plain K-means, and through a whole run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from raydance.data.columns import read_columns
from raydance.data.dataset import Dataset
from raydance.errors import ConfigError, InputError
from raydance.metrics.clustering import adjusted_rand_index
from raydance.nn.seeded_kmeans import UNKNOWN, choose_known, seeded_kmeans
from raydance.stages.clusters import ClustersConfig, WindowLabels, fit_clusters
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language.caption_step import cluster_names, derived_descriptions
from raydance.systems.dance_language.label_step import window_labels
from raydance.systems.dance_language.system import SYSTEM
from raydance.training.run_folder import Run, load_bundle

# On a line: two that are known, of which the second lies on the first one's side.
LINE = np.array([[0.0], [1.0], [4.0], [9.0], [10.0]])
KNOWN = np.array([0, UNKNOWN, 1, UNKNOWN, UNKNOWN])


def test_a_known_point_only_initialises_or_stays() -> None:
    # From 0 and 4: {0, 1} and {4, 9, 10}; centres .5 and 7.67: 4 is nearer to .5 (3.5 to 3.67).
    assert seeded_kmeans(LINE, KNOWN, 2, constrained=False).tolist() == [0, 0, 0, 1, 1]
    assert seeded_kmeans(LINE, KNOWN, 2, constrained=True).tolist() == [0, 0, 1, 1, 1]


def test_a_cluster_that_nobody_named_is_found_far_from_the_others() -> None:
    points = np.array([[0.0], [0.1], [5.0], [5.1], [99.0], [99.1]])
    known = np.array([1, UNKNOWN, 0, UNKNOWN, UNKNOWN, UNKNOWN])
    for constrained in (False, True):
        found = seeded_kmeans(points, known, 3, constrained=constrained)
        assert found.tolist() == [1, 1, 0, 0, 2, 2]


def test_known_points_that_cannot_be_used_are_refused() -> None:
    nobody = np.full(5, UNKNOWN)
    with pytest.raises(InputError, match="0 known clusters"):
        seeded_kmeans(LINE, nobody, 2, constrained=False)
    with pytest.raises(InputError, match=r"2 known clusters \(without a point: \[\]\) of 1"):
        seeded_kmeans(LINE, KNOWN, 1, constrained=False)
    with pytest.raises(InputError, match=r"without a point: \[0\]"):
        seeded_kmeans(LINE, np.array([1, -1, -1, -1, -1]), 2, constrained=False)
    with pytest.raises(InputError, match="3 clusters, 2 of them known, and 0 points"):
        seeded_kmeans(LINE, np.array([0, 0, 1, 1, 1]), 3, constrained=True)


def test_a_share_is_one_of_clips_and_leaves_no_name_out() -> None:
    names = ["b"] * 40 + ["a"] * 4 + [""] * 6
    clips = [str(i // 2) for i in range(50)]
    values, known = choose_known(names, clips, 0.1, seed=3)
    assert values == ["a", "b"]
    assert (known == 1).sum() == 4 and (known == 0).sum() == 2 and (known[44:] == UNKNOWN).all()
    for i in range(0, 50, 2):
        assert known[i] == known[i + 1]  # both windows of a clip, or none
    assert (choose_known(names, clips, 1.0, seed=3)[1][:44] != UNKNOWN).all()


def mixed(num: int = 90) -> tuple[np.ndarray, WindowLabels]:
    """Three qualities along the first axis; a wider second axis, which K-means sees first."""
    rng = np.random.default_rng(2)
    quality = np.arange(num) % 3
    points = rng.normal(0, 0.5, (num, 3))
    points[:, 0] += 3.0 * quality
    points[:, 1] += 12.0 * (rng.integers(0, 2, num))
    names = [("fluid", "grounded", "sharp")[q] for q in quality]
    return points, WindowLabels(names=names, clips=[str(i) for i in range(num)])


@pytest.mark.parametrize("method", ["seeded_kmeans", "constrained_kmeans"])
def test_clusters_are_called_by_their_label(method: str) -> None:
    points, labels = mixed()
    points[:, 1] = 0.0
    config = ClustersConfig(
        method=method, label="quality", labelled_share=0.1, num_seeds=2, max_k=4
    )
    clusters = fit_clusters(config, points, 0, labels)
    assert sorted(clusters.names) == ["fluid", "grounded", "sharp"]
    found = [clusters.names[c] for c in clusters.assign(points)[0]]
    assert np.mean([a == b for a, b in zip(found, labels.names)]) > 0.95
    assert clusters.report["comparison"][method]["clusters"] == 3
    assert clusters.report["labelled_windows"] == 9


def test_constrained_windows_stay_with_their_label_and_seeded_ones_need_not() -> None:
    points, labels = mixed()
    settings = {"label": "quality", "num_seeds": 2, "max_k": 4}
    clusters = fit_clusters(
        ClustersConfig(method="constrained_kmeans", **settings), points, 0, labels
    )
    assert clusters.kept is not None
    assert [clusters.names[c] for c in clusters.kept] == list(labels.names)
    assert clusters.report["sizes"] == [30, 30, 30]
    assert all(
        labels.names[row] == clusters.names[c]
        for c, rows in enumerate(clusters.exemplars)
        for row in rows
    )
    seeded = fit_clusters(ClustersConfig(method="seeded_kmeans", **settings), points, 0, labels)
    assert seeded.kept is None


def test_more_clusters_than_labels_are_allowed_and_fewer_are_not() -> None:
    points, labels = mixed()
    config = ClustersConfig(
        method="seeded_kmeans", label="quality", labelled_share=0.2, num_clusters=5, num_seeds=2
    )
    clusters = fit_clusters(config, points, 0, labels)
    assert len(clusters.names) == 5 and clusters.names.count("") == 2
    with pytest.raises(InputError, match=r"num_clusters: 2; the label 'quality' has 3 values"):
        fit_clusters(replace(config, num_clusters=2), points, 0, labels)
    with pytest.raises(InputError, match="no training clip has the label"):
        fit_clusters(config, points, 0, WindowLabels(names=[""] * 90, clips=labels.clips))


def test_a_rare_label_is_fitted_even_when_windows_are_sampled() -> None:
    points, labels = mixed(300)
    names = ["rare" if i == 7 else "" if i % 2 else "common" for i in range(300)]
    config = ClustersConfig(
        method="constrained_kmeans", label="quality", fit_windows=30, num_seeds=2, max_k=4
    )
    clusters = fit_clusters(config, points, 0, WindowLabels(names=names, clips=labels.clips))
    assert set(clusters.names) == {"common", "rare"} and sum(clusters.report["sizes"]) == 30


def test_a_method_and_its_label_come_together() -> None:
    with pytest.raises(ConfigError, match="method seeded_kmeans, label None"):
        ClustersConfig(method="seeded_kmeans")
    with pytest.raises(ConfigError, match="method kmeans, label 'quality'"):
        ClustersConfig(label="quality")
    with pytest.raises(ConfigError, match="labelled_share: 0"):
        ClustersConfig(method="seeded_kmeans", label="quality", labelled_share=0.0)


# Through a run ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled_run(tiny_run, tmp_path_factory):
    """The tiny run, its clusters found anew from the qualities of half the clips."""
    out = shutil.copytree(tiny_run, tmp_path_factory.mktemp("labelled") / "run")
    run = Run.open(out)
    config = replace(
        SYSTEM.config_of(run),
        clusters=ClustersConfig(
            method="constrained_kmeans", label="quality", labelled_share=0.5, max_k=4, num_seeds=2
        ),
    )
    dataset = run.facts["dataset"]["path"]
    return SYSTEM.train(out, dataset, config, LocalRunner(), only="clusters")


def test_a_run_keeps_labelled_windows_and_measures_held_out_ones(labelled_run) -> None:
    tensors, facts = load_bundle(labelled_run.bundle("clusters"))
    dataset = Dataset.open(labelled_run.facts["dataset"]["path"])
    names = facts["report"]["names"]
    true = window_labels(dataset, "train", "quality").names
    columns = [
        read_columns(labelled_run.columns("clusters") / f"{shard.name}.parquet", ["cluster"])
        for shard in dataset.shards("train")
    ]
    cluster = np.concatenate([c["cluster"] for c in columns])
    kept = tensors["kept"].numpy()
    sure = kept >= 0
    assert 0.3 < sure.mean() < 0.7
    assert all(names[cluster[i]] == true[i] for i in np.flatnonzero(sure))
    held_out = facts["report"]["held_out"]
    num_held_out = sum(s.num_windows for split in ("val", "test") for s in dataset.shards(split))
    assert held_out["windows"] == num_held_out and 0.0 <= held_out["own"] <= 1.0
    doubted = any("fall into the cluster called by" in w for w in facts["report"]["warnings"])
    assert doubted == (held_out["own"] < 0.75)


def test_info_says_how_held_out_labels_agree(labelled_run, call) -> None:
    found = load_bundle(labelled_run.bundle("clusters"))[1]["report"]["held_out"]
    (line,) = [row for row in call("info", labelled_run.path)[1].splitlines() if "ARI" in row]
    assert (
        f"labels of {found['windows']} validation and test windows: ARI {found['ari']:.2f} " in line
    )
    assert line.endswith(f"{found['own']:.0%} in the cluster of their name")


def test_descriptions_carry_the_label(labelled_run) -> None:
    names = cluster_names(labelled_run)
    assert sorted(names.values()) == ["fluid", "grounded", "sharp"]
    dataset = Dataset.open(labelled_run.facts["dataset"]["path"])
    for cluster, words in derived_descriptions(labelled_run, dataset).items():
        assert words[0] == names[cluster] and len(words) > 1


def test_a_label_that_no_clip_has_is_refused_before_training(tiny_dataset, tmp_path) -> None:
    config = SYSTEM.resolve("quick", ["clusters.method=seeded_kmeans", "clusters.label=qualitty"])
    with pytest.raises(InputError, match=r"has the label 'qualitty'; labels there: .*quality"):
        SYSTEM.train(tmp_path / "run", tiny_dataset, config, LocalRunner())
    assert not (tmp_path / "run").exists()


def test_seeds_help_on_the_qualities_of_the_corpus(tiny_dataset) -> None:
    """Kinematic descriptors of the corpus, a tenth of the clips labelled, held-out clips."""
    from raydance.motion import kinematics

    dataset = Dataset.open(tiny_dataset)

    def read(splits):
        features, names, clips = [], [], []
        for split in splits:
            for shard in dataset.shards(split):
                rows = dataset.read_shard(shard, columns=["motion", "joint_mask", "labels"])
                features.append(
                    kinematics.descriptors(rows["motion"], rows["joint_mask"], dataset.fps)
                )
                names += [json.loads(row)["quality"] for row in rows["labels"]]
            clips += window_labels(dataset, split, "quality").clips
        return np.concatenate(features), names, clips

    train, names, clips = read(["train"])
    test, true, _ = read(["val", "test"])
    mean, std = train.mean(axis=0), train.std(axis=0) + 1e-6
    train, test = (train - mean) / std, (test - mean) / std
    settings = {"num_clusters": 3, "num_seeds": 2, "max_k": 4}
    labels = WindowLabels(names=names, clips=clips)
    plain, seeded = [], []
    for seed in range(3):
        fits = (
            fit_clusters(ClustersConfig(**settings), train, seed),
            fit_clusters(
                ClustersConfig(
                    method="seeded_kmeans", label="quality", labelled_share=0.1, **settings
                ),
                train,
                seed,
                labels,
            ),
        )
        for fit, into in zip(fits, (plain, seeded), strict=True):
            into.append(adjusted_rand_index(true, fit.assign(test)[0]))
    assert np.mean(seeded) > np.mean(plain), (seeded, plain)
