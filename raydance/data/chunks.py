"""Which windows belong together, and how they are read, augmented and normalised. No Ray, no torch.

An epoch is a list of chunks that is a pure function of (seed, epoch, rank, world size); a chunk is
loaded by a pure function of (spec, chunk). So the plain loop and Ray Data deliver the same batches,
and an epoch can be repeated exactly after a crash.

Shuffling: the order of shards is permuted, the rows of all shards in that order are dealt to the
ranks in equal contiguous ranges, and the rows of each chunk (a few shards) are permuted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from raydance.data.columns import read_columns
from raydance.data.dataset import Dataset
from raydance.data.schema import CAPTION_IDS, Column
from raydance.motion import augment

_KEEP_BYTES = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Rows `start:stop` of one shard."""

    shard: int
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Rows that are loaded and shuffled together."""

    epoch: int
    index: int
    rank: int
    segments: tuple[Segment, ...]

    @property
    def num_windows(self) -> int:
        return sum(s.stop - s.start for s in self.segments)


def plan_epoch(
    shard_sizes: Sequence[int],
    *,
    seed: int,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
    chunk_windows: int = 1024,
    shuffle: bool = True,
) -> list[Chunk]:
    """The chunks of one rank in one epoch.

    Every rank gets the same number of windows; the remainder (fewer than `world_size`) sits out,
    different windows in each epoch.

    Args:
        shard_sizes: windows in each shard.
        chunk_windows: at most so many windows in a chunk; a multiple of the batch size.
    """
    order = np.arange(len(shard_sizes))
    if shuffle:
        order = np.random.default_rng([seed, epoch]).permutation(order)
    ends = np.cumsum([shard_sizes[int(i)] for i in order]) if len(order) else np.zeros(1, dtype=int)
    per_rank = int(ends[-1]) // world_size
    first, last = rank * per_rank, (rank + 1) * per_rank
    chunks: list[Chunk] = []
    for index, begin in enumerate(range(first, last, chunk_windows)):
        end = min(begin + chunk_windows, last)
        segments = []
        position = int(np.searchsorted(ends, begin, side="right"))
        while begin < end:
            shard = int(order[position])
            shard_begin = int(ends[position]) - shard_sizes[shard]
            stop = min(end, int(ends[position]))
            segments.append(
                Segment(shard=shard, start=begin - shard_begin, stop=stop - shard_begin)
            )
            begin, position = stop, position + 1
        chunks.append(Chunk(epoch=epoch, index=index, rank=rank, segments=tuple(segments)))
    return chunks


class RowTransform(Protocol):
    """Turns stored rows of one modality into what networks read; picklable and pure.

    Attributes:
        reads: columns of the dataset that it needs.
        gives: batch columns that it makes of them.
        augments: whether training rows get noise.
    """

    @property
    def reads(self) -> tuple[str, ...]: ...

    @property
    def gives(self) -> tuple[str, ...]: ...

    @property
    def augments(self) -> bool: ...

    def mirror_flags(self, keys: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
        """`[N]` bool: rows that `training` mirrors."""

    def training(
        self, rows: Mapping[str, Any], keys: np.ndarray, *, seed: int, epoch: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Augmented batch columns, and which rows were mirrored, `[N]` bool."""

    def plain(self, rows: Mapping[str, Any], *, mirrored: bool = False) -> dict[str, np.ndarray]:
        """Batch columns without noise."""


@dataclass(frozen=True, kw_only=True)
class StoredColumn:
    """A column that a step added to rows, and the folder of its files, one for each shard."""

    column: Column
    folder: str


@dataclass(frozen=True, kw_only=True)
class BatchSpec:
    """Everything that loading a chunk depends on; small and picklable.

    Attributes:
        dataset: folder of the dataset.
        reads: the batch columns that the stage wants.
        transform: from stored rows to the batch columns of the modality.
        columns: further columns of rows, by name.
        captions: bundle files that together make the caption table; empty where none is read.
        balanced: order rows so that every batch holds all clusters equally.
    """

    dataset: str
    reads: tuple[str, ...]
    transform: RowTransform
    columns: Mapping[str, StoredColumn] = field(default_factory=dict)
    captions: tuple[str, ...] = ()
    seed: int = 0
    batch_size: int = 64
    balanced: bool = False

    @property
    def wants_rows(self) -> bool:
        """Whether the arrays of the dataset itself are read, not only columns beside it."""
        return any(name in self.reads for name in self.transform.gives)


class ChunkLoader:
    """Loads chunks of one split.

    Args:
        training: augment and shuffle; otherwise rows come as they are, with their first caption.
    """

    def __init__(self, spec: BatchSpec, split: str, *, training: bool) -> None:
        self.spec = spec
        self.training = training
        self._dataset = Dataset.open(spec.dataset)
        self.shards = self._dataset.shards(split)
        self._kept: dict[int, dict[str, np.ndarray | list]] = {}
        self._kept_bytes = 0

    @property
    def shard_sizes(self) -> list[int]:
        return [shard.num_windows for shard in self.shards]

    def __call__(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Arrays of the chunk's windows in batch order, without the caption columns."""
        spec = self.spec
        parts = [self._read(segment) for segment in chunk.segments]
        rows = {name: _concatenate([part[name] for part in parts]) for name in parts[0]}
        keys = np.asarray(rows.pop("key"))
        if self.training:
            rng = np.random.default_rng([spec.seed, chunk.epoch, chunk.rank, chunk.index])
            order = (
                balanced_order(np.asarray(rows["cluster"]), rng)
                if spec.balanced
                else rng.permutation(len(keys))
            )
            keys = keys[order]
            rows = {name: _take(values, order) for name, values in rows.items()}
        return self._finish(rows, keys, chunk.epoch)

    def _read(self, segment: Segment) -> dict[str, np.ndarray | list]:
        rows = self._kept.get(segment.shard)
        if rows is None:
            rows = self._read_shard(segment.shard)
            size = sum(v.nbytes for v in rows.values() if isinstance(v, np.ndarray))
            # Small columns are read in every epoch, and there may be hundreds of short ones.
            if not self.spec.wants_rows and self._kept_bytes + size <= _KEEP_BYTES:
                self._kept[segment.shard] = rows
                self._kept_bytes += size
        return {name: values[segment.start : segment.stop] for name, values in rows.items()}

    def _read_shard(self, number: int) -> dict[str, np.ndarray | list]:
        spec, shard = self.spec, self.shards[number]
        wanted = ["window_id", *(spec.transform.reads if spec.wants_rows else ())]
        rows = dict(self._dataset.read_shard(shard, columns=wanted))
        window_ids = list(rows.pop("window_id"))
        rows["key"] = augment.window_keys(window_ids)
        for stored in spec.columns.values():
            path = Path(stored.folder) / f"{shard.name}.parquet"
            rows |= read_columns(path, stored.column.stored_names, window_ids)
        return rows

    def _finish(self, rows: dict, keys: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
        spec, transform = self.spec, self.spec.transform
        augmenting = self.training and transform.augments
        mirrored = np.zeros(len(keys), dtype=bool)
        out: dict[str, np.ndarray] = {}
        if spec.wants_rows:
            if augmenting:
                out, mirrored = transform.training(rows, keys, seed=spec.seed, epoch=epoch)
            else:
                out = transform.plain(rows)
        elif augmenting:
            mirrored = transform.mirror_flags(keys, seed=spec.seed, epoch=epoch)
        for name, stored in spec.columns.items():
            values = rows[name]
            swapped = rows[f"{name}_mirrored"] if stored.column.is_mirrored else values
            if name == CAPTION_IDS.name:
                out["caption_id"] = self._drawn_captions(values, swapped, keys, mirrored, epoch)
                continue
            if stored.column.has_variants:
                draw = np.zeros(len(keys))
                if augmenting:
                    draw = augment.uniforms(keys, seed=spec.seed, epoch=epoch, stream=83)
                variant_N = (draw * values.shape[1]).astype(np.int64)
                rows_N = np.arange(len(keys))
                values, swapped = values[rows_N, variant_N], swapped[rows_N, variant_N]
            if stored.column.is_mirrored:
                flags = mirrored.reshape(-1, *(1 for _ in values.shape[1:]))
                values = np.where(flags, swapped, values)
            out[name] = values
        return out

    def _drawn_captions(
        self, plain: list, swapped: list, keys: np.ndarray, mirrored: np.ndarray, epoch: int
    ) -> np.ndarray:
        """One caption id for each row: any in training, else the first."""
        draw = np.zeros(len(keys))
        if self.training:
            draw = augment.uniforms(keys, seed=self.spec.seed, epoch=epoch, stream=97)
        return np.array(
            [
                (swapped if flip else plain)[i][int(u * len(plain[i]))]
                for i, (u, flip) in enumerate(zip(draw, mirrored))
            ],
            dtype=np.int64,
        )


def balanced_order(cluster: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row indices, as many as rows, that go round the clusters in turn.

    Small clusters are repeated (each pass in a new order) and large ones are cut.
    """
    members = [rng.permutation(np.flatnonzero(cluster == c)) for c in np.unique(cluster)]
    share = -(-len(cluster) // len(members))
    columns = []
    for rows in members:
        passes = [rows] + [rng.permutation(rows) for _ in range(share // len(rows))]
        columns.append(np.concatenate(passes)[:share])
    return np.stack(columns, axis=1).reshape(-1)[: len(cluster)]


def _concatenate(parts: list) -> np.ndarray | list:
    if isinstance(parts[0], list):
        return [value for part in parts for value in part]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _take(values: np.ndarray | list, order: np.ndarray) -> np.ndarray | list:
    return [values[i] for i in order] if isinstance(values, list) else values[order]
