"""Clips made of the rotations of their joints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion import skeleton
from raydance.motion.clip import Clip


def posed_clip(
    turns: np.ndarray,
    offsets: np.ndarray,
    root: np.ndarray,
    joint_names: tuple[str, ...] = skeleton.JOINTS,
    parents: Sequence[int] = skeleton.PARENTS,
    fps: float = 20.0,
) -> Clip:
    """Joints with offsets `[J, 3]` from their parents that turn by local quaternions `[T, J, 4]`,
    while the root is at `[T, 3]`, metres."""
    places = np.broadcast_to(offsets, (*turns.shape[:2], 3)).copy()
    places[:, 0] = root
    return Clip(
        clip_id="posed",
        source="test",
        fps=fps,
        joint_names=joint_names,
        parents=tuple(parents),
        positions=rot.forward_kinematics(turns, places, parents).astype(np.float32),
        rotations=turns.astype(np.float32),
        offsets=offsets.astype(np.float32),
    )
