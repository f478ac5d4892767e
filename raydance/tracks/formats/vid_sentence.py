"""VID-Sentence (Chen and others 2019) repacked: `tracks.npz` beside `tracks.jsonl`.

The .npz holds `box` `[sum T, 4]` (left, top, right, bottom), `occluded` and `frame` `[sum T]`; a
line of the .jsonl is a track: `video`, `track`, `split`, `class`, `start` and `length` of its rows,
`width`, `height` and `sentences`.

ImageNet VID calls an object occluded when a part of it is hidden, and gives the box of what is
seen: such boxes count as visible, and the share of them is a label. Videos of its training split
are cut from longer ones, which all but the last three digits of their names number.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion.formats import text as tx
from raydance.motion.formats.numpy_file import NpzReader
from raydance.tracks.formats import base
from raydance.tracks.formats.base import Read, ReadOptions, Skipped
from raydance.tracks.formats.boxes import points_in_boxes
from raydance.tracks.track import SPLITS, Track

_FPS: Final = 30.0  # ImageNet VID does not say; most of its videos have 25 to 30
_SNIPPET: Final = re.compile(r"(ILSVRC\d+_train_\d+)\d{3}")
BOXES, LINES = "tracks.npz", "tracks.jsonl"


def is_vid_sentence(path: Path) -> bool:
    """Whether a folder holds both files, or a file is the first of them."""
    if path.is_dir():
        return (path / BOXES).is_file() and (path / LINES).is_file()
    return path.name == BOXES and (path.parent / LINES).is_file()


def read(path: Path, options: ReadOptions) -> Read:
    """A track for each line; lines that make no sense are skipped."""
    folder = path if path.is_dir() else path.parent
    with NpzReader(folder / BOXES) as archive:
        for key in ("box", "occluded", "frame"):
            if key not in archive:
                raise FormatError(str(folder / BOXES), f"{key} is missing")
        rows = {key: archive.read(key) for key in ("box", "occluded", "frame")}
    count = len(rows["frame"])
    shapes = {"box": (count, 4), "occluded": (count,), "frame": (count,)}
    for key, shape in shapes.items():
        if rows[key].shape != shape or rows[key].dtype.kind not in "biuf":
            found = f"shape {rows[key].shape} and type {rows[key].dtype}"
            raise FormatError(f"{folder / BOXES} [{key}]", f"{found}; {shape} is needed")
    lines = tx.read_text(folder / LINES).split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _track(folder / LINES, number, line, rows, options)
            except FormatError as error:
                yield Skipped.because(error)


def _track(
    path: Path, number: int, line: str, rows: dict[str, np.ndarray], options: ReadOptions
) -> Track:
    place = f"{path} line {number}"
    try:
        facts: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(str(path), f"not JSON ({str(error)[:80]})", number) from None
    facts = base.mapping(facts, place)
    start, length = facts.get("start"), facts.get("length")
    if type(start) is not int or type(length) is not int:
        raise FormatError(str(path), "start and length: whole numbers are needed", number)
    if start < 0 or length < 1 or start + length > len(rows["frame"]):
        reason = f"rows {start} to {start + length} of {len(rows['frame'])}"
        raise FormatError(str(path), reason, number)
    split = facts.get("split")
    if split not in (None, *SPLITS):
        raise FormatError(str(path), f"split {str(split)[:40]!r}", number)
    part = slice(start, start + length)
    frames = rows["frame"][part].astype(int)
    boxes = rows["box"][part].astype(float)
    points, visible = points_in_boxes(
        boxes, frames, np.ones(length, bool), options.grid_side, place
    )
    video = base.name_of(facts.get("video"), place)
    object_id = base.name_of(facts.get("track"), place)
    return Track(
        track_id=f"{video}/{object_id}",
        source=str(path),
        points=points,
        visible=visible,
        frame_size=base.size_of([facts.get("width"), facts.get("height")], options, place),
        fps=options.fps or _FPS,
        captions=base.captions_of(facts.get("sentences"), place),
        labels={
            "class": base.name_of(facts.get("class", ""), place),
            "occluded_share": f"{rows['occluded'][part].astype(bool).mean():.2f}",
        },
        video=video,
        recording=snippet[1] if (snippet := _SNIPPET.fullmatch(video)) else video,
        object_id=object_id,
        start_frame=max(int(frames[0]) - 1, 0),
        split=split,
    )
