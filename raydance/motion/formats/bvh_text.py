"""The two sections of a BVH file, as text: the hierarchy of joints and the table of frames.

Parsing only; `bvh` turns the result into motion.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion.formats import text as tx

MAX_JOINTS: Final = 1000
MAX_DEPTH: Final = 200

POSITIONS: Final = ("xposition", "yposition", "zposition")
ROTATIONS: Final = ("xrotation", "yrotation", "zrotation")

_MOTION: Final = re.compile(r"^[ \t]*MOTION[ \t]*$", re.MULTILINE)
_FRAMES: Final = re.compile(r"\s*Frames\s*:\s*(\S+)\s*", re.IGNORECASE)
_FRAME_TIME: Final = re.compile(r"\s*Frame\s*Time\s*:\s*(\S+)\s*", re.IGNORECASE)


@dataclass
class Joint:
    """One joint of the hierarchy.

    Attributes:
        name: as in the file; `<parent>_end` for an end site.
        parent: index of the parent, -1 for the root.
        line: where it begins.
        is_end: whether it is an end site.
        offset: its OFFSET, in the file's unit.
        channels: lower-case names in the file's order.
        first_channel: column of its first channel.
    """

    name: str
    parent: int
    line: int
    is_end: bool = False
    offset: tuple[float, float, float] | None = None
    channels: tuple[str, ...] | None = None
    first_channel: int = 0


@dataclass
class Hierarchy:
    """Joints, parents first, and the number of channels of all of them."""

    joints: list[Joint] = field(default_factory=list)
    num_channels: int = 0


@dataclass(frozen=True)
class Sections:
    """A parsed file: the hierarchy, `values` `[T, num_channels]` float64, and the header's rate."""

    hierarchy: Hierarchy
    values: np.ndarray
    fps: float | None


def parse(path: str, text: str, *, max_frames: int, fps_given: bool) -> Sections:
    """Parse the text of a BVH file.

    Args:
        path: named in errors.
        text: the whole file, `\\n` line ends.
        max_frames: more frames are refused.
        fps_given: whether the caller knows the rate, so that a wrong Frame Time does no harm.

    Raises:
        FormatError: names the line.
    """
    motion = _MOTION.search(text)
    header = text if motion is None else text[: motion.start()]
    hierarchy = _parse_hierarchy(path, header)
    if motion is None:
        raise FormatError(path, "no MOTION section (is the file cut off?)", text.count("\n") + 1)
    first_line = text.count("\n", 0, motion.end()) + 1
    values, fps = _parse_motion(
        path, text[motion.end() :], first_line, hierarchy, max_frames, fps_given
    )
    return Sections(hierarchy, values, fps)


class _Words:
    """The words of a header one by one, with their lines; braces are words of their own."""

    def __init__(self, path: str, header: str) -> None:
        self.path = path
        self.words = [
            (word, number)
            for number, line in enumerate(header.split("\n"), start=1)
            for word in line.replace("{", " { ").replace("}", " } ").split()
        ]
        self.last_line = self.words[-1][1] if self.words else 1
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.words)

    def take(self, what: str) -> tuple[str, int]:
        if not self:
            reason = f"the hierarchy ends where {what} is needed (is the file cut off?)"
            raise FormatError(self.path, reason, self.last_line)
        self.at += 1
        return self.words[self.at - 1]

    def number(self, what: str) -> float:
        word, line = self.take(f"a number for {what}")
        if word.count(",") == 1 and "." not in word:
            word = word.replace(",", ".")
        return tx.to_number(self.path, word, line, what)

    def name(self, line: int) -> str:
        """The rest of the line up to the opening brace, which may be on the next line."""
        parts = []
        while True:
            word, at_line = self.take("{")
            if word == "{":
                break
            if at_line != line:
                raise FormatError(self.path, f"found {word[:40]!r}, {{ is needed", at_line)
            parts.append(word)
        return " ".join(parts)


def _parse_hierarchy(path: str, header: str) -> Hierarchy:
    words = _Words(path, header)
    word, line = words.take("HIERARCHY")
    if word.upper() != "HIERARCHY":
        raise FormatError(path, f"found {word[:40]!r}, a BVH file begins with HIERARCHY", line)
    result = Hierarchy()
    stack: list[int] = []
    while words:
        word, line = words.take("a joint")
        kind = word.upper()
        if kind in ("ROOT", "JOINT", "END"):
            name = words.name(line)
            _open_joint(path, kind, name, line, result.joints, stack)
            continue
        if not stack:
            raise FormatError(path, f"found {word[:40]!r}, ROOT is needed", line)
        joint = result.joints[stack[-1]]
        if kind == "OFFSET" and joint.offset is None:
            what = f"OFFSET of {joint.name}"
            joint.offset = (words.number(what), words.number(what), words.number(what))
        elif kind == "CHANNELS" and joint.channels is None and not joint.is_end:
            joint.channels = _parse_channels(path, words, line, joint.name)
            joint.first_channel = result.num_channels
            result.num_channels += len(joint.channels)
        elif kind == "}":
            if joint.offset is None:
                raise FormatError(path, f"joint {joint.name!r} has no OFFSET", joint.line)
            stack.pop()
        else:
            raise FormatError(path, f"{word[:40]!r} is not expected in {joint.name!r}", line)
    if not result.joints:
        raise FormatError(path, "no ROOT", words.last_line)
    if stack:
        name = result.joints[stack[-1]].name
        raise FormatError(path, f"joint {name!r} is never closed", words.last_line)
    if result.num_channels == 0:
        raise FormatError(path, "no joint has CHANNELS", words.last_line)
    _name_end_sites(path, result.joints)
    return result


def _open_joint(
    path: str, kind: str, name: str, line: int, joints: list[Joint], stack: list[int]
) -> None:
    if kind == "ROOT" and joints:
        reason = (
            f"a second root {name[:40]!r}; a file with several roots (several bodies, or a prop)"
            " must be split into one file per root"
        )
        raise FormatError(path, reason, line)
    if (kind == "ROOT") == bool(stack):
        where = "inside of" if stack else "outside of"
        raise FormatError(path, f"{kind} {name[:40]!r} {where} a joint", line)
    if stack and joints[stack[-1]].is_end:
        raise FormatError(path, f"{kind} {name[:40]!r} inside of an End Site", line)
    if len(stack) >= MAX_DEPTH or len(joints) >= MAX_JOINTS:
        reason = f"too many joints: at most {MAX_JOINTS}, {MAX_DEPTH} deep, are allowed"
        raise FormatError(path, reason, line)
    if not name or len(name) > tx.MAX_NAME:
        raise FormatError(path, f"a joint needs a name of 1 to {tx.MAX_NAME} characters", line)
    parent = stack[-1] if stack else -1
    stack.append(len(joints))
    joints.append(Joint(name, parent, line, is_end=kind == "END"))


def _parse_channels(path: str, words: _Words, line: int, name: str) -> tuple[str, ...]:
    word, _ = words.take("a number of channels")
    if not word.isascii() or not word.isdigit() or len(word) > 1 or int(word) > 6:
        raise FormatError(path, f"CHANNELS {word[:40]} of {name!r}; allowed: 0 to 6", line)
    channels: list[str] = []
    for _ in range(int(word)):
        channel, at_line = words.take(f"channel {len(channels) + 1} of {word}")
        channel = channel.lower()
        if channel not in POSITIONS + ROTATIONS:
            reason = (
                f"channel {channel[:40]!r} of {name!r}; {word} of Xposition, Yposition,"
                " Zposition, Xrotation, Yrotation, Zrotation are needed"
            )
            raise FormatError(path, reason, at_line)
        if channel in channels:
            raise FormatError(path, f"channel {channel!r} of {name!r} twice", at_line)
        channels.append(channel)
    return tuple(channels)


def _name_end_sites(path: str, joints: list[Joint]) -> None:
    """Refuse names that occur twice, and give end sites theirs."""
    lines: dict[str, int] = {}
    for joint in joints:
        if joint.is_end:
            continue
        if joint.name in lines:
            reason = (
                f"joint {joint.name[:40]!r} has the name of the joint of line"
                f" {lines[joint.name]}; names must differ"
            )
            raise FormatError(path, reason, joint.line)
        lines[joint.name] = joint.line
    for joint in joints:
        if joint.is_end:
            base = name = f"{joints[joint.parent].name}_end"
            count = 1
            while name in lines:
                count += 1
                name = f"{base}{count}"
            joint.name = name
            lines[name] = joint.line


def _parse_motion(
    path: str, text: str, first_line: int, hierarchy: Hierarchy, max_frames: int, fps_given: bool
) -> tuple[np.ndarray, float | None]:
    """Values `[T, num_channels]` and frames per second (None where unreadable but given)."""
    text = tx.points_for_commas(path, text, first_line)
    numbered = ((i, line) for i, line in enumerate(text.split("\n"), start=first_line))
    rows = [(i, line) for i, line in numbered if line and not line.isspace()]
    last_line = rows[-1][0] if rows else first_line
    header: list[tuple[str, int]] = []
    for pattern, wanted in ((_FRAMES, "Frames: N"), (_FRAME_TIME, "Frame Time: SECONDS")):
        if len(rows) <= len(header):
            raise FormatError(path, f"the file ends where {wanted!r} is needed", last_line)
        line, row = rows[len(header)]
        found = pattern.fullmatch(row)
        if found is None:
            raise FormatError(path, f"found {row[:40]!r}, {wanted!r} is needed", line)
        header.append((found[1], line))
    (frames_word, frames_line), (time_word, time_line) = header
    rows = rows[2:]
    if not (frames_word.isascii() and frames_word.isdigit() and len(frames_word) < 12):
        reason = f"Frames: {frames_word[:40]!r}, a whole number is needed"
        raise FormatError(path, reason, frames_line)
    declared = int(frames_word)
    fps: float | None = None
    try:
        fps = tx.fps_of_frame_time(path, time_word, time_line)
    except FormatError:
        if not fps_given:
            raise
    tx.check_size(
        path,
        max(declared, len(rows)),
        len(hierarchy.joints),
        max_frames,
        hierarchy.num_channels,
    )
    values = _parse_rows(path, rows, hierarchy.num_channels)
    if len(rows) != declared:
        what = "fewer" if len(rows) < declared else "more"
        reason = f"{len(rows)} frames, {what} than the {declared} declared in line {frames_line}"
        raise FormatError(path, reason, last_line if len(rows) < declared else rows[declared][0])
    if declared == 0:
        raise FormatError(path, "no frames", frames_line)
    return values, fps


def _parse_rows(path: str, rows: list[tuple[int, str]], num_channels: int) -> np.ndarray:
    """Values `[T, num_channels]`: by NumPy's parser, and where it refuses, word by word."""
    values = np.empty((0, 0))
    if rows:
        with contextlib.suppress(ValueError):
            values = np.loadtxt([row for _, row in rows], comments=None, ndmin=2)
    if values.shape != (len(rows), num_channels):
        values = _parse_words(path, rows, num_channels)
    # One vectorised test for the many good files; the search for the culprit is for the bad ones.
    bad = ~(np.abs(values) <= tx.MAX_VALUE)
    if bad.any():
        frame, column = np.argwhere(bad)[0]
        line, row = rows[frame]
        tx.to_number(path, row.split()[column], line, f"value {column + 1}")
    return values


def _parse_words(path: str, rows: list[tuple[int, str]], num_channels: int) -> np.ndarray:
    """The same, slowly, and so that an error names its line and value."""
    values = np.empty((len(rows), num_channels))
    for i, (line, row) in enumerate(rows):
        words = row.split()
        if len(words) != num_channels:
            reason = f"{len(words)} values, the skeleton has {num_channels} channels"
            raise FormatError(path, reason, line)
        try:
            values[i] = [float(word) for word in words]
        except ValueError:
            for column, word in enumerate(words, start=1):
                tx.to_number(path, word, line, f"value {column}")
            raise
    return values
