"""Evaluation: figures by hand, a perfect and a useless system, and a whole run."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_dataset import cut_clips

from raydance import evaluation
from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.evaluation import baseline, generation, reconstruction, retrieval
from raydance.evaluation.grouping import agreement
from raydance.evaluation.measure import Measure, losses_against_baseline, show
from raydance.evaluation.windows import read_test, read_training
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language.labels import caption_labels, label_key, label_of
from raydance.systems.dance_language.system import SYSTEM

# What a figure is


@pytest.mark.parametrize(
    ("better", "value", "other", "target", "expected"),
    [
        ("higher", 2.0, 1.0, None, True),
        ("higher", 1.0, 1.0, None, False),
        ("lower", 2.0, 1.0, None, False),
        ("lower", 0.5, 1.0, None, True),
        ("target", 0.9, 1.5, 1.0, True),
        ("target", 0.2, 1.1, 1.0, False),
        ("higher", 2.0, None, None, None),
        ("higher", math.nan, 1.0, None, False),
    ],
)
def test_who_beats_whom(better, value, other, target, expected):
    measure = Measure(
        group="g", name="n", value=value, better=better, baseline=other, target=target
    )
    assert measure.beats_baseline is expected


def test_each_defeat_is_said():
    rows = [
        Measure(group="g", name="lost", value=10.0, baseline=20.0).as_dict(),
        Measure(group="g", name="won", value=30.0, baseline=20.0).as_dict(),
        Measure(group="g", name="alone", value=30.0).as_dict(),
    ]
    assert losses_against_baseline(rows) == [
        "g, lost: 10.0 % does not beat the baseline's 20.0 %",
    ]


@pytest.mark.parametrize(
    ("value", "unit", "interval", "expected"),
    [
        (0.4312, "", 0.0123, "0.431 ± 0.012"),
        (45.23, "%", 1.26, "45.2 ± 1.3 %"),
        (1.5, "x", None, "1.50 x"),
        (None, "cm", None, "-"),
    ],
)
def test_a_figure_is_shown_with_its_interval(value, unit, interval, expected):
    assert show(value, unit, interval) == expected


def test_nan_is_no_figure():
    row = Measure(group="g", name="n", value=math.nan, chance=1.0).as_dict()
    assert row["value"] is None and show(row["value"], "%") == "-"
    json.dumps(row, allow_nan=False)


# Labels


def test_the_first_label_that_names_a_movement_counts():
    assert label_of('{"content": "walk", "action": "x"}', ["c"]) == "walk"
    assert label_of({"movement": "jump", "content": "walk"}, ["c"]) == "jump"
    assert label_of({"style": "old"}, ["a sentence", "another"]) == "a sentence"
    assert label_of(None, []) == ""
    assert label_key([{"content": "a"}, {"content": "b"}, {}]) == "content"
    assert label_key([{}, None]) == "caption"


def test_a_caption_is_called_what_most_of_its_windows_are():
    names = caption_labels([[0, 1], [0], [0], [2]], ["a", "b", "b", ""], 4)
    assert names == ["b", "a", "", ""]


# The baseline


def neighbours():
    points = np.array([[0.0], [0.1], [1.0], [2.0]])
    return baseline.Neighbours(points, ["a", "a", "b", "b"], ["p", "p", "q", "r"])


def test_neighbours_are_of_different_clips():
    assert neighbours().nearest(np.array([[0.02]]), 3) == [[0, 2, 3]]
    assert neighbours().nearest(np.array([[0.02]]), 2, not_of=["p"]) == [[2, 3]]


def test_neighbours_vote_and_the_nearest_decides_a_tie():
    assert neighbours().vote(np.array([[0.0], [1.6]]), k=3) == ["b", "b"]
    assert neighbours().vote(np.array([[0.0]]), k=2) == ["a"]


def test_scaler_uses_training_statistics_and_ignores_constants():
    scale = baseline.Scaler.fit(np.array([[0.0, 7.0], [2.0, 7.0]]))
    np.testing.assert_allclose(scale(np.array([[3.0, 9.0], [99.0, 7.0]])), [[2, 0], [5, 0]])


def test_a_sentence_stands_for_the_mean_of_the_nearest_caption():
    means = baseline.CaptionMeans(
        np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]]),
        [[0, 1], [2], []],  # the third caption has no window and is never found
        np.array([[1.0], [3.0], [9.0]]),
    )
    np.testing.assert_allclose(means(np.array([[2.0, 1.9], [0.1, 1.0]])), [[2.0], [9.0]])
    assert means.nearest(np.array([[0.1, 1.0]])).tolist() == [1]


# Retrieval


def by_name(measures):
    return {(m.group, m.name): m for m in measures}


def test_a_perfect_space_and_a_reversed_one():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((40, 8))
    captions = [f"caption {i}" for i in range(40)]
    names = [f"movement {i % 4}" for i in range(40)]
    clusters = np.arange(40) % 2
    found = by_name(
        retrieval.text_to_motion(
            (points, points, "cosine"), (-points, points), captions, names, clusters, seed=1
        )
    )
    perfect = found["text to motion", "R@1, the very pair among all"]
    assert (perfect.value, perfect.baseline, perfect.chance) == (100.0, 0.0, 2.5)
    rank = found["motion to text", "median rank of the very pair"]
    assert (rank.value, rank.chance) == (1.0, 20.5)
    assert rank.baseline > 35
    pools = found["text to motion", "R-precision top 1 in pools of 32"]
    assert pools.value == 100.0 and pools.chance == pytest.approx(100 / 32)
    label = found["text to motion", "the same movement found first"]
    assert label.value == 100.0 and label.chance == pytest.approx(25.0)
    cluster = found["text to motion", "the same cluster found first"]
    assert cluster.value == 100.0 and cluster.chance == pytest.approx(50.0)


def test_a_space_without_order_scores_like_chance():
    same = np.ones((40, 4))
    captions = [str(i) for i in range(40)]
    found = by_name(
        retrieval.text_to_motion((same, same, "cosine"), (same, same), captions, captions, captions)
    )
    rank = found["text to motion", "median rank of the very pair"]
    assert rank.value == rank.baseline == pytest.approx(rank.chance)


def test_captions_that_name_the_movement():
    first, three = retrieval.motion_to_text(
        [["a", "b", "c"], ["b", "c", "a"]], [["c"] * 3, ["a"] * 3], ["a", "a"], ["a", "b", "c", "a"]
    )
    assert (first.value, first.baseline, first.chance) == (50.0, 50.0, 50.0)
    assert three.value == 100.0
    assert three.chance == 100.0  # of four captions only two are wrong


def test_captions_that_are_of_the_cluster():
    # Captions 0 and 1 occur in cluster 0, captions 1 and 2 in cluster 1; only 0 and 1 can be found.
    clusters = np.array([[True, False], [True, True], [False, True]])
    found = retrieval.caption_cluster(
        np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), clusters, np.array([0, 1])
    )
    assert (found.value, found.chance) == (75.0, 75.0)


# Reconstruction and eq. 12


def test_a_copy_has_no_error_and_the_mean_pose_has_one():
    true = np.zeros((2, 5, 50, 3)) + np.linspace(0, 1, 50)[None, None, :, None]
    found = by_name(
        reconstruction.reconstruction(
            true,
            true,
            np.ones((2, 50), bool),
            mean_pose=true[0, 0] + (0.1, 0, 0),
            nearest=true + (0, 0, 0.2),
            fps=20,
        )
    )
    whole = found["reconstruction", "MPJPE"]
    assert whole.value == 0 and whole.chance == pytest.approx(10) and whole.baseline > 19.9
    assert found["reconstruction", "MPJPE, root aligned"].baseline == pytest.approx(0, abs=1e-9)


def test_floor_of_eq_12_by_hand():
    latents = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
    floor = reconstruction.alignment_floor(latents, [[0], [0], [1]])
    # Caption 0: variance 1/4 in both dimensions, mean unit vector of length 1/sqrt(2).
    assert floor["mse"] == pytest.approx((0.25 + 0.25 + 0) / 3)
    assert floor["cosine"] == pytest.approx(2 / 3 * (1 - 2**-0.5))
    assert floor["total"] == pytest.approx(0.5 * floor["mse"] + 0.5 * floor["cosine"])


def test_no_text_latent_falls_below_the_floor():
    rng = np.random.default_rng(3)
    latents = rng.standard_normal((60, 4))
    ids = [[int(i)] for i in rng.integers(0, 5, 60)]
    floor = reconstruction.alignment_floor(latents, ids)["total"]
    means = np.stack(
        [latents[[i for i, c in enumerate(ids) if c == [k]]].mean(0) for k in range(5)]
    )
    for scale in (0.5, 1.0, 2.0):
        text = scale * means[[c[0] for c in ids]]
        assert reconstruction.alignment(text, latents)["total"] >= floor
    shifted = reconstruction.alignment(2 * latents, latents)
    assert shifted["norm_ratio"] == pytest.approx(2) and shifted["cosine"] == pytest.approx(0)


# Clusters and generation


def test_clusters_that_are_the_qualities():
    rng = np.random.default_rng(0)
    names = ["fluid", "sharp", "grounded"] * 20
    noise = rng.standard_normal((60, 3))
    ari, _ = agreement(np.array([0, 1, 2] * 20), noise, noise, names, "the quality")
    assert ari.value == 1.0 and abs(ari.baseline) < 0.2 and ari.chance == 0.0


def test_spread_over_samples_by_hand():
    motion = np.zeros((1, 3, 4, 50, 3))
    motion[0, 1, ..., 0] = 0.1
    motion[0, 2, ..., 0] = 0.3
    assert generation.spread_cm(motion) == pytest.approx((10 + 30 + 20) / 3)


def test_still_motion_neither_jerks_nor_slides():
    still = np.zeros((2, 20, 50, 3)) + (0.0, 1.3, 0.0)
    found = generation.naturalness(still, 20.0, None)
    assert found.jitter == 0 and found.foot_skate == 0
    slide = still.copy()
    slide[..., 0] += (np.arange(20) / 20)[:, None]  # 1 m/s, feet on the floor of the motion
    assert generation.naturalness(slide, 20.0, None).foot_skate == pytest.approx(100.0)


# A whole run


@pytest.fixture(scope="module")
def figures(tiny_run):
    return evaluation.evaluate(tiny_run, num_generated=6)


def test_only_the_test_split_is_evaluated(figures, tiny_dataset):
    counts = Dataset.open(tiny_dataset).manifest["counts"]
    assert figures["split"] == "test" and figures["is_synthetic"]
    assert figures["windows"] == counts["test"]["windows"]
    assert figures["recordings"] == counts["test"]["recordings"]
    assert figures["training_recordings"] == counts["train"]["recordings"]
    assert figures["num_labels"] == 9 and figures["label"] == "movement"


def test_figures_stand_beside_chance_and_baseline(figures):
    json.dumps(figures, allow_nan=False)
    groups = {m["group"] for m in figures["measures"]}
    assert {
        "text to motion",
        "motion to text",
        "reconstruction",
        "clusters",
        "generation",
    } <= groups
    named = {(m["group"], m["name"]): m for m in figures["measures"]}
    for key in (
        ("text to motion", "the same movement found first"),
        ("text to motion", "the same cluster found first"),
        ("motion to text", "the first caption names the movement"),
        ("reconstruction", "MPJPE"),
        ("clusters", "agreement with the quality (ARI)"),
        ("generation", "the movement asked for, by an independent judge"),
    ):
        assert named[key]["chance"] is not None and named[key]["baseline"] is not None, key
    # Two epochs teach nothing: the report must say so.
    assert any("does not beat the baseline" in line for line in figures["losses"])
    unverified = named["motion to text", "the first caption is of the window's cluster, unverified"]
    assert 0.0 <= unverified["value"] <= 100.0 and 0.0 < unverified["chance"] <= 100.0
    assert figures["eq12"]["test"]["total"] > figures["eq12"]["training_floor"]["total"]


def test_the_text_says_what_it_is_about(figures):
    table = evaluation.as_text(figures)
    assert "none of which is among the 36 trained on" in table
    assert "procedural dancer" in table and "not better than the baseline" in table
    rows = [line for line in table.splitlines() if line.startswith("  MPJPE")]
    assert len(rows) == 2 and len({len(r) for r in rows}) == 1
    assert len(evaluation.as_text(figures, everything=True)) > len(table)


def test_evaluation_repeats_exactly(figures, tiny_run):
    again = evaluation.evaluate(tiny_run, num_generated=6)
    assert again["measures"] == figures["measures"]


def test_runs_lie_side_by_side(tiny_run):
    runs = {"paper preset": tiny_run, "this run": tiny_run}
    result = evaluation.compare(runs, num_generated=2)
    assert result["columns"] == ["paper preset", "this run"]
    assert all(r["values"]["paper preset"] == r["values"]["this run"] for r in result["rows"])
    assert "paper preset" in evaluation.as_text(result)


def test_a_recording_in_two_splits_is_refused(tiny_run, tiny_dataset, tmp_path):
    torn = shutil.copytree(tiny_dataset, tmp_path / "torn")
    rows = pq.read_table(torn / "clips.parquet")
    clips = rows.to_pylist()
    train = next(c for c in clips if c["split"] == "train")
    next(c for c in clips if c["split"] == "test")["recording"] = train["recording"]
    pq.write_table(pa.Table.from_pylist(clips, schema=rows.schema), torn / "clips.parquet")
    with pytest.raises(InputError, match="more than one split"):
        evaluation.evaluate(tiny_run, torn)
    # Nor is anything trained on it.
    with pytest.raises(InputError, match="more than one split"):
        SYSTEM.train(tmp_path / "run", torn, SYSTEM.resolve("quick"), LocalRunner())
    assert not (tmp_path / "run").exists()


def test_short_clips_count_for_words_alone(tiny_run, tiny_dataset, tmp_path):
    made = cut_clips(tiny_dataset, tmp_path, 30)
    found = evaluation.evaluate(tiny_run, made, num_generated=2)
    shards = Dataset.open(made).shards("test")
    short = sum((Dataset.open(made).read_shard(s, ["length"])["length"] < 50).sum() for s in shards)
    assert short and found["windows"] == sum(shard.num_windows for shard in shards)
    notes = [note for note in found["notes"] if "shorter clips" in note]
    assert len(notes) == 1 and notes[0].startswith(f"{short} test windows")


def test_a_large_split_is_sampled(tiny_dataset):
    dataset = Dataset.open(tiny_dataset)
    training = read_training(dataset, max_windows=20, seed=4)
    test = read_test(dataset, training.scaler, max_windows=7)
    assert len(training.facts) == 20 and len(test.motion) == len(test.facts) == 7
    assert test.total > 7
    again = read_training(dataset, max_windows=20, seed=4)
    assert again.facts.window_id == training.facts.window_id
    rows = [5, 2, 17]
    motion = training.motion_of(rows)
    for row, found in zip(rows, motion):
        shard, place = training.facts.address[row]
        whole = dataset.read_shard(shard, columns=["window_id", "motion"])
        assert whole["window_id"][place] == training.facts.window_id[row]
        np.testing.assert_array_equal(whole["motion"][place], found)
