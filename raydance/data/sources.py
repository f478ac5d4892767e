"""Which motion files an ingestion reads, what they are called, and which split they belong to.

A recording is what a split is decided by. Files of one recording (the same name with another
suffix, or the same clip name in the caption files) share their split, so that no recording is
both trained on and tested.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from raydance.data import layouts
from raydance.data.file_search import FoundFile, find_files
from raydance.errors import InputError
from raydance.motion import captions, windows
from raydance.motion.captions import CaptionRow
from raydance.motion.formats import SUFFIXES
from raydance.plain_text import existing_path, one_line

_SMALLEST_GROUP, _LARGEST_GROUP = 1 << 20, 24 << 20

# HumanML3D keeps each motion as joints and as features, and mirrored once more as M000001.
_HUMANML3D: Final = re.compile(r"(?:^|(?<=/))(?:new_joint(?:s|_vecs)/)?M?(\d{6})$")


@dataclass(frozen=True, kw_only=True)
class FileJob:
    """One file to read.

    Attributes:
        clip_id: of the whole file: its path without suffix, from the source folder's name on.
        recording: decides the split; the clip_id, unless another file holds the same recording.
        split: empty where each row of the file has its own.
        size: bytes.
        rows: its lines of the caption files; without any, the whole file is one clip.
        problem: why it cannot be read, where that is known before it is opened.
        labels: facts about the whole file, as in `Clip`.
        reading: arguments of `read_clip`, where the data set fixes them.
        signals: its file of a signal, as of `music`, where the data set says which.
    """

    path: str
    clip_id: str
    recording: str
    split: str
    size: int
    rows: tuple[CaptionRow, ...] = ()
    problem: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    signals: Mapping[str, str] = field(default_factory=dict)


def find_jobs(
    sources: Sequence[str | Path],
    caption_files: Sequence[str | Path] = (),
    *,
    seed: int = 0,
    layout: str | None = None,
) -> list[FileJob]:
    """All motion files under the sources, with the captions that belong to them.

    With a layout (`raydance.data.layouts`), only those of that data set, with all that it says of
    them. Files and folders that cannot be read are among the jobs, with the problem.

    Raises:
        InputError: a source that is not there, nothing to read, two files of one name, captions
            that fit no file, or captions that contradict each other.
    """
    rows = [row for file in caption_files for row in captions.read_captions(file)]
    rows_of: dict[Path, list[CaptionRow]] = {}
    for row in rows:
        rows_of.setdefault(existing_path(str(row.file)).resolve(), []).append(row)

    jobs: dict[str, FileJob] = {}
    unreadable: list[FileJob] = []
    recording_of: dict[str, str] = {}  # of each clip that the captions name
    published: dict[str, str] = {}  # recording -> the data set's split
    seen: set[Path] = set()
    for found in _found(sources, layout):
        path = found.path
        if found.problem is not None:
            unreadable.append(_unreadable(path, found.problem))
            continue
        real = path.resolve()
        if real in seen:
            continue
        seen.add(real)
        clip_id = _free_name(path, found.name, jobs)
        rows_here = [*found.rows, *rows_of.pop(real, [])]
        own, recording = _own_names(path, rows_here, found, recording_of)
        if found.split is not None:
            published.setdefault(recording, found.split)
        jobs[clip_id] = FileJob(
            path=str(path),
            clip_id=clip_id,
            recording=recording,
            split="",
            size=found.size,
            rows=own,
            labels=found.labels,
            reading=found.reading,
            signals={name: str(file) for name, file in found.signals.items()},
        )
    if not jobs:
        known = ", ".join(SUFFIXES)
        why = "".join(f"; {job.path}: {job.problem}" for job in unreadable[:1])
        places = ", ".join(map(str, sources))
        raise InputError(f"no motion files in {places}; they end in {known}{why}")
    _tell_unused(rows_of, everything=len(rows) > 0 and not any(j.rows for j in jobs.values()))
    fixed = published | _fixed_splits(jobs.values())
    return [
        replace(job, split=fixed.get(job.recording) or windows.split_of(job.recording, seed))
        for job in (*(jobs[name] for name in sorted(jobs)), *unreadable)
    ]


def _found(sources: Sequence[str | Path], layout: str | None) -> Iterable[FoundFile]:
    if layout is None:
        return find_files(sources)
    found = layouts.read(sources, layout)
    for note in found.notes:
        warnings.warn(f"{found.title}: {note}", stacklevel=3)
    return found.files


def _unreadable(path: Path, problem: str) -> FileJob:
    """A job that ends as skipped; its name is the whole path, which no clip has."""
    name = one_line(os.path.abspath(path))
    return FileJob(path=str(path), clip_id=name, recording=name, split="", size=0, problem=problem)


def _free_name(path: Path, name: str, jobs: Mapping[str, FileJob]) -> str:
    """The name, with the suffix where a file beside it has the name already."""
    other = jobs.get(name)
    if other is None:
        return name
    with_suffix = f"{name}{path.suffix.lower()}"
    if Path(other.path).resolve().parent == path.resolve().parent and with_suffix not in jobs:
        return with_suffix
    raise InputError(
        f"{path} and {other.path} would both be called {name}; "
        "ingest them from folders of different names"
    )


def _own_names(
    path: Path, rows: Sequence[CaptionRow], found: FoundFile, recording_of: dict[str, str]
) -> tuple[tuple[CaptionRow, ...], str]:
    """A file's rows under clip names of their own, and its recording.

    Rows about the same part become one. A clip name that another file has too names the same
    recording once more.
    """
    merged: dict[tuple[Any, ...], CaptionRow] = {}
    for row in rows:
        part = (row.start_frame, row.end_frame, row.span_s, row.clip_id)
        if part in merged:
            texts = dict.fromkeys((*merged[part].captions, *row.captions))
            merged[part] = replace(merged[part], captions=tuple(texts))
        else:
            merged[part] = row
    shared = [recording_of[r.clip_id] for r in merged.values() if r.clip_id in recording_of]
    recording = shared[0] if shared else found.recording or _HUMANML3D.sub(r"\1", found.name)
    out = []
    taken = set(recording_of)
    for row in merged.values():
        if row.clip_id is not None:
            clip_id = row.clip_id if row.clip_id not in taken else row.clip_id + path.suffix
            if clip_id in recording_of:
                raise InputError(
                    f"captions line {row.line}: clip {row.clip_id} is named already, and by "
                    "another part or file; clips need names of their own"
                )
            recording_of[clip_id] = recording
            row = replace(row, clip_id=clip_id)
        out.append(row)
    return tuple(out), recording


def _fixed_splits(jobs: Iterable[FileJob]) -> dict[str, str]:
    """Recording -> the split that the captions give it."""
    fixed: dict[str, CaptionRow] = {}
    for job in jobs:
        for row in job.rows:
            if row.split is None:
                continue
            first = fixed.setdefault(job.recording, row)
            if first.split != row.split:
                raise InputError(
                    f"captions line {row.line}: {row.file} in {row.split}, but line {first.line} "
                    f"puts {first.file} of the same recording in {first.split}"
                )
    return {recording: str(row.split) for recording, row in fixed.items()}


def _tell_unused(rows_of: Mapping[Path, Sequence[CaptionRow]], *, everything: bool) -> None:
    if not rows_of:
        return
    first = next(iter(rows_of.values()))[0]
    if everything:
        raise InputError(
            f"none of the captions fits a file: {first.file} (line {first.line}) is not among "
            "the sources; `file` is relative to the caption file"
        )
    warnings.warn(
        f"captions of {len(rows_of)} files fit no file that was given, the first in line "
        f"{first.line}: {first.file}",
        stacklevel=3,
    )


def group_jobs(jobs: Sequence[FileJob], num_groups: int) -> list[list[FileJob]]:
    """Jobs of one split each, in groups of similar bytes: at least `num_groups` if they suffice."""
    total = sum(job.size for job in jobs)
    limit = min(max(total // max(num_groups, 1), _SMALLEST_GROUP), _LARGEST_GROUP)
    groups: list[list[FileJob]] = []
    for split in ("train", "val", "test", ""):
        group: list[FileJob] = []
        size = 0
        for job in jobs:
            if job.split != split:
                continue
            if group and size + job.size > limit:
                groups.append(group)
                group, size = [], 0
            group.append(job)
            size += job.size
        if group:
            groups.append(group)
    return groups
