"""Rotations fitted to positions: a T-pose, constant bones, hinges that bend as a human's."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from posed_clips import posed_clip

from raydance.motion import rotations as rot
from raydance.motion import skeleton, synthetic, units
from raydance.motion.clip import Clip
from raydance.motion.export import limits as lim
from raydance.motion.export.fit import fit_rotations
from raydance.motion.export.pose import pose_of
from raydance.motion.formats.smpl_body import SMPLH_JOINTS, SMPLH_OFFSETS

INDEX = skeleton.INDEX
T_POSE = SMPLH_OFFSETS[[SMPLH_JOINTS.index(name) for name in skeleton.JOINTS]]


def posed(joint: str, axis: tuple[float, float, float], degrees: list[float]) -> Clip:
    """A dancer in T-pose who turns one joint by these angles, one for each frame."""
    turns = np.tile(rot.IDENTITY, (len(degrees), skeleton.NUM_JOINTS, 1))
    turns[:, INDEX[joint]] = rot.from_axis_angle(np.array(axis), np.deg2rad(degrees))
    return replace(posed_clip(turns, T_POSE, T_POSE[0]), rotations=None, offsets=None)


def turns_of(clip: Clip, joint: str, **options: bool) -> np.ndarray:
    pose = pose_of(clip, **options)
    return lim.angles(pose.rotations[:, pose.joint_names.index(joint)], joint)


def test_rest_pose_of_canonical_joints_is_a_t_pose(shared_data: Path) -> None:
    joints = np.load(shared_data / "humanml3d" / "012314_new_joints.npy")
    parents, names = skeleton.PARENTS[:22], skeleton.JOINTS[:22]
    fit = fit_rotations(joints, parents, names)
    rest = units.rest_positions(fit.offsets, parents)
    assert not fit.is_free.any() and not fit.is_stretched.any()
    assert np.allclose(np.linalg.norm(fit.rotations, axis=-1), 1.0)
    assert rest[INDEX["head"], 1] > 0.4 and rest[INDEX["left_foot"], 1] < -0.7
    assert rest[INDEX["left_wrist"], 0] > 0.5 and rest[INDEX["right_wrist"], 0] < -0.5
    assert rest[INDEX["left_foot"], 2] > rest[INDEX["left_ankle"], 2]


@pytest.mark.parametrize("movement", synthetic.MOVEMENTS[::3], ids=lambda m: m.name)
def test_possible_motion_is_fitted_exactly(movement: synthetic.Movement) -> None:
    clip = synthetic.make_clip(movement, 0)
    pose = pose_of(replace(clip, rotations=None, offsets=None))
    assert pose.is_fitted and pose.residual.max_m < 1e-4 and not pose.stretches.any()
    written = rot.forward_kinematics(pose.rotations, pose.places, pose.parents)
    bones = np.linalg.norm(written[:, 1:] - written[:, list(pose.parents[1:])], axis=-1)
    assert np.ptp(bones, axis=0).max() < 1e-9


@pytest.mark.parametrize(("joint", "axis"), [("left_knee", (1, 0, 0)), ("right_elbow", (0, 1, 0))])
def test_hinges_bend_one_way(joint: str, axis: tuple[float, float, float]) -> None:
    bent = turns_of(posed(joint, axis, [0.0, 40.0, 80.0, 120.0]), joint)
    np.testing.assert_allclose(bent[:, 0], [0, 40, 80, 120], atol=3.0)


def test_what_is_shown_goes_before_human_ranges() -> None:
    pose = pose_of(posed("left_knee", (1, 0, 0), [-40.0, -60.0, -80.0, -60.0] * 5))
    assert pose.residual.max_m < 1e-4
    # A thigh that faces backwards would explain it, too, and is further beyond.
    bent = lim.angles(pose.rotations[:, INDEX["left_knee"]], "left_knee")[:, 0]
    np.testing.assert_allclose(bent, [-40, -60, -80, -60] * 5, atol=3.0)
    assert "left_knee turns up to" in pose.written().notes[-1]


def test_what_goes_beyond_its_range_is_told() -> None:
    turns = np.tile(rot.IDENTITY, (3, 3, 1))
    turns[1, 0] = rot.from_axis_angle(np.array([1.0, 0, 0]), np.deg2rad(-35.0))  # a knee backwards
    turns[2, 1] = rot.from_axis_angle(np.array([0, 1.0, 0]), np.deg2rad(170.0))  # an elbow
    found = lim.beyond(turns, ["left_knee", "right_elbow", "left_hip"])
    assert found == {"left_knee": pytest.approx(25.0), "right_elbow": pytest.approx(5.0)}


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_few_frames_are_enough(num_frames: int) -> None:
    clip = synthetic.make_clip(synthetic.MOVEMENTS[7], 0)
    few = replace(clip, positions=clip.positions[:num_frames], rotations=None, offsets=None)
    assert pose_of(few).residual.max_m < 1e-4


def test_joints_in_one_place_are_met() -> None:
    clip = synthetic.make_clip(synthetic.MOVEMENTS[7], 0)
    positions = clip.positions[:20].copy()
    positions[7, INDEX["left_wrist"]] = positions[7, INDEX["left_elbow"]]
    positions[9, INDEX["right_hip"]] = positions[9, INDEX["left_hip"]]
    pose = pose_of(replace(clip, positions=positions, rotations=None, offsets=None))
    assert np.isfinite(pose.rotations).all() and pose.residual.max_m < 0.03
    nowhere = replace(clip, positions=0.0 * positions, rotations=None, offsets=None)
    assert pose_of(nowhere).residual.max_m == 0.0


def test_sides_mirror_each_other() -> None:
    left = posed("left_shoulder", (0, 0, 1), [-70.0, -30.0, 40.0])
    right = posed("right_shoulder", (0, 0, -1), [-70.0, -30.0, 40.0])
    np.testing.assert_allclose(
        turns_of(left, "left_shoulder"), turns_of(right, "right_shoulder"), atol=1e-3
    )
    np.testing.assert_allclose(
        turns_of(left, "left_shoulder")[:, 1], [-70.0, -30.0, 40.0], atol=1.0
    )


def test_straight_limbs_keep_the_twist_of_the_frames_around() -> None:
    # An arm that bends, straightens and bends again about an axis turned by 60 degrees.
    bend = np.deg2rad(40.0 + 40.0 * np.cos(np.linspace(0, 2 * np.pi, 41)))
    turns = np.tile(rot.IDENTITY, (41, skeleton.NUM_JOINTS, 1))
    turns[:, INDEX["left_shoulder"]] = rot.from_axis_angle(np.array([1.0, 0, 0]), np.pi / 3)
    turns[:, INDEX["left_elbow"]] = rot.from_axis_angle(np.array([0, -1.0, 0]), bend)
    places = np.broadcast_to(T_POSE, (41, *T_POSE.shape))
    positions = rot.forward_kinematics(turns, places, skeleton.PARENTS)
    clip = replace(posed("neck", (0, 1, 0), [0.0]), positions=positions.astype(np.float32))
    twist = turns_of(clip, "left_shoulder")[:, 2]
    np.testing.assert_allclose(twist, 60.0, atol=20.0)  # 0 where the arm is straight, without
    assert np.abs(np.diff(twist)).max() < 5.0


def test_fit_is_fast() -> None:
    clip = synthetic.make_clip(synthetic.MOVEMENTS[0], 0)
    positions = clip.positions[:50]
    times = []
    for _ in range(10):
        start = time.process_time()
        fit_rotations(positions, clip.parents, clip.joint_names)
        times.append(time.process_time() - start)
    assert min(times) < 0.05  # seconds; 8 ms were measured on a busy core
