"""What files can differ in from the motion: part, rate, place, loop and names of joints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.motion import synthetic
from raydance.motion.clip import Clip
from raydance.motion.export import write_clip
from raydance.motion.export.edits import Edits, edited
from raydance.motion.export.joint_naming import MIXAMO, named
from raydance.motion.formats import read_clip
from raydance.motion.skeleton import INDEX, JOINTS
from raydance.motion.windows import num_rest_frames


def clip_of(name: str, has_rotations: bool) -> Clip:
    movement = next(m for m in synthetic.MOVEMENTS if m.name == name)
    clip = synthetic.make_clip(movement, 0)
    return clip if has_rotations else replace(clip, rotations=None, offsets=None)


def lengths(clip: Clip) -> np.ndarray:
    """`[T, J - 1]` metres."""
    return np.linalg.norm(
        np.diff(clip.positions[:, [clip.parents[1:], range(1, 50)]], axis=1), axis=-1
    )


@pytest.mark.parametrize("has_rotations", [True, False])
@pytest.mark.parametrize("name", ["squat", "punch", "head_snap"])
def test_a_loop_ends_as_it_begins_and_stays_a_body(name: str, has_rotations: bool) -> None:
    clip = clip_of(name, has_rotations)
    looped = edited(clip, Edits(loop=True, in_place=True, fps=30))
    assert np.abs(looped.positions[-1] - looped.positions[0]).max() < 0.01
    assert np.abs(looped.positions[:, 0, [0, 2]] - looped.positions[0, 0, [0, 2]]).max() < 1e-4
    step = np.abs(np.diff(looped.positions, axis=0)).max()
    assert step < 1.5 * np.abs(np.diff(clip.positions, axis=0)).max(), "no jump at the seam"
    change = np.abs(lengths(looped) - lengths(clip)[0])[:, :21].max()
    assert change < (1e-3 if has_rotations else 0.01)


@pytest.mark.parametrize("has_rotations", [True, False])
def test_another_rate_shows_the_same_poses_at_the_same_times(has_rotations: bool) -> None:
    clip = clip_of("walk", has_rotations)
    faster = edited(clip, Edits(fps=60))
    assert faster.fps == 60 and faster.num_frames == 3 * (clip.num_frames - 1) + 1
    np.testing.assert_allclose(faster.positions[::3], clip.positions, atol=1e-5)
    between = np.abs(faster.positions[1] - clip.positions[0]).max()
    assert 0 < between < np.abs(clip.positions[1] - clip.positions[0]).max()
    if has_rotations:
        assert faster.rotations is not None
        np.testing.assert_allclose(np.linalg.norm(faster.rotations, axis=-1), 1, atol=1e-5)


def test_a_part_is_what_was_between_two_times() -> None:
    clip = clip_of("walk", True)
    part = edited(clip, Edits(start_s=0.5, end_s=1.5))
    np.testing.assert_array_equal(part.positions, clip.positions[10:31])
    assert part.rotations is not None and len(part.rotations) == 21
    for start_s, end_s in ((1.0, 1.0), (99.0, None)):
        with pytest.raises(InputError, match="the start must lie before the end"):
            edited(clip, Edits(start_s=start_s, end_s=end_s))
    with pytest.raises(InputError, match="allowed: 1 to 240"):
        edited(clip, Edits(fps=1000))


def test_names_of_mixamo_are_written_and_read_back(tmp_path: Path) -> None:
    assert MIXAMO["left_collar"] == "mixamorig:LeftShoulder"
    assert MIXAMO["right_thumb2"] == "mixamorig:RightHandThumb2"
    assert len(set(MIXAMO.values())) == len(JOINTS)
    assert named(["Hips", "prop"], "own") == ("Hips", "prop")
    with pytest.raises(InputError, match="allowed: own, mixamo"):
        named(JOINTS, "maya")
    clip = clip_of("walk", False)
    for suffix in (".bvh", ".glb"):
        write_clip(tmp_path / f"walk{suffix}", clip, Edits(end_s=0.5), names="mixamo")
        read = read_clip(tmp_path / f"walk{suffix}")
        assert set(MIXAMO.values()) <= set(read.joint_names)
        hand = read.joint_names.index("mixamorig:LeftHand")
        np.testing.assert_allclose(
            read.positions[:, hand], clip.positions[:11, INDEX["left_wrist"]], atol=0.03
        )
    with pytest.raises(InputError, match="names is for .bvh, .glb"):
        write_clip(tmp_path / "walk.npz", clip, names="mixamo")


def test_a_rest_pose_before_the_motion_is_recognised() -> None:
    clip = clip_of("walk", False)
    mask = np.ones(len(JOINTS), bool)
    assert num_rest_frames(clip.positions, mask) == 0
    rest = clip.positions[0].copy()
    for side, sign in (("left", 1), ("right", -1)):
        shoulder = rest[INDEX[f"{side}_shoulder"]]
        rest[INDEX[f"{side}_elbow"]] = shoulder + (0.27 * sign, 0, 0)
        rest[INDEX[f"{side}_wrist"]] = shoulder + (0.52 * sign, 0, 0)
    for num in (1, 2):
        with_rest = np.concatenate([np.repeat(rest[None], num, axis=0), clip.positions])
        assert num_rest_frames(with_rest, mask) == num
    held = np.repeat(rest[None], 20, axis=0)
    assert num_rest_frames(held, mask) == 0, "who holds the arms out dances"
