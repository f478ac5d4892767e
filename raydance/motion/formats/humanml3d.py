"""HumanML3D: joint positions `[T, 22, 3]` and the 263 features per frame, at 20 frames per second.

The features hold (C. Guo et al., Generating Diverse and Natural 3D Human Motions from Text, 2022,
section 4): the root's turn about y, its travel in x and z within its own heading, its height; then
21 positions relative to the root and its heading; 21 rotations in 6-D form, 22 velocities and 4
foot contacts, which are not needed to recover positions and are not read. The features must not be
normalised by the data set's mean and deviation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import text as tx
from raydance.motion.formats.arrays import check_positions
from raydance.motion.formats.numpy_file import read_npy
from raydance.motion.formats.sidecar import facts_beside
from raydance.motion.formats.smpl_body import BODY_JOINTS, BODY_PARENTS

FPS: Final = 20.0
NUM_FEATURES: Final = 263
NUM_JOINTS: Final = 22


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read a `new_joints` or `new_joint_vecs` file.

    A side-car's rate, unit and axis win over the data set's.

    Args:
        path: .npy of `[T, 22, 3]` positions or `[T, 263]` features.
        fps: frames per second, if not the data set's 20.
        units: metres per unit, if not the data set's 1.
        up: the up axis, if not the data set's y.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: another shape, values that are not finite, or a size out of bounds.
        InputError: an argument is out of range.
    """
    tx.check_fps(fps)
    name = str(path)
    array = read_npy(path)
    if array.ndim == 2 and array.shape[1] == NUM_FEATURES and array.dtype.kind == "f":
        if not 1 <= len(array) <= max_frames:
            raise FormatError(name, f"{len(array)} frames; 1 to {max_frames} are allowed")
        array = positions_of_features(array)
    elif array.shape[1:] != (NUM_JOINTS, 3):
        reason = f"an array {list(array.shape)}; HumanML3D has [T, 22, 3] or [T, 263]"
        raise FormatError(name, reason)
    positions = check_positions(array, name, max_frames)
    facts = facts_beside(path)
    scale = un.detect(
        positions,
        units=facts.get("units", 1.0) if units is None else units,
        up=up or facts.get("up", "y"),
    )
    return Clip(
        clip_id=Path(path).stem,
        source=name,
        fps=facts.get("fps", FPS) if fps is None else float(fps),
        joint_names=BODY_JOINTS,
        parents=BODY_PARENTS,
        positions=scale.vectors(positions),
    )


def positions_of_features(features: np.ndarray, num_joints: int = NUM_JOINTS) -> np.ndarray:
    """Recover joint positions from HumanML3D features.

    Args:
        features: `[T, 263]`, or `[T, 12 J - 1]` for J other joints, not normalised.

    Returns:
        `[T, J, 3]` float64, metres, y up; the first frame's root is above the origin and faces +z.
    """
    features = np.asarray(features, dtype=np.float64)
    turn_velocity, travel, height = features[:, 0], features[:, 1:3], features[:, 3]
    # Each frame's velocity leads to the next one, so the first frame's sum is zero. The angle is
    # that of the quaternion, half of the turn.
    yaw = -2.0 * np.concatenate(([0.0], np.cumsum(turn_velocity[:-1])))
    steps = np.zeros((len(features), 3))
    steps[1:, 0], steps[1:, 2] = travel[:-1, 0], travel[:-1, 1]
    root = np.cumsum(_turn_about_y(steps, yaw), axis=0)
    root[:, 1] = height
    local = features[:, 4 : 4 + 3 * (num_joints - 1)].reshape(-1, num_joints - 1, 3)
    joints = _turn_about_y(local, yaw[:, None])
    joints[..., 0] += root[:, None, 0]
    joints[..., 2] += root[:, None, 2]
    return np.concatenate((root[:, None], joints), axis=1)


def _turn_about_y(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """`vectors` `[..., 3]` turned by `angle` `[...]` radians about y."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack((cosine * x + sine * z, y, cosine * z - sine * x), axis=-1)
