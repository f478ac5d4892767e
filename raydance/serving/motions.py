"""The motion behind a library's clips: from the dataset's windows, else from the source files.

A run holds points of its clips, not their motion, so a service shows what lies within its reach
and says plainly what does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raydance.data.dataset import SPLITS, Dataset, Shard
from raydance.errors import ArtifactError, RaydanceError
from raydance.library.store import CaptionStore
from raydance.motion import windows
from raydance.motion.formats import read_clip
from raydance.motion.mapping import map_to_canonical
from raydance.motion.stitch import rebuild
from raydance.plain_text import existing_path
from raydance.serving.problems import NotHere
from raydance.systems.dance_language.run import DanceLanguage


@dataclass(frozen=True, kw_only=True)
class ClipPart:
    """A part of a clip on the canonical skeleton.

    Attributes:
        motion: `[T, 50, 3]` metres, y up; the first frame stands at x = z = 0 and faces +z.
        joint_mask: `[50]` bool.
        start_s: where it begins in the clip.
    """

    clip_id: str
    motion: np.ndarray
    joint_mask: np.ndarray
    fps: float
    start_s: float
    captions: tuple[str, ...]


class DatasetMotions:
    """Clips of the run's own library.

    Args:
        path: the dataset; the place where the run was trained from by default.
    """

    def __init__(self, system: DanceLanguage, path: Path | None = None) -> None:
        facts = system.run.facts["dataset"]
        place = Path(path or facts["path"])
        self.dataset: Dataset | None = None
        try:
            dataset = Dataset.open(place)
        except ArtifactError:
            if path is not None:
                raise
        else:
            if dataset.manifest_hash == facts["hash"]:
                self.dataset = dataset
            elif path is not None:
                raise ArtifactError(f"{place}: not the dataset that {system.run.path} learnt from")
        self._places: dict[str, tuple[list[tuple[Shard, int]], list[float]]] | None = None

    def has(self, clip_id: str) -> bool:
        """Whether the motion of a clip can be shown."""
        return clip_id in self._clips

    @property
    def _clips(self) -> dict[str, tuple[list[tuple[Shard, int]], list[float]]]:
        """Clip -> (shard, row) and start of each of its windows, in order of time."""
        if self._places is None:
            self._places = {}
            if self.dataset is not None:
                for split in SPLITS:
                    for shard in self.dataset.shards(split):
                        rows = self.dataset.read_shard(shard, ["clip_id", "start_s"])
                        for i, (name, start) in enumerate(zip(rows["clip_id"], rows["start_s"])):
                            where, starts = self._places.setdefault(name, ([], []))
                            where.append((shard, i))
                            starts.append(float(start))
        return self._places

    def part(self, clip_id: str, start_s: float, end_s: float) -> ClipPart:
        """A clip between two times, stitched from its windows.

        Raises:
            NotHere: no such clip, no dataset here, or nothing between these times.
        """
        if self.dataset is None:
            raise NotHere("the motion of this run's clips is not on this machine")
        if clip_id not in self._clips:
            raise NotHere(f"no clip {clip_id!r} in this run's library")
        where, starts = self._clips[clip_id]
        fps = self.dataset.fps
        length_s = int(self.dataset.manifest["window"]) / fps
        near = [
            i
            for i, start in enumerate(starts)
            if start < end_s - 0.5 / fps and start + length_s > start_s + 0.5 / fps
        ]
        if not near:
            raise NotHere(f"{clip_id!r} has no motion from {start_s:g} to {end_s:g} s")
        rows = self._read([where[i] for i in near])
        mask = rows[0]["joint_mask"]
        # A recording with a gap ends there: motion on its other side is a clip of its own.
        offset, whole = rebuild(
            np.stack([row["motion"] for row in rows]),
            np.array([starts[i] for i in near]),
            fps,
            joint_mask=mask,
        )[0]
        begin = min(max(0, round((start_s - offset) * fps)), len(whole) - 1)
        end = min(len(whole), max(begin + 1, round((end_s - offset) * fps)))
        return ClipPart(
            clip_id=clip_id,
            motion=windows.normalise_window(whole[None, begin:end], mask[None])[0],
            joint_mask=mask,
            fps=fps,
            start_s=offset + begin / fps,
            captions=tuple(rows[0]["captions"]),
        )

    def _read(self, places: list[tuple[Shard, int]]) -> list[dict[str, Any]]:
        """Motion, joint mask and captions of windows."""
        assert self.dataset is not None
        columns = ["motion", "joint_mask", "captions"]
        shards = {shard.name: shard for shard, _ in places}
        read = {name: self.dataset.read_shard(s, columns) for name, s in shards.items()}
        return [{c: read[shard.name][c][row] for c in columns} for shard, row in places]


class LibraryMotions:
    """Clips of a captioned library, read from its source files."""

    def __init__(self, store: CaptionStore) -> None:
        self.store = store
        self._clips: dict[str, dict[str, Any]] | None = None

    @property
    def _rows(self) -> dict[str, dict[str, Any]]:
        if self._clips is None:
            columns = ("clip_id", "source", "start_frame", "fps", "duration_s", "captions")
            self._clips = {
                row["clip_id"]: {name: row[name] for name in columns}
                | {"source": existing_path(row["source"])}
                for row in self.store.clips()
            }
        return self._clips

    def has(self, clip_id: str) -> bool:
        """Whether the motion of a clip can be shown."""
        row = self._rows.get(clip_id)
        return row is not None and row["start_frame"] is not None and row["source"].is_file()

    def part(self, clip_id: str, start_s: float, end_s: float) -> ClipPart:
        """A clip between two times.

        Raises:
            NotHere: no such clip, or its file is not here or cannot be read any more.
        """
        row = self._rows.get(clip_id)
        if row is None:
            raise NotHere(f"no clip {clip_id!r} in this library")
        if not self.has(clip_id):
            raise NotHere(f"the motion file of {clip_id!r} is not on this machine")
        reading = self.store.facts.get("reading") or {}
        try:
            clip = read_clip(
                row["source"], fps=row["fps"], units=reading.get("units"), up=reading.get("up")
            )
            mapped = map_to_canonical(clip, reading.get("mapping"))
        except (RaydanceError, OSError) as error:
            raise NotHere(f"the motion of {clip_id!r} cannot be read: {_plain(error)}") from None
        first = int(row["start_frame"])
        last = first + round(row["duration_s"] * row["fps"])
        fps = float(self.store.facts["fps"])
        motion = windows.resample(mapped.positions[first:last], row["fps"], fps)
        begin = round(start_s * fps)
        end = min(len(motion), max(begin + 1, round(end_s * fps)))
        if begin >= len(motion):
            raise NotHere(f"{clip_id!r} has no motion from {start_s:g} to {end_s:g} s")
        mask = mapped.joint_mask
        return ClipPart(
            clip_id=clip_id,
            motion=windows.normalise_window(motion[None, begin:end], mask[None])[0],
            joint_mask=mask,
            fps=fps,
            start_s=begin / fps,
            captions=tuple(row["captions"]),
        )


def _plain(error: Exception) -> str:
    """What is wrong with a file, without where it lies on the server."""
    return getattr(error, "reason", None) or type(error).__name__
