"""The dataset folder: what is written is read, and damage is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from raydance.data import dataset, schema
from raydance.data.dataset import Dataset, Shard
from raydance.errors import ArtifactError, InputError
from raydance.motion.skeleton import JOINTS


def windows_of(clip_id: str, split: str, n: int, seed: int = 0, source: str = "x.bvh") -> dict:
    rng = np.random.default_rng(seed)
    return {
        "window_id": [f"{clip_id}@{20 * i}" for i in range(n)],
        "clip_id": [clip_id] * n,
        "recording": [clip_id] * n,
        "source": [source] * n,
        "split": [split] * n,
        "start_s": [float(i) for i in range(n)],
        "end_s": [i + 2.5 for i in range(n)],
        "motion": rng.normal(size=(n, 50, 50, 3)).astype(np.float32),
        "joint_mask": rng.random((n, 50)) < 0.8,
        "captions": [["a person walks", "é"] if i % 2 else [] for i in range(n)],
        "labels": ["{}"] * n,
    }


def clip_row(clip_id: str, split: str, n: int) -> dict:
    return {
        "clip_id": clip_id,
        "recording": clip_id,
        "source": "x.bvh",
        "fps": 120.0,
        "frames": 900,
        "duration_s": 7.5,
        "split": split,
        "captions": ["a person walks"],
        "labels": "{}",
        "num_windows": n,
        "joints": 22,
    }


ARRAYS = dataset.motion_arrays(50)
SETTINGS = {"fps": 20.0, "window": 50, "stride": 20, "split_seed": 0}


def build(folder: Path, seed: int = 0, source: str = "x.bvh") -> Dataset:
    folder.mkdir()
    shards = [
        dataset.write_shard(folder, "train-1", "train", windows_of("a", "train", 5, seed, source)),
        dataset.write_shard(folder, "test-2", "test", windows_of("b", "test", 3, 9, source)),
    ]
    return dataset.finish(
        folder,
        shards=shards,
        clips=[clip_row("b", "test", 3), clip_row("a", "train", 5)],
        files=[
            {"file": "z.bvh", "status": "skipped", "windows": 0, "line": 7, "reason": "NaN"},
            {"file": "a.bvh", "status": "read", "windows": 5},
        ],
        settings=SETTINGS,
        versions={},
    )


@pytest.fixture
def made(tmp_path: Path) -> Dataset:
    return build(tmp_path / "made")


def test_what_is_written_is_read(made: Dataset):
    assert made.fps == 20.0
    assert made.shards("val") == []
    (shard,) = made.shards("train")
    rows, wanted = made.read_shard(shard), windows_of("a", "train", 5)
    assert list(rows) == schema.row_names(schema.MOTION, ARRAYS)
    np.testing.assert_array_equal(rows["motion"], wanted["motion"])
    np.testing.assert_array_equal(rows["joint_mask"], wanted["joint_mask"])
    for name in ("window_id", "captions", "labels", "split", "end_s"):
        assert rows[name] == wanted[name]
    assert rows["motion"].dtype == np.float32 and rows["joint_mask"].dtype == bool
    assert list(made.read_shard(shard, ["clip_id"])) == ["clip_id"]


def test_the_tables_and_counts(made: Dataset):
    assert [clip["clip_id"] for clip in made.clips()] == ["a", "b"]
    assert made.skipped() == [{"file": "z.bvh", "line": 7, "reason": "NaN"}]
    assert made.manifest["counts"]["train"] == {"windows": 5, "clips": 1, "recordings": 1}
    assert made.manifest["joints"] == list(JOINTS)
    again = Dataset.open(made.path)
    assert again.manifest_hash == made.manifest_hash


def test_any_parquet_reader_reads_a_shard(made: Dataset):
    table = pq.read_table(made.shard_path(made.shards("test")[0]))
    assert table.schema.equals(schema.row_schema(schema.MOTION, ARRAYS))
    first = np.array(table["motion"][0].as_py()).reshape(50, 50, 3)
    np.testing.assert_allclose(first, windows_of("b", "test", 3, 9)["motion"][0])


def test_the_hash_names_the_windows_and_not_where_they_came_from(made: Dataset, tmp_path: Path):
    assert build(tmp_path / "moved", source="/elsewhere/x.bvh").manifest_hash == made.manifest_hash
    assert build(tmp_path / "other", seed=1).manifest_hash != made.manifest_hash


def change_manifest(made: Dataset, **changes) -> None:
    path = made.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_foreign_and_unfinished_folders_are_named(tmp_path: Path, made: Dataset):
    with pytest.raises(ArtifactError, match="not a dataset of raydance"):
        Dataset.open(tmp_path)
    (made.path / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="did not finish"):
        Dataset.open(made.path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "not a dataset of raydance"),
        ({"version": 99}, "version 99; this version reads 1"),
        ({"shards": [{"name": "x"}]}, "damaged"),
        ({"shards": 7}, "damaged"),
        (
            {"shards": [dict(name="../x", split="train", num_windows=1, bytes=1, digest="")]},
            "damaged",
        ),
        ({"joints": ["hip"]}, "damaged"),
        ({"fps": "fast"}, "damaged"),
    ],
)
def test_a_changed_manifest_is_refused(made: Dataset, changes: dict, message: str):
    change_manifest(made, **changes)
    with pytest.raises(ArtifactError, match=message):
        Dataset.open(made.path)


def test_a_manifest_that_is_no_json_is_refused(made: Dataset):
    (made.path / "manifest.json").write_bytes(b"\xff{")
    with pytest.raises(ArtifactError, match="damaged"):
        Dataset.open(made.path)


def test_a_shard_cut_short_is_found_on_opening(made: Dataset):
    path = made.shard_path(made.shards("train")[0])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match="missing or cut short"):
        Dataset.open(made.path)
    path.unlink()
    with pytest.raises(ArtifactError, match="missing or cut short"):
        Dataset.open(made.path)


def test_a_flipped_byte_is_found_on_reading(made: Dataset):
    (shard,) = made.shards("train")
    path = made.shard_path(shard)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="damaged"):
        Dataset.open(made.path).read_shard(shard)


def test_a_shard_of_other_windows_is_refused(made: Dataset):
    (shard,) = made.shards("train")
    other = Shard(**{**shard.__dict__, "num_windows": 4})
    with pytest.raises(ArtifactError, match="5 windows, the manifest says 4"):
        made.read_shard(other)
    with pytest.raises(ArtifactError, match="latent"):
        made.read_shard(shard, ["latent"])


def test_leftovers_of_lost_tasks_do_not_ship(tmp_path: Path):
    made_part = tmp_path / "d" / "windows" / "train-9.part"
    made_part.parent.mkdir(parents=True)
    made_part.write_bytes(b"half")
    shard = dataset.write_shard(tmp_path / "d", "train-1", "train", windows_of("a", "train", 1))
    dataset.finish(
        tmp_path / "d", shards=[shard], clips=[], files=[], settings=SETTINGS, versions={}
    )
    assert not made_part.exists()


def test_nothing_read_is_an_error_that_says_why(tmp_path: Path):
    files = [{"file": "a.bvh", "status": "skipped", "windows": 0, "line": 3, "reason": "NaN"}]
    with pytest.raises(InputError, match="a.bvh: NaN"):
        dataset.finish(tmp_path, shards=[], clips=[], files=files, settings=SETTINGS, versions={})
    assert not (tmp_path / "manifest.json").exists()
