"""Tracks that raydance wrote: .npz and .json of `tracks.export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from raydance.errors import FormatError
from raydance.motion.formats import text as tx
from raydance.motion.formats.numpy_file import NpzReader
from raydance.tracks.export.arrays import FORMAT, VERSION
from raydance.tracks.formats import base
from raydance.tracks.formats.base import Read, ReadOptions
from raydance.tracks.track import SPLITS, Track


def read_npz(path: Path, options: ReadOptions) -> Read:
    """The track of an .npz with `points`, `visible` and `facts`."""
    with NpzReader(path) as archive:
        points, visible = archive.read("points"), archive.read("visible")
        text = archive.read("facts")
    if text.dtype.kind != "U" or text.size != 1:
        raise FormatError(f"{path} [facts]", f"found {text.dtype} {text.shape}; text is needed")
    try:
        facts = json.loads(str(text.reshape(())[()]))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} [facts]", f"not JSON ({str(error)[:100]})") from None
    yield _track(points, visible, facts, str(path), options)


def read_json(path: Path, options: ReadOptions, content: Any) -> Read:
    """The track of a JSON file's content."""
    place = str(path)
    facts = base.mapping(content, place)
    try:
        points = np.array(facts.get("points"), np.float32)
        visible = np.array(facts.get("visible"), bool)
    except (ValueError, TypeError, OverflowError):
        reason = "points or visible: lists [T][N][2] and [T][N] are needed"
        raise FormatError(place, reason) from None
    yield _track(points, visible, facts, place, options)


def _track(
    points: np.ndarray, visible: np.ndarray, facts: Any, place: str, options: ReadOptions
) -> Track:
    facts = base.mapping(facts, place)
    if facts.get("format") != FORMAT or facts.get("version") != VERSION:
        found = f"{str(facts.get('format'))[:40]} version {str(facts.get('version'))[:10]}"
        raise FormatError(place, f"{found}; {FORMAT} version {VERSION} is read")
    points, visible = base.checked(points, visible, place)
    labels = base.mapping(facts.get("labels", {}), place)
    split, start = facts.get("split"), facts.get("start_frame", 0)
    if split not in (None, *SPLITS):
        raise FormatError(place, f"split {str(split)[:40]!r}; allowed: {', '.join(SPLITS)}")
    if type(start) is not int or not 0 <= start <= 1 << 31:
        raise FormatError(place, f"start_frame {str(start)[:40]}; a whole number is needed")
    return Track(
        track_id=base.name_of(facts.get("track_id"), place),
        source=place,
        points=points,
        visible=visible,
        frame_size=base.size_of(facts.get("frame_size"), options, place),
        fps=options.fps or tx.check_rate(facts.get("fps"), place),
        captions=base.captions_of(facts.get("captions"), place),
        labels={base.name_of(k, place): base.name_of(v, place) for k, v in labels.items()},
        video=base.name_of(facts.get("video", ""), place),
        object_id=base.name_of(facts.get("object_id", ""), place),
        start_frame=start,
        split=split,
    )
