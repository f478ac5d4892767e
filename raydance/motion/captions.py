"""Captions and labels that come beside motion files.

A caption file has one JSON object per line: `{"file": "walk.bvh", "captions": ["a person walks"]}`.
Several lines may name parts of one file; the file stays one recording, so that its parts never
meet in different splits. Labels stand in a side-car `<stem>.json` beside a motion file.
"""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from raydance.config import read_small_yaml
from raydance.errors import FormatError, InputError
from raydance.motion.clip import Clip
from raydance.plain_text import decoded, is_file_name, one_line, sentence

SPLITS: Final = ("train", "val", "test")

_MAX_LINE_BYTES: Final = 1 << 20
_MAX_ROWS: Final = 5_000_000
_MAX_SIDECAR_BYTES: Final = 1 << 20
_MAX_CHARACTERS: Final = 20_000

_ALLOWED: Final = {
    "file": "text, a path relative to this file",
    "captions": "a list of sentences of at most 20000 characters, at least one",
    "start_frame": "a whole number from 0",
    "end_frame": "a whole number above start_frame (that frame is the first left out)",
    "fps": "a number above 0",
    "skeleton": "text, a path relative to this file",
    "clip": "text, the clip's name",
    "split": "train, val or test",
    "metres_per_unit": "a number above 0",
}
# Facts that caption files in use carry and that say nothing a reader needs.
_NOTES: Final = (
    "caption_sources",
    "derived",
    "confidence",  # these two are written by `raydance caption`, and not needed to train
    "is_unlike_training",
    "joints",
    "bvh_frame_time",
    "source",
    "license",
    "note",
)

SIDECAR_FACTS: Final = ("joint_names", "parents", "fps", "metres_per_unit", "up")
"""Keys of a side-car that describe the motion (see `formats.sidecar`) and are no labels."""


@dataclass(frozen=True, kw_only=True)
class CaptionRow:
    """One line of a caption file.

    Attributes:
        file: the motion file, relative paths resolved against the caption file's folder.
        captions: its sentences.
        start_frame: first frame of the part.
        end_frame: first frame after the part; None for the end of the file.
        fps: the true frame rate, where the file's own is wrong.
        skeleton: the file that holds the skeleton (ASF for AMC).
        clip_id: the part's name; None for the default.
        split: `train`, `val` or `test` where fixed.
        metres_per_unit: the file's unit, where given.
        num_derived: how many of its captions the file marks as written by no person.
        span_s: the part in seconds, where the frames follow from the file's rate (see `on_frames`).
        labels: facts about the part, as in `Clip`.
        line: 1-based line in the caption file.
    """

    file: Path
    captions: tuple[str, ...]
    start_frame: int = 0
    end_frame: int | None = None
    fps: float | None = None
    skeleton: Path | None = None
    clip_id: str | None = None
    split: str | None = None
    metres_per_unit: float | None = None
    num_derived: int = 0
    span_s: tuple[float, float] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    line: int = 0


def read_captions(path: str | Path) -> tuple[CaptionRow, ...]:
    """Read a caption file (JSON lines, UTF-8; blank lines are skipped).

    Raises:
        FormatError: names the line and key that is wrong, what was found and what is allowed.
    """
    path = Path(path)
    rows: list[CaptionRow] = []
    unknown: set[str] = set()
    splits: dict[Path, tuple[str | None, int]] = {}
    encodings: dict[str, int] = {}  # -> first line
    try:
        with open(path, "rb") as stream:
            number = 0
            while block := stream.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(block) > _MAX_LINE_BYTES:
                    raise FormatError(str(path), f"more than {_MAX_LINE_BYTES} bytes", number)
                if number == 1:
                    block = block.removeprefix(b"\xef\xbb\xbf")
                if not block.strip():
                    continue
                if len(rows) >= _MAX_ROWS:
                    raise FormatError(str(path), f"more than {_MAX_ROWS} lines", number)
                row, extra, encoding = _parse(path, block, number)
                encodings.setdefault(encoding, number)
                split, line = splits.setdefault(row.file, (row.split, number))
                if split != row.split:
                    reason = (
                        f"split {row.split or 'not given'}, but line {line} says "
                        f"{split or 'not given'} for the same file; a recording has one split"
                    )
                    raise FormatError(str(path), reason, number)
                rows.append(row)
                unknown |= extra
    except OSError as error:
        raise FormatError(str(path), f"cannot be read ({error.strerror or error})") from None
    if not rows:
        raise FormatError(str(path), "no captions: one JSON object per line is needed")
    for encoding, number in encodings.items():
        if encoding != "utf-8":
            reason = f"not UTF-8 text in line {number}; such lines are read as {encoding}"
            warnings.warn(f"{path}: {reason}", stacklevel=2)
    if unknown:
        names = ", ".join(sorted(unknown))
        warnings.warn(f"{path}: keys that mean nothing here: {names}", stacklevel=2)
    if derived := sum(row.num_derived for row in rows):
        total = sum(len(row.captions) for row in rows)
        reason = f"{derived} of {total} captions are marked as derived, and taken as if written"
        warnings.warn(f"{path}: {reason}", stacklevel=2)
    return tuple(rows)


def on_frames(row: CaptionRow, fps: float, num_frames: int) -> CaptionRow:
    """The row with its part in frames of a file; what ends after the file ends with it."""
    if row.span_s is None:
        return row
    begin, end = (round(second * fps) for second in row.span_s)
    return replace(row, start_frame=begin, end_frame=min(end, num_frames), span_s=None)


def apply_row(clip: Clip, row: CaptionRow) -> Clip:
    """The part of a whole file's clip that a row is about, with its captions.

    The recording stays the whole file's. A part without a name of its own is called after its
    frames unless it is the whole file. The row's `fps` and unit are for the reader, not for here.

    Raises:
        InputError: the file has fewer frames than the row says.
    """
    end = clip.num_frames if row.end_frame is None else row.end_frame
    if end > clip.num_frames or row.start_frame >= end:
        raise InputError(
            f"{clip.source}: frames {row.start_frame} to {end} (captions line {row.line}), "
            f"the file has {clip.num_frames}"
        )
    part = slice(row.start_frame, end)
    is_whole = row.start_frame == 0 and row.end_frame is None
    clip_id = row.clip_id or (clip.clip_id if is_whole else f"{clip.clip_id}@{part.start}-{end}")
    return replace(
        clip,
        clip_id=clip_id,
        positions=clip.positions[part],
        rotations=None if clip.rotations is None else clip.rotations[part],
        captions=row.captions,
        recording=clip.recording,
        split=row.split or clip.split,
    )


def labels_from_sidecar(
    path: str | Path, names: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, str]:
    """Labels of a motion file from the side-car `<stem>.json` beside it.

    Args:
        path: the motion file.
        names: label -> value -> word, as `load_label_names` gives; values without a word stay.

    Returns:
        label -> value as text; empty if there is no side-car.

    Raises:
        FormatError: the side-car is not an object of texts and numbers.
    """
    labels = {}
    for key, value in read_sidecar(path).items():
        if key in SIDECAR_FACTS:
            continue
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            reason = f"{key}: found {_shorten(value)}; text or a number is needed"
            raise FormatError(str(sidecar_of(path)), reason)
        text = sentence(str(value))
        labels[sentence(key)] = (names or {}).get(key, {}).get(text, text)
    return labels


def load_label_names(path: str | Path) -> dict[str, dict[str, str]]:
    """Words for label values from YAML or JSON: `content: {0: bow, 1: bye}` or `[bow, bye]`.

    Raises:
        InputError: an unreadable file or another form.
    """
    path = Path(path)
    data = read_small_yaml(path, "label names", _MAX_SIDECAR_BYTES)
    if not isinstance(data, dict):
        raise InputError(f"{path}: found {type(data).__name__}, `label: {{value: word}}` is needed")
    out: dict[str, dict[str, str]] = {}
    for label, words in data.items():
        pairs = dict(enumerate(words)) if isinstance(words, list) else words
        if not isinstance(pairs, dict) or not all(isinstance(w, str) for w in pairs.values()):
            reason = f"{label}: found {_shorten(words)}; a list of words or value: word"
            raise InputError(f"{path}: {reason} is needed")
        out[str(label)] = {str(value): sentence(word) for value, word in pairs.items()}
    return out


def sidecar_of(path: str | Path) -> Path:
    """Where the side-car of a motion file is: `walk.bvh` -> `walk.json`."""
    return Path(path).with_suffix(".json")


def read_sidecar(path: str | Path) -> dict[str, Any]:
    """All that the side-car of a motion file says; empty if there is none.

    Raises:
        FormatError: it is not a JSON object, or larger than any side-car.
    """
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return {}
    name = str(sidecar)
    try:
        if sidecar.stat().st_size > _MAX_SIDECAR_BYTES:
            raise FormatError(name, f"larger than {_MAX_SIDECAR_BYTES} bytes; not a side-car")
        data = _json_of(sidecar.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(name, f"not readable as JSON ({error})") from None
    if not isinstance(data, dict):
        raise FormatError(name, f"found {type(data).__name__}, an object of labels is needed")
    return data


def _json_of(data: bytes) -> Any:
    """JSON of any encoding."""
    try:
        return json.loads(data)  # UTF-8, -16 or -32
    except UnicodeDecodeError:
        return json.loads(decoded(data)[0])


def _parse(path: Path, block: bytes, line: int) -> tuple[CaptionRow, set[str], str]:
    """A row, the keys in it that are unknown, and its encoding."""
    name = str(path)
    try:
        text, encoding = decoded(block)
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(name, f"not a JSON object ({error})", line) from None
    if not isinstance(data, dict):
        reason = f"found {_shorten(data)}; an object with {', '.join(_ALLOWED)} is needed"
        raise FormatError(name, reason, line)
    for key in ("file", "captions"):
        if key not in data:
            raise FormatError(name, f"no `{key}`: {_ALLOWED[key]} is needed", line)
    unknown = set(data) - set(_ALLOWED) - set(_NOTES)
    for key in sorted(unknown):
        near = difflib.get_close_matches(key, _ALLOWED, n=1, cutoff=0.75)
        if near:
            reason = f"unknown key {key} (did you mean {near[0]}?); known: {', '.join(_ALLOWED)}"
            raise FormatError(name, reason, line)
    for key, value in data.items():
        if key in _ALLOWED and not _is_allowed(key, value, data):
            reason = f"{key}: found {_shorten(value)}; allowed: {_ALLOWED[key]}"
            raise FormatError(name, reason, line)
    folder = path.parent
    row = CaptionRow(
        file=folder / data["file"],
        captions=tuple(map(sentence, data["captions"])),
        start_frame=data.get("start_frame", 0),
        end_frame=data.get("end_frame"),
        fps=_number(data.get("fps")),
        skeleton=folder / data["skeleton"] if "skeleton" in data else None,
        clip_id=one_line(data["clip"]) if "clip" in data else None,
        split=data.get("split"),
        metres_per_unit=_number(data.get("metres_per_unit")),
        num_derived=_num_derived(data),
        line=line,
    )
    return row, unknown, encoding


def _num_derived(data: Mapping[str, Any]) -> int:
    marks = data.get("derived")
    return sum(mark is True for mark in marks) if isinstance(marks, list) else 0


def _is_allowed(key: str, value: Any, row: Mapping[str, Any]) -> bool:
    if key in ("file", "skeleton", "clip"):
        is_text = isinstance(value, str) and bool(value.strip()) and "\0" not in value
        return is_text and (key == "clip" or is_file_name(value))
    if key == "captions":
        return (
            isinstance(value, list)
            and bool(value)
            and all(isinstance(v, str) and 0 < len(sentence(v)) <= _MAX_CHARACTERS for v in value)
        )
    if key == "split":
        return value in SPLITS
    if key in ("start_frame", "end_frame"):
        start = row.get("start_frame", 0) if key == "end_frame" else -1
        return type(value) is int and type(start) is int and value > start
    return type(value) in (int, float) and 0 < value < 1e9  # false for NaN, too


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
