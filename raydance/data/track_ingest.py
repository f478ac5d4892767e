"""From files of 2-D tracks to rows of a dataset. No Ray; `raydance.cluster.data` spreads it.

Each object of a video is a row, resampled to so many frames and points; its video decides the
split.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from raydance.data.dataset import Shard, write_shard
from raydance.data.schema import TRACKS, Modality
from raydance.data.sources import FileJob
from raydance.data.track_search import find_parts
from raydance.errors import FormatError, InputError
from raydance.motion import windows
from raydance.plain_text import one_line, well_formed
from raydance.tracks.camera_motion import path_of, without_camera_motion
from raydance.tracks.formats import SUFFIXES, ReadOptions, iter_tracks
from raydance.tracks.formats.base import Read
from raydance.tracks.track import Track, normalised, resampled
from raydance.tracks.video import SUFFIXES as VIDEO_SUFFIXES

SHARD_ROWS: Final = 512
_MAX_NOTES: Final = 5


class Tracker(Protocol):
    """Follows points in videos (`raydance.nn.point_tracker`)."""

    def read(self, path: Path) -> Iterator[Track]:
        """The tracks of a video.

        Raises:
            FormatError: it cannot be read.
        """


@dataclass(frozen=True, kw_only=True)
class TrackSettings:
    """How files of tracks become rows.

    Attributes:
        frames, points: T and N of each row.
        seed: of the split.
        held_out: what an official `val` split becomes where a source publishes no `test`: `test`
            (then 15 % of the training videos validate), or `val` as it is called.
        frame_size, fps: of the videos, where files do not say.
        without_camera_motion: whether the camera's motion is taken out where several objects of a
            video show it (`raydance.tracks.camera_motion`).
        tracker: makes tracks of videos; without one, videos are no files of tracks.
    """

    frames: int = 30
    points: int = 36
    seed: int = 0
    held_out: str = "test"
    frame_size: tuple[int, int] | None = None
    fps: float | None = None
    without_camera_motion: bool = False
    tracker: Tracker | None = None

    def __post_init__(self) -> None:
        if not 4 <= self.frames <= 1000 or not 1 <= self.points <= 10_000:
            raise InputError(
                f"frames {self.frames}, points {self.points}: 4 to 1000 frames, 1 to 10000 points"
            )
        if self.held_out not in ("test", "val"):
            raise InputError(f"held_out: {self.held_out!r}; allowed: test, val")

    @property
    def modality(self) -> Modality:
        """What the rows of the dataset hold."""
        return TRACKS

    @property
    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each array of the dataset."""
        return {
            "tracks": (self.frames, self.points, 2),
            "visible": (self.frames, self.points),
            "frame_size": (2,),
        }

    def facts(self) -> dict[str, Any]:
        """What the dataset's manifest says of them; the rate is nominal: rows differ in theirs."""
        facts = {
            "fps": self.fps or 10.0,
            "window": self.frames,
            "stride": self.frames,
            "points": self.points,
            "split_seed": self.seed,
        }
        return facts | ({"without_camera_motion": True} if self.without_camera_motion else {})

    def find_jobs(
        self,
        places: Sequence[Path],
        caption_files: Sequence[Path] = (),
        layout: str | None = None,
    ) -> list[FileJob]:
        """The files and folders to read: a folder of one format is read as a whole.

        Raises:
            InputError: a place that is not there, caption files, or nothing to read.
        """
        if caption_files:
            raise InputError("tracks have their sentences in their own files; leave out --captions")
        if layout is not None:
            raise InputError(f"--layout {layout}: is for motion; formats of tracks are found out")
        jobs = []
        for place in places:
            if not place.exists():
                raise InputError(f"{place}: no such file or folder")
            for part in find_parts(place, VIDEO_SUFFIXES if self.tracker else ()):
                files = _files_of(part.path) if part.problem is None else ()
                jobs.append(
                    FileJob(
                        path=str(part.path),
                        clip_id=part.name,
                        recording=part.name,
                        split="",
                        size=sum(file.stat().st_size for file in files),
                        problem=part.problem,
                    )
                )
        if all(job.problem is not None for job in jobs):
            why = "".join(f"; {job.path}: {job.problem}" for job in jobs[:1])
            raise InputError(
                f"no tracks in {', '.join(map(str, places))}; files end in "
                f"{', '.join(SUFFIXES)}{why}"
            )
        return jobs

    def write_group(
        self, number: int, jobs: Iterable[FileJob], folder: Path
    ) -> Iterator[dict[str, Any]]:
        """Read a group of sources and write its shards; yields a row for each source.

        A row holds the source's record, its clips and the shards written since the row before.
        """
        waiting: dict[str, list[Track]] = {}
        numbers: Counter[str] = Counter()

        def flush(split: str) -> Shard:
            part, waiting[split] = waiting[split][:SHARD_ROWS], waiting[split][SHARD_ROWS:]
            name = f"{split}-{number:05d}-{numbers[split]:03d}"
            numbers[split] += 1
            return write_shard(folder, name, split, columns_of(part, split), TRACKS)

        last: dict[str, Any] | None = None
        for job in jobs:
            if last is not None:
                yield last
            record, tracks = _read_source(job, self)
            splits = {track.split for track in tracks}
            num_recordings = len({track.recording for track in tracks})
            clips = []
            for track in tracks:
                split = split_of(track, splits, self, num_recordings)
                waiting.setdefault(split, []).append(track)
                clips.append(_clip_row(track, split, job.path))
            full = [
                split for split, rows in waiting.items() for _ in range(len(rows) // SHARD_ROWS)
            ]
            last = {"record": record, "clips": clips, "shards": [flush(split) for split in full]}
        if last is not None:
            last["shards"] += [flush(split) for split, rows in waiting.items() if rows]
            yield last


def _files_of(path: Path) -> Iterator[Path]:
    """The file, or the files of a folder that is read as a whole."""
    return iter((path,)) if path.is_file() else (f for f in path.rglob("*") if f.is_file())


def _read_source(job: FileJob, settings: TrackSettings) -> tuple[dict[str, Any], list[Track]]:
    """What became of a source, and its tracks, resampled; never raises for what is in it."""
    record: dict[str, Any] = {"file": well_formed(job.path), "status": "read", "windows": 0}
    notes: list[str] = []
    tracks: list[Track] = []
    paths: list[Track] = []
    if job.problem is not None:
        return record | {"status": "skipped", "line": None, "reason": job.problem}, []
    options = ReadOptions(frame_size=settings.frame_size, fps=settings.fps)
    folder, slash, _ = job.clip_id.rpartition("/")
    try:
        for found in _tracks_of(Path(job.path), options, settings.tracker):
            if isinstance(found, Track):
                if slash:  # files of one name in different folders are different videos
                    found = replace(
                        found,
                        track_id=f"{folder}/{found.track_id}",
                        video=f"{folder}/{found.video}",
                        recording=f"{folder}/{found.recording}",
                    )
                if settings.without_camera_motion:
                    paths.append(path_of(found))
                tracks.append(resampled(found, frames=settings.frames, points=settings.points))
            else:
                notes.append(one_line(str(found)))
    except FormatError as error:
        record |= {"status": "skipped", "line": error.line, "reason": one_line(error.reason)}
        return record, []
    record["windows"] = len(tracks)
    if settings.without_camera_motion:
        record["camera"] = _take_out_camera(tracks, paths, notes)
    if not tracks:
        record |= {"status": "skipped", "line": None, "reason": "no track in it"}
    if notes:
        kept = notes[:_MAX_NOTES]
        more = len(notes) - len(kept)
        record["notes"] = [*kept, *([f"and {more} more were skipped"] if more else [])]
    return record, tracks


def _take_out_camera(
    tracks: list[Track], paths: Sequence[Track], notes: list[str]
) -> dict[str, int]:
    """Replace tracks by those without the camera's motion where it is known.

    Args:
        paths: `path_of` each track before it was resampled.
        notes: gets what could not be done.

    Returns:
        `tracks` and `videos`, how many were corrected, and `of_videos`.
    """
    of_video: dict[tuple[Any, ...], list[int]] = {}
    for number, path in enumerate(paths):
        of_video.setdefault((path.video, path.frame_size, path.fps), []).append(number)
    counts = {"tracks": 0, "videos": 0, "of_videos": len(of_video)}
    for numbers in of_video.values():
        try:
            still = without_camera_motion([tracks[i] for i in numbers], [paths[i] for i in numbers])
        except InputError as error:
            notes.append(one_line(f"camera motion is left in: {error}"))
            continue
        num_corrected = sum(new is not tracks[i] for i, new in zip(numbers, still))
        counts["tracks"] += num_corrected
        counts["videos"] += num_corrected > 0
        for i, new in zip(numbers, still):
            tracks[i] = new
    return counts


def _tracks_of(path: Path, options: ReadOptions, tracker: Tracker | None) -> Read:
    if tracker is not None and path.suffix.lower() in VIDEO_SUFFIXES:
        return tracker.read(path)
    return iter_tracks(path, options)


_VAL_SHARE: Final = 0.15
_VAL_SHARE_OF_MANY: Final = 0.06
_MANY_RECORDINGS: Final = 500


def split_of(
    track: Track, published: set[str | None], settings: TrackSettings, num_recordings: int = 0
) -> str:
    """The split of a track: the published one, or by a hash of its recording.

    Where a training split is published but nothing to judge epochs by, 15 % of its recordings are
    for that; of 500 and more, 6 %.
    """
    if published == {None}:
        return windows.split_of(track.recording, settings.seed)
    if settings.held_out == "test" and "test" not in published and track.split == "val":
        return "test"
    if track.split in (None, "train") and ("val" not in published or settings.held_out == "test"):
        if "test" in published and "val" in published:
            return "train"
        most = _VAL_SHARE_OF_MANY if num_recordings >= _MANY_RECORDINGS else _VAL_SHARE
        is_val = windows.share_of(f"val/{track.recording}", settings.seed) >= 1.0 - most
        return "val" if is_val else "train"
    return track.split or "train"


def columns_of(tracks: Sequence[Track], split: str) -> dict[str, Any]:
    """Tracks of equal length as columns of a dataset."""
    return {
        "window_id": [well_formed(track.track_id) for track in tracks],
        "clip_id": [well_formed(track.track_id) for track in tracks],
        "recording": [well_formed(track.recording) for track in tracks],
        "source": [well_formed(track.source) for track in tracks],
        "split": [split] * len(tracks),
        "start_s": [0.0] * len(tracks),
        "end_s": [float(max(track.duration_s, 1e-3)) for track in tracks],
        "tracks": np.stack([normalised(track.points, track.frame_size) for track in tracks]),
        "visible": np.stack([track.visible for track in tracks]),
        "frame_size": np.array([track.frame_size for track in tracks], dtype=np.float32),
        "captions": [list(track.captions) for track in tracks],
        "labels": [_labels(track) for track in tracks],
    }


def _labels(track: Track) -> str:
    labels: Mapping[str, str] = track.labels
    return json.dumps({**labels, "object": track.object_id}, sort_keys=True)


def _clip_row(track: Track, split: str, source: str) -> dict[str, Any]:
    return {
        "clip_id": well_formed(track.track_id),
        "recording": well_formed(track.recording),
        "source": well_formed(source),
        "fps": float(track.fps),
        "start_frame": track.start_frame,
        "frames": track.num_frames,
        "duration_s": track.duration_s,
        "split": split,
        "captions": list(track.captions),
        "labels": _labels(track),
        "num_windows": 1,
        "joints": track.num_points,
    }
