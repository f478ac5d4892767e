"""Boxes over time to tracks: the same grid in each frame's box moves, grows and shrinks with it.

Dimensions: T frames, N points.
"""

from __future__ import annotations

import numpy as np

from raydance.errors import FormatError
from raydance.tracks import grid
from raydance.tracks.formats import base


def points_in_boxes(
    boxes: np.ndarray, frames: np.ndarray, visible: np.ndarray, side: int, place: str
) -> tuple[np.ndarray, np.ndarray]:
    """Points `[T, N, 2]` and visibility `[T, N]` in all frames from the first to the last.

    Frames without a box take it from those before and after, and are not visible.

    Args:
        boxes: `[R, 4]` (left, top, right, bottom), pixels.
        frames: `[R]` whole numbers that increase.
        visible: `[R]` bool.
        side: of the grid.

    Raises:
        FormatError: frames out of order, boxes that are none, or too many frames.
    """
    if not len(boxes):
        raise FormatError(place, "no frame has a box")
    if (np.diff(frames) <= 0).any():
        row = int(np.argmax(np.diff(frames) <= 0))
        raise FormatError(place, f"frame {frames[row + 1]} after frame {frames[row]}")
    count = int(frames[-1]) - int(frames[0]) + 1
    base.check_length(count, side * side, place)
    is_none = ~np.isfinite(boxes).all(axis=1) | (np.abs(boxes) > base.MAX_PLACE).any(axis=1)
    is_none |= (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if is_none.any():
        row = int(np.argmax(is_none))
        raise FormatError(place, f"frame {frames[row]}: {boxes[row].tolist()} is no box")
    clock = np.arange(count) + int(frames[0])
    whole = np.stack([np.interp(clock, frames, boxes[:, side]) for side in range(4)], axis=-1)
    seen = np.zeros(count, bool)
    seen[frames - frames[0]] = visible
    points = grid.grid_in_boxes(whole, side)
    return points, np.repeat(seen[:, None], points.shape[1], axis=1)
