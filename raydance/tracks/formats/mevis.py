"""MeViS: masks of objects (`mask_dict.json`, run-length encoded) and `meta_expressions.json`.

A track is an object of a video. A grid in its first mask moves, grows and shrinks with the box of
its mask in the other frames; a point tracker's output on the same video is better where there is
one (see `cotracker`). Its captions are the expressions about this object alone: those about several
objects at once are skipped, for a track is of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.tracks import grid
from raydance.tracks.formats import base, rle
from raydance.tracks.formats.base import Read, ReadOptions, Skipped
from raydance.tracks.track import Track

MASKS, EXPRESSIONS = "mask_dict.json", "meta_expressions.json"
_FPS: Final = 6.0  # not stated; MeViS takes its frames from videos of several rates
_MAX_BYTES: Final = 2 << 30


def is_mevis(path: Path) -> bool:
    """Whether a folder holds both files."""
    return path.is_dir() and (path / MASKS).is_file() and (path / EXPRESSIONS).is_file()


def read(path: Path, options: ReadOptions) -> Read:
    """A track for each object that an expression is about."""
    masks = base.mapping(base.read_json(path / MASKS, _MAX_BYTES), str(path / MASKS))
    content = base.mapping(base.read_json(path / EXPRESSIONS), str(path / EXPRESSIONS))
    videos = base.mapping(content.get("videos"), f"{path / EXPRESSIONS} [videos]")
    for video in sorted(videos):
        place = f"{path / EXPRESSIONS} [{video[:80]}]"
        try:
            sentences, together = _sentences(videos[video], place)
        except FormatError as error:
            yield Skipped.because(error)
            continue
        for number, count in together:
            yield Skipped(f"{place} [{number}]", f"an expression about {count} objects; about one")
        for name, captions in sentences.items():
            try:
                yield _track(path, video, name, captions, masks, options)
            except FormatError as error:
                yield Skipped.because(error)


def _sentences(video: Any, place: str) -> tuple[dict[str, list[str]], list[tuple[str, int]]]:
    """Mask's name -> expressions about it alone; and (expression, objects) about several."""
    expressions = base.mapping(base.mapping(video, place).get("expressions"), place)
    sentences: dict[str, list[str]] = {}
    together = []
    for number, found in expressions.items():
        facts = base.mapping(found, f"{place} [{number}]")
        names = facts.get("anno_id")
        if names is None:
            raise FormatError(place, "expressions without anno_id: this part hides its masks")
        names = names if isinstance(names, list) else [names]
        if len(names) == 1 and isinstance(facts.get("exp"), str):
            sentences.setdefault(str(names[0]), []).append(facts["exp"])
        else:
            together.append((number, len(names)))
    return sentences, together


def _track(
    path: Path,
    video: str,
    name: str,
    captions: list[str],
    masks: Mapping[str, Any],
    options: ReadOptions,
) -> Track:
    place = f"{path / MASKS} [{name[:40]}]"
    found = masks.get(name)
    if not isinstance(found, list):
        raise FormatError(place, "no masks of this object")
    base.check_length(len(found), options.grid_side**2, place)
    boxes, frames, sizes = [], [], set()
    for frame, encoded in enumerate(found):
        if encoded is not None:
            box, size = rle.box(encoded, f"{place} frame {frame}")
            sizes.add(size)
            if len(sizes) > 1:
                raise FormatError(place, f"frame {frame}: another size than the frames before")
            if box is not None:
                boxes.append(box)
                frames.append(frame)
    if not frames:
        raise FormatError(place, "the object is in no frame")
    first = rle.decode(found[frames[0]], place)
    start = grid.grid_in_mask(first, options.grid_side)
    points, visible = _moved(start, np.array(boxes), np.array(frames))
    return Track(
        track_id=f"{video}/{name}",
        source=str(path),
        points=points,
        visible=visible,
        frame_size=base.size_of([first.shape[1], first.shape[0]], options, place),
        fps=options.fps or _FPS,
        captions=base.captions_of(captions, place),
        video=video,
        object_id=name,
        start_frame=frames[0],
    )


def _moved(
    start: np.ndarray, boxes: np.ndarray, frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points that keep their place in the box; frames without a mask are interpolated."""
    clock = np.arange(frames[0], frames[-1] + 1)
    whole = np.stack([np.interp(clock, frames, boxes[:, i]) for i in range(4)], axis=-1)
    share = (start - boxes[0, :2]) / (boxes[0, 2:] - boxes[0, :2])
    points = whole[:, None, :2] + share * (whole[:, None, 2:] - whole[:, None, :2])
    seen = np.isin(clock, frames)
    return points.astype(np.float32), np.repeat(seen[:, None], len(start), axis=1)
