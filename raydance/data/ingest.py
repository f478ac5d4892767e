"""From motion files to windows, one file at a time. No Ray; `raydance.cluster.data` spreads it.

A file that cannot be read never stops an ingestion: its job ends with the reason. Motion waits at
the dataset's rate and is cut into overlapping windows only as a shard is written, so memory is
bounded by the largest file and one shard.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from raydance.data import layouts, sources
from raydance.data.dataset import Shard, motion_arrays, write_shard
from raydance.data.pieces import Piece, columns_of, cut, pieces_of, split_off, why_none
from raydance.data.schema import MOTION, Modality
from raydance.data.signals import signal_of
from raydance.data.signals.in_step import note_findings
from raydance.data.signals.reading import clip_signals
from raydance.data.sources import FileJob
from raydance.errors import FormatError, InputError, RaydanceError
from raydance.motion import body_check, captions, windows
from raydance.motion.clip import Clip
from raydance.motion.formats import read_clip
from raydance.motion.joint_rotations import canonical_rotations
from raydance.motion.mapping import MappedMotion, map_to_canonical
from raydance.motion.skeleton import NUM_JOINTS
from raydance.plain_text import one_line, well_formed

SHARD_WINDOWS = 256
_MAX_NOTES = 5


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How files become windows.

    Attributes:
        fps: the dataset's common rate.
        window, stride: frames.
        whole_clips: rows are whole clips of variable length instead of windows: padded to `window`
            frames, longer clips cut into consecutive parts, shorter than `min_frames` left out.
        min_frames: of whole clips.
        pads_short: whether a clip shorter than a window, but of at least a fifth of it, gives one
            that holds its last frame; else it is left out.
        music: folder of songs: each clip gets the features of its song, which is found by name
            (`raydance.music.songs`); `auto` for the songs that a public data set's layout names.
        signals: name of each further signal (`raydance.data.signals`) -> folder of its files.
        rotations: whether rotations of joints are kept where files have them
            (`raydance.motion.joint_rotations`); they take twice the room of positions.
        units: metres per unit, `up`: the vertical axis; detected in each file where None.
        mapping: canonical joint -> source joint, for skeletons that the names table does not know.
        label_names: label -> value -> word, for side-cars that hold numbers.
        seed: of the split.
    """

    fps: float = 20.0
    window: int = 50
    stride: int = 20
    whole_clips: bool = False
    min_frames: int = 24
    pads_short: bool = True
    music: str | None = None
    signals: Mapping[str, str] = field(default_factory=dict)
    rotations: bool = False
    units: float | None = None
    up: str | None = None
    mapping: Mapping[str, Any] | None = None
    label_names: Mapping[str, Mapping[str, str]] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        windows.check_window(self.window, self.stride)
        if not 1.0 <= self.fps <= 1000.0:
            raise InputError(f"fps: {self.fps}; allowed: 1 to 1000")
        if self.whole_clips and not 4 <= self.min_frames <= self.window:
            raise InputError(
                f"min_frames: {self.min_frames}; allowed: 4 to the window's {self.window}"
            )
        for name in self.signals:
            signal_of(name)

    @property
    def modality(self) -> Modality:
        """What the rows of the dataset hold."""
        return MOTION

    @property
    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each array of the dataset."""
        shapes = motion_arrays(self.window)
        if self.whole_clips:
            shapes |= {"length": ()}
        if self.rotations:
            shapes |= {"rotations": (self.window, NUM_JOINTS, 6), "has_rotations": ()}
        for name in self.places:
            shapes |= {name: (self.window, len(signal_of(name).values)), f"has_{name}": ()}
        return shapes

    @property
    def places(self) -> dict[str, str]:
        """Folder of the files of each signal, music among them."""
        return ({"music": self.music} if self.music is not None else {}) | dict(self.signals)

    def facts(self) -> dict[str, Any]:
        """What the dataset's manifest says of them."""
        facts = {"fps": self.fps, "window": self.window, "stride": self.stride}
        return facts | {"split_seed": self.seed}

    def find_jobs(
        self,
        places: Sequence[Path],
        caption_files: Sequence[Path] = (),
        layout: str | None = None,
    ) -> list[FileJob]:
        """The files to read.

        Raises:
            InputError: see `sources.find_jobs`; or a signal is `auto` without a layout that has it.
        """
        found = [name for name, place in self.places.items() if place == layouts.AUTO]
        for name in found if layout is None else ():
            raise InputError(f"{name} {layouts.AUTO}: needs --layout; without one, give its folder")
        jobs = sources.find_jobs(places, caption_files, seed=self.seed, layout=layout)
        for name in found:
            if not any(name in job.signals for job in jobs):
                where = ", ".join(map(str, places))
                raise InputError(f"{name} {layouts.AUTO}: the data set in {where} has none")
        return jobs

    def write_group(
        self, number: int, jobs: Iterable[FileJob], folder: Path
    ) -> Iterator[dict[str, Any]]:
        """Read a group of files and write its shards; yields a row for each file."""
        return write_group(number, jobs, self, folder)

    def padding(self) -> Settings:
        """Those by which motion of at least a fifth of a window gives a padded row."""
        return replace(self, whole_clips=True, min_frames=max(4, -(-self.window // 5)))

    def of_clip(self, num_frames: int, fps: float) -> Settings:
        """Those that cut a clip of so many frames: `padding`, if it is short and to be padded."""
        is_short = windows.num_resampled(num_frames, fps, self.fps) < self.window
        return self.padding() if self.pads_short and is_short and not self.whole_clips else self

    @property
    def shortest(self) -> int:
        """Frames of the shortest motion that gives a row."""
        return self.min_frames if self.whole_clips else self.window

    def rows_of(self, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """First frames `[N]` and lengths `[N]` of the rows in so many frames."""
        if not self.whole_clips:
            starts = windows.window_starts(num_frames, self.window, self.stride)
            return starts, np.full(len(starts), self.window)
        starts = np.arange(0, num_frames, self.window)
        lengths = np.minimum(num_frames - starts, self.window)
        return starts[lengths >= self.min_frames], lengths[lengths >= self.min_frames]


@dataclass(kw_only=True)
class FileResult:
    """What became of one file: its record, a row per clip, and the motion that gives windows.

    `skeleton` describes its body; it is empty where none was found.
    """

    record: dict[str, Any]
    skeleton: str = ""
    clips: list[dict[str, Any]] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)


def windows_of_clip(
    clip: Clip,
    *,
    fps: float,
    length: int,
    stride: int,
    mapping: Mapping[str, Any] | None = None,
    pads_short: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A clip's windows as a dataset would have them, without a T-pose before the motion.

    Args:
        pads_short: whether motion shorter than a window, but of at least a fifth of it, gives one
            that holds its last pose.

    Returns:
        Windows `[N, length, 50, 3]` in metres, normalised to their first frame; joint masks
        `[N, 50]`; start times `[N]` in seconds.

    Raises:
        InputError: shorter than one window, broken by jumps, or a skeleton that cannot be mapped.
    """
    settings = Settings(fps=fps, window=length, stride=stride, mapping=mapping)
    mapped = map_to_canonical(clip, mapping)
    num_left_out = windows.num_rest_frames(mapped.positions, mapped.joint_mask)
    positions = mapped.positions[num_left_out:]
    pieces, _ = pieces_of(positions, mapped.joint_mask, clip.fps, {}, settings)
    if not pieces and pads_short:
        settings = settings.padding()
        pieces, _ = pieces_of(positions, mapped.joint_mask, clip.fps, {}, settings)
    if not pieces:
        raise InputError(f"{clip.clip_id}: {why_none(mapped.positions, clip.fps, settings)}")
    columns = [cut(piece, settings) for piece in pieces]
    motion, masks, starts = (np.concatenate(parts) for parts in zip(*columns))
    return motion, masks, starts + num_left_out / clip.fps


def read_job(job: FileJob, settings: Settings) -> FileResult:
    """Read one file. Never raises for what is in the file."""
    if job.problem is not None:
        return _skip(job, job.problem, None)
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
    notes = [*result.record.pop("notes", ()), *sorted({one_line(str(w.message)) for w in caught})]
    if notes:
        result.record["notes"] = notes[:_MAX_NOTES]
    return result


def _skip(job: FileJob, reason: str, line: int | None) -> FileResult:
    record = {
        "file": well_formed(job.path),
        "status": "skipped",
        "windows": 0,
        "line": line,
        "reason": one_line(reason),
    }
    return FileResult(record=record)


def _read(job: FileJob, settings: Settings) -> FileResult:
    first = job.rows[0] if job.rows else None
    given: dict[str, Any] = {
        "skeleton": first.skeleton if first else None,
        "fps": first.fps if first else None,
        "units": first.metres_per_unit if first and first.metres_per_unit else settings.units,
        "up": settings.up,
    }
    given = {name: value for name, value in given.items() if value is not None}
    whole = read_clip(job.path, **{**job.reading, **given})
    whole = replace(whole, clip_id=job.clip_id, recording=job.recording, source=job.path)
    labels = dict(whole.labels) | _labels_beside(job.path, settings) | dict(job.labels)
    mapped = map_to_canonical(whole, settings.mapping)
    body_check.check(mapped)
    rotations = canonical_rotations(whole, mapped) if settings.rotations else None

    record = {"file": well_formed(job.path), "status": "read", "windows": 0}
    result = FileResult(record=record, skeleton=_skeleton(whole, mapped))
    refused: list[str] = []
    for part in job.rows or (None,):
        row = captions.on_frames(part, whole.fps, whole.num_frames) if part else None
        begin = row.start_frame if row else 0
        try:
            clip = captions.apply_row(whole, row) if row else whole
        except InputError as error:  # the file's other clips are still good
            refused.append(str(error))
            continue
        positions = mapped.positions[begin : begin + clip.num_frames]
        about = labels | dict(row.labels) if row else labels
        num_before = len(result.pieces)
        turns = None if rotations is None else rotations[begin : begin + clip.num_frames]
        _add_clip(result, clip, positions, turns, mapped.joint_mask, job, settings, about, begin)
        if settings.places and len(result.pieces) > num_before:
            signals, found = clip_signals(
                job,
                settings.places,
                settings.fps,
                begin_s=begin / whole.fps,
                joints=positions[:, mapped.joint_mask],
                joints_fps=whole.fps,
            )
            added = [replace(piece, signals=signals) for piece in result.pieces[num_before:]]
            result.pieces[num_before:] = added
            checked = {name for name in settings.places if signal_of(name).find_step}
            note_findings(result.record, clip.clip_id, found, checked - set(signals))
    if not result.clips:
        raise InputError(refused[0])
    if refused:
        result.record["notes"] = refused
    if not result.pieces:
        cutting = settings.of_clip(whole.num_frames, whole.fps)
        is_broken = (
            result.record.get("jumps") and whole.duration_s * settings.fps >= cutting.shortest
        )
        result.record["status"] = "skipped" if is_broken else "short"
        result.record["reason"] = why_none(mapped.positions, whole.fps, cutting)
        if is_broken:
            result.clips.clear()
    return result


def _skeleton(clip: Clip, mapped: MappedMotion) -> str:
    """A body in a few words, the same for all recordings of one rig."""
    rotations = "with" if clip.rotations is not None else "without"
    return f"{len(clip.joint_names)} joints ({mapped.convention}), {rotations} rotations"


def _labels_beside(path: str, settings: Settings) -> dict[str, str]:
    """Labels of the side-car; none, with a warning, from a JSON file of another kind."""
    try:
        return captions.labels_from_sidecar(path, settings.label_names)
    except FormatError as error:
        warnings.warn(f"read without labels: {error}", stacklevel=2)
        return {}


def _add_clip(
    result: FileResult,
    clip: Clip,
    positions: np.ndarray,
    rotations: np.ndarray | None,
    joint_mask: np.ndarray,
    job: FileJob,
    settings: Settings,
    labels: Mapping[str, str],
    begin: int,
) -> None:
    row: dict[str, Any] = {
        "clip_id": clip.clip_id,
        "recording": job.recording,
        "source": well_formed(job.path),
        "fps": clip.fps,
        "start_frame": begin,
        "frames": clip.num_frames,
        "duration_s": clip.duration_s,
        "split": job.split,
        "captions": list(clip.captions),
        "labels": json.dumps(labels, sort_keys=True),
        "joints": int(joint_mask.sum()),
    }
    cutting = settings.of_clip(len(positions), clip.fps)
    pieces, num_jumps = pieces_of(positions, joint_mask, clip.fps, row, cutting, rotations)
    row["num_windows"] = sum(len(piece.starts) for piece in pieces)
    if cutting is not settings and pieces:
        result.record["padded"] = result.record.get("padded", 0) + row["num_windows"]
    if num_jumps:
        length = windows.num_resampled(len(positions), clip.fps, settings.fps)
        whole = len(cutting.rows_of(length)[0])
        lost = max(0, whole - row["num_windows"])
        for key, value in (("jumps", num_jumps), ("dropped_windows", lost)):
            result.record[key] = result.record.get(key, 0) + value
    result.clips.append(row)
    result.pieces += pieces
    result.record["windows"] += row["num_windows"]


def write_group(
    number: int, jobs: Iterable[FileJob], settings: Settings, folder: Path
) -> Iterator[dict[str, Any]]:
    """Read a group of files and write its shards; yields small rows, one for each file.

    A row holds the file's record, its clips and the shards written since the row before.
    """
    pending: list[Piece] = []
    num_shards = 0

    def flush(at_least: int) -> list[Shard]:
        nonlocal pending, num_shards
        shards = []
        while sum(len(piece.starts) for piece in pending) >= at_least:
            full, pending = split_off(pending, SHARD_WINDOWS)
            split = full[0].clip["split"]
            name = f"{split}-{number:05d}-{num_shards:03d}"
            shards.append(write_shard(folder, name, split, columns_of(full, settings)))
            num_shards += 1
        return shards

    last: dict[str, Any] | None = None
    for job in jobs:
        result = read_job(job, settings)
        if last is not None:
            yield last
        pending += result.pieces
        last = {
            "record": result.record,
            "clips": result.clips,
            "shards": flush(SHARD_WINDOWS),
        }
    if last is not None:
        last["shards"] += flush(1)
        yield last
