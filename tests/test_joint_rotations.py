"""Rotations of the canonical joints: against forward kinematics, from files to augmented rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from public_sets import save
from small_dataset import ingest_here

from raydance.data.dataset import Dataset
from raydance.data.ingest import Settings
from raydance.motion import augment, joint_rotations, skeleton, synthetic
from raydance.motion import rotations as rot
from raydance.motion.clip import Clip
from raydance.motion.formats import amass, read_clip
from raydance.motion.mapping import map_to_canonical
from raydance.motion.skeleton import INDEX

AMC = Path(__file__).parents[2] / "shared" / "data" / "cmu_amc"
BVH = Path(__file__).parents[2] / "shared" / "data" / "bandai_bvh"


def off_by(positions: np.ndarray, six: np.ndarray, joint_mask: np.ndarray) -> float:
    """Largest distance (metres) of joints from where rotations and rigid bones put them.

    Bones are the mean of what the rotations make of the positions.
    """
    kept = np.flatnonzero(joint_mask)
    parents = skeleton.parents_among(kept.tolist())
    places = positions[:, kept].astype(np.float64)
    local = rot.from_six(six[:, kept])
    turns, _ = rot.global_transforms(local, np.zeros((len(kept), 3)), parents)
    bones = joint_rotations.bone_offsets(places, turns, parents)
    steps = np.broadcast_to(bones, places.shape).copy()
    steps[:, 0] = places[:, 0]
    there = rot.forward_kinematics(local, steps, parents)
    return float(np.linalg.norm(there - places, axis=-1).max())


def global_turns(six: np.ndarray) -> np.ndarray:
    """`[T, 50, 4]` of rotations of all joints."""
    return rot.global_transforms(rot.from_six(six), np.zeros((50, 3)), skeleton.PARENTS)[0]


def dancer() -> Clip:
    return synthetic.make_clip(synthetic.MOVEMENTS[4], 1)


def six_of(clip: Clip) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, rotations and mask on the canonical joints."""
    mapped = map_to_canonical(clip)
    six = joint_rotations.canonical_rotations(clip, mapped)
    assert six is not None
    return mapped.positions, six, mapped.joint_mask


def test_six_numbers_are_two_columns_of_the_matrix() -> None:
    quarter = rot.from_axis_angle(np.array([0.0, 0.0, 1.0]), np.array(np.pi / 2))
    np.testing.assert_allclose(rot.to_six(quarter), [0, 1, 0, -1, 0, 0], atol=1e-12)
    random = rot.normalise(np.random.default_rng(0).normal(size=(50, 4)))
    back = rot.from_six(3.0 * rot.to_six(random))  # lengths do not matter
    np.testing.assert_allclose(rot.to_matrix(back), rot.to_matrix(random), atol=1e-12)


def test_rotations_move_rigid_bones_as_the_source_moves() -> None:
    positions, six, mask = six_of(dancer())
    assert off_by(positions, six, mask) < 1e-4
    other = np.random.default_rng(1).normal(0, 0.1, six.shape).astype(np.float32)
    assert off_by(positions, six + other, mask) > 0.05  # other rotations do not


def test_rotations_of_smpl_stay_as_they_are() -> None:
    vectors = np.random.default_rng(0).normal(0, 0.3, (8, 52, 3))
    clip = amass.clip_of_poses(
        "a",
        vectors.reshape(8, -1),
        np.zeros((8, 3)),
        fps=20.0,
        units=1.0,
        up="y",
        max_frames=100,
    )
    assert clip.rotations is not None
    _, six, mask = six_of(clip)
    own = [clip.joint_names.index(skeleton.JOINTS[joint]) for joint in np.flatnonzero(mask)]
    np.testing.assert_allclose(six[:, mask], rot.to_six(clip.rotations[:, own]), atol=1e-5)


def test_a_t_pose_does_not_turn_whatever_the_rest_pose_of_the_file() -> None:
    clip = dancer()
    assert clip.rotations is not None and clip.offsets is not None
    # The same motion told from a rest pose in which every bone hangs elsewhere.
    rest = rot.normalise(np.random.default_rng(3).normal(0, 0.3, (50, 4)) + rot.IDENTITY)
    above = np.maximum(clip.parents, 0)
    turns = rot.multiply(rot.multiply(rot.conjugate(rest[above]), clip.rotations), rest)
    turns[:, 0] = rot.multiply(clip.rotations[:, 0], rest[0])
    offsets = rot.rotate(rot.conjugate(rest[above]), clip.offsets)
    odd = replace(clip, rotations=turns.astype(np.float32), offsets=offsets.astype(np.float32))
    positions, six, mask = six_of(odd)
    assert off_by(positions, six, mask) < 1e-4
    plain = six_of(clip)[1]
    for joint in ("pelvis", "spine3", "left_wrist"):  # their several bones fix their frames
        turns = [global_turns(values)[:, INDEX[joint]] for values in (plain, six)]
        apart = rot.multiply(rot.conjugate(turns[0]), turns[1])
        assert np.linalg.norm(rot.to_rotation_vector(apart), axis=-1).max() < 0.02


@pytest.mark.parametrize("name", ["amc", "bvh"])
def test_real_recordings_keep_their_rotations(name: str) -> None:
    folder, suffix = {"amc": (AMC, "*.amc"), "bvh": (BVH, "*.bvh")}[name]
    files = sorted(folder.rglob(suffix))
    if not files:
        pytest.skip(f"{folder} is not there")
    positions, six, mask = six_of(read_clip(files[0]))
    # Between CMU's pelvis and first canonical joint of the spine is another, which bends.
    assert off_by(positions, six, mask) < (0.06 if name == "amc" else 0.001)
    assert np.isfinite(six).all() and not six[:, ~mask].any()
    # Both sides count from the same pose: neither is twisted about its bones.
    vectors = rot.to_rotation_vector(rot.from_six(six[:, mask]))
    assert np.linalg.norm(vectors.mean(axis=0), axis=-1).max() < 1.6


def test_rows_have_the_rotations_of_their_motion(tmp_path: Path) -> None:
    fast = replace(dancer(), fps=50.0)
    save(tmp_path / "clips/with.bvh", fast)
    save(tmp_path / "clips/without.npz", _points(dancer()))
    settings = Settings(window=20, stride=10, rotations=True)
    data = Dataset.open(ingest_here([tmp_path / "clips"], [], tmp_path / "data", settings))
    assert data.arrays["rotations"] == (20, 50, 6)
    found = {True: 0, False: 0}
    for split in ("train", "val", "test"):
        for shard in data.shards(split):
            rows = data.read_shard(shard)
            for motion, six, mask, has in zip(
                rows["motion"], rows["rotations"], rows["joint_mask"], rows["has_rotations"]
            ):
                found[bool(has)] += 1
                # Averages over frames, of positions and rotations each for itself.
                assert off_by(motion, six, mask) < 0.02 if has else not six.any()
    assert found[True] and found[False]


@pytest.mark.parametrize("change", ["mirror", "yaw", "all"])
def test_augmented_rotations_are_those_of_the_augmented_motion(change: str) -> None:
    positions, six, mask = six_of(dancer())
    config = {
        "mirror": augment.Augment(mirror_probability=1, yaw_degrees=0, scale=0, time_warp=0),
        "yaw": augment.Augment(mirror_probability=0, yaw_degrees=90, scale=0, time_warp=0),
        "all": augment.Augment(yaw_degrees=90),
    }[change]
    keys = augment.window_keys([f"row {number}" for number in range(6)])
    motion, masks = np.stack([positions[:40]] * 6), np.stack([mask] * 6)
    drawn = {"seed": 3, "epoch": 1, "config": config}
    moved, moved_masks, mirrored = augment.augment(motion, masks, keys, **drawn)
    turned = augment.augment_rotations(np.stack([six[:40]] * 6), keys, **drawn)
    assert mirrored.all() == (change == "mirror")
    # Warped time falls between frames, where positions and rotations are averaged each for itself.
    limit = 0.02 if change == "all" else 1e-4
    for row in range(6):
        assert off_by(moved[row], turned[row], moved_masks[row]) < limit
        assert off_by(moved[row], six[:40], moved_masks[row]) > 2 * limit


def _points(clip: Clip) -> dict[str, np.ndarray]:
    names, parents = np.array(clip.joint_names), np.array(clip.parents)
    points = {"positions": clip.positions, "joint_names": names, "parents": parents}
    return points | {"fps": np.array(clip.fps)}


def test_points_alone_have_no_rotations() -> None:
    clip = replace(dancer(), rotations=None)
    assert joint_rotations.canonical_rotations(clip, map_to_canonical(clip)) is None
