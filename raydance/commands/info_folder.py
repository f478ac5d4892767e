"""`raydance info FOLDER`: which public data set it is, and what an ingestion would make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from raydance.errors import FormatError, InputError

_SHOWN = 20
_TRIED = 5
_TRACKS = "it holds 2-D tracks; `raydance ingest --modality tracks` reads them"


def folder_facts(
    path: Path, layout: str | None, seconds: float, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Facts about a folder of motion files.

    Args:
        seconds: how long to read; 0 reads everything.
        given: fields of `raydance.data.ingest.Settings`.

    Raises:
        InputError: no motion there.
    """
    from raydance.data.ingest import Settings
    from raydance.data.survey import survey

    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    try:
        facts = survey([path], layout=layout, settings=settings, seconds=seconds or None)
    except InputError as error:
        if not _holds_tracks(path):
            raise
        raise InputError(f"{error}; {_TRACKS}") from None
    if len(facts["skipped"]) == facts["read"] and _holds_tracks(path):
        facts["notes"] = [*facts["notes"], _TRACKS]
    return {"kind": "folder", "path": path, **facts}


def _holds_tracks(path: Path) -> bool:
    """Whether one of the first files or folders that may be 2-D tracks is."""
    from raydance.data.track_search import find_parts
    from raydance.tracks.formats import ReadOptions, iter_tracks
    from raydance.tracks.track import Track

    options = ReadOptions(frame_size=(640, 480))  # any: only whether there are some counts
    for part in islice(find_parts(path), _TRIED):
        try:
            if part.problem is None and isinstance(next(iter_tracks(part.path, options)), Track):
                return True
        except (FormatError, StopIteration):
            continue
    return False


def folder_text(facts: dict[str, Any]) -> Iterator[str]:
    """The facts as lines."""
    from raydance.data.layouts import LAYOUTS

    layout = facts["layout"]
    if layout is None:
        yield f"{facts['path']}: motion files, no layout of a public data set"
    else:
        title = LAYOUTS[layout].title
        yield f"{facts['path']}: {title}; `raydance ingest --layout {layout}` reads it as such"
    for note in facts["notes"]:
        yield f"  {note}"
    hours = f"{facts['hours']:.2f} hours"
    if facts["read"] < facts["files"]:
        hours = (
            f"about {hours}, by {facts['read']} files that were read (--seconds 0 reads all; "
            "what follows is about these)"
        )
    yield f"{facts['files']} files ({_numbers(facts['suffixes'])}), {hours}"
    yield f"  splits: {_numbers(facts['splits'])}"
    yield f"  captions: {facts['captions']} sentences, {facts['captioned']} files have some"
    if facts["labels"]:
        yield f"  labels: {', '.join(facts['labels'])}"
    if facts["music"]:
        yield f"  music: {facts['music']} pieces"
    yield f"frames per second: {_numbers(facts['rates'])}"
    yield f"skeletons: {_numbers(facts['skeletons'], '; ')}"
    if facts["padded"]:
        yield f"{facts['padded']} windows are of shorter clips and hold their last frame"
    if facts["short"]:
        yield f"{len(facts['short'])} files are too short"
    yield f"{len(facts['skipped'])} files would be skipped"
    for row in facts["skipped"][:_SHOWN]:
        line = f" line {row['line']}" if row["line"] else ""
        yield f"  {row['file']}{line}: {row['reason']}"
    for row in facts["warned"][:_SHOWN]:
        yield f"  warning: {row['file']}: {'; '.join(row['notes'])}"
    left_out = sum(max(0, len(facts[kind]) - _SHOWN) for kind in ("skipped", "warned"))
    if left_out:
        yield f"  and {left_out} more (--json lists all)"


def _numbers(counts: Mapping[str, int], separator: str = ", ") -> str:
    return separator.join(f"{name}: {number}" for name, number in counts.items()) or "none"
