"""A generic body that stands, for tests of what is judged by a body."""

from __future__ import annotations

import numpy as np

from raydance.motion.formats.smpl_body import BODY_JOINTS, BODY_PARENTS, SMPLH_OFFSETS
from raydance.motion.units import rest_positions

NAMES = BODY_JOINTS
PARENTS = BODY_PARENTS
INDEX = {name: i for i, name in enumerate(NAMES)}


def stand(num_frames: int = 20) -> np.ndarray:
    """`[T, 22, 3]` metres, y up, facing +z, feet on the floor; the arms sway a little."""
    pose = rest_positions(SMPLH_OFFSETS[: len(NAMES)], PARENTS)
    pose[:, 1] -= pose[:, 1].min()
    motion = np.repeat(pose[None], num_frames, axis=0)
    sway = 0.05 * np.sin(np.arange(num_frames) / 3.0)
    for side in ("left", "right"):
        motion[:, INDEX[f"{side}_wrist"], 2] += sway
    return motion


def to_z_up(motion: np.ndarray) -> np.ndarray:
    """The same in a world whose z points up, facing -y."""
    return motion[..., [0, 2, 1]] * [1, -1, 1]
