"""Rotations fitted to positions: a T-pose, constant bones, and joints within human ranges."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raydance.motion import rotations as rot
from raydance.motion import skeleton, synthetic, units
from raydance.motion.clip import Clip
from raydance.motion.export import limits as lim
from raydance.motion.export.fit import fit_rotations
from raydance.motion.export.pose import pose_of
from raydance.motion.formats import bvh
from raydance.motion.formats.smpl_body import SMPLH_JOINTS, SMPLH_OFFSETS
from raydance.motion.mapping import map_to_canonical

INDEX = skeleton.INDEX
T_POSE = SMPLH_OFFSETS[[SMPLH_JOINTS.index(name) for name in skeleton.JOINTS]]


def posed(joint: str, axis: tuple[float, float, float], degrees: list[float]) -> Clip:
    """A dancer in T-pose who turns one joint by these angles, one for each frame."""
    turns = np.tile(rot.IDENTITY, (len(degrees), skeleton.NUM_JOINTS, 1))
    turns[:, INDEX[joint]] = rot.from_axis_angle(np.array(axis), np.deg2rad(degrees))
    places = np.broadcast_to(T_POSE, (len(degrees), *T_POSE.shape))
    return Clip(
        clip_id=joint,
        source="test",
        fps=20.0,
        joint_names=skeleton.JOINTS,
        parents=skeleton.PARENTS,
        positions=rot.forward_kinematics(turns, places, skeleton.PARENTS).astype(np.float32),
    )


def on_canonical_joints(path: Path) -> Clip:
    clip = bvh.read(path)
    mapped = map_to_canonical(clip)
    kept = [int(i) for i in np.flatnonzero(mapped.joint_mask)]
    return replace(
        clip,
        joint_names=tuple(skeleton.JOINTS[i] for i in kept),
        parents=skeleton.parents_among(kept),
        positions=mapped.positions[::6, kept],
        rotations=None,
        offsets=None,
    )


def turns_of(clip: Clip, joint: str, **options: bool) -> np.ndarray:
    pose = pose_of(clip, **options)
    return lim.angles(pose.rotations[:, pose.joint_names.index(joint)], joint)


def test_rest_pose_of_canonical_joints_is_a_t_pose(shared_data: Path) -> None:
    joints = np.load(shared_data / "humanml3d" / "012314_new_joints.npy")
    parents, names = skeleton.PARENTS[:22], skeleton.JOINTS[:22]
    turns, offsets, is_free = fit_rotations(joints, parents, names)
    rest = units.rest_positions(offsets, parents)
    assert not is_free.any()
    assert np.allclose(np.linalg.norm(turns, axis=-1), 1.0)
    assert rest[INDEX["head"], 1] > 0.4 and rest[INDEX["left_foot"], 1] < -0.7
    assert rest[INDEX["left_wrist"], 0] > 0.5 and rest[INDEX["right_wrist"], 0] < -0.5
    assert rest[INDEX["left_foot"], 2] > rest[INDEX["left_ankle"], 2]


@pytest.mark.parametrize("movement", synthetic.MOVEMENTS[::3], ids=lambda m: m.name)
def test_possible_motion_is_fitted_exactly(movement: synthetic.Movement) -> None:
    clip = synthetic.make_clip(movement, 0)
    pose = pose_of(replace(clip, rotations=None, offsets=None))
    assert pose.is_fitted and pose.residual.mean_m < 1e-4 and pose.residual.max_m < 0.005
    free = pose_of(replace(clip, rotations=None, offsets=None), limits=False)
    assert free.residual.max_m < 1e-4
    written = rot.forward_kinematics(pose.rotations, pose.places, pose.parents)
    bones = np.linalg.norm(written[:, 1:] - written[:, list(pose.parents[1:])], axis=-1)
    assert np.ptp(bones, axis=0).max() < 1e-9


@pytest.mark.parametrize(("joint", "axis"), [("left_knee", (1, 0, 0)), ("right_elbow", (0, 1, 0))])
def test_hinges_bend_one_way(joint: str, axis: tuple[float, float, float]) -> None:
    bent = turns_of(posed(joint, axis, [0.0, 40.0, 80.0, 120.0]), joint)
    np.testing.assert_allclose(bent[:, 0], [0, 40, 80, 120], atol=3.0)
    # Backwards: a twist of the limb above may turn a little of it forwards, the rest is cut off.
    back = posed(joint, axis, [-40.0, -60.0, -80.0] * 5)
    assert turns_of(back, joint)[:, 0].min() >= lim.LIMITS[joint.split("_")[1]].flexion[0]
    assert pose_of(back).residual.max_m > 0.05 > 1e-3 > pose_of(back, limits=False).residual.max_m


def test_every_joint_of_any_motion_is_within_its_limits() -> None:
    rng = np.random.default_rng(0)
    wild = rng.normal(0, 0.5, (20, skeleton.NUM_JOINTS, 3)).astype(np.float32)
    clip = replace(posed("neck", (0, 1, 0), [0.0]), positions=wild)
    pose = pose_of(replace(clip, positions=0.1 * wild + clip.positions))
    checked = 0
    for i, joint in enumerate(skeleton.JOINTS):
        part, _ = lim.part_of(joint)
        if part in lim.LIMITS:
            limit = lim.LIMITS[part]
            found = lim.angles(pose.rotations[:, i], joint)
            ranges = np.array([limit.flexion, limit.side, limit.twist])
            assert (found >= ranges[:, 0] - 1e-6).all(), joint
            assert (found <= ranges[:, 1] + 1e-6).all(), joint
            checked += 1
    assert checked == 2 * 6 + 2 + 2 * 9 + 2  # legs and arms, spine, fingers, neck and third spine


def test_sides_mirror_each_other() -> None:
    left = posed("left_shoulder", (0, 0, 1), [-70.0, -30.0, 40.0])
    right = posed("right_shoulder", (0, 0, -1), [-70.0, -30.0, 40.0])
    np.testing.assert_allclose(
        turns_of(left, "left_shoulder"), turns_of(right, "right_shoulder"), atol=1e-3
    )
    np.testing.assert_allclose(
        turns_of(left, "left_shoulder")[:, 1], [-70.0, -30.0, 40.0], atol=1.0
    )


def test_clamp_keeps_what_is_within_and_is_smooth() -> None:
    angles = np.linspace(-60.0, 200.0, 261)
    turns = rot.from_axis_angle(np.array([1.0, 0.0, 0.0]), np.deg2rad(angles))[:130, None]
    clamped = lim.angles(lim.clamp(turns, ["left_knee"])[:, 0], "left_knee")[:, 0]
    low, soft = lim.LIMITS["knee"].flexion[0], 5.0
    inside = angles[:130] >= low + soft
    np.testing.assert_allclose(clamped[inside], angles[:130][inside], atol=1e-9)
    steps = np.diff(clamped)
    assert (steps >= 0).all() and steps.max() < 1.0 + 1e-6  # never turns back, never jumps
    assert clamped[0] == pytest.approx(low, abs=0.01)


@pytest.mark.parametrize(
    "name", ["bandai_bvh/data/dataset-1_run_old_001", "cmu_bvh/bvh/49_08", "cmu_bvh/bvh/05_12"]
)
def test_limits_cost_recordings_next_to_nothing(shared_data: Path, name: str) -> None:
    clip = on_canonical_joints(shared_data / f"{name}.bvh")
    with_limits, without = pose_of(clip).residual, pose_of(clip, limits=False).residual
    assert with_limits.mean_m < without.mean_m + 0.001


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
