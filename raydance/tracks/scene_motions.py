"""The motions of the embedded scenes, each an affine map of the object per frame.

Distances are pixels of a frame of 128 x 128 over the whole scene, whatever its number of frames.
The three speeds of a kind lie apart, so that a rule can tell them; see `raydance.tracks.rules`.

Dimensions: T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

SPEEDS: Final = ("slow", "medium", "fast")

HEADINGS: Final[Mapping[str, tuple[int, int]]] = {
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
    "up-left": (-1, -1),
    "up-right": (1, -1),
    "down-left": (-1, 1),
    "down-right": (1, 1),
}
"""Direction -> (x, y), y down."""

DIRECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "moving": tuple(HEADINGS),
    "rolling": ("left", "right"),
    "bouncing": ("left", "right"),
    "swinging": ("left", "right"),
    "falling": ("down", "down-left", "down-right"),
    "orbiting": ("clockwise", "counterclockwise"),
    "deforming": ("larger", "smaller", "wider", "taller"),
}
"""Kind -> its directions; of a swing it is where it goes first."""

RANGES: Final[Mapping[str, tuple[tuple[float, float], ...]]] = {
    "moving": ((16, 21), (33, 42), (64, 76)),  # pixels
    "rolling": ((16, 21), (33, 42), (64, 76)),  # pixels
    "bouncing": ((16, 21), (33, 42), (64, 76)),  # pixels to the side
    "swinging": ((0.75, 0.85), (1.4, 1.6), (2.6, 3.0)),  # periods
    "falling": ((18, 24), (38, 46), (70, 82)),  # pixels downwards
    "orbiting": ((0.45, 0.6), (0.95, 1.2), (1.9, 2.4)),  # turns
    "deforming": ((0.22, 0.28), (0.45, 0.55), (0.85, 1.0)),  # logarithm of the factor
}
"""Kind -> what a slow, medium and fast motion amounts to over the whole scene."""


@dataclass(frozen=True)
class Path:
    """How an object moves: a point `p` of it, seen from its centre, is at `maps @ p + centres`.

    Attributes:
        maps: `[T, 2, 2]`.
        centres: `[T, 2]` pixels, from wherever the motion puts its origin.
        anchor: `[2]` the pivot of a swing or the middle of an orbit, else None.
    """

    maps: np.ndarray
    centres: np.ndarray
    anchor: np.ndarray | None = None


def amount(kind: str, speed: str, random: np.random.Generator) -> float:
    """A motion of this speed, in the unit of `RANGES`."""
    return float(random.uniform(*RANGES[kind][SPEEDS.index(speed)]))


def _turns(angles: np.ndarray) -> np.ndarray:
    """Rotations `[T, 2, 2]`; on the screen, y down, positive angles turn clockwise."""
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _moving(time, size, direction, radius, random) -> Path:
    heading = np.array(HEADINGS[direction], float)
    angle = np.arctan2(heading[1], heading[0]) + np.radians(random.uniform(-6, 6))
    way = np.array([np.cos(angle), np.sin(angle)]) * size
    return Path(_turns(np.zeros_like(time)), time[:, None] * way)


def _rolling(time, size, direction, radius, random) -> Path:
    way = HEADINGS[direction][0] * size * time
    return Path(_turns(way / radius), np.stack([way, np.zeros_like(time)], -1))


def _bouncing(time, size, direction, radius, random) -> Path:
    hops, height = int(random.integers(2, 5)), random.uniform(18, 34)
    number = np.minimum((time * hops).astype(int), hops - 1)
    within = time * hops - number
    up = height * 0.85**number * 4 * within * (1 - within)
    way = HEADINGS[direction][0] * size * time
    return Path(_turns(np.zeros_like(time)), np.stack([way, -up], -1))


def _swinging(time, size, direction, radius, random) -> Path:
    length, reach = random.uniform(42, 70), random.uniform(0.5, 0.75)
    angles = -HEADINGS[direction][0] * reach * np.cos(2 * np.pi * size * time)
    centres = length * np.stack([np.sin(angles), np.cos(angles)], -1)
    return Path(_turns(-angles), centres, np.zeros(2))


def _falling(time, size, direction, radius, random) -> Path:
    lean = HEADINGS[direction][0] * random.uniform(0.5, 0.7)
    centres = np.stack([lean * size * time, size * time**2], -1)
    return Path(_turns(random.uniform(-0.35, 0.35) * time), centres)


def _orbiting(time, size, direction, radius, random) -> Path:
    way = 1 if direction == "clockwise" else -1
    angles = random.uniform(0, 2 * np.pi) + way * 2 * np.pi * size * time
    reach = random.uniform(19, 34)
    centres = reach * np.stack([np.cos(angles), np.sin(angles)], -1)
    return Path(_turns(np.zeros_like(time)), centres, np.zeros(2))


_STRETCH: Final = {"larger": (1, 1), "smaller": (-1, -1), "wider": (1, -0.4), "taller": (-0.4, 1)}


def _deforming(time, size, direction, radius, random) -> Path:
    maps = np.zeros((len(time), 2, 2))
    for axis, share in enumerate(_STRETCH[direction]):
        maps[:, axis, axis] = np.exp(share * size * time)
    return Path(maps, np.zeros((len(time), 2)))


_PATHS: Final[Mapping[str, Callable[..., Path]]] = {
    "moving": _moving,
    "rolling": _rolling,
    "bouncing": _bouncing,
    "swinging": _swinging,
    "falling": _falling,
    "orbiting": _orbiting,
    "deforming": _deforming,
}
KINDS: Final = tuple(_PATHS)


def make_path(
    kind: str,
    direction: str,
    size: float,
    *,
    radius: float,
    num_frames: int,
    random: np.random.Generator,
) -> Path:
    """One motion, by chance within what its labels allow.

    Args:
        size: as `amount` gives it.
        radius: of the object, pixels; a rolling one turns by its way over this.
    """
    time = np.linspace(0.0, 1.0, num_frames)
    return _PATHS[kind](time, size, direction, radius, random)
