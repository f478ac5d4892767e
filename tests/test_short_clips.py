"""Clips shorter than a window: padded and told by their length, through a dataset and its use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TINY
from small_dataset import cut_clips, ingest_here
from small_recordings import walk, write_npz

from raydance.data.columns import read_columns
from raydance.data.dataset import SPLITS, Dataset
from raydance.data.ingest import Settings
from raydance.data.resplit import resplit
from raydance.errors import ArtifactError, InputError
from raydance.evaluation import unseen_words
from raydance.evaluation.data import EvaluationData
from raydance.motion import augment
from raydance.motion.rows import to_network
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language import objectives
from raydance.systems.dance_language.basis_step import SampleWindows, basis_of
from raydance.systems.dance_language.statistics_step import statistics_of
from raydance.systems.dance_language.system import SYSTEM
from raydance.training.run_folder import Run

CUT = 30
"""Frames of the clips that were cut."""


@pytest.fixture(scope="module")
def dataset(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.open(cut_clips(tiny_dataset, tmp_path_factory.mktemp("short"), CUT))


@pytest.fixture(scope="module")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out, config = tmp_path_factory.mktemp("short-run") / "run", SYSTEM.resolve("quick", list(TINY))
    for step in ("statistics", "motion_basis"):
        run = SYSTEM.train(out, dataset.path, config, LocalRunner(), only=step)
    return run


def lengths(dataset: Dataset, split: str) -> np.ndarray:
    shards = dataset.shards(split)
    return np.concatenate([dataset.read_shard(shard, ["length"])["length"] for shard in shards])


def test_a_short_clip_holds_its_last_frame(tmp_path: Path) -> None:
    write_npz(tmp_path / "lib/long.npz", walk(90))
    write_npz(tmp_path / "lib/short.npz", walk(20))
    found = Dataset.open(ingest_here([tmp_path / "lib"], [], tmp_path / "made"))
    rows = [found.read_shard(shard) for split in SPLITS for shard in found.shards(split)]
    by_clip = {clip: (one, i) for one in rows for i, clip in enumerate(one["clip_id"])}
    one, i = by_clip["lib/short"]
    assert one["length"][i] == 20 and one["end_s"][i] == 1.0
    motion = one["motion"][i]
    np.testing.assert_allclose(np.diff(motion[:20, 0, 2]), 0.05, atol=1e-5)
    assert (motion[20:] == motion[19]).all()
    one, i = by_clip["lib/long"]
    assert one["length"][i] == 50 and found.num_padded == 1 and not found.has_whole_clips


def test_datasets_without_short_clips_have_no_lengths(tmp_path: Path) -> None:
    write_npz(tmp_path / "lib/long.npz", walk(90))
    long = ingest_here([tmp_path / "lib"], [], tmp_path / "long")
    write_npz(tmp_path / "lib/short.npz", walk(20))
    settings = Settings(pads_short=False)
    left_out = ingest_here([tmp_path / "lib"], [], tmp_path / "left_out", settings)
    padded = ingest_here([tmp_path / "lib"], [], tmp_path / "padded")
    one, two, three = map(Dataset.open, (long, left_out, padded))
    assert "length" not in one.arrays and "length" not in two.arrays
    assert one.manifest_hash == two.manifest_hash != three.manifest_hash
    (shard,) = [shard for split in SPLITS for shard in one.shards(split)]
    assert one.read_shard(shard, ["length"])["length"].tolist() == [50, 50, 50]


@pytest.mark.parametrize("wrong", [0, -3, 51])
def test_a_length_that_cannot_be_is_refused(tmp_path: Path, wrong: int) -> None:
    write_npz(tmp_path / "short.npz", walk(20))
    found = Dataset.open(ingest_here([tmp_path], [], tmp_path / "made"))
    (shard,) = [shard for split in SPLITS for shard in found.shards(split)]
    path = found.shard_path(shard)
    table = pq.read_table(path)
    place = table.column_names.index("length")
    pq.write_table(table.set_column(place, "length", pa.array([wrong])), path)
    with pytest.raises(ArtifactError, match="a length is not in 1 to 50"):
        found.read_shard(shard, ["motion", "length"])


@pytest.mark.parametrize("files", [["a.bvh"], [{"padded": "many"}], [{"padded": -1}], 3])
def test_a_manifest_that_counts_wrongly_is_refused(tmp_path: Path, files: Any) -> None:
    write_npz(tmp_path / "short.npz", walk(20))
    manifest = ingest_here([tmp_path], [], tmp_path / "made") / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"files": files}))
    with pytest.raises(ArtifactError, match="damaged"):
        Dataset.open(manifest.parent)


def test_other_splits_keep_the_lengths(dataset: Dataset, tmp_path: Path) -> None:
    moved = resplit(dataset, tmp_path / "moved", lambda clip: "train")
    before = np.concatenate([lengths(dataset, split) for split in SPLITS])
    assert sorted(lengths(moved, "train")) == sorted(before)
    assert moved.num_padded == dataset.num_padded == (before < 50).sum()


def test_whole_clips_are_refused_as_before(tiny_dataset: Path, tmp_path: Path) -> None:
    clips, settings = tiny_dataset.parent / "clips", Settings(whole_clips=True, window=160)
    made = ingest_here([clips], [clips / "captions.jsonl"], tmp_path / "made", settings)
    assert Dataset.open(made).has_whole_clips
    with pytest.raises(InputError, match="ingest without --whole-clips"):
        SYSTEM.train(tmp_path / "run", made, SYSTEM.resolve("quick"), LocalRunner())


def test_the_basis_is_fitted_to_full_windows_alone(run: Run, dataset: Dataset) -> None:
    noise = augment.Augment(enabled=False)
    args = (str(run.path), "train", 1.0, noise, "root_channel", 0)
    parts = [SampleWindows(*args)(i) for i in range(len(dataset.shards("train")))]
    own = lengths(dataset, "train")
    assert 0 < (own < 50).sum() and sum(len(keys) for keys, _, _ in parts) == (own == 50).sum()


def test_short_rows_are_completed_plausibly(run: Run, dataset: Dataset) -> None:
    basis, statistics = basis_of(run), statistics_of(run)
    num_short = 0
    for shard in dataset.shards("train"):
        names = ["window_id", "motion", "joint_mask", "length"]
        rows = dataset.read_shard(shard, names)
        path = run.columns("motion_basis") / f"{shard.name}.parquet"
        stored = read_columns(path, ["coefficients"], list(rows["window_id"]))["coefficients"]
        network = to_network(rows["motion"], rows["joint_mask"], statistics, "root_channel")
        short = rows["length"] < 50
        num_short += short.sum()
        assert set(rows["length"][short]) <= {CUT}
        if not short.any():
            continue
        rebuilt = basis.decode(np.asarray(stored)[:, 0])
        standing = basis.decode(basis.encode(network, rows["joint_mask"]))
        error, other = (np.abs(made - network)[short, :CUT].mean() for made in (rebuilt, standing))
        assert error < 0.8 * other  # as nothing is spent on frames that are not real
        # What follows moves on, as full windows do, and does not stand still.
        speed = np.abs(np.diff(rebuilt[short][:, CUT:], axis=1)).mean()
        usual = np.abs(np.diff(network[~short][:, CUT:], axis=1)).mean()
        assert speed > 0.3 * usual
    assert num_short > 3


def test_evaluation_knows_its_full_windows(dataset: Dataset) -> None:
    data = EvaluationData.read(dataset.path)
    is_short = lengths(dataset, "test") < 50
    assert 0 < is_short.sum() == len(data.test.facts) - len(data.full.test.facts)
    assert len(data.full.training.facts) == (lengths(dataset, "train") == 50).sum()
    assert sum(len(mask) for _, mask in data.full.training.parts()) == len(
        data.full.training.features
    )
    np.testing.assert_array_equal(data.full.test.motion, data.test.motion[~is_short])
    assert data.full.full is data.full


def test_held_out_words_are_judged_on_full_windows(dataset: Dataset) -> None:
    read = unseen_words._read(dataset, "test", ("quality", "tempo"))
    assert len(read) == (lengths(dataset, "test") == 50).sum()


def test_sweeps_measure_full_windows_under_their_own_numbers(run: Run, dataset: Dataset) -> None:
    places = np.concatenate([batch[0] for batch in objectives._motion_batches(run)])
    np.testing.assert_array_equal(places, np.flatnonzero(lengths(dataset, "val") == 50))
