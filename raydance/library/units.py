"""A library as units of work: some files, or a group of a dataset's shards, with all their windows.

A unit is what is committed at once. Its name is a digest of what it holds, so that work done twice
(by a task that was lost, by a driver that was killed) is seen to be the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raydance.data import ingest, pieces, sources
from raydance.data.dataset import SPLITS, Dataset, Shard, is_dataset
from raydance.errors import InputError, RaydanceError

UNIT_WINDOWS = 256
"""A unit of files is closed at the file that reaches so many windows."""

_GROUP_BYTES = 16 << 20
_GROUP_FILES = 64


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file of a library, or one shard of a dataset.

    Attributes:
        name: unique in the library, the same in every place that the library is moved to.
        version: changes when the content does.
    """

    name: str
    version: str
    size: int
    job: sources.FileJob | None = None
    shard: Shard | None = None


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Windows to be captioned and committed together.

    Attributes:
        files: a record of each item: `name`, `version`, `file`, `status` (read, short, skipped),
            `windows`, and for skipped files `reason` and `line`.
        clips: a row of each clip: `clip_id`, `item`, `source`, `fps`, `start_frame`, `duration_s`.
        windows: `clip` (index into `clips`), `start_s` and `end_s` of each window, in order.
        motion: `[N, T, 50, 3]` float32, metres, normalised to the first frame.
        joint_mask: `[N, 50]` bool.
    """

    name: str
    files: list[dict[str, Any]] = field(default_factory=list)
    clips: list[dict[str, Any]] = field(default_factory=list)
    windows: list[tuple[int, float, float]] = field(default_factory=list)
    motion: np.ndarray
    joint_mask: np.ndarray

    def to_row(self) -> dict[str, Any]:
        """Strings and bytes, as they travel between processes."""
        facts = {k: getattr(self, k) for k in ("name", "files", "clips", "windows")}
        return {
            "facts": json.dumps(facts | {"shape": self.motion.shape}),
            "motion": np.ascontiguousarray(self.motion, dtype=np.float32).tobytes(),
            "joint_mask": np.ascontiguousarray(self.joint_mask, dtype=bool).tobytes(),
        }

    @classmethod
    def from_row(cls, facts: str, motion: Any, joint_mask: Any) -> Unit:
        """What `to_row` made; `motion` and `joint_mask` are buffers, used without a copy."""
        data = json.loads(facts)
        shape = data.pop("shape")
        return cls(
            **data,
            motion=np.frombuffer(motion, dtype=np.float32).reshape(shape),
            # A copy: torch takes no read-only memory, and this is small.
            joint_mask=np.frombuffer(joint_mask, dtype=bool).reshape(shape[0], shape[2]).copy(),
        )


def find_items(
    library: Sequence[str | Path], clips: Sequence[str | Path] = ()
) -> tuple[Dataset | None, list[Item]]:
    """What a library holds: the items of one dataset, or all motion files of folders.

    Args:
        clips: caption files that cut files into clips or mend their frame rates.

    Raises:
        InputError: nothing to read, or a dataset beside something else.
    """
    datasets = [place for place in library if is_dataset(Path(place))]
    if datasets and len(library) > 1:
        raise InputError(f"{datasets[0]}: a dataset is captioned by itself; leave the rest out")
    if datasets:
        dataset = Dataset.open(datasets[0])
        shards = [shard for split in SPLITS for shard in dataset.shards(split)]
        return dataset, [
            Item(name=shard.name, version=shard.digest, size=shard.bytes, shard=shard)
            for shard in shards
        ]
    jobs = sources.find_jobs(library, clips)
    return None, [
        Item(name=job.clip_id, version=_version(job), size=job.size, job=job) for job in jobs
    ]


def _version(job: sources.FileJob) -> str:
    try:
        stat = Path(job.path).stat()
    except OSError as error:  # a link that leads nowhere, or gone since it was listed
        return job.problem or str(error.strerror)
    rows = hashlib.blake2b(repr(job.rows).encode(), digest_size=4).hexdigest()
    return f"{stat.st_size}-{stat.st_mtime_ns}" + (f"-{rows}" if job.rows else "")


def group_items(items: Iterable[Item], is_done: Callable[[Item], bool]) -> list[list[Item]]:
    """What is left to do, in groups that one task reads.

    Files go in groups of bounded bytes. Shards of one ingestion group stay together and are done
    again together, for a clip may go on from one to the next.
    """
    items = list(items)
    if any(item.shard for item in items):
        return [group for group in _grouped(items) if not all(map(is_done, group))]
    return _grouped([item for item in items if not is_done(item)])


def _grouped(items: Sequence[Item]) -> list[list[Item]]:
    groups: list[list[Item]] = []
    last, size = "", 0
    for item in items:
        # `train-00003-001` is the second shard of group 3.
        key = item.name.rpartition("-")[0] if item.shard else ""
        is_full = size + item.size > _GROUP_BYTES or bool(
            groups and len(groups[-1]) >= _GROUP_FILES
        )
        if not groups or key != last or (item.job is not None and is_full):
            groups.append([])
            size = 0
        groups[-1].append(item)
        last, size = key, size + item.size
    return groups


def read_units(
    items: Sequence[Item], settings: ingest.Settings, dataset: Dataset | None, salt: str
) -> Iterator[Unit]:
    """The units of one group, in order.

    Args:
        salt: of the names; what the output depends on besides the items.
    """
    if dataset is not None:
        yield _dataset_unit(items, dataset, salt)
        return
    open_unit: list[tuple[Item, ingest.FileResult]] = []
    count = 0
    for item in items:
        assert item.job is not None
        result = ingest.read_job(item.job, settings)
        open_unit.append((item, result))
        count += sum(len(piece.starts) for piece in result.pieces)
        if count >= UNIT_WINDOWS:
            yield _files_unit(open_unit, settings, salt)
            open_unit, count = [], 0
    if open_unit:
        yield _files_unit(open_unit, settings, salt)


def unit_name(items: Iterable[Item], salt: str) -> str:
    """A digest of what a unit holds, and of what its output depends on besides."""
    digest = hashlib.blake2b(salt.encode(), digest_size=10)
    for item in items:
        digest.update(f"\0{item.name}\0{item.version}".encode())
    return digest.hexdigest()


def _files_unit(
    read: Sequence[tuple[Item, ingest.FileResult]], settings: ingest.Settings, salt: str
) -> Unit:
    unit_clips: list[dict[str, Any]] = []
    rows: list[tuple[int, float, float]] = []
    files, motions, masks = [], [], []
    for item, result in read:
        files.append({"name": item.name, "version": item.version} | result.record)
        place: dict[str, int] = {}
        for clip in result.clips:
            place[clip["clip_id"]] = len(unit_clips)
            kept = ("clip_id", "source", "fps", "start_frame", "duration_s")
            unit_clips.append({k: clip[k] for k in kept} | {"item": item.name})
        for piece in result.pieces:
            motion, mask, starts = pieces.cut(piece, settings)
            motions.append(motion)
            masks.append(mask)
            number = place[piece.clip["clip_id"]]
            ends = starts + piece.lengths / settings.fps
            rows += [(number, float(start), float(end)) for start, end in zip(starts, ends)]
    return Unit(
        name=unit_name((item for item, _ in read), salt),
        files=files,
        clips=unit_clips,
        windows=rows,
        motion=_joined(motions, (settings.window, 50, 3), np.float32),
        joint_mask=_joined(masks, (50,), bool),
    )


def _joined(parts: list[np.ndarray], shape: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros((0, *shape), dtype)


def _dataset_unit(items: Sequence[Item], dataset: Dataset, salt: str) -> Unit:
    columns = ["clip_id", "source", "start_s", "end_s", "motion", "joint_mask"]
    known = {clip["clip_id"]: clip for clip in dataset.clips()}
    unit_clips: list[dict[str, Any]] = []
    place: dict[str, int] = {}
    rows: list[tuple[int, float, float]] = []
    files, motions, masks = [], [], []
    for item in items:
        assert item.shard is not None
        record = {"name": item.name, "version": item.version}
        record["file"] = str(dataset.shard_path(item.shard))
        try:
            read = dataset.read_shard(item.shard, columns=columns)
        except (RaydanceError, OSError) as error:  # one damaged shard does not stop a library
            files.append(record | {"status": "skipped", "windows": 0, "reason": str(error)})
            continue
        files.append(record | {"status": "read", "windows": len(read["motion"])})
        motions.append(read["motion"])
        masks.append(read["joint_mask"])
        for i, clip_id in enumerate(read["clip_id"]):
            if clip_id not in place:
                place[clip_id] = len(unit_clips)
                clip = known.get(clip_id, {})
                unit_clips.append(
                    {
                        "clip_id": clip_id,
                        "source": read["source"][i],
                        "fps": clip.get("fps", dataset.fps),
                        "start_frame": clip.get("start_frame"),
                        "duration_s": clip.get("duration_s", read["end_s"][i]),
                        "item": item.name,
                    }
                )
            rows.append((place[clip_id], float(read["start_s"][i]), float(read["end_s"][i])))
    return Unit(
        name=unit_name(items, salt),
        files=files,
        clips=unit_clips,
        windows=rows,
        motion=_joined(motions, (int(dataset.manifest["window"]), 50, 3), np.float32),
        joint_mask=_joined(masks, (50,), bool),
    )


def settings_of(fps: float, window: int, stride: int, extra: Mapping[str, Any]) -> ingest.Settings:
    """How files become windows for a run: its rate, window and stride, and what a user adds."""
    return ingest.Settings(fps=fps, window=window, stride=stride, **extra)
