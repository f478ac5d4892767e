"""Tracks with another number of frames or points, and points for frames that lack them.

Dimensions: T frames, N points.
"""

from __future__ import annotations

import numpy as np


def resample_frames(
    points: np.ndarray, visible: np.ndarray, num_frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """`num_frames` frames at equal times from the first to the last frame.

    Positions are interpolated linearly; a point is visible where it is in the nearest frame.

    Args:
        points: `[T, N, 2]`; a single frame stands still.
        visible: `[T, N]` bool.
    """
    place = np.linspace(0.0, len(points) - 1, num_frames)
    before = np.minimum(place.astype(int), len(points) - 1)
    after = np.minimum(before + 1, len(points) - 1)
    share = (place - before)[:, None, None].astype(points.dtype)
    moved = points[before] + share * (points[after] - points[before])
    return moved, visible[np.rint(place).astype(int)]


def resample_points(
    points: np.ndarray, visible: np.ndarray, num_points: int
) -> tuple[np.ndarray, np.ndarray]:
    """`num_points` points that cover the object as evenly as those given, in the order of a grid.

    Of more points those are kept that lie farthest from each other. To fewer, points between
    neighbours are added; such a point is visible where both its neighbours are.

    Args:
        points: `[T, N, 2]`.
        visible: `[T, N]` bool.
    """
    frame = int(np.argmax(visible.sum(axis=1)))
    start = points[frame]
    if num_points < len(start):
        kept = _farthest(start, num_points)
        points, visible = points[:, kept], visible[:, kept]
    elif num_points > len(start):
        first, second, share = _between(start, num_points - len(start))
        weight = share[:, None].astype(points.dtype)
        added = points[:, first] + weight * (points[:, second] - points[:, first])
        points = np.concatenate([points, added], axis=1)
        visible = np.concatenate([visible, visible[:, first] & visible[:, second]], axis=1)
    order = grid_order(points[frame])
    return points[:, order], visible[:, order]


def grid_order(points: np.ndarray) -> np.ndarray:
    """Indices `[N]` that put points `[N, 2]` in rows from the top, each from left to right.

    There are as many rows as points in a row, or nearly; a regular grid keeps its order.
    """
    width = int(np.ceil(np.sqrt(len(points))))
    by_height = np.argsort(points[:, 1], kind="stable")
    rows = [by_height[i : i + width] for i in range(0, len(points), width)]
    return np.concatenate([row[np.argsort(points[row, 0], kind="stable")] for row in rows])


def filled(points: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Positions for frames in which a point was not found, from those before and after.

    Args:
        points: `[T, N, 2]`, any values where unknown.
        known: `[T, N]` bool; a point that is never known takes the mean of the others.

    Returns:
        `[T, N, 2]`, of the points' type. Nothing is known: zeros.
    """
    out = np.where(known[..., None], points, 0.0).astype(points.dtype)
    frames = np.arange(len(points))
    for point in np.flatnonzero(~known.all(axis=0) & known.any(axis=0)):
        at = np.flatnonzero(known[:, point])
        for axis in range(2):
            out[:, point, axis] = np.interp(frames, at, points[at, point, axis])
    never = ~known.any(axis=0)
    if never.any() and not never.all():
        out[:, never] = out[:, ~never].mean(axis=1, keepdims=True)
    return out


def _farthest(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` points, each the farthest from those chosen before it."""
    chosen = [int(np.argmin(points.sum(axis=1)))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < count:
        distance[chosen] = -1.0
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def _between(points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first, second, share): places between two points, the widest gaps of neighbours first.

    Neighbours are joined by a minimum spanning tree, so that every gap is between points that
    lie beside each other.
    """
    if len(points) == 1:
        return np.zeros(count, int), np.zeros(count, int), np.zeros(count)
    first, second, lengths = _spanning_tree(points)
    parts = np.ones(len(first), int)
    for _ in range(count):
        parts[np.argmax(lengths / parts)] += 1
    ends = [(i, j, k / n) for i, j, n in zip(first, second, parts) for k in range(1, n)]
    return (
        np.array([i for i, _, _ in ends], int),
        np.array([j for _, j, _ in ends], int),
        np.array([share for _, _, share in ends], float),
    )


def _spanning_tree(points: np.ndarray) -> tuple[list[int], list[int], np.ndarray]:
    """Edges (first, second, length) that join points `[N, 2]` with the least length (Prim)."""
    distance = np.linalg.norm(points - points[0], axis=1).astype(float)
    nearest = np.zeros(len(points), int)
    inside = np.zeros(len(points), bool)
    inside[0] = True
    first, second, lengths = [], [], []
    for _ in range(len(points) - 1):
        new = int(np.argmin(np.where(inside, np.inf, distance)))
        first.append(int(nearest[new]))
        second.append(new)
        lengths.append(distance[new])
        inside[new] = True
        to_new = np.linalg.norm(points - points[new], axis=1)
        closer = to_new < distance
        distance, nearest = np.where(closer, to_new, distance), np.where(closer, new, nearest)
    return first, second, np.array(lengths)
