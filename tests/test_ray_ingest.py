"""From files to a dataset through Ray: counts, splits, what is overwritten, real recordings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import public_sets
import pytest
from small_recordings import walk, write_npz

from raydance.data.dataset import Dataset
from raydance.data.ingest import SHARD_WINDOWS
from raydance.errors import ArtifactError, InputError
from raydance.motion.windows import normalise_window


def library(folder: Path) -> Path:
    """20 good files of 4 windows, one short, four broken."""
    for i in range(20):
        write_npz(folder / f"good_{i:02}.npz", walk(110, speed_m_s=0.1 * i))
    write_npz(folder / "short.npz", walk(9))
    good = (folder / "good_00.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(good[: len(good) // 2])
    (folder / "empty.bvh").write_bytes(b"")
    (folder / "binary.bvh").write_bytes(bytes(range(256)) * 10)
    write_npz(folder / "nan.npz", np.full((60, 50, 3), np.nan))
    return folder


@pytest.mark.ray
def test_ingestion_through_ray(ray_cluster, tmp_path: Path):
    from raydance.cluster.data import ingest

    source, out = library(tmp_path / "lib"), tmp_path / "out"
    states: list[dict] = []
    counts = ingest([source], out, progress=lambda state: states.append(dict(state)))
    assert {k: counts[k] for k in ("files", "read", "short", "skipped", "windows")} == {
        "files": 25,
        "read": 20,
        "short": 1,
        "skipped": 4,
        "windows": 80,
    }
    assert len(states) == 25 and states[-1]["windows"] == 80 and states[-1]["skipped"] == 4
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []

    made = Dataset.open(out)
    skipped = {Path(row["file"]).name: row["reason"] for row in made.skipped()}
    assert set(skipped) == {"truncated.npz", "empty.bvh", "binary.bvh", "nan.npz"}
    assert all(skipped.values())
    seen: dict[str, set[str]] = {}
    for split in ("train", "val", "test"):
        for shard in made.shards(split):
            rows = made.read_shard(shard)
            assert set(rows["split"]) == {split} and shard.num_windows <= SHARD_WINDOWS
            for name, motion in zip(rows["window_id"], rows["motion"]):
                seen.setdefault(name.split("@")[0], set()).add(split)
                i = int(name.split("@")[0][-2:])
                start = int(name.split("@")[1])
                whole = walk(110, speed_m_s=0.1 * i)[None, start : start + 50]
                np.testing.assert_allclose(motion, normalise_window(whole)[0], atol=1e-5)
    assert len(seen) == 20 and all(len(splits) == 1 for splits in seen.values())

    # The same files give the same dataset, in another order of the tasks too.
    again = tmp_path / "again"
    ingest([source], again)
    assert Dataset.open(again).manifest_hash == made.manifest_hash


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.ray
def test_only_datasets_are_overwritten_and_only_when_asked(
    ray_cluster, tiny_dataset: Path, tmp_path: Path
):
    from raydance.cluster.data import ingest

    source, out = tmp_path / "lib", tmp_path / "out"
    write_npz(source / "a.npz", walk(60))
    write_npz(source / "b.npz", walk(60))
    shutil.copytree(tiny_dataset, out)
    with pytest.raises(InputError, match="--overwrite replaces it"):
        ingest([source], out)

    # A failure leaves the old dataset as it was, and nothing beside it.
    bad = tmp_path / "bad"
    write_npz(bad / "a.npz", walk(9))
    with pytest.raises(InputError, match="no window could be read from 1 files .*shortest clip is"):
        ingest([bad], out, overwrite=True)
    assert contents(out) == contents(tiny_dataset)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letters.txt").write_text("dear")
    with pytest.raises(InputError, match="not a dataset of raydance"):
        ingest([source], mine, overwrite=True)
    assert (mine / "letters.txt").read_text() == "dear"

    assert ingest([source], out, overwrite=True)["files"] == 2
    (out / "manifest.json").write_text('{"format": "raydance-dataset"}')  # damaged, but ours
    with pytest.raises(ArtifactError):
        Dataset.open(out)
    assert ingest([source], out, overwrite=True)["files"] == 2


@pytest.mark.ray
def test_real_recordings_are_read(ray_cluster, shared_data: Path, tmp_path: Path):
    from raydance.cluster.data import ingest

    source = tmp_path / "lib"
    (source / "bvh").mkdir(parents=True)
    cmu = shared_data / "cmu_bvh"
    for name in ("02_01", "02_03", "05_06", "131_01"):
        shutil.copy(cmu / "bvh" / f"{name}.bvh", source / "bvh")
    for path in sorted((shared_data / "bandai_bvh" / "data").glob("dataset-1_walk_[an]*_001.*")):
        shutil.copy(path, source)
    shutil.copy(cmu / "captions.jsonl", source)
    with pytest.warns(UserWarning, match="captions of 103 files"):
        counts = ingest([source], tmp_path / "out", captions=[source / "captions.jsonl"])
    assert counts["skipped"] == 0 and counts["short"] == 0 and counts["read"] == 7
    assert (
        sum(file.get("padded", 0) for file in Dataset.open(tmp_path / "out").manifest["files"]) == 1
    )
    made = Dataset.open(tmp_path / "out")
    clips = {clip["clip_id"]: clip for clip in made.clips()}
    assert clips["CMU/02_01"]["captions"] == ["walk"] and clips["CMU/02_01"]["fps"] == 120.0
    assert clips["CMU/02_01"]["frames"] == 343
    bandai = json.loads(clips["lib/dataset-1_walk_active_001"]["labels"])
    assert bandai
    for split in ("train", "val", "test"):
        for shard in made.shards(split):
            rows = made.read_shard(shard)
            motion, mask = rows["motion"], rows["joint_mask"]
            np.testing.assert_allclose(motion[:, 0, 0, [0, 2]], 0.0, atol=1e-5)
            assert (motion[:, 0, 1, 0] > 0).all()  # the left hip is on the left
            assert not motion.transpose(0, 2, 1, 3)[~mask].any()
            heights = motion[:, :, :22, 1].max(axis=(1, 2))
            assert ((heights > 1.0) & (heights < 2.6)).all()


@pytest.mark.ray
def test_a_public_set_becomes_a_dataset_by_its_layout(ray_cluster, tmp_path: Path):
    from raydance.cluster.data import ingest

    folder = public_sets.guo(tmp_path / "HumanML3D")
    with pytest.warns(UserWarning, match="HumanML3D: 1 motions have no caption"):
        ingest([folder], tmp_path / "dataset", layout="auto")
    clips = {clip["clip_id"]: clip for clip in Dataset.open(tmp_path / "dataset").clips()}
    mirrored = clips["HumanML3D/new_joints/M000001"]
    assert mirrored["split"] == "train" and mirrored["captions"] == ["walks M000001."]
    assert "HumanML3D/new_joints/000001@10-40" in clips and len(clips) == 5
