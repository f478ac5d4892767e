"""One writer for each file format: a clip to a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.motion.export import bvh, glb, npz, video
from raydance.motion.export.edits import Edits, edited
from raydance.motion.export.written_file import WrittenFile

WRITERS: Final[Mapping[str, Callable[..., WrittenFile]]] = {
    ".npz": npz.write,
    ".bvh": bvh.write,
    ".glb": glb.write,
    ".gif": video.write_gif,
    ".mp4": video.write_mp4,
}
"""Suffix (lower case) -> `write(path, clip, **options)`, which writes a whole file or none."""

OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "unit": frozenset({".bvh"}),
    "up": frozenset({".bvh"}),
    "names": frozenset({".bvh", ".glb"}),
    "limits": frozenset({".npz", ".bvh", ".glb"}),
    "follow": frozenset({".gif", ".mp4"}),
}
"""What can be chosen -> the suffixes whose writers take it; see those for the meaning."""


def is_writable(suffix: str) -> bool:
    """Whether a suffix can be written here: `.mp4` needs ffmpeg."""
    return suffix in WRITERS and (suffix != ".mp4" or video.has_ffmpeg())


def check_suffix(path: str | Path, **options: Any) -> None:
    """Say early what `write_clip` would refuse about a file's name.

    Raises:
        InputError: a suffix that cannot be written, or an option that its format has no place for.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        found = suffix or "missing"
        raise InputError(f"{path}: suffix {found}; motion is written to {', '.join(WRITERS)}")
    for option in options:
        assert option in OPTIONS, option
        if suffix not in OPTIONS[option]:
            allowed = ", ".join(s for s in WRITERS if s in OPTIONS[option])
            raise InputError(f"{path}: {option} is for {allowed}, not for {suffix}")


def write_clip(
    path: str | Path, clip: Clip, edits: Edits | None = None, **options: Any
) -> WrittenFile:
    """Write a motion file of the format that its suffix names, whole or not at all.

    Args:
        path: the file; replaced where it exists, its folder is made.
        clip: what is written.
        edits: what is changed about it before.
        options: of `OPTIONS`.

    Returns:
        How far the file's joints are from the clip's, and what else a user should know.

    Raises:
        InputError: as `check_suffix`, or a clip or value that the format cannot have.
    """
    check_suffix(path, **options)
    if edits is not None:
        clip = edited(clip, edits)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return WRITERS[path.suffix.lower()](path, clip, **options)
