"""Grids of points inside a box or a mask, robust on thin and small ones.

In a mask (the rules of the authors' code of Lang2Motion): the mask is eroded by 3 pixels, or by as
many as leave something of it; the grid spans its box less a margin of 10 %; points outside the
mask move to its nearest pixel; of points that meet there all but one are moved by 1 to 3 pixels.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from raydance.errors import InputError

MARGIN: Final = 0.1
MIN_SIDE, MAX_SIDE, DEFAULT_SIDE = 3, 10, 6
_EROSION: Final = 3  # pixels
_TRIES: Final = 12


def _check_side(side: int) -> None:
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise InputError(f"grid of {side} x {side} points: allowed are {MIN_SIDE} to {MAX_SIDE}")


def unit_grid(side: int = DEFAULT_SIDE, margin: float = MARGIN) -> np.ndarray:
    """`[side * side, 2]` in [0, 1], rows from the top, each from left to right."""
    _check_side(side)
    ticks = np.linspace(margin, 1.0 - margin, side)
    x, y = np.meshgrid(ticks, ticks)
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def grid_in_boxes(
    boxes: np.ndarray, side: int = DEFAULT_SIDE, *, margin: float = MARGIN
) -> np.ndarray:
    """The same grid in each box, so that it moves, grows and shrinks with it.

    Args:
        boxes: `[..., 4]` (left, top, right, bottom), pixels.
        side: points per row and column, 3 to 10.
        margin: share of the box that stays free at each edge.

    Returns:
        `[..., side * side, 2]` float32, pixels.

    Raises:
        InputError: a side out of range, or a box that ends before it starts.
    """
    boxes = np.asarray(boxes, float)
    low, high = boxes[..., None, :2], boxes[..., None, 2:]
    if not (high >= low).all():
        raise InputError("a box whose right or bottom edge lies before its left or top edge")
    return (low + unit_grid(side, margin) * (high - low)).astype(np.float32)


def grid_in_mask(mask: np.ndarray, side: int = DEFAULT_SIDE, *, seed: int = 0) -> np.ndarray:
    """A grid of points that all lie in a mask, where it has as many pixels.

    Args:
        mask: `[H, W]` bool.
        side: points per row and column, 3 to 10.
        seed: of the moves that part points which meet.

    Returns:
        `[side * side, 2]` float32, pixels, all different; rows from the top.

    Raises:
        InputError: a side out of range, or a mask that is empty or no matrix.
    """
    _check_side(side)
    mask = np.asarray(mask, bool)
    if mask.ndim != 2 or not mask.any():
        raise InputError(
            f"mask of shape {mask.shape} with {int(mask.sum())} pixels set; a matrix "
            "with at least 1 is needed"
        )
    inner = _eroded(mask, side * side)
    rows, columns = np.flatnonzero(inner.any(axis=1)), np.flatnonzero(inner.any(axis=0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    points = box[:2] + unit_grid(side) * (box[2:] - box[:2])
    x, y = points.astype(int).T
    outside = ~inner[y, x]
    nearest = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    points[outside] = np.stack([nearest[1, y, x], nearest[0, y, x]], axis=-1)[outside] + 0.5
    return _parted(points, mask, np.random.default_rng(seed)).astype(np.float32)


def _eroded(mask: np.ndarray, enough: int) -> np.ndarray:
    """The mask without its border, as thick as leaves `enough` pixels, 3 at most."""
    padded = np.pad(mask, 1)
    for thickness in range(_EROSION, 0, -1):
        inner = ndimage.binary_erosion(padded, iterations=thickness)[1:-1, 1:-1]
        if inner.sum() >= enough:
            return inner
    return mask


def _parted(points: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Points `[N, 2]` of which no two are equal; moved ones stay in the mask, where they can."""
    taken: set[tuple[float, float]] = set()
    for i, point in enumerate(points):
        place = point
        for attempt in range(10 * _TRIES):
            if (float(place[0]), float(place[1])) not in taken:
                column, row = int(place[0]), int(place[1])
                within = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
                if (within and mask[row, column]) or attempt >= 2 * _TRIES:
                    break
            angle, length = random.uniform(0.0, 2 * np.pi), random.uniform(1.0, 3.0)
            place = point + length * np.array([np.cos(angle), np.sin(angle)])
            place = np.clip(place, 0.0, np.array(mask.shape[::-1]) - 0.01)
        points[i] = place
        taken.add((float(place[0]), float(place[1])))
    return points
