"""What the readers of tracks share: options, what is skipped, and checks of sizes and values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from raydance.errors import FormatError, InputError
from raydance.motion.formats import text as tx
from raydance.plain_text import one_line, sentence
from raydance.tracks import grid
from raydance.tracks.resampling import filled
from raydance.tracks.track import Track

MAX_SIDE: Final = 16_384
"""Largest width or height of a frame, pixels."""

MAX_FRAMES: Final = 100_000
MAX_VALUES: Final = 30_000_000  # frames times points
MAX_PLACE: Final = 1e6  # pixels
MAX_JSON_BYTES: Final = 256 << 20
_MAX_CAPTIONS: Final = 10_000
_MAX_CAPTION: Final = 2_000  # characters


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What a user may say about files that are silent.

    Attributes:
        frame_size: (width, height), pixels, of the videos; wins over what a file says.
        fps: frames per second; wins over what a file says or a format assumes.
        grid_side: points per row and column of the grid in a box or mask.
        num_points: along the bones of a skeleton.
    """

    frame_size: tuple[int, int] | None = None
    fps: float | None = None
    grid_side: int = grid.DEFAULT_SIDE
    num_points: int = grid.DEFAULT_SIDE**2

    def __post_init__(self) -> None:
        tx.check_fps(self.fps)
        if self.frame_size is not None and not _is_size(self.frame_size):
            raise InputError(f"frame_size {self.frame_size}: two whole numbers, 1 to {MAX_SIDE}")
        grid.unit_grid(self.grid_side)  # refuses sides out of range
        if not 1 <= self.num_points <= 10_000:
            raise InputError(f"num_points {self.num_points}: allowed are 1 to 10000")


@dataclass(frozen=True)
class Skipped:
    """A part of a source that gave no track.

    Attributes:
        place: the file and the part in it.
        reason: what was found and what is needed.
    """

    place: str
    reason: str

    @classmethod
    def because(cls, error: FormatError) -> Skipped:
        place = error.path if error.line is None else f"{error.path} line {error.line}"
        return cls(place, error.reason)

    def __str__(self) -> str:
        return one_line(f"{self.place}: {self.reason}")


Read = Iterator[Track | Skipped]
Reader = Callable[[Path, ReadOptions], Read]


def _is_size(size: Any) -> bool:
    try:
        width, height = size
    except (TypeError, ValueError):
        return False
    return all(
        isinstance(side, (int, np.integer)) and not isinstance(side, bool) and 1 <= side <= MAX_SIDE
        for side in (width, height)
    )


def check_size(size: Any, place: str) -> tuple[int, int]:
    """(width, height) as whole numbers.

    Raises:
        FormatError: anything else, or out of range.
    """
    if isinstance(size, np.ndarray):
        size = size.ravel().tolist()
    if isinstance(size, (list, tuple)):
        size = [int(s) if isinstance(s, float) and s.is_integer() else s for s in size]
    if not _is_size(size):
        reason = f"frame size {str(size)[:60]}; width and height from 1 to {MAX_SIDE} are needed"
        raise FormatError(place, reason)
    return int(size[0]), int(size[1])


def size_of(found: Any, options: ReadOptions, place: str) -> tuple[int, int]:
    """The size that the user or else the file states.

    Raises:
        FormatError: neither does.
    """
    if options.frame_size is not None:
        return options.frame_size
    if found is None:
        raise FormatError(place, "no frame size; give frame_size (width, height) in pixels")
    return check_size(found, place)


def checked(points: Any, visible: Any, place: str) -> tuple[np.ndarray, np.ndarray]:
    """`[T, N, 2]` float32 and `[T, N]` bool, after all checks; None for all visible.

    Hidden points may be anything; they take their place from frames in which they are visible.

    Raises:
        FormatError: wrong shapes, too large, or visible points that are not finite.
    """
    points = np.asarray(points)
    if points.ndim != 3 or points.shape[2] != 2 or points.dtype.kind not in "iuf":
        reason = f"points of shape {points.shape} and type {points.dtype}; [T, N, 2] is needed"
        raise FormatError(place, reason)
    if not points.size:
        raise FormatError(place, f"points of shape {points.shape}: there are none")
    check_length(len(points), points.shape[1], place)
    seen = np.ones(points.shape[:2], bool) if visible is None else np.asarray(visible)
    if seen.shape != points.shape[:2] or seen.dtype.kind not in "biuf":
        reason = f"visibility of shape {seen.shape} for points of shape {points.shape}"
        raise FormatError(place, reason)
    with np.errstate(invalid="ignore", over="ignore"):
        seen = seen > 0.5
        points = points.astype(np.float32)
        usable = np.isfinite(points).all(axis=-1) & (np.abs(points) <= MAX_PLACE).all(axis=-1)
    if (seen & ~usable).any():
        frame, point = np.argwhere(seen & ~usable)[0]
        reason = f"frame {frame}, point {point}: {points[frame, point].tolist()} is no place"
        raise FormatError(place, f"{reason}; finite numbers up to {MAX_PLACE:g} are needed")
    return points if usable.all() else filled(points, usable), seen


def check_length(num_frames: int, num_points: int, place: str) -> None:
    """Refuse what would not fit into memory.

    Raises:
        FormatError: too many frames, or too many points in all.
    """
    if num_frames > MAX_FRAMES:
        raise FormatError(place, f"{num_frames} frames; at most {MAX_FRAMES} are allowed")
    if num_frames * num_points > MAX_VALUES:
        reason = f"{num_frames} frames of {num_points} points; at most {MAX_VALUES} in all"
        raise FormatError(place, reason)


def captions_of(value: Any, place: str) -> tuple[str, ...]:
    """Sentences, cleaned of what is no text; a single one or a list.

    Raises:
        FormatError: anything else.
    """
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)) or not all(isinstance(v, str) for v in values):
        raise FormatError(place, "captions: text or a list of text is needed")
    if len(values) > _MAX_CAPTIONS or any(len(v) > _MAX_CAPTION for v in values):
        reason = f"captions: at most {_MAX_CAPTIONS} of {_MAX_CAPTION} characters are allowed"
        raise FormatError(place, reason)
    return tuple(dict.fromkeys(cleaned for v in values if (cleaned := sentence(v))))


def name_of(value: Any, place: str) -> str:
    """A short name from a file, on one line.

    Raises:
        FormatError: no text or number, or longer than 200 characters.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)) or len(str(value)) > 200:
        raise FormatError(place, f"a name of type {type(value).__name__}; short text is needed")
    return one_line(str(value))


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The content of a JSON file.

    Raises:
        FormatError: missing, too large, or not JSON.
    """
    text = tx.read_text(path, max_bytes)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise FormatError(str(path), f"not JSON ({error.msg})", error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise FormatError(str(path), f"not JSON ({str(error)[:100]})") from None


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def mapping(value: Any, place: str) -> Mapping[str, Any]:
    """`value` as a JSON object.

    Raises:
        FormatError: it is something else.
    """
    if not isinstance(value, dict):
        raise FormatError(place, f"found {type(value).__name__}; an object is needed")
    return value


def numbers(value: Any, place: str, *, columns: int | None = None) -> np.ndarray:
    """Numbers from JSON, as float64; `[n]`, or `[n, columns]`.

    Raises:
        FormatError: anything but a flat list of numbers (or null, as NaN) that fits.
    """
    if not isinstance(value, list) or not all(
        v is None or (isinstance(v, (int, float)) and not isinstance(v, bool)) for v in value
    ):
        raise FormatError(place, "a list of numbers is needed")
    try:
        array = np.array(value, np.float64)
    except OverflowError:
        raise FormatError(place, "a number too large for any picture") from None
    if columns is None:
        return array
    if len(array) % columns:
        raise FormatError(place, f"{len(array)} numbers; a multiple of {columns} is needed")
    return array.reshape(-1, columns)


def size_of_picture(data: Any, place: str) -> tuple[int, int]:
    """(width, height) in the header of a picture, a path or a stream; no pixel is decoded.

    Raises:
        FormatError: no picture that Pillow knows.
    """
    try:
        with Image.open(data) as picture:
            return check_size(picture.size, place)
    except FormatError:
        raise
    except Exception as error:  # damaged headers fail in many ways
        raise FormatError(place, f"no readable picture ({type(error).__name__})") from None
