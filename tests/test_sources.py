"""Which files a library has: names, recordings, splits, captions, and groups of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_recordings import only_job, walk, write_captions, write_npz

from raydance.data.sources import FileJob, find_jobs, group_jobs
from raydance.errors import InputError


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
    (tmp_path / "gone.bvh").symlink_to("nothing")
    with pytest.raises(InputError, match="no motion files .*gone.bvh: a link that leads nowhere"):
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
