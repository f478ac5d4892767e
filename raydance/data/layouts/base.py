"""What the layouts of public data sets share: a tree of files, published splits, and notes.

A layout knows where a data set keeps its motion, captions, labels, splits and music. It reads names
and small text files only; motion is read later, file by file, as of any other library.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from raydance.data.file_search import FoundFile, find_files
from raydance.errors import FormatError
from raydance.motion.captions import SPLITS
from raydance.motion.formats.text import read_text
from raydance.plain_text import one_line, sentence

AUDIO_SUFFIXES: Final = (".wav", ".mp3", ".flac", ".ogg", ".m4a")
_MAX_TEXT_BYTES: Final = 64 << 20  # BABEL's largest file has 30 MiB


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A public data set as it was found.

    Attributes:
        title: its name as people write it.
        files: its motion files, with captions, labels and splits.
        notes: what is missing, left out or doubtful, a line each.
        music: name of a piece of music -> its file.
    """

    title: str
    files: tuple[FoundFile, ...]
    notes: tuple[str, ...] = ()
    music: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a public data set lies in folders.

    Attributes:
        title: its name as people write it.
        matches: whether a tree looks like it.
        read: its motion files and notes from a tree.
    """

    title: str
    matches: Callable[[Tree], bool]
    read: Callable[[Tree], tuple[Iterable[FoundFile], Notes]]


class Notes:
    """Lines about a data set; equal happenings become one line with their number."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self.music: dict[str, Path] = {}

    def add(self, line: str) -> None:
        """A line of its own."""
        self._lines.setdefault(one_line(line), [])

    def count(self, what: str, example: object) -> None:
        """One more of a kind, as in `12 motions have no text (the first: x)`."""
        self._lines.setdefault(what, []).append(one_line(str(example)))

    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{len(examples)} {what} (the first: {examples[0]})" if examples else what
            for what, examples in self._lines.items()
        )


class Tree:
    """All files below some folders, hidden ones excepted."""

    def __init__(self, sources: Sequence[str | Path]) -> None:
        found = list(find_files(sources, only_motion=False))
        self.files = tuple(file for file in found if file.problem is None)
        self.unreadable = tuple(file for file in found if file.problem is not None)

    def inside(self, *folders: str, suffix: str) -> tuple[FoundFile, ...]:
        """Files of a suffix directly in folders of these names (lower case)."""
        return tuple(
            file
            for file in self.files
            if file.path.suffix.lower() == suffix and file.path.parent.name.lower() in folders
        )

    def with_suffix(self, *suffixes: str) -> Iterator[FoundFile]:
        """Files that end in one of the suffixes (lower case)."""
        return (file for file in self.files if file.path.suffix.lower() in suffixes)

    def named(self, *names: str) -> Path | None:
        """The first file of one of these names (lower case)."""
        return next((file.path for file in self.files if file.path.name.lower() in names), None)

    def music(self) -> dict[str, Path]:
        """Audio files by their names without suffix."""
        return {file.path.stem: file.path for file in self.with_suffix(*AUDIO_SUFFIXES)}


def read_small_text(path: Path, notes: Notes) -> str:
    """A text file of a data set; empty, with a note, if it cannot be read."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            text = read_text(path, _MAX_TEXT_BYTES)
    except FormatError as error:
        notes.count("text files cannot be read", error)
        return ""
    for warning in caught:
        notes.count("text files are in another encoding than UTF-8", warning.message)
    return text


def read_small_json(path: Path, notes: Notes) -> Any:
    """A JSON file of a data set; None, with a note, if it cannot be read."""
    try:
        return json.loads(read_small_text(path, notes) or "null")
    except (ValueError, RecursionError) as error:
        notes.count("text files cannot be read", f"{path}: {error}")
        return None


def read_splits(
    tree: Tree, names: Mapping[str, Sequence[str]], notes: Notes
) -> tuple[dict[str, str], bool]:
    """Published split files: a recording's id on each line.

    An id that two splits have is in the later one of train, val, test, so that nothing that is
    tested was trained on.

    Args:
        names: split -> names of its file (lower case), the first that is there.

    Returns:
        id -> split, and whether the file of every split is there.
    """
    split_of: dict[str, str] = {}
    missing = []
    for split in SPLITS:
        path = next(filter(None, (tree.named(name) for name in names[split])), None)
        if path is None:
            missing.append(names[split][0])
            continue
        for line in read_small_text(path, notes).split("\n"):
            if not (name := line.strip()):
                continue
            if split_of.get(name, split) != split:
                notes.count(f"recordings of {split_of[name]} are in {split} as well", name)
            split_of[name] = split
    if missing:
        notes.add(f"missing: {', '.join(missing)}; recordings without a split get one by hash")
    return split_of, not missing


def with_splits(
    files: Iterable[FoundFile],
    split_of: Mapping[str, str],
    are_complete: bool,
    id_of: Callable[[FoundFile], str],
    notes: Notes,
) -> Iterator[FoundFile]:
    """Files with their published split; if lists are complete, those in none are left out."""
    for file in files:
        split = split_of.get(id_of(file))
        if split is None and are_complete:
            notes.count("recordings are in no split file and left out", id_of(file))
            continue
        yield replace(file, split=split)


def texts_of(data: Any) -> dict[str, str]:
    """The entries of a JSON object that are text or numbers, as labels."""
    if not isinstance(data, Mapping):
        return {}
    return {
        sentence(str(key)): sentence(str(value))
        for key, value in data.items()
        if isinstance(value, (str, int, float)) and not isinstance(value, bool)
    }
