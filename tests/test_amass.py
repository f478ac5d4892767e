"""AMASS rotations on the generic body."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raydance.errors import FormatError
from raydance.motion import rotations as rot
from raydance.motion.formats import read_clip, smpl_body
from raydance.motion.mapping import map_to_canonical

UPRIGHT = np.array([np.pi / 2, 0, 0])
"""SMPL's y-up rest pose stood up in AMASS's z-up world: the dancer faces -y."""


def _write(path: Path, poses: np.ndarray, trans: np.ndarray, **more: object) -> Path:
    facts: dict = {"mocap_framerate": 120.0, "gender": "neutral", "betas": np.zeros(16), **more}
    np.savez(path, poses=poses, trans=trans, **facts)
    return path


@pytest.mark.parametrize(("width", "num_joints"), [(72, 24), (156, 52), (165, 52)])
def test_an_upright_body_stands_and_faces_z(tmp_path: Path, width: int, num_joints: int) -> None:
    poses = np.zeros((4, width))
    poses[:, :3] = UPRIGHT
    trans = np.tile([0.5, 2.0, 0.95], (4, 1))
    clip = read_clip(_write(tmp_path / "a.npz", poses, trans))
    assert clip.fps == 120 and clip.positions.shape == (4, num_joints, 3)
    joint = dict(zip(clip.joint_names, clip.positions[0]))
    np.testing.assert_allclose(joint["pelvis"], [0.5, 0.95, -2.0], atol=1e-6)
    assert joint["left_hip"][0] > joint["pelvis"][0] > joint["right_hip"][0]
    assert joint["head"][1] > 1.5 and joint["left_foot"][2] > joint["left_ankle"][2] + 0.1
    mapped = map_to_canonical(clip)
    assert mapped.joint_mask.sum() == (22 if width == 72 else 50)


def test_an_elbow_by_hand(tmp_path: Path) -> None:
    poses = np.zeros((1, 156))
    poses[:, :3] = UPRIGHT
    elbow = smpl_body.SMPLH_JOINTS.index("left_elbow")
    poses[0, 3 * elbow : 3 * elbow + 3] = [0, -np.pi / 2, 0]  # the forearm from +x to +z
    clip = read_clip(_write(tmp_path / "a.npz", poses, np.zeros((1, 3))))
    wrist = clip.joint_names.index("left_wrist")
    forearm = clip.positions[0, wrist] - clip.positions[0, elbow]
    np.testing.assert_allclose(forearm, [0, 0, 0.25], atol=1e-6)


def test_positions_follow_from_the_clip_s_own_rotations(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    poses, trans = rng.normal(size=(5, 156)) * 0.5, rng.normal(size=(5, 3))
    clip = read_clip(_write(tmp_path / "a.npz", poses, trans))
    assert clip.rotations is not None and clip.offsets is not None
    places = np.repeat(clip.offsets[None], 5, axis=0)
    places[:, 0] = clip.positions[:, 0]
    again = rot.forward_kinematics(clip.rotations, places, clip.parents)
    np.testing.assert_allclose(again, clip.positions, atol=1e-5)
    lengths = np.linalg.norm(clip.positions[:, 4] - clip.positions[:, 1], axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(smpl_body.SMPLH_OFFSETS[4]), atol=1e-5)


def test_smplx_keeps_the_hands_and_drops_the_face(tmp_path: Path) -> None:
    poses = np.zeros((1, 165))
    poses[0, 3 * 25 : 3 * 25 + 3] = [0, 0, 0.3]  # SMPL-X's first finger joint: left index 1
    poses[0, 3 * 22 : 3 * 22 + 3] = [0.7, 0, 0]  # jaw
    clip = read_clip(_write(tmp_path / "a.npz", poses, np.zeros((1, 3))))
    assert clip.rotations is not None
    turned = [clip.joint_names[i] for i in np.flatnonzero(np.abs(clip.rotations[0, :, 3]) > 0.01)]
    assert turned == ["left_index1"]


def test_the_generic_body_is_symmetric_and_of_human_size() -> None:
    rest = smpl_body.SMPLH_OFFSETS
    for i, name in enumerate(smpl_body.SMPLH_JOINTS):
        if name.startswith("left_"):
            other = smpl_body.SMPLH_JOINTS.index(name.replace("left_", "right_"))
            np.testing.assert_array_equal(rest[other], rest[i] * [-1, 1, 1])
    height = sum(
        abs(rest[smpl_body.SMPLH_JOINTS.index(name), 1])
        for name in (
            "left_hip left_knee left_ankle left_foot spine1 spine2 spine3 neck head".split()
        )
    )
    assert 1.45 < height < 1.65  # from toe joint to head joint, of a stature of 1.70


@pytest.mark.parametrize(
    ("poses", "trans", "more", "message"),
    [
        (np.zeros((3, 150)), np.zeros((3, 3)), {}, r"poses \[3, 150\]"),
        (np.zeros((3, 156)), np.zeros((4, 3)), {}, r"translation \[4, 3\]"),
        (np.full((3, 156), np.nan), np.zeros((3, 3)), {}, "poses: frame 0, joint 0"),
        (np.zeros((3, 156)), np.full((3, 3), np.inf), {}, "translation: frame 0"),
        (np.zeros((0, 156)), np.zeros((0, 3)), {}, "0 frames"),
        (np.zeros((3, 156)), np.zeros((3, 3)), {"mocap_framerate": -1.0}, "fps -1.0"),
        (np.zeros((3, 156)), np.zeros((3, 3)), {"mocap_framerate": np.zeros(2)}, "framerate"),
    ],
)
def test_wrong_content_is_named(
    tmp_path: Path, poses: np.ndarray, trans: np.ndarray, more: dict, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        read_clip(_write(tmp_path / "a.npz", poses, trans, **more))


def test_the_rate_may_be_missing_or_named_otherwise(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", poses=np.zeros((3, 156)), trans=np.zeros((3, 3)))
    with pytest.raises(FormatError, match="no frame rate"):
        read_clip(tmp_path / "a.npz")
    assert read_clip(tmp_path / "a.npz", fps=60).fps == 60
    poses = np.zeros((3, 165))
    np.savez(tmp_path / "b.npz", poses=poses, trans=np.zeros((3, 3)), mocap_frame_rate=100)
    assert read_clip(tmp_path / "b.npz").fps == 100
