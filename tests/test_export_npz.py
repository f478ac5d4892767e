"""Archives that two kinds of reader open: positions for ours, SMPL-H poses for AMASS's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from posed_clips import posed_clip

from raydance.motion import rotations as rot
from raydance.motion import skeleton, synthetic
from raydance.motion.clip import Clip
from raydance.motion.export import npz
from raydance.motion.formats import amass, read_clip
from raydance.motion.formats.smpl_body import SMPLH_JOINTS, SMPLH_OFFSETS, SMPLH_PARENTS

CROUCH = synthetic.make_clip(next(m for m in synthetic.MOVEMENTS if m.name == "crouch_rise"), 0)
BARE = replace(CROUCH, rotations=None, offsets=None)


def as_amass(path: Path, place: Path) -> Clip:
    """The file as AMASS's keys alone have it."""
    keys = ("poses", "trans", "betas", "gender", "mocap_framerate")
    with np.load(path) as archive:
        np.savez(place, **{key: archive[key] for key in keys})
    return read_clip(place)


def smplh_clip() -> Clip:
    rng = np.random.default_rng(0)
    turns = rot.from_rotation_vector(rng.normal(0, 0.4, (9, 52, 3)))
    root = rng.normal(0, 1, (9, 3))
    return posed_clip(turns, SMPLH_OFFSETS, root, SMPLH_JOINTS, SMPLH_PARENTS, fps=60.0)


def test_positions_come_back_exactly(tmp_path: Path) -> None:
    # Lying down, small and away: nothing is left to detection.
    lying = BARE.positions[..., [0, 2, 1]] * 0.2
    clip = replace(BARE, positions=lying)
    npz.write(tmp_path / "a.npz", clip)
    back = read_clip(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.positions, lying)
    assert (back.joint_names, back.parents, back.fps) == (BARE.joint_names, BARE.parents, 20.0)
    assert back.rotations is None


def test_rotations_come_back(tmp_path: Path) -> None:
    npz.write(tmp_path / "a.npz", CROUCH)
    back = read_clip(tmp_path / "a.npz")
    assert back.rotations is not None and back.offsets is not None
    np.testing.assert_allclose(back.rotations, CROUCH.rotations, atol=1e-6)
    np.testing.assert_allclose(back.offsets, CROUCH.offsets, atol=1e-6)


def test_amass_clips_keep_their_poses(tmp_path: Path) -> None:
    clip = smplh_clip()
    written = npz.write(tmp_path / "a.npz", clip)
    assert "0.0 cm on average" in written.notes[0]
    back = as_amass(tmp_path / "a.npz", tmp_path / "b.npz")
    assert back.joint_names == SMPLH_JOINTS and back.fps == 60.0
    np.testing.assert_allclose(back.positions, clip.positions, atol=1e-3)
    assert back.rotations is not None and clip.rotations is not None
    assert np.abs(np.sum(back.rotations * clip.rotations, axis=-1)).min() > 1 - 1e-5


def test_generated_motion_of_average_bones_survives_as_poses(tmp_path: Path) -> None:
    whole = smplh_clip()
    kept = [SMPLH_JOINTS.index(name) for name in skeleton.JOINTS]
    clip = replace(
        BARE, positions=whole.positions[:, kept], fps=60.0
    )  # positions of a body with SMPL-H's average bones, without rotations
    written = npz.write(tmp_path / "a.npz", clip, limits=False)
    assert "0.0 cm on average, 0.0 cm at most" in written.notes[0]
    back = as_amass(tmp_path / "a.npz", tmp_path / "b.npz")
    np.testing.assert_allclose(back.positions[:, kept], clip.positions, atol=1e-3)


def test_poses_of_other_bodies_point_the_same_way(tmp_path: Path) -> None:
    npz.write(tmp_path / "a.npz", BARE, limits=False)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["poses"].shape == (BARE.num_frames, 156)
        assert archive["trans"].shape == (BARE.num_frames, 3)
        assert str(archive["gender"]) == "neutral" and not archive["betas"].any()
        np.testing.assert_allclose(
            archive["trans"][:, 2], BARE.positions[:, 0, 1], atol=1e-6
        )  # z up
    back = as_amass(tmp_path / "a.npz", tmp_path / "b.npz")
    for child, parent in (("left_ankle", "left_knee"), ("right_wrist", "right_elbow")):
        bones = []
        for clip in (back, BARE):
            places = clip.positions[:, [clip.joint_names.index(n) for n in (child, parent)]]
            bone = places[:, 0] - places[:, 1]
            bones.append(bone / np.linalg.norm(bone, axis=-1, keepdims=True))
        assert np.sum(bones[0] * bones[1], axis=-1).min() > 1 - 1e-5


def test_what_has_no_body_is_written_without_poses(tmp_path: Path) -> None:
    clip = Clip(
        clip_id="ball",
        source="test",
        fps=30.0,
        joint_names=("ball",),
        parents=(-1,),
        positions=np.ones((3, 1, 3), np.float32),
    )
    written = npz.write(tmp_path / "a.npz", clip)
    assert written.notes[0].startswith("without SMPL-H poses")
    with np.load(tmp_path / "a.npz") as archive:
        assert "poses" not in archive and not amass.is_amass(tuple(archive.keys()))
    np.testing.assert_array_equal(read_clip(tmp_path / "a.npz").positions, clip.positions)


@pytest.mark.parametrize("name", ["cmu_bvh/bvh/49_08", "bandai_bvh/data/dataset-1_run_old_001"])
def test_recordings_come_back(shared_data: Path, tmp_path: Path, name: str) -> None:
    clip = read_clip(shared_data / f"{name}.bvh")
    npz.write(tmp_path / "a.npz", clip)
    back = read_clip(tmp_path / "a.npz")
    np.testing.assert_allclose(back.positions, clip.positions, atol=1e-6)
    assert back.rotations is not None and clip.rotations is not None
    np.testing.assert_allclose(back.rotations, clip.rotations, atol=1e-6)
    assert as_amass(tmp_path / "a.npz", tmp_path / "b.npz").num_frames == clip.num_frames
