"""Motion files below folders. Links are followed; what cannot be looked into is named.

Every folder is searched once, however many links lead to it, so links may go in circles. Folders
come before links to them: files keep the names that they have without the links.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raydance.errors import InputError
from raydance.motion.captions import CaptionRow
from raydance.motion.formats import SUFFIXES
from raydance.plain_text import one_line


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A motion file, or a place where some may be that cannot be read.

    Attributes:
        name: its path without suffix, from the source folder's name on.
        problem: why it cannot be read; None for a file.
        recording: what its split is decided by, where that is known; its name otherwise.
        split: `train`, `val` or `test` where published.
        rows: its captions and parts, beside those of caption files.
        labels: facts about it, as in `Clip`.
        reading: arguments of `read_clip` that the data set fixes.
        signals: its file of a signal, as of `music`, where the data set has one.

    The last six come from the layout of a public data set (`raydance.data.layouts`).
    """

    path: Path
    name: str
    size: int = 0
    problem: str | None = None
    recording: str | None = None
    split: str | None = None
    rows: tuple[CaptionRow, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    signals: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.recording is not None:  # of a file's name, whose bytes may be any
            object.__setattr__(self, "recording", one_line(self.recording))
        labels = {one_line(key): one_line(value) for key, value in self.labels.items()}
        object.__setattr__(self, "labels", labels)


def find_files(sources: Sequence[str | Path], *, only_motion: bool = True) -> Iterator[FoundFile]:
    """Files among and below the sources, those of motion if not told otherwise; hidden ones
    (`.x`) are left out.

    A file given by itself is called as if its folder was.

    Raises:
        InputError: a source that is not there.
    """
    search = _Search(only_motion)
    for source in map(Path, sources):
        top = Path(os.path.abspath(source))
        if source.is_file():
            name = one_line(f"{top.parent.name}/{top.stem}")
            yield FoundFile(path=source, name=name, size=source.stat().st_size)
        elif source.is_dir():
            yield from search.below(source, top.name)
        else:
            raise InputError(f"{source}: no such file or folder")
    yield from search.behind_links()


class _Search:
    def __init__(self, only_motion: bool) -> None:
        self._only_motion = only_motion
        self._searched: set[str] = set()  # real paths of folders
        self._links: list[tuple[Path, str]] = []  # to folders, with the names that they give

    def below(self, folder: Path, name: str) -> list[FoundFile]:
        """What a folder holds, in order of the paths; links to folders are kept for later."""
        found: list[FoundFile] = []
        open_folders = [(folder, name, os.path.realpath(folder))]
        while open_folders:
            folder, name, real = open_folders.pop()
            if real in self._searched:
                continue
            self._searched.add(real)
            try:
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                problem = f"a folder that cannot be searched ({error.strerror})"
                found.append(FoundFile(path=folder, name=one_line(name), problem=problem))
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                inner = f"{name}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    open_folders.append((folder / entry.name, inner, f"{real}/{entry.name}"))
                elif (file := self._look_at(entry, folder / entry.name, inner)) is not None:
                    found.append(file)
        return sorted(found, key=lambda file: file.path)

    def behind_links(self) -> Iterator[FoundFile]:
        """What the links lead to that was not searched by another way."""
        while self._links:
            links, self._links = self._links, []
            for folder, name in links:
                yield from self.below(folder, name)

    def _look_at(self, entry: os.DirEntry[str], path: Path, name: str) -> FoundFile | None:
        """A file of a folder, or what is wrong with it; None for what is no motion."""
        is_motion = not self._only_motion or path.suffix.lower() in SUFFIXES
        if not is_motion and not entry.is_symlink():
            return None
        problem, size = None, 0
        try:
            status = entry.stat()
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            if entry.is_symlink():
                problem = f"a link that leads nowhere ({error.strerror})"
        else:
            size = status.st_size
            if stat.S_ISDIR(status.st_mode):
                self._links.append((path, name))
                return None
            if not is_motion:
                return None
            if not stat.S_ISREG(status.st_mode):
                problem = "not a regular file"
        stem = name.removesuffix(path.suffix) if is_motion else name
        return FoundFile(path=path, name=one_line(stem), size=size, problem=problem)
