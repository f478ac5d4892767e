"""From a file to windows and shards: by hand, broken ones, and nothing heavy imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_dataset import ingest_here
from small_recordings import only_job, walk, write_captions, write_npz

from raydance.data.dataset import Dataset
from raydance.data.ingest import SHARD_WINDOWS, Settings, read_job, windows_of_clip, write_group
from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.motion.skeleton import JOINTS, PARENTS
from raydance.plain_text import existing_path

SETTINGS = Settings()


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


@pytest.mark.parametrize(
    ("frames", "pads_short", "reason"),
    [
        (49, False, "2.45 s; one window is 2.50 s"),
        (9, True, "0.45 s; the shortest clip is 0.50 s"),
    ],
)
def test_a_clip_that_is_too_short_is_reported(tmp_path: Path, frames, pads_short, reason):
    job = only_job(write_npz(tmp_path / "a.npz", walk(frames)))
    result = read_job(job, Settings(pads_short=pads_short))
    assert (result.record["status"], result.record["reason"]) == ("short", reason)
    assert len(result.clips) == 1 and result.clips[0]["num_windows"] == 0


def test_a_long_motion_broken_by_jumps_is_not_padded(tmp_path: Path):
    motion = walk(120)
    motion[:, :, 0] += 20.0 * (np.arange(120) // 30 % 2)[:, None]
    record = read_job(only_job(write_npz(tmp_path / "a.npz", motion)), SETTINGS).record
    assert record["status"] == "skipped" and "padded" not in record
    assert "between jumps is 1.50 s, one window is 2.50 s" in record["reason"]


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
        (b"HIERARCHY\n\xff\xfe\x00nonsense", "zero byte"),
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


def test_json_of_another_tool_beside_a_file_costs_only_the_labels(tmp_path: Path):
    foreign = {"names": ["jawOpen"], "frames": [{"time": 0.0, "weights": [0.1]}]}
    for name, text in (("talk", json.dumps(foreign)), ("cut", '{"style": "sa'), ("list", "[1]")):
        path = write_npz(tmp_path / f"{name}.npz", walk(60))
        path.with_suffix(".json").write_text(text)
        result = read_job(only_job(path), SETTINGS)
        assert result.record["status"] == "read" and result.clips[0]["labels"] == "{}"
        assert f"{name}.json" in " ".join(result.record["notes"])


def test_a_library_of_strange_names_and_words_is_read(tmp_path: Path):
    """Names that are not UTF-8, words with lone surrogates and control characters."""
    lib = tmp_path / "lib"
    for name in ("h\udcedpfen", "a\nb", "good"):
        write_npz(lib / f"{name}.npz", walk(60))
    (lib / "gone").symlink_to(tmp_path / "nowhere")
    (lib / "good.json").write_text(json.dumps({"st\ud800yle": "sa\x1b[2Jd"}))
    captions = write_captions(
        tmp_path / "c.jsonl",
        {"file": "lib/h\udcedpfen.npz", "captions": ["leaps\ud83d up\n twice"]},
        {"file": "lib/good.npz", "clip": "g\x07\udfffood"},
    )
    made = Dataset.open(ingest_here([lib], [captions], tmp_path / "made"))
    clips = {clip["clip_id"]: clip for clip in made.clips()}
    assert set(clips) == {"lib/h\\xedpfen", "lib/a\\x0ab", "g\\x07\\udfffood"}
    assert clips["lib/h\\xedpfen"]["captions"] == ["leaps\ufffd up  twice"]
    assert json.loads(clips["g\\x07\\udfffood"]["labels"]) == {"st\ufffdyle": "sa [2Jd"}
    assert all(existing_path(clip["source"]).is_file() for clip in clips.values())
    assert [Path(row["file"]).name for row in made.skipped()] == ["gone"]
    assert not made.parts_without_windows()


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


# Imports


def test_reading_files_needs_no_ray_and_no_torch():
    code = "import raydance.data.ingest, sys; print(not {'ray', 'torch'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True"
