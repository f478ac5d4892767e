"""LaSOT-style folders: `groundtruth.txt` (x,y,width,height per frame) and `nlp.txt` (a sentence).

Optional beside them: `full_occlusion.txt` and `out_of_view.txt` (0 or 1 per frame, separated by
commas or lines), and `img/` with the pictures, whose first tells the frame size.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion.formats import text as tx
from raydance.tracks.formats import base
from raydance.tracks.formats.base import Read, ReadOptions, Skipped
from raydance.tracks.formats.boxes import points_in_boxes
from raydance.tracks.track import Track

BOXES, SENTENCE = "groundtruth.txt", "nlp.txt"
_FPS: Final = 30.0
_PICTURES: Final = (".jpg", ".jpeg", ".png")
_DEPTH: Final = 2  # class, then sequence


def is_lasot(path: Path) -> bool:
    """Whether a folder is a sequence, or holds sequences."""
    return path.is_dir() and next(_sequences(path, _DEPTH), None) is not None


def read(path: Path, options: ReadOptions) -> Read:
    """A track for each sequence; those that are damaged are skipped."""
    for folder in _sequences(path, _DEPTH):
        try:
            yield _track(folder, options)
        except FormatError as error:
            yield Skipped.because(error)


def _sequences(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / BOXES).is_file():
        yield folder
    elif depth:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
        for name in names:
            yield from _sequences(folder / name, depth - 1)


def _track(folder: Path, options: ReadOptions) -> Track:
    path = folder / BOXES
    boxes = _boxes(path)
    hidden = np.zeros(len(boxes), bool)
    for name in ("full_occlusion.txt", "out_of_view.txt"):
        if (folder / name).is_file():
            hidden |= _flags(folder / name, len(boxes))
    # Annotators write a box without size where they saw nothing.
    there = (boxes[:, 2:] > 0).all(axis=1)
    frames = np.flatnonzero(there)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)[there]
    points, visible = points_in_boxes(corners, frames, ~hidden[there], options.grid_side, str(path))
    captions: tuple[str, ...] = ()
    if (folder / SENTENCE).is_file():
        lines = tx.read_text(folder / SENTENCE, 1 << 20).split("\n")
        captions = base.captions_of(lines, str(folder / SENTENCE))
    size = options.frame_size or _size(folder)
    return Track(
        track_id=folder.name,
        source=str(path),
        points=points,
        visible=visible,
        frame_size=base.size_of(size, options, str(folder)),
        fps=options.fps or _FPS,
        captions=captions,
        labels={"class": folder.name.rpartition("-")[0] or folder.name},
        video=folder.name,
        start_frame=int(frames[0]),
    )


def _boxes(path: Path) -> np.ndarray:
    """`[T, 4]` (x, y, width, height)."""
    rows = []
    for number, line in enumerate(tx.read_text(path).rstrip("\n").split("\n"), start=1):
        words = [word for word in re.split(r"[,\s]+", line.strip()) if word]
        if len(words) != 4:
            raise FormatError(str(path), f"{len(words)} numbers; x,y,width,height", number)
        nan = "nan"
        rows.append(
            [0.0 if w.lower() == nan else tx.to_number(str(path), w, number, "box") for w in words]
        )
        if len(rows) > base.MAX_FRAMES:
            raise FormatError(str(path), f"more than {base.MAX_FRAMES} frames", number)
    return np.array(rows)


def _flags(path: Path, count: int) -> np.ndarray:
    words = [word for word in re.split(r"[,\s]+", tx.read_text(path)) if word]
    if len(words) != count or not set(words) <= {"0", "1"}:
        raise FormatError(str(path), f"{len(words)} values; {count} of 0 or 1 are needed")
    return np.array(words) == "1"


def _size(folder: Path) -> tuple[int, int] | None:
    pictures = folder / "img"
    if not pictures.is_dir():
        return None
    with os.scandir(pictures) as entries:
        names = [e.name for e in entries if Path(e.name).suffix.lower() in _PICTURES]
    return base.size_of_picture(pictures / min(names), str(pictures)) if names else None
