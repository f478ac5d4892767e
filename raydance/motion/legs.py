"""Two-bone inverse kinematics of legs; the pelvis is lowered if a leg is too short.

The knee is where circles of thigh and shin length around hip and ankle meet, in the plane in which
the leg bent before (law of cosines; textbook analytic inverse kinematics).

Dimensions: T frames; points are `[T, 3]`, metres, y up.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_STRETCH: Final = 0.998  # of thigh and shin together: a straighter knee would snap
_SURE_BEND_M: Final = 0.01


def solve_knee(
    hip: np.ndarray,
    knee: np.ndarray,
    ankle: np.ndarray,
    new_hip: np.ndarray,
    target: np.ndarray,
    across: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """New knee and ankle: thigh and shin keep each frame's length, the knee its plane of bending.

    If the target is out of reach, the ankle is on the line from the hip to it. A straight leg bends
    forwards.

    Args:
        hip, knee, ankle: the leg as it was.
        new_hip: where the hip is now.
        target: position of the ankle.
        across: from the right hip to the left one, any length.
    """
    thigh, shin = _length(knee - hip), _length(ankle - knee)
    axis, old_reach = _direction(ankle - hip)
    new_axis, distance = _direction(target - new_hip)
    longest = reach(thigh, shin, old_reach)
    distance = np.clip(distance, np.abs(thigh - shin) + 1e-4, longest)
    along = (thigh**2 - shin**2 + distance**2) / (2 * distance)
    height = np.sqrt(np.maximum(thigh**2 - along**2, 0.0))
    bend = knee - hip - np.sum((knee - hip) * axis, axis=-1, keepdims=True) * axis
    # A nearly straight leg has no plane to speak of: as far as it bends anew, it bends forwards.
    forward, _ = _direction(np.cross(axis, across))
    bend = bend + forward * np.clip(height - _length(bend), 0.0, _SURE_BEND_M)
    bend, _ = _direction(_turned(bend, axis, new_axis))
    return new_hip + along * new_axis + height * bend, new_hip + distance * new_axis


def reach(thigh: np.ndarray, shin: np.ndarray, old_reach: np.ndarray) -> np.ndarray:
    """Largest distance of the ankle from the hip: a nearly straight leg, or as straight as it
    was."""
    return np.maximum(_STRETCH * (thigh + shin), old_reach)


def too_far(hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distance by which the hip has to be lowered to reach the target: `[T]` metres, at least 0.

    What no sinking can bridge counts as if the target stood straight below.
    """
    longest = reach(_length(knee - hip), _length(ankle - knee), _length(ankle - hip))[:, 0]
    level = np.linalg.norm((target - hip)[:, [0, 2]], axis=-1)
    below = np.sqrt(np.maximum(longest**2 - level**2, 0.0))
    needed = hip[:, 1] - target[:, 1] - below
    return np.where(level < longest, np.maximum(needed, 0.0), 0.0)


def cover(needed: np.ndarray, num_frames: int) -> np.ndarray:
    """A smooth `[T, ...]` that is nowhere below `needed`: widest values around, then their mean."""
    width = 2 * num_frames + 1
    padded = np.pad(
        needed, [(2 * num_frames, 2 * num_frames)] + [(0, 0)] * (needed.ndim - 1), "edge"
    )
    widest = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0).max(axis=-1)
    return np.lib.stride_tricks.sliding_window_view(widest, width, axis=0).mean(axis=-1)


def _turned(vectors: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Vectors turned by the shortest turn from one unit direction to another, not its opposite."""
    axis = np.cross(start, end)
    cosine = np.sum(start * end, axis=-1, keepdims=True)
    once = np.cross(axis, vectors)
    return vectors + once + np.cross(axis, once) / np.maximum(1.0 + cosine, 1e-6)


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1, keepdims=True)


def _direction(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = _length(vectors)
    return vectors / np.maximum(length, 1e-9), length
