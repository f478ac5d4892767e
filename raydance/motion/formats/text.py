"""What the readers of text formats share: bounded reading, numbers, and frame rates."""

from __future__ import annotations

import math
import re
import warnings
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError, InputError
from raydance.plain_text import decoded

MAX_BYTES: Final = 128 * 2**20
MAX_FRAMES: Final = 1_000_000
MAX_JOINT_FRAMES: Final = 30_000_000  # joints times frames: what decides the memory needed
MAX_STILL: Final = 2_000_000  # joints times frames, however few values move them
MAX_JOINTS_PER_VALUE: Final = 8
MAX_VALUE: Final = 1e7  # a length or an angle above this is no recording of a body
MAX_NAME: Final = 200  # characters of a joint's name
MIN_FPS: Final = 0.5
MAX_FPS: Final = 2000.0

# Frame times are rounded in files: .0333 means 30 frames per second, not 30.03.
_COMMON_FPS: Final = (24, 25, 30, 48, 50, 60, 72, 75, 90, 100, 120, 144, 150, 200, 240, 250, 300)
_COMMA_NUMBER: Final = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")


def read_text(path: str | Path, max_bytes: int = MAX_BYTES) -> str:
    """The text of a file with `\\n` line ends and without a byte order mark.

    Other encodings than UTF-8 are read with a warning (see `decoded`).

    Raises:
        FormatError: no such file, larger than `max_bytes`, empty, or not text.
    """
    name = str(path)
    try:
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FormatError(name, f"cannot be opened ({reason})") from None
    if len(data) > max_bytes:
        raise FormatError(name, f"larger than the {max_bytes // 2**20} MiB allowed")
    if not data.strip():
        raise FormatError(name, "the file is empty")
    text, encoding = decoded(data)
    if encoding != "utf-8":
        warnings.warn(f"{name}: not UTF-8 text; read as {encoding}", stacklevel=3)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise FormatError(name, "not text (a zero byte)", line)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def points_for_commas(path: str, text: str, first_line: int) -> str:
    """`text` with decimal commas (`1,25`) as points, where it holds commas and no points.

    Raises:
        FormatError: commas beside points, or commas that are no decimal commas.
    """
    if "," not in text:
        return text
    for number, line in enumerate(text.split("\n"), start=first_line):
        if "," not in line:
            continue
        for word in line.split():
            if "," in word and not _COMMA_NUMBER.fullmatch(word):
                reason = f"{word[:40]!r}: values are separated by spaces or tabs, not by commas"
                raise FormatError(path, reason, number)
        if "." in text:
            reason = "commas and points as decimal signs in one section"
            raise FormatError(path, reason, number)
    return text.replace(",", ".")


def to_number(path: str, word: str, line: int, what: str) -> float:
    """A finite number from one word.

    Raises:
        FormatError: not a number, not finite, or larger than any recording holds.
    """
    try:
        value = float(word)
    except ValueError:
        reason = f"found {word[:40]!r}, a number is needed for {what}"
        raise FormatError(path, reason, line) from None
    if not math.isfinite(value):
        raise FormatError(path, f"{word[:40]!r} for {what}: values must be finite", line)
    if abs(value) > MAX_VALUE:
        reason = f"{word[:40]!r} for {what}: at most {MAX_VALUE:.0e} is allowed"
        raise FormatError(path, reason, line)
    return value


def fps_of_frame_time(path: str, word: str, line: int) -> float:
    """Frames per second of a frame time in seconds as it is printed in a file.

    Raises:
        FormatError: not a number, or outside of `MIN_FPS` to `MAX_FPS`.
    """
    seconds = to_number(path, word, line, "Frame Time")
    if not 1.0 / MAX_FPS <= seconds <= 1.0 / MIN_FPS:
        reason = (
            f"Frame Time {word[:40]} s; allowed: {1 / MAX_FPS} to {1 / MIN_FPS} s"
            " (give the frames per second to override it)"
        )
        raise FormatError(path, reason, line)
    try:
        exponent = Decimal(word).as_tuple().exponent
    except InvalidOperation:
        exponent = 0
    last_digit = 10.0**exponent if isinstance(exponent, int) else 0.0
    if abs(round(1.0 / seconds) * seconds - 1.0) > 1e-9:  # 0.04 is 25 frames per second, exactly
        for fps in sorted(_COMMON_FPS, key=lambda fps: abs(1.0 / fps - seconds)):
            missing = 1.0 / fps - seconds
            # Rounded or cut off, both are seen.
            if abs(missing) <= 0.5 * last_digit or 0 <= missing < last_digit:
                return float(fps)
    return 1.0 / seconds


def fps_of_step(seconds: float) -> float:
    """Frames per second of the time between two frames: a common or whole rate that is near."""
    rate = 1.0 / max(seconds, 1e-9)
    common = min(_COMMON_FPS, key=lambda fps: abs(fps / rate - 1.0))
    if abs(common / rate - 1.0) < 5e-3:
        return float(common)
    return float(round(rate)) if abs(round(rate) / rate - 1.0) < 1e-3 else rate


def check_fps(fps: float | None) -> None:
    """Refuse a caller's frame rate that no recording has.

    Raises:
        InputError: not a number from `MIN_FPS` to `MAX_FPS`.
    """
    if fps is not None and not MIN_FPS <= fps <= MAX_FPS:
        raise InputError(f"fps: found {fps!r}; allowed: {MIN_FPS} to {MAX_FPS}")


def check_rate(rate: Any, place: str) -> float:
    """A frame rate as a float.

    Raises:
        FormatError: not a number within bounds.
    """
    is_number = isinstance(rate, (int, float, np.number)) and not isinstance(rate, bool)
    if not is_number or not MIN_FPS <= rate <= MAX_FPS:
        reason = f"fps {repr(rate)[:40]}; a number from {MIN_FPS} to {MAX_FPS} is needed"
        raise FormatError(place, reason)
    return float(rate)


def check_size(
    path: str, num_frames: int, num_joints: int, max_frames: int, num_values: int | None = None
) -> None:
    """Refuse recordings that would not fit into memory.

    Args:
        num_values: in the file for each frame. Of a body nearly every joint turns; a file in which
            they do not can be short and yet make gigabytes.

    Raises:
        FormatError: too many frames, or too many frames for that many joints.
    """
    if num_frames > max_frames:
        raise FormatError(path, f"{num_frames} frames; at most {max_frames} are allowed")
    if num_frames * num_joints > MAX_JOINT_FRAMES:
        reason = (
            f"{num_frames} frames of {num_joints} joints; at most {MAX_JOINT_FRAMES} joint"
            " positions are allowed"
        )
        raise FormatError(path, reason)
    is_still = num_values is not None and num_joints > MAX_JOINTS_PER_VALUE * num_values
    if is_still and num_frames * num_joints > MAX_STILL:
        reason = (
            f"{num_frames} frames of {num_joints} joints with {num_values} values each; above"
            f" {MAX_STILL} joint positions one value for {MAX_JOINTS_PER_VALUE} joints is needed"
        )
        raise FormatError(path, reason)
