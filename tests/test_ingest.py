"""From files to a dataset: names and splits, broken files, shards, and the same through Ray."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydance.dataset import Dataset
from raydance.errors import ArtifactError, InputError
from raydance.ingest import SHARD_WINDOWS, Settings, read_job, windows_of_clip, write_group
from raydance.motion.clip import Clip
from raydance.motion.skeleton import JOINTS, NUM_JOINTS, PARENTS
from raydance.motion.windows import normalise_window
from raydance.sources import FileJob, find_jobs, group_jobs

SETTINGS = Settings()
BODY = np.zeros((NUM_JOINTS, 3), np.float32)
BODY[:, 1] = np.linspace(0.0, 1.7, NUM_JOINTS)
BODY[:, 0] = [{"l": 0.2, "r": -0.2}.get(name[0], 0.0) for name in JOINTS]


def walk(num_frames: int, speed_m_s: float = 1.0, fps: float = 20.0) -> np.ndarray:
    """A rigid body that glides forward: `[T, 50, 3]`."""
    motion = np.repeat(BODY[None], num_frames, axis=0)
    motion[:, :, 2] += (np.arange(num_frames) * speed_m_s / fps)[:, None]
    return motion


def write_npz(path: Path, positions: np.ndarray, fps: float = 20.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        positions=positions.astype(np.float32),
        joint_names=np.array(JOINTS),
        parents=np.array(PARENTS),
        fps=np.array(fps),
    )
    return path


def write_captions(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps({"captions": ["walks"], **row}) + "\n" for row in rows))
    return path


def only_job(path: Path, *rows: dict[str, Any]) -> FileJob:
    captions = [write_captions(path.parent / "c.jsonl", *rows)] if rows else []
    (job,) = find_jobs([path], captions)
    return job


# Names, recordings and splits


def test_names_and_splits_stay_when_a_library_moves(tmp_path: Path):
    for name in ("lib/a.npz", "lib/deep/b.npz", "lib/.hidden/c.npz", "lib/._d.npz"):
        write_npz(tmp_path / name, walk(60))
    (tmp_path / "lib/notes.txt").write_text("x")
    (tmp_path / "lib/a.json").write_text("{}")
    before = find_jobs([tmp_path / "lib"])
    assert [job.clip_id for job in before] == ["lib/a", "lib/deep/b"]
    shutil.move(tmp_path / "lib", tmp_path / "there" / "lib")
    after = find_jobs([tmp_path / "there" / "lib"])
    assert [(j.clip_id, j.split) for j in after] == [(j.clip_id, j.split) for j in before]
    # One by one, as a shell's lib/*.npz gives them, they are called the same.
    alone = find_jobs([tmp_path / "there/lib/a.npz"])
    assert [job.clip_id for job in alone] == ["lib/a"]


def test_a_file_that_two_sources_reach_is_read_once(tmp_path: Path):
    write_npz(tmp_path / "lib/deep/b.npz", walk(60))
    (tmp_path / "lib/link.npz").symlink_to(tmp_path / "lib/deep/b.npz")
    assert len(find_jobs([tmp_path / "lib", tmp_path / "lib/deep"])) == 1


def test_one_recording_in_two_formats_keeps_to_one_split(tmp_path: Path):
    write_npz(tmp_path / "lib/a.npz", walk(60))
    np.save(tmp_path / "lib/a.npy", walk(60))
    first, second = find_jobs([tmp_path / "lib"])
    assert {first.clip_id, second.clip_id} == {"lib/a", "lib/a.npz"}
    names = ["one", "two"]
    for name in names:
        write_npz(tmp_path / f"x/{name}.npz", walk(60))
    captions = write_captions(
        tmp_path / "x/c.jsonl", *({"file": f"{n}.npz", "clip": "CMU/02_01"} for n in names)
    )
    jobs = find_jobs([tmp_path / "x"], [captions])
    assert len({job.recording for job in jobs}) == 1 and len({job.split for job in jobs}) == 1
    assert [job.rows[0].clip_id for job in jobs] == ["CMU/02_01", "CMU/02_01.npz"]


def test_humanml3d_copies_of_a_motion_keep_to_one_split(tmp_path: Path):
    for name in ("new_joints/000001", "new_joints/M000001", "new_joint_vecs/000001"):
        write_npz(tmp_path / f"HumanML3D/{name}.npz", walk(60))
    jobs = find_jobs([tmp_path / "HumanML3D"])
    assert {job.recording for job in jobs} == {"HumanML3D/000001"}
    assert len({job.clip_id for job in jobs}) == 3


def test_two_lines_about_one_part_become_one_clip(tmp_path: Path):
    path = write_npz(tmp_path / "a.npz", walk(60))
    job = only_job(
        path,
        {"file": "a.npz", "captions": ["walks", "strides"]},
        {"file": "a.npz", "captions": ["strides", "paces"]},
    )
    assert [row.captions for row in job.rows] == [("walks", "strides", "paces")]


def test_a_given_split_overrides_the_hash(tmp_path: Path):
    path = write_npz(tmp_path / "a.npz", walk(60))
    assert {only_job(path, {"file": "a.npz", "split": s}).split for s in ("val", "test")} == {
        "val",
        "test",
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"file": "other.npz"}], "none of the captions fits a file"),
        (
            [
                {"file": "a.npz", "clip": "x", "end_frame": 10},
                {"file": "a.npz", "clip": "x", "start_frame": 10},
            ],
            "line 2: clip x is named already",
        ),
        (
            [
                {"file": "a.npz", "clip": "x", "split": "val"},
                {"file": "b.npz", "clip": "x", "split": "test"},
            ],
            "same recording in val",
        ),
    ],
)
def test_captions_that_make_no_sense_are_refused(tmp_path: Path, rows, message: str):
    for name in ("a", "b"):
        write_npz(tmp_path / f"{name}.npz", walk(60))
    with pytest.raises(InputError, match=message):
        find_jobs([tmp_path], [write_captions(tmp_path / "c.jsonl", *rows)])


def test_captions_without_a_file_are_warned_of(tmp_path: Path):
    write_npz(tmp_path / "a.npz", walk(60))
    captions = write_captions(tmp_path / "c.jsonl", {"file": "a.npz"}, {"file": "gone.npz"})
    with pytest.warns(UserWarning, match="line 2: .*gone.npz"):
        find_jobs([tmp_path], [captions])


def test_sources_that_give_nothing_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no motion files .* end in .bvh"):
        find_jobs([tmp_path])
    with pytest.raises(InputError, match="no such file or folder"):
        find_jobs([tmp_path / "gone"])
    for folder in ("x/lib", "y/lib"):
        write_npz(tmp_path / folder / "a.npz", walk(60))
    with pytest.raises(InputError, match="both be called lib/a"):
        find_jobs([tmp_path / "x/lib", tmp_path / "y/lib"])


def test_groups_hold_one_split_and_similar_bytes():
    def job(i: int) -> FileJob:
        split = ("train", "train", "train", "val", "test")[i % 5]
        return FileJob(path="", clip_id=str(i), recording=str(i), split=split, size=2**18 + i)

    jobs = [job(i) for i in range(200)]
    groups = group_jobs(jobs, 8)
    assert sorted(int(j.clip_id) for group in groups for j in group) == list(range(200))
    assert all(len({j.split for j in group}) == 1 for group in groups)
    assert len(groups) >= 8
    assert max(sum(j.size for j in group) for group in groups) <= 200 * 2**18 / 8 + 2**19


# One file


def test_windows_of_a_file_by_hand(tmp_path: Path):
    path = write_npz(tmp_path / "a.npz", walk(240, fps=60.0), fps=60.0)  # 80 frames at 20 fps
    result = read_job(only_job(path), SETTINGS)
    assert result.record["status"] == "read" and result.record["windows"] == 2
    (clip,) = result.clips
    assert (clip["frames"], clip["fps"], clip["joints"]) == (240, 60.0, 50)
    clip = Clip(
        clip_id="a",
        source="",
        fps=60.0,
        joint_names=JOINTS,
        parents=PARENTS,
        positions=walk(240, fps=60.0),
    )
    motion, masks, starts = windows_of_clip(clip, fps=20.0, length=50, stride=20)
    assert motion.shape == (2, 50, 50, 3) and masks.all() and starts.tolist() == [0.0, 1.0]
    # Rigid and gliding: both windows are the same, from the origin forward.
    np.testing.assert_allclose(motion[0], motion[1], atol=1e-5)
    with pytest.raises(InputError, match="a: 0.50 s; one window is 2.50 s"):
        short = Clip(**{**clip.__dict__, "positions": walk(30)})
        windows_of_clip(short, fps=20.0, length=50, stride=20)


def test_rows_cut_clips_from_a_file(tmp_path: Path):
    path = write_npz(tmp_path / "a.npz", walk(200))
    job = only_job(
        path,
        {"file": "a.npz", "end_frame": 60, "captions": ["first"]},
        {"file": "a.npz", "start_frame": 60, "captions": ["second"]},
        {"file": "a.npz", "start_frame": 150, "end_frame": 999, "captions": ["beyond"]},
    )
    result = read_job(job, SETTINGS)
    folder = job.clip_id.split("/")[0]
    assert [clip["clip_id"] for clip in result.clips] == [f"{folder}/a@0-60", f"{folder}/a@60-200"]
    assert {clip["recording"] for clip in result.clips} == {f"{folder}/a"}
    assert [clip["captions"] for clip in result.clips] == [["first"], ["second"]]
    assert result.record["windows"] == 1 + 5
    assert "line 3" in result.record["notes"][0]  # the bad line costs its own clip only


def test_a_clip_shorter_than_a_window_is_reported(tmp_path: Path):
    result = read_job(only_job(write_npz(tmp_path / "a.npz", walk(49))), SETTINGS)
    assert result.record["status"] == "short"
    assert result.record["reason"] == "2.45 s; one window is 2.50 s"
    assert len(result.clips) == 1 and result.clips[0]["num_windows"] == 0


def test_windows_never_span_a_jump(tmp_path: Path):
    motion = walk(161)
    motion[0] += [9, 0, 9]  # a T-pose put before the recording
    motion[80:] += [0, 0, 20]
    result = read_job(only_job(write_npz(tmp_path / "a.npz", motion)), SETTINGS)
    assert result.record["status"] == "read"
    assert result.record["jumps"] == 2
    assert [(p.begin_s, p.starts.tolist()) for p in result.pieces] == [
        (1 / 20, [0, 20]),
        (80 / 20, [0, 20]),
    ]
    assert result.record["dropped_windows"] == 2  # 6 would fit


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ""),
        (b"HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 6", ""),
        (b"HIERARCHY\n\xff\xfe\x00nonsense", "UTF-8"),
        (b"HIERARCHY\n" + b"{" * 100_000, ""),
    ],
)
def test_a_broken_text_file_is_skipped_with_its_reason(tmp_path: Path, content, reason: str):
    path = tmp_path / "a.bvh"
    path.write_bytes(content)
    record = read_job(only_job(path), SETTINGS).record
    assert record["status"] == "skipped" and record["file"] == str(path)
    assert reason in record["reason"] and record["reason"]


def broken_arrays() -> dict[str, np.ndarray]:
    nan, noise = walk(100), walk(100)
    nan[40, 3, 1] = np.nan
    noise += np.random.default_rng(0).normal(0, 50, noise.shape).astype(np.float32)
    return {
        "nan": nan,
        "absurd": walk(100) * 1e8,
        "noise": noise,
        "empty": walk(0),
        "collapsed": walk(100) * 1e-6,
        "strange": np.zeros((100, 7, 3), np.float32),
    }


@pytest.mark.parametrize("kind", list(broken_arrays()))
def test_a_broken_array_is_skipped_with_its_reason(tmp_path: Path, kind: str):
    path = write_npz(tmp_path / "a.npz", broken_arrays()[kind])
    result = read_job(only_job(path), Settings(units=1.0))
    assert result.record["status"] == "skipped" and len(result.record["reason"]) > 10
    assert not result.clips and not result.pieces


def test_pickles_and_unreadable_paths_are_skipped(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    assert read_job(only_job(tmp_path / "a.npy"), SETTINGS).record["status"] == "skipped"
    job = only_job(write_npz(tmp_path / "b.npz", walk(60)))
    Path(job.path).unlink()  # gone between listing and reading
    assert "no such file" in read_job(job, SETTINGS).record["reason"]


def test_a_mistaken_unit_is_told(tmp_path: Path):
    path = write_npz(tmp_path / "a.npz", walk(60) * 100)
    reason = read_job(only_job(path), Settings(units=1.0)).record["reason"]
    assert "give the right units" in reason


@pytest.mark.parametrize("settings", [{"fps": 0.0}, {"window": 2}, {"stride": 0}])
def test_settings_out_of_range_are_refused(settings: dict):
    with pytest.raises(InputError):
        Settings(**settings)


# Shards


def test_a_long_file_becomes_several_shards_of_full_size(tmp_path: Path):
    long = write_npz(tmp_path / "lib/long.npz", walk(20 * 299 + 50))  # 300 windows
    short = write_npz(tmp_path / "lib/short.npz", walk(20 * 29 + 50))  # 30
    jobs = [only_job(long), only_job(tmp_path / "lib/short.npz"), only_job(short)]
    rows = list(write_group(7, jobs, SETTINGS, tmp_path / "out"))
    shards = [shard for row in rows for shard in row["shards"]]
    assert [shard.num_windows for shard in shards] == [SHARD_WINDOWS, 360 - SHARD_WINDOWS]
    assert [row["record"]["windows"] for row in rows] == [300, 30, 30]
    split = jobs[0].split
    assert [shard.name for shard in shards] == [f"{split}-00007-000", f"{split}-00007-001"]


# All of it, through Ray


def library(folder: Path) -> Path:
    """20 good files of 4 windows, one short, four broken."""
    for i in range(20):
        write_npz(folder / f"good_{i:02}.npz", walk(110, speed_m_s=0.1 * i))
    write_npz(folder / "short.npz", walk(20))
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


@pytest.mark.ray
def test_only_datasets_are_overwritten_and_only_when_asked(ray_cluster, tmp_path: Path):
    from raydance.cluster.data import ingest

    source, out = tmp_path / "lib", tmp_path / "out"
    write_npz(source / "a.npz", walk(60))
    ingest([source], out)
    with pytest.raises(InputError, match="--overwrite replaces it"):
        ingest([source], out)
    write_npz(source / "b.npz", walk(60))
    assert ingest([source], out, overwrite=True)["files"] == 2

    # A failure leaves the old dataset as it was, and nothing beside it.
    bad = tmp_path / "bad"
    write_npz(bad / "a.npz", walk(10))
    with pytest.raises(InputError, match="no window could be read from 1 files .*one window is"):
        ingest([bad], out, overwrite=True)
    assert sum(
        s.num_windows for sp in ("train", "val", "test") for s in Dataset.open(out).shards(sp)
    )
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letters.txt").write_text("dear")
    with pytest.raises(InputError, match="not a dataset of raydance"):
        ingest([source], mine, overwrite=True)
    assert (mine / "letters.txt").read_text() == "dear"

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
    assert counts["skipped"] == 0 and counts["short"] == 1 and counts["read"] == 6
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
def test_a_session_joins_what_runs(ray_cluster):
    import ray

    from raydance.cluster.session import ray_session

    with ray_session(num_cpus=1):
        assert ray.cluster_resources()["CPU"] == 4
    assert ray.is_initialized()  # who joins does not end it
    assert logging.getLogger("ray.data").getEffectiveLevel() >= logging.ERROR


def test_reading_files_needs_no_ray_and_no_torch():
    code = "import raydance.ingest, sys; print(not {'ray', 'torch'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True"
