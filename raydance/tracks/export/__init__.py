"""One writer for each file format: a track to a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from raydance.errors import InputError
from raydance.tracks.export import animation, arrays, svg
from raydance.tracks.track import Track

WRITERS: Final[Mapping[str, Callable[..., None]]] = {
    ".npz": arrays.write_npz,
    ".json": arrays.write_json,
    ".svg": svg.write,
    ".gif": animation.write_gif,
    ".mp4": animation.write_mp4,
}
"""Suffix (lower case) -> `write(path, track, **options)`, which writes a whole file or none."""

OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "style": frozenset({".svg", ".gif", ".mp4"}),
    "frames": frozenset({".gif", ".mp4"}),
    "size": frozenset({".gif", ".mp4"}),
}
"""What can be chosen -> the suffixes whose writers take it; see those for the meaning."""


def write_track(path: str | Path, track: Track, **options: Any) -> None:
    """Write a track to a file of the format that its suffix names, whole or not at all.

    Args:
        path: the file; replaced where it exists, its folder is made.
        track: what is written. `.npz` and `.json` hold all of it and can be read again.
        options: of `OPTIONS`.

    Raises:
        InputError: a suffix that cannot be written, an option that its format has no place for, or
            a value that the format cannot have.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        known = ", ".join(WRITERS)
        raise InputError(f"{path}: suffix {suffix or 'missing'}; tracks are written to {known}")
    for option in options:
        assert option in OPTIONS, option
        if suffix not in OPTIONS[option]:
            allowed = ", ".join(s for s in WRITERS if s in OPTIONS[option])
            raise InputError(f"{path}: {option} is for {allowed}, not for {suffix}")
    WRITERS[suffix](path, track, **options)
