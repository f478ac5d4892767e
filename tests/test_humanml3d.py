"""HumanML3D positions and features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raydance.errors import FormatError
from raydance.motion.formats import humanml3d, read_clip
from raydance.motion.mapping import map_to_canonical


def test_features_give_the_positions_back(shared_data: Path) -> None:
    joints = read_clip(shared_data / "humanml3d" / "012314_new_joints.npy")
    features = read_clip(shared_data / "humanml3d" / "012314_new_joint_vecs.npy")
    assert joints.fps == features.fps == 20.0 and joints.num_frames == features.num_frames == 170
    np.testing.assert_allclose(features.positions, joints.positions, atol=1e-5)
    mapped = map_to_canonical(features)
    assert mapped.num_body_joints == 22 and not mapped.unmatched_source


def test_one_turning_step_by_hand() -> None:
    features = np.zeros((3, 263))
    features[:, 3] = 0.9  # height of the root
    features[:, 2] = 1.0  # one metre ahead per frame, in the heading of the next frame
    features[0, 0] = np.pi / 4  # half of the turn from frame 0 to frame 1, a quarter to the side
    features[:, 4:7] = (0.1, 0.8, 0.0)  # left hip: beside the root
    positions = humanml3d.positions_of_features(features)
    # A positive velocity turns the dancer's +z towards -x.
    np.testing.assert_allclose(positions[0, 0], [0, 0.9, 0], atol=1e-12)
    np.testing.assert_allclose(positions[1, 0], [-1, 0.9, 0], atol=1e-12)
    np.testing.assert_allclose(positions[2, 0], [-2, 0.9, 0], atol=1e-12)
    np.testing.assert_allclose(positions[0, 1], [0.1, 0.8, 0], atol=1e-12)
    np.testing.assert_allclose(positions[1, 1], [-1, 0.8, 0.1], atol=1e-12)


def test_bone_lengths_do_not_depend_on_the_root() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 263)) * 0.1
    still = features.copy()
    still[:, :3] = 0
    moving = humanml3d.positions_of_features(features)
    resting = humanml3d.positions_of_features(still)
    for a, b in ((1, 4), (4, 7), (12, 15)):
        np.testing.assert_allclose(
            np.linalg.norm(moving[:, a] - moving[:, b], axis=-1),
            np.linalg.norm(resting[:, a] - resting[:, b], axis=-1),
        )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 21, 3), np.float32), r"\[4, 21, 3\]; HumanML3D has"),
        (np.zeros((0, 263), np.float32), "0 frames"),
        (np.full((4, 263), np.nan, np.float32), "frame 0, joint 0"),
        (np.zeros((4, 263), int), r"\[4, 263\]"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FormatError, match=message):
        humanml3d.read(tmp_path / "a.npy")


def test_rate_and_limits(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 263), np.float32))
    assert humanml3d.read(tmp_path / "a.npy", fps=30).fps == 30
    with pytest.raises(FormatError, match="1 to 3"):
        humanml3d.read(tmp_path / "a.npy", max_frames=3)
