"""Tracks drawn as trails, on a video's frames or on black (Lang2Motion: cyan, opacity .5).

A trail is the way of a point up to the frame, with a dot where the point is; where it is hidden
the trail is broken. Drawn with Pillow at twice the size and averaged, each new piece once: whole
trails cost no more per frame than short ones.

Dimensions: T frames, N points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from raydance.errors import InputError
from raydance.tracks.track import Track

_SCALE: Final = 2
MAX_SIDE: Final = 2048
_MAX_DISTANCE: Final = 4.0  # frame sizes that a drawn point may lie outside the frame


@dataclass(frozen=True, kw_only=True)
class OverlayStyle:
    """How trails look.

    Attributes:
        colour: red, green, blue, 0 to 255.
        opacity: 0 (not seen) to 1 (hides what is below).
        width: of a trail, pixels.
        dot_radius: pixels.
        trail_frames: length of a trail; None for the whole way.
    """

    colour: tuple[int, int, int] = (0, 255, 255)
    opacity: float = 0.5
    width: float = 1.5
    dot_radius: float = 2.0
    trail_frames: int | None = None

    def __post_init__(self) -> None:
        if len(self.colour) != 3 or not all(0 <= channel <= 255 for channel in self.colour):
            raise InputError(f"colour {self.colour}: three numbers from 0 to 255 are needed")
        for name, high in (("opacity", 1.0), ("width", 64.0), ("dot_radius", 64.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= high):
                raise InputError(f"{name} {value}: allowed are 0 to {high:g}")
        if self.trail_frames is not None and self.trail_frames < 0:
            raise InputError(f"trail_frames {self.trail_frames}: at least 0 is needed")


def draw_overlays(
    track: Track,
    frames: Iterable[np.ndarray] | None = None,
    *,
    size: tuple[int, int] | None = None,
    style: OverlayStyle | None = None,
) -> Iterator[np.ndarray]:
    """The pictures of a track, one after the other.

    Args:
        track: what is drawn; its points are scaled from its frame to the picture.
        frames: T pictures `[H, W, 3]` uint8 RGB to draw on, resized where needed; black if None.
        size: (width, height) of the pictures, pixels; the track's frame by default.
        style: colour, opacity and so on; cyan at .5 by default.

    Yields:
        `[height, width, 3]` uint8, T times.

    Raises:
        InputError: a size out of range, or frames that are no pictures or fewer than the track's.
    """
    size = track.frame_size if size is None else size
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise InputError(f"size {size[0]} x {size[1]}: allowed are 1 to {MAX_SIDE} pixels")
    return _pictures(track, frames, size, style or OverlayStyle())


def _pictures(
    track: Track,
    frames: Iterable[np.ndarray] | None,
    size: tuple[int, int],
    style: OverlayStyle,
) -> Iterator[np.ndarray]:
    trails = _Trails(track, size, style)
    below = None if frames is None else iter(frames)
    table = [round(style.opacity * level) for level in range(256)]
    colour = tuple(int(channel) for channel in style.colour)
    for frame in range(track.num_frames):
        picture = _ground(below, frame, track.num_frames, size)
        picture.paste(colour, (0, 0), trails.draw(frame).reduce(_SCALE).point(table))
        yield np.array(picture)


def _ground(
    frames: Iterator[np.ndarray] | None, frame: int, num_frames: int, size: tuple[int, int]
) -> Image.Image:
    if frames is None:
        return Image.new("RGB", size)
    found = next(frames, None)
    if found is None:
        raise InputError(f"{frame} frames to draw on; the track has {num_frames}")
    if found.ndim != 3 or found.shape[2] != 3 or found.dtype != np.uint8:
        reason = f"frame {frame} of shape {found.shape} and type {found.dtype}"
        raise InputError(f"{reason}; [H, W, 3] uint8 is needed")
    picture = Image.fromarray(found)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


class _Trails:
    """The trails of a track as a picture of 0 and 255, frame after frame."""

    def __init__(self, track: Track, size: tuple[int, int], style: OverlayStyle) -> None:
        scale = np.asarray(size) * _SCALE / np.asarray(track.frame_size)
        reach = _MAX_DISTANCE * _SCALE * np.asarray(size)
        places = np.clip(track.points * scale - 0.5, -reach, reach)
        self.places: list[list[tuple[float, float]]] = [
            [(x, y) for x, y in frame] for frame in places.tolist()
        ]
        self.visible: list[list[bool]] = track.visible.tolist()
        self.window = style.trail_frames
        self.width = round(style.width * _SCALE)
        self.radius = style.dot_radius * _SCALE
        self.empty = Image.new("L", (size[0] * _SCALE, size[1] * _SCALE), 0)
        self.whole = self.empty.copy()

    def draw(self, frame: int) -> Image.Image:
        """The picture of a frame; frames must be asked for in order."""
        if self.window is None:
            self._add(ImageDraw.Draw(self.whole), frame)
            picture = self.whole.copy()
        else:
            picture = self.empty.copy()
            drawing = ImageDraw.Draw(picture)
            for past in range(max(1, frame - self.window + 1), frame + 1):
                self._add(drawing, past)
        self._add_dots(ImageDraw.Draw(picture), frame)
        return picture

    def _add(self, drawing: ImageDraw.ImageDraw, frame: int) -> None:
        """The pieces from the frame before to this one."""
        if frame == 0 or not self.width:
            return
        before, now = self.places[frame - 1], self.places[frame]
        seen_before, seen = self.visible[frame - 1], self.visible[frame]
        for point, place in enumerate(now):
            if seen[point] and seen_before[point] and place != before[point]:
                drawing.line((before[point], place), fill=255, width=self.width)

    def _add_dots(self, drawing: ImageDraw.ImageDraw, frame: int) -> None:
        radius = self.radius
        if not radius:
            return
        for (x, y), is_seen in zip(self.places[frame], self.visible[frame]):
            if is_seen:
                drawing.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
