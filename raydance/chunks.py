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

import numpy as np

from raydance.columns import read_columns
from raydance.dataset import Dataset
from raydance.motion import augment, normalise

CAPTION_COLUMNS = (
    "text_embedding",
    "difficulty",
    "text_latent",
    "text_projection",
    "caption_tokens",
)
"""Columns looked up by `caption_id`; all others belong to windows."""

MIRRORED_COLUMNS = ("latent", "motion_embedding", "coefficients")
"""Window columns that have a second version, `..._mirrored`, for mirrored motion."""

VARIANT_COLUMNS = ("coefficients",)
"""Window columns `[N, V, ...]` of several variants: as the window is, then augmented ones."""


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


@dataclass(frozen=True, kw_only=True)
class BatchSpec:
    """Everything that loading a chunk depends on; small and picklable.

    Attributes:
        dataset: folder of the dataset.
        reads: the batch columns that the stage wants.
        columns: window column -> folder of column files that holds it.
        captions: bundle files that together make the caption table.
        statistics: mean and standard deviation for eq. 1; None leaves metres.
        representation: `root_channel` or `per_frame`.
        augment: noise applied in training.
        balanced: order rows so that every batch holds all clusters equally.
    """

    dataset: str
    reads: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    captions: tuple[str, ...] = ()
    statistics: normalise.Statistics | None = None
    representation: normalise.Representation = "root_channel"
    augment: augment.Augment = field(default_factory=augment.Augment)
    seed: int = 0
    batch_size: int = 64
    balanced: bool = False

    @property
    def wants_motion(self) -> bool:
        return "motion" in self.reads

    @property
    def wants_captions(self) -> bool:
        return any(name in CAPTION_COLUMNS or name == "caption_id" for name in self.reads)


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
            if not self.spec.wants_motion and self._kept_bytes + size <= _KEEP_BYTES:
                self._kept[segment.shard] = rows
                self._kept_bytes += size
        return {name: values[segment.start : segment.stop] for name, values in rows.items()}

    def _read_shard(self, number: int) -> dict[str, np.ndarray | list]:
        spec, shard = self.spec, self.shards[number]
        wanted = ["window_id"] + (["motion", "joint_mask"] if spec.wants_motion else [])
        rows = dict(self._dataset.read_shard(shard, columns=wanted))
        window_ids = list(rows.pop("window_id"))
        rows["key"] = augment.window_keys(window_ids)
        for name, folder in spec.columns.items():
            names = [name] + ([f"{name}_mirrored"] if name in MIRRORED_COLUMNS else [])
            if name == "caption_ids":
                names.append("caption_ids_mirrored")
            path = Path(folder) / f"{shard.name}.parquet"
            rows |= read_columns(path, names, window_ids)
        return rows

    def _finish(self, rows: dict, keys: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
        spec = self.spec
        augmenting = self.training and spec.augment.enabled
        mirrored = np.zeros(len(keys), dtype=bool)
        out: dict[str, np.ndarray] = {}
        if spec.wants_motion:
            motion, mask = rows.pop("motion"), rows.pop("joint_mask")
            if augmenting:
                motion, mask, mirrored = augment.augment(
                    motion, mask, keys, seed=spec.seed, epoch=epoch, config=spec.augment
                )
            out["motion"] = to_network(motion, mask, spec.statistics, spec.representation)
            out["joint_mask"] = mask
        elif augmenting:
            mirrored = augment.mirror_flags(keys, seed=spec.seed, epoch=epoch, config=spec.augment)
        if "caption_ids" in rows:
            plain, swapped = rows.pop("caption_ids"), rows.pop("caption_ids_mirrored")
            draw = np.zeros(len(keys))
            if self.training:
                draw = augment.uniforms(keys, seed=spec.seed, epoch=epoch, stream=97)
            out["caption_id"] = np.array(
                [
                    (swapped if flip else plain)[i][int(u * len(plain[i]))]
                    for i, (u, flip) in enumerate(zip(draw, mirrored))
                ],
                dtype=np.int64,
            )
        for name, values in rows.items():
            if name.endswith("_mirrored"):
                continue
            if name in MIRRORED_COLUMNS:
                swapped = rows[f"{name}_mirrored"]
                if name in VARIANT_COLUMNS:
                    rows_N = np.arange(len(keys))
                    draw = np.zeros(len(keys))
                    if augmenting:
                        draw = augment.uniforms(keys, seed=spec.seed, epoch=epoch, stream=83)
                    variant_N = (draw * values.shape[1]).astype(np.int64)
                    values, swapped = values[rows_N, variant_N], swapped[rows_N, variant_N]
                values = np.where(mirrored[:, None], swapped, values)
            out[name] = values
        return out


def to_network(
    motion: np.ndarray,
    joint_mask: np.ndarray,
    statistics: normalise.Statistics | None,
    representation: normalise.Representation,
) -> np.ndarray:
    """Windows `[N, T, 50, 3]` in metres -> what networks read: normalised, absent joints zero."""
    features = normalise.to_features(motion, joint_mask, representation)
    if statistics is not None:
        features = statistics.apply(features)
    return np.where(joint_mask[:, None, :, None], features, 0.0).astype(np.float32, copy=False)


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
