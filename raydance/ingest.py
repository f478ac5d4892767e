"""From motion files to windows, one file at a time. No Ray; `raydance.cluster.data` spreads it.

A file that cannot be read never stops an ingestion: its job ends with the reason.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raydance.dataset import Shard, write_shard
from raydance.errors import FormatError, InputError, RaydanceError
from raydance.motion import captions, windows
from raydance.motion.clip import Clip
from raydance.motion.formats import SUFFIXES, read_clip
from raydance.motion.mapping import MappedMotion, map_to_canonical

MAX_SPEED_M_S = 60.0
"""Faster than any joint of a dancer: a window that holds such a jump holds a broken frame."""

SHARD_WINDOWS = 512
_SMALLEST_GROUP, _LARGEST_GROUP = 1 << 20, 24 << 20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How files become windows.

    Attributes:
        fps: the dataset's common rate.
        window, stride: frames.
        units: metres per unit, `up`: the vertical axis; detected in each file where None.
        mapping: canonical joint -> source joint, for skeletons that the names table does not know.
        label_names: label -> value -> word, for side-cars that hold numbers.
        seed: of the split.
    """

    fps: float = 20.0
    window: int = 50
    stride: int = 20
    units: float | None = None
    up: str | None = None
    mapping: Mapping[str, Any] | None = None
    label_names: Mapping[str, Mapping[str, str]] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        windows.check_window(self.window, self.stride)
        if not 1.0 <= self.fps <= 1000.0:
            raise InputError(f"fps: {self.fps}; allowed: 1 to 1000")


@dataclass(frozen=True, kw_only=True)
class FileJob:
    """One file to read.

    Attributes:
        recording: path without suffix, from the source folder's name on; decides the split.
        rows: its lines of the caption files; without any, the whole file is one clip.
    """

    path: str
    recording: str
    split: str
    size: int
    rows: tuple[captions.CaptionRow, ...] = ()


@dataclass(kw_only=True)
class FileResult:
    """What became of one file: windows by column, a row per clip, and its record."""

    record: dict[str, Any]
    clips: list[dict[str, Any]] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)


def find_jobs(
    sources: Sequence[str | Path], caption_files: Sequence[str | Path] = (), *, seed: int = 0
) -> list[FileJob]:
    """All motion files under the sources, with the captions that belong to them.

    Raises:
        InputError: a source that is not there, nothing to read, two files of one name, or captions
            that fit no file.
    """
    rows = captions.rows_by_file(
        row for file in caption_files for row in captions.read_captions(file)
    )
    by_path = {path.resolve(): group for path, group in rows.items()}
    jobs: dict[str, FileJob] = {}
    for path, name in _files(sources):
        if name in jobs:
            raise InputError(
                f"{path} and {jobs[name].path} would both be called {name}; "
                "ingest them from folders of different names"
            )
        own = by_path.pop(path.resolve(), ())
        split = own[0].split if own and own[0].split else windows.split_of(name, seed)
        jobs[name] = FileJob(
            path=str(path), recording=name, split=split, size=path.stat().st_size, rows=own
        )
    if not jobs:
        known = ", ".join(SUFFIXES)
        raise InputError(f"no motion files in {', '.join(map(str, sources))}; they end in {known}")
    if by_path:
        first = next(iter(by_path.values()))[0]
        warnings.warn(
            f"captions of {len(by_path)} files fit no file that was given, the first in line "
            f"{first.line}: {first.file}",
            stacklevel=2,
        )
        if len(by_path) == len(rows):
            raise InputError(
                f"none of the captions fits a file: {first.file} (line {first.line}) is not among "
                "the sources; `file` is relative to the caption file"
            )
    return [jobs[name] for name in sorted(jobs)]


def _files(sources: Sequence[str | Path]) -> Iterator[tuple[Path, str]]:
    for source in map(Path, sources):
        if source.is_file():
            yield source, source.stem
        elif source.is_dir():
            root = source.resolve()
            for path in sorted(source.rglob("*")):
                if path.suffix.lower() in SUFFIXES and path.is_file():
                    relative = path.resolve().relative_to(root).with_suffix("").as_posix()
                    yield path, f"{root.name}/{relative}"
        else:
            raise InputError(f"{source}: no such file or folder")


def group_jobs(jobs: Sequence[FileJob], num_groups: int) -> list[list[FileJob]]:
    """Jobs of one split each, in groups of similar bytes: at least `num_groups` if they suffice."""
    total = sum(job.size for job in jobs)
    limit = min(max(total // max(num_groups, 1), _SMALLEST_GROUP), _LARGEST_GROUP)
    groups: list[list[FileJob]] = []
    for split in ("train", "val", "test"):
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


def windows_of_clip(
    clip: Clip, *, fps: float, length: int, stride: int, mapping: Mapping[str, Any] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A clip's windows as a dataset would have them.

    Returns:
        Windows `[N, length, 50, 3]` in metres, normalised to their first frame; joint masks
        `[N, 50]`; start times `[N]` in seconds.

    Raises:
        InputError: shorter than one window, or a skeleton that cannot be mapped.
    """
    mapped = map_to_canonical(clip, mapping)
    motion, starts = windows.cut(windows.resample(mapped.positions, clip.fps, fps), length, stride)
    if not len(motion):
        raise InputError(
            f"{clip.clip_id}: {clip.duration_s:.2f} s; one window is {length / fps:.2f} s"
        )
    masks = np.repeat(mapped.joint_mask[None], len(motion), axis=0)
    return windows.normalise_window(motion, masks), masks, starts / fps


def read_job(job: FileJob, settings: Settings) -> FileResult:
    """Read one file into windows. Never raises for what is in the file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = _read(job, settings)
        except RaydanceError as error:
            line = error.line if isinstance(error, FormatError) else None
            reason = error.reason if isinstance(error, FormatError) else str(error)
            return _skip(job, reason, line)
        except Exception as error:  # one broken file must not stop a library of thousands
            return _skip(job, f"{type(error).__name__}: {error}", None)
    if caught:
        result.record["notes"] = sorted({str(w.message) for w in caught})[:5]
    return result


def _skip(job: FileJob, reason: str, line: int | None) -> FileResult:
    record = {"file": job.path, "status": "skipped", "windows": 0, "line": line, "reason": reason}
    return FileResult(record=record)


def _read(job: FileJob, settings: Settings) -> FileResult:
    first = job.rows[0] if job.rows else None
    whole = read_clip(
        job.path,
        skeleton=first.skeleton if first else None,
        fps=first.fps if first else None,
        units=first.metres_per_unit if first and first.metres_per_unit else settings.units,
        up=settings.up,
    )
    labels = dict(whole.labels) | captions.labels_from_sidecar(job.path, settings.label_names)
    mapped = map_to_canonical(whole, settings.mapping)
    result = FileResult(record={"file": job.path, "status": "read", "windows": 0})
    parts = [captions.apply_row(_named(whole, job), row) for row in job.rows] or [
        _named(whole, job)
    ]
    for clip, row in zip(parts, job.rows or (None,)):
        begin = row.start_frame if row else 0
        positions = mapped.positions[begin : begin + clip.num_frames]
        _add_clip(result, clip, positions, mapped, job, settings, labels)
    if not result.windows:
        result.record["status"] = "short"
        result.record["reason"] = (
            f"{whole.duration_s:.2f} s; one window is {settings.window / settings.fps:.2f} s"
        )
    return result


def _named(clip: Clip, job: FileJob) -> Clip:
    from dataclasses import replace

    return replace(clip, clip_id=job.recording, recording=job.recording, source=job.path)


def _add_clip(
    result: FileResult,
    clip: Clip,
    positions: np.ndarray,
    mapped: MappedMotion,
    job: FileJob,
    settings: Settings,
    labels: Mapping[str, str],
) -> None:
    motion, starts = windows.cut(
        windows.resample(positions, clip.fps, settings.fps), settings.window, settings.stride
    )
    speed = np.abs(np.diff(motion, axis=1)).max(axis=(1, 2, 3), initial=0.0) * settings.fps
    sound = np.isfinite(speed) & (speed < MAX_SPEED_M_S)
    if not sound.all():
        result.record["dropped_windows"] = int((~sound).sum()) + result.record.get(
            "dropped_windows", 0
        )
        motion, starts = motion[sound], starts[sound]
    clip_row = {
        "clip_id": clip.clip_id,
        "recording": job.recording,
        "source": job.path,
        "fps": clip.fps,
        "frames": clip.num_frames,
        "duration_s": clip.duration_s,
        "split": job.split,
        "captions": list(clip.captions),
        "labels": json.dumps(labels, sort_keys=True),
        "num_windows": len(motion),
        "joints": int(mapped.joint_mask.sum()),
    }
    result.clips.append(clip_row)
    if not len(motion):
        return
    masks = np.repeat(mapped.joint_mask[None], len(motion), axis=0)
    result.windows.append(
        {
            "motion": windows.normalise_window(motion, masks).astype(np.float32),
            "joint_mask": masks,
            "start": starts,
            "clip": clip_row,
        }
    )
    result.record["windows"] += len(motion)


def write_group(
    number: int, jobs: Iterable[FileJob], settings: Settings, folder: Path
) -> Iterator[dict[str, Any]]:
    """Read a group of files and write its shards; yields small rows, one for each file.

    A row holds the file's record, its clips and the shards written since the row before.
    """
    pending: list[dict[str, Any]] = []
    count, part = 0, 0

    def flush() -> list[Shard]:
        nonlocal pending, count, part
        if not pending:
            return []
        split = pending[0]["clip"]["split"]
        name = f"{split}-{number:05d}-{part:03d}"
        shard = write_shard(folder, name, split, _columns(pending, settings))
        pending, count, part = [], 0, part + 1
        return [shard]

    last = None
    for job in jobs:
        result = read_job(job, settings)
        if last is not None:
            yield last
        for block in result.windows:
            pending.append(block)
            count += len(block["motion"])
        shards = flush() if count >= SHARD_WINDOWS else []
        last = {"record": result.record, "clips": result.clips, "shards": shards}
    if last is not None:
        last["shards"] = [*last["shards"], *flush()]
        yield last


def _columns(blocks: list[dict[str, Any]], settings: Settings) -> dict[str, Any]:
    starts = [(int(s), b["clip"]) for b in blocks for s in b["start"]]
    rate = settings.fps
    return {
        "window_id": [f"{clip['clip_id']}@{start}" for start, clip in starts],
        "clip_id": [clip["clip_id"] for _, clip in starts],
        "recording": [clip["recording"] for _, clip in starts],
        "source": [clip["source"] for _, clip in starts],
        "split": [clip["split"] for _, clip in starts],
        "start_s": [start / rate for start, _ in starts],
        "end_s": [(start + settings.window) / rate for start, _ in starts],
        "motion": np.concatenate([b["motion"] for b in blocks]),
        "joint_mask": np.concatenate([b["joint_mask"] for b in blocks]),
        "captions": [clip["captions"] for _, clip in starts],
        "labels": [clip["labels"] for _, clip in starts],
    }
