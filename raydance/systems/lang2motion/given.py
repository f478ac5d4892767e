"""What a request gives of a track besides its start: its first frames, or places to pass through.

Dimensions: T frames, N points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydance.errors import InputError

Place = tuple[float, float, float]
"""Seconds from the start, and x and y of the object's centre, pixels."""


def given_points(
    start_N2: np.ndarray,
    shape_TN: tuple[int, int],
    *,
    first_frames: np.ndarray | None = None,
    through: Sequence[Place] = (),
    seconds: float = 1.0,
    frame_size: tuple[int, int] = (256, 256),
) -> tuple[np.ndarray, np.ndarray] | None:
    """Points that shall be met, and which: `[T, N, 2]` in pixels and `[T, N]` bool; None for none.

    At a place to pass through the object is as it was at the start, moved there.

    Args:
        start_N2: the first frame, pixels.
        first_frames: `[F, N, 2]`, pixels: frames to go on from.
        through: places.
        seconds: of the whole track.

    Raises:
        InputError: a time or place out of range, or two places at one frame.
    """
    frames, _ = shape_TN
    target = np.zeros((*shape_TN, 2), dtype=np.float32)
    is_given = np.zeros(shape_TN, dtype=bool)
    if first_frames is not None:
        count = min(len(first_frames), frames)
        target[:count], is_given[:count] = first_frames[:count], True
    for second, x, y in through:
        frame = round(second / seconds * (frames - 1))
        if not 1 <= frame < frames:
            raise InputError(
                f"through: {second:g} s; allowed: above {0.5 * seconds / (frames - 1):.2f} up to "
                f"{seconds:g} s"
            )
        if not (0 <= x <= frame_size[0] and 0 <= y <= frame_size[1]):
            raise InputError(
                f"through: place {x:g}, {y:g}; allowed: inside the frame of {frame_size[0]} x "
                f"{frame_size[1]} pixels"
            )
        if is_given[frame].any():
            raise InputError(f"through: {second:g} s: this frame is given already")
        target[frame] = start_N2 + np.array([x, y], dtype=np.float32) - start_N2.mean(axis=0)
        is_given[frame] = True
    return (target, is_given) if is_given.any() else None
