"""One reader for each format of tracks: a file or folder to tracks, and what was skipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from raydance.errors import FormatError
from raydance.motion.formats.numpy_file import NpzReader
from raydance.tracks.formats import (
    base,
    coco,
    cotracker,
    jhmdb,
    lasot,
    mevis,
    openpose,
    own,
    tapvid,
    vid_sentence,
)
from raydance.tracks.formats.base import Read, Reader, ReadOptions, Skipped
from raydance.tracks.track import Track

__all__ = [
    "ARRAY_SUFFIXES",
    "FOLDERS",
    "SUFFIXES",
    "ReadOptions",
    "Skipped",
    "TracksRead",
    "iter_tracks",
    "read_tracks",
]


def _npz_reader(path: Path) -> Reader:
    if vid_sentence.is_vid_sentence(path):
        return vid_sentence.read
    with NpzReader(path) as archive:
        keys = archive.keys
    if {"points", "visible", "facts"} <= set(keys):
        return own.read_npz
    if jhmdb.is_jhmdb(keys):
        return jhmdb.read
    if cotracker.is_cotracker(keys):
        return cotracker.read_npz
    reason = f"members {', '.join(keys)[:200]}; tracks are in pred_tracks or points"
    raise FormatError(str(path), reason)


def _json_reader(path: Path) -> Reader:
    content = base.read_json(path)
    if coco.is_coco(content):
        return partial(coco.read, content=content)
    if openpose.is_kinetics(content):
        return partial(openpose.read_kinetics, content=content)
    if isinstance(content, dict) and "points" in content:
        return partial(own.read_json, content=content)
    if isinstance(content, dict) and "people" in content:
        raise FormatError(str(path), "a single frame of OpenPose; give the folder of its frames")
    raise FormatError(str(path), "no tracks: neither COCO's keypoints, a skeleton clip nor our own")


SUFFIXES: Final[Mapping[str, Callable[[Path], Reader]]] = {
    ".npz": _npz_reader,
    ".pt": lambda path: cotracker.read_pt,
    ".pth": lambda path: cotracker.read_pt,
    ".pkl": lambda path: tapvid.read,
    ".json": _json_reader,
}
"""Suffix (lower case) -> which reader a file of that suffix needs."""

ARRAY_SUFFIXES: Final = (".npz", ".pt", ".pth")
"""Of files beside which a .json is a side-car."""

FOLDERS: Final[tuple[tuple[Callable[[Path], bool], Reader], ...]] = (
    (vid_sentence.is_vid_sentence, vid_sentence.read),
    (mevis.is_mevis, mevis.read),
    (openpose.is_openpose, openpose.read),
    (lasot.is_lasot, lasot.read),
)
"""Whether a folder as a whole is of a format -> its reader. In others each file is read."""


@dataclass(frozen=True)
class TracksRead:
    """What a file or folder held."""

    tracks: list[Track]
    skipped: list[Skipped]


def read_tracks(path: str | Path, options: ReadOptions | None = None) -> TracksRead:
    """All tracks of a file or folder; `iter_tracks` needs less memory.

    Raises:
        FormatError: as `iter_tracks`.
    """
    tracks, skipped = [], []
    for found in iter_tracks(path, options):
        if isinstance(found, Track):
            tracks.append(found)
        else:
            skipped.append(found)
    return TracksRead(tracks, skipped)


def iter_tracks(path: str | Path, options: ReadOptions | None = None) -> Read:
    """The tracks of a file or folder of any known format, one after the other.

    A folder is read as a whole where it is of one format (VID-Sentence, MeViS, OpenPose, LaSOT);
    otherwise each file in it with a known suffix, of which those that cannot be read are skipped.

    Args:
        path: the file or folder.
        options: what the files do not say.

    Yields:
        `Track`, or `Skipped` for a part that gave none.

    Raises:
        FormatError: an unknown suffix, or a file that cannot be read; says where and why.
    """
    try:
        yield from _found(Path(path), options or ReadOptions())
    except OSError as error:
        raise FormatError(str(path), f"cannot be read ({error.strerror or error})") from None


def _found(path: Path, options: ReadOptions) -> Read:
    if path.is_dir():
        for is_of, read in FOLDERS:
            if is_of(path):
                yield from read(path, options)
                return
        yield from _each_file(path, options)
        return
    if not path.is_file():
        raise FormatError(str(path), "no such file or folder")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        reason = f"suffix {suffix or 'missing'}; tracks are in {', '.join(SUFFIXES)} or a folder"
        raise FormatError(str(path), reason)
    yield from SUFFIXES[suffix](path)(path, options)


def _each_file(folder: Path, options: ReadOptions) -> Read:
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file())
    sidecars = {f for f in files if f.suffix.lower() == ".json" and _has_tracks_beside(f)}
    files = [file for file in files if file not in sidecars]
    if not files:
        reason = f"no tracks in this folder; files end in {', '.join(SUFFIXES)}"
        raise FormatError(str(folder), reason)
    for file in files:
        try:
            yield from iter_tracks(file, options)
        except FormatError as error:
            yield Skipped.because(error)


def _has_tracks_beside(path: Path) -> bool:
    return any(path.with_suffix(suffix).is_file() for suffix in ARRAY_SUFFIXES)
