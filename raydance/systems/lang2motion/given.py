"""What a request gives of a track: its start, its first frames, or places to pass through.

Dimensions: T frames, N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.tracks.grid import grid_in_boxes, grid_in_mask

_DEFAULT_BOX: Final = (96.0, 96.0, 160.0, 160.0)
"""In a frame of 256 x 256."""

Place = tuple[float, float, float]
"""Seconds from the start, and x and y of the object's centre, pixels."""


def grid_start(
    mask: np.ndarray | None,
    box: Sequence[float] | None,
    num_points: int,
    frame_size: tuple[int, int],
) -> np.ndarray:
    """Points `[N, 2]` of the first frame, pixels: a grid in a mask `[H, W]` or else in a box.

    Args:
        box: left, top, right, bottom, pixels; in the middle of the frame by default.

    Raises:
        InputError: N that is no square, an empty mask, or a box outside the frame.
    """
    side = round(num_points**0.5)
    if side * side != num_points:
        raise InputError(
            f"this run's tracks have {num_points} points, which is no square grid: start from "
            "tracks"
        )
    if mask is not None:
        if not mask.any():
            raise InputError("the mask is empty: no pixel of the object")
        return grid_in_mask(mask, side, seed=0)
    width, height = frame_size
    if box is None:
        corners = np.array(_DEFAULT_BOX) * np.array([width, height, width, height]) / 256.0
    else:
        corners = np.asarray(box, dtype=float)
    if (corners[:2] < 0).any() or corners[2] > width or corners[3] > height:
        raise InputError(
            f"box: {corners.tolist()}; allowed: inside the frame of {width} x {height} pixels"
        )
    return np.asarray(grid_in_boxes(corners[None], side)[0])


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
