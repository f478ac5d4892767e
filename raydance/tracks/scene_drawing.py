"""The objects of the embedded scenes as polygons, and the pictures of the scenes.

Drawn with Pillow at four times the size and averaged; no files are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

SCALE: Final = 4

COLOURS: Final[Mapping[str, tuple[int, int, int]]] = {
    "red": (214, 40, 40),
    "orange": (245, 135, 20),
    "yellow": (247, 214, 40),
    "green": (50, 165, 65),
    "blue": (35, 85, 215),
    "purple": (135, 55, 180),
    "pink": (248, 140, 190),
    "white": (248, 248, 248),
}
_OCCLUDER: Final = (105, 100, 96)
_LINE: Final = (60, 58, 56)


def _around(count: int, start: float = -0.5 * np.pi) -> np.ndarray:
    angles = start + 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _star() -> np.ndarray:
    return _around(10) * np.where(np.arange(10) % 2, 0.5, 1.0)[:, None]


def _cross() -> np.ndarray:
    a, b = 0.36, 0.93
    quarter = np.array([[a, -b], [a, -a], [b, -a]])
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, i).T for i in range(4)])


SHAPES: Final[Mapping[str, np.ndarray]] = {
    "ball": _around(48),
    "box": _around(4, 0.25 * np.pi),
    "triangle": _around(3),
    "star": _star(),
    "diamond": _around(4) * (0.72, 1.0),
    "hexagon": _around(6),
    "cross": _cross(),
}
"""Shape -> `[V, 2]` corners about its centre, y down, within the unit circle."""

ROUND: Final = ("ball", "hexagon", "star")
"""Shapes that can roll."""

_MARK: Final = np.array([[-0.1, -0.62], [0.1, -0.62], [0.1, 0.0], [-0.1, 0.0]])


def background(size: int, random: np.random.Generator) -> np.ndarray:
    """`[size, size, 3]` uint8: a dull gradient with soft patches."""
    ends = random.uniform(90, 175, (2, 1, 1, 1)) + random.uniform(-12, 12, (2, 1, 1, 3))
    ramp = np.linspace(0, 1, size)[:, None, None]
    plain = (1 - ramp) * ends[0] + ramp * ends[1] + np.zeros((size, size, 3))
    patches = Image.fromarray(random.uniform(-10, 10, (6, 6)).astype(np.float32))
    soft = np.asarray(patches.resize((size, size), Image.Resampling.BICUBIC))
    return np.clip(plain + soft[..., None], 0, 255).astype(np.uint8)


def covered(polygon: np.ndarray, size: int) -> np.ndarray:
    """Share of each pixel that a polygon `[V, 2]` covers: `[size, size]` float32 in [0, 1]."""
    picture = Image.new("L", (size * SCALE, size * SCALE), 0)
    corners = [(float(x), float(y)) for x, y in polygon * SCALE - 0.5]
    ImageDraw.Draw(picture).polygon(corners, fill=255)
    return np.asarray(picture.reduce(SCALE), np.float32) / 255.0


def paint(picture: np.ndarray, polygon: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Fill a polygon `[V, 2]` on `[H, W, 3]` float32, in place."""
    share = covered(polygon, len(picture))[..., None]
    picture += share * (np.array(colour, np.float32) - picture)


def paint_object(
    picture: np.ndarray, outline: np.ndarray, mark: np.ndarray, colour: tuple[int, int, int]
) -> None:
    """Fill an object and the darker mark that shows how it turns, in place."""
    paint(picture, outline, colour)
    red, green, blue = (int(0.45 * channel) for channel in colour)
    paint(picture, mark, (red, green, blue))


def mark_corners() -> np.ndarray:
    """`[4, 2]` corners of the mark of an object within the unit circle."""
    return _MARK


def paint_box(picture: np.ndarray, box: np.ndarray) -> None:
    """Fill an occluder, a box `[4]` (left, top, right, bottom), in place."""
    paint(picture, box_corners(box), _OCCLUDER)


def paint_line(picture: np.ndarray, start: np.ndarray, end: np.ndarray, width: float = 1.2) -> None:
    """Draw a thin line, a string or a floor, in place."""
    along = np.asarray(end, float) - start
    aside = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6) * (0.5 * width)
    paint(picture, np.array([start + aside, end + aside, end - aside, start - aside]), _LINE)


def box_corners(box: np.ndarray) -> np.ndarray:
    """`[4, 2]` of a box `[4]` (left, top, right, bottom)."""
    left, top, right, bottom = box
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
