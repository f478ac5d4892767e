"""Files and folders of tracks below a folder. Links are followed; what cannot be read is named.

A folder of one format (VID-Sentence, MeViS, OpenPose, LaSOT) is one part; in any other folder each
file of a known suffix is one. Every folder is searched once, however many links lead to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raydance.plain_text import one_line
from raydance.tracks.formats import ARRAY_SUFFIXES, FOLDERS, SUFFIXES


@dataclass(frozen=True, kw_only=True)
class TrackPart:
    """What is read at once, or a place where tracks may be that cannot be read.

    Attributes:
        name: its path from the searched folder on.
        problem: why it cannot be read; None for what can be tried.
    """

    path: Path
    name: str
    problem: str | None = None


def find_parts(place: Path, also: Sequence[str] = ()) -> Iterator[TrackPart]:
    """The parts among or below a place, which exists; hidden files (`.x`) are left out.

    Args:
        also: further suffixes of files that are parts, such as those of videos.
    """
    if place.is_file() or _is_whole(place):
        yield TrackPart(path=place, name=one_line(place.name))
        return
    searched: set[str] = set()
    waiting, links = [(place, "")], list[tuple[Path, str]]()
    while waiting or links:
        folder, prefix = waiting.pop() if waiting else links.pop(0)
        real = os.path.realpath(folder)
        if real in searched:
            continue
        searched.add(real)
        try:
            if folder != place and _is_whole(folder):
                yield TrackPart(path=folder, name=one_line(prefix.rstrip("/")))
                continue
            entries = sorted(folder.iterdir())
        except OSError as error:
            problem = f"a folder that cannot be searched ({error.strerror})"
            yield TrackPart(path=folder, name=one_line(prefix or folder.name), problem=problem)
            continue
        folders: list[tuple[Path, str]] = []
        for path in entries:
            if path.name.startswith("."):
                continue
            name = f"{prefix}{path.name}"
            if path.is_dir():
                (links if path.is_symlink() else folders).append((path, f"{name}/"))
            elif path.is_symlink() and not path.exists():
                yield TrackPart(path=path, name=one_line(name), problem="a link that leads nowhere")
            elif path.suffix.lower() in (*SUFFIXES, *also) and not _is_side_car(path, also):
                wrong = None if path.is_file() else "not a regular file"
                yield TrackPart(path=path, name=one_line(name), problem=wrong)
        waiting += folders[::-1]


def _is_whole(folder: Path) -> bool:
    """Whether a folder is of one format."""
    return any(is_of(folder) for is_of, _ in FOLDERS)


def _is_side_car(path: Path, also: Sequence[str]) -> bool:
    """Whether a file is the side-car of one with tracks."""
    is_json = path.suffix.lower() == ".json"
    return is_json and any(path.with_suffix(one).is_file() for one in (*ARRAY_SUFFIXES, *also))
