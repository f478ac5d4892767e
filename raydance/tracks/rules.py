"""A rule that reads a track and tells the kind, direction and speed of its motion.

It measures how well generated tracks do what their sentence says, so it is checked on the exact
tracks of the embedded scenes, of which it must be right in nearly all. The words are those of
`scene_motions`. In each frame an affine map of the points of the first one is fitted, which gives
the path of the middle, the turn and the stretch of the object.

Dimensions: T frames, N points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.tracks.scene_motions import HEADINGS, RANGES, SPEEDS

_SIDE: Final = 128.0  # pixels: the frame in which `RANGES` are given
_STILL: Final = 8.0  # pixels: the path of an object that stays in its place
_STRETCHED: Final = 0.12  # logarithm of a factor
_MIN_SWEEP: Final = 2.2  # radians around the middle of an orbit
_MIN_TURN: Final = 0.6  # radians of a rolling object
_MIN_HOP: Final = 6.0  # pixels


@dataclass(frozen=True)
class MotionReading:
    """What a track does.

    Attributes:
        kind: of `scene_motions.KINDS`, or `still`.
        direction: of `scene_motions.DIRECTIONS`, or "" where it is still.
        speed: `slow`, `medium`, `fast`, or "" where it is still.
        amount: what the speed is told by, in the unit of `scene_motions.RANGES`.
    """

    kind: str
    direction: str
    speed: str
    amount: float


def read_motion(points: np.ndarray, frame_size: tuple[int, int]) -> MotionReading:
    """Kind, direction and speed of the motion of an object's points.

    Args:
        points: `[T, N, 2]`, pixels, at least 8 frames; the speed is that of the whole, so a track
            must be as long as a scene.
        frame_size: (width, height).

    Raises:
        InputError: a wrong shape, too few frames, or values that are not finite.
    """
    points = np.asarray(points, float)
    if points.ndim != 3 or points.shape[2] != 2 or len(points) < 8 or not points.shape[1]:
        raise InputError(f"points of shape {points.shape}; [T, N, 2] with 8 frames are needed")
    if not np.isfinite(points).all():
        raise InputError("points: values that are not finite")
    points = points * (_SIDE / np.asarray(frame_size, float))
    path, turn, stretch = _affine(points)
    kind, direction, amount = _kind(path, turn, stretch)
    return MotionReading(kind, direction, _speed(kind, amount), amount)


def heading(points: np.ndarray) -> str:
    """Where an object ends, seen from its start: of eight directions.

    Args:
        points: `[T, N, 2]`, y down.
    """
    middle = np.asarray(points, float).mean(axis=1)
    return _heading(middle[-1] - middle[0])


def _affine(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Path `[T, 2]`, unwrapped turn `[T]` and logarithm of the stretch `[T, 2]` in x and y."""
    path = points.mean(axis=1)
    local = points - path[:, None]
    start = local[0]
    spread = start.T @ start
    spread = spread + 1e-3 * max(float(np.trace(spread)), 1e-6) * np.eye(2)
    maps = np.einsum("tni,nj->tij", local, start) @ np.linalg.inv(spread)
    angle = np.arctan2(maps[:, 1, 0] - maps[:, 0, 1], maps[:, 0, 0] + maps[:, 1, 1])
    cos, sin = np.cos(angle), np.sin(angle)
    along_x = cos * maps[:, 0, 0] + sin * maps[:, 1, 0]
    along_y = cos * maps[:, 1, 1] - sin * maps[:, 0, 1]
    stretch = np.log(np.maximum(np.stack([along_x, along_y], -1), 1e-3))
    return path, np.unwrap(angle), stretch


def _kind(path: np.ndarray, turn: np.ndarray, stretch: np.ndarray) -> tuple[str, str, float]:
    """(kind, direction, amount)."""
    way = path[-1] - path[0]
    extent = float(np.linalg.norm(np.ptp(path, axis=0)))
    grown = stretch[-1] - stretch[0]
    if extent < _STILL:
        if np.abs(grown).max() < _STRETCHED:
            return "still", "", 0.0
        return "deforming", _stretched(grown), float(np.abs(grown).max())
    sweep, roundness = _around(path)
    if abs(sweep) > _MIN_SWEEP and roundness < 0.15:
        direction = "clockwise" if sweep > 0 else "counterclockwise"
        return "orbiting", direction, abs(sweep) / (2 * np.pi)
    back = _first_return(path[:, 0])
    if back is not None and np.ptp(path[:, 0]) > np.ptp(path[:, 1]):
        direction = "right" if path[back, 0] > path[0, 0] else "left"
        return "swinging", direction, _periods(path[:, 0])
    if _num_contacts(path) > 0:
        return "bouncing", "right" if way[0] > 0 else "left", abs(float(way[0]))
    length = float(np.linalg.norm(way))
    is_level = abs(way[1]) < 0.25 * abs(way[0])
    turned = turn[-1] - turn[0]
    if is_level and abs(turned) > _MIN_TURN and turned * way[0] > 0:
        return "rolling", "right" if way[0] > 0 else "left", length
    half = float(np.interp(0.5 * (len(path) - 1), np.arange(len(path)), path[:, 1])) - path[0, 1]
    if way[1] > 0.6 * length and half < 0.38 * way[1]:
        lean = way[0] / way[1]
        side = "" if abs(lean) < 0.3 else "-right" if lean > 0 else "-left"
        return "falling", f"down{side}", float(way[1])
    return "moving", _heading(way), length


def _speed(kind: str, amount: float) -> str:
    if kind == "still":
        return ""
    ranges = RANGES[kind]
    bounds = [np.sqrt(a[1] * b[0]) for a, b in zip(ranges, ranges[1:])]
    return SPEEDS[int(np.searchsorted(bounds, amount))]


def _heading(way: np.ndarray) -> str:
    names = list(HEADINGS)
    vectors = np.array([HEADINGS[name] for name in names], float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return names[int(np.argmax(vectors @ way))]


def _stretched(grown: np.ndarray) -> str:
    x, y = grown
    if x > 0 and y > 0.3 * x or y > 0 and x > 0.3 * y:
        return "larger"
    if x < 0 and y < 0:
        return "smaller"
    return "wider" if x > y else "taller"


def _around(path: np.ndarray) -> tuple[float, float]:
    """Angle swept around the middle of the best circle, and how far the path is from it.

    The circle is Kasa's least squares; the distance is relative to its radius. Both count only
    where nearly all steps go the same way around: else the sweep is 0.
    """
    middle = path.mean(axis=0)
    seen = path - middle
    design = np.column_stack([2 * seen, np.ones(len(seen))])
    solved, *_ = np.linalg.lstsq(design, np.square(seen).sum(axis=1), rcond=None)
    radius = float(np.sqrt(max(solved[2] + solved[:2] @ solved[:2], 1e-9)))
    out = seen - solved[:2]
    distance = np.linalg.norm(out, axis=1)
    steps = np.diff(np.unwrap(np.arctan2(out[:, 1], out[:, 0])))
    if max((steps > 0).mean(), (steps < 0).mean()) < 0.9:
        return 0.0, np.inf
    return float(steps.sum()), float(np.abs(distance - radius).mean() / radius)


def _first_return(x: np.ndarray) -> int | None:
    """The frame in which a coordinate first turns back by a fifth of its range, or None."""
    limit = 0.2 * float(np.ptp(x))
    for sign in (1, -1):
        values = sign * x
        highest = np.maximum.accumulate(values)
        back = np.flatnonzero(highest - values > limit)
        if len(back):
            top = int(np.argmax(values[: back[0]]))
            if top > 0 and values[top] - values[0] > limit:
                return top
    return None


def _periods(x: np.ndarray) -> float:
    """How often a coordinate swings to and fro: the best sine with an offset."""
    time = np.linspace(0.0, 1.0, len(x))
    best, found = np.inf, 0.0
    for periods in np.arange(0.45, 3.6, 0.025):
        phase = 2 * np.pi * periods * time
        design = np.column_stack([np.cos(phase), np.sin(phase), np.ones(len(x))])
        solved, *_ = np.linalg.lstsq(design, x, rcond=None)
        left = float(np.square(design @ solved - x).sum())
        if left < best:
            best, found = left, float(periods)
    return found


def _num_contacts(path: np.ndarray) -> int:
    """How often a path comes down and goes up again by more than a hop."""
    height = -path[:, 1]
    number, top, low = 0, height[0], height[0]
    is_falling = False
    for value in height:
        if is_falling:
            low = min(low, value)
            if value > low + _MIN_HOP:
                number, is_falling, top = number + 1, False, value
        else:
            top = max(top, value)
            if value < top - _MIN_HOP:
                is_falling, low = True, value
    return number
