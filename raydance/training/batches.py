"""Batches of tensors for the loop, cut from chunks of arrays. No Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from raydance.data.chunks import BatchSpec, Chunk, ChunkLoader, plan_epoch
from raydance.errors import InputError
from raydance.training.caption_table import CaptionTable
from raydance.training.loop import derive_seed


class Batches:
    """Batches for the loop, loaded in this process. `raydance.cluster` streams the same ones.

    Raises:
        InputError: the training or validation split has no windows.
    """

    chunk_windows = 1024

    def __init__(self, spec: BatchSpec, *, rank: int = 0, world_size: int = 1) -> None:
        self.spec = spec
        self.rank, self.world_size = rank, world_size
        self.training_loader = ChunkLoader(spec, "train", training=True)
        self.validation_loader = ChunkLoader(spec, "val", training=False)
        for loader, split in (
            (self.training_loader, "training"),
            (self.validation_loader, "validation"),
        ):
            if sum(loader.shard_sizes) < world_size:
                raise InputError(
                    f"{spec.dataset}: {sum(loader.shard_sizes)} {split} windows for {world_size} "
                    "workers; more recordings are needed (splits are made by recording)"
                )
        plan = self.plan(0)
        self.windows_per_epoch = sum(chunk.num_windows for chunk in plan)
        self.steps_per_epoch = sum(-(-c.num_windows // spec.batch_size) for c in plan)

    def plan(self, epoch: int) -> list[Chunk]:
        """This rank's chunks of a training epoch."""
        size = self.spec.batch_size
        return plan_epoch(
            self.training_loader.shard_sizes,
            seed=self.spec.seed,
            epoch=epoch,
            rank=self.rank,
            world_size=self.world_size,
            chunk_windows=max(size, self.chunk_windows // size * size),
        )

    @cached_property
    def captions(self) -> CaptionTable:
        return CaptionTable.load(self.spec.captions)

    def load_epoch(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """Arrays of each chunk of a training epoch; overridden in `raydance.cluster`."""
        return map(self.training_loader, self.plan(epoch))

    def train(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        for arrays in self.load_epoch(epoch):
            yield from self._batches(arrays)

    def validation(self) -> Iterator[dict[str, Tensor]]:
        """This rank's validation batches; cached in memory up to `_KEEP_BYTES`."""
        for arrays in self._validation_chunks():
            yield from self._batches(arrays)

    _KEEP_BYTES = 256 * 2**20

    def _validation_chunks(self) -> Iterator[dict[str, np.ndarray]]:
        kept = getattr(self, "_kept", None)
        if kept is not None:
            yield from kept
            return
        plan = plan_epoch(
            self.validation_loader.shard_sizes,
            seed=0,
            epoch=0,
            rank=self.rank,
            world_size=self.world_size,
            chunk_windows=self.chunk_windows,
            shuffle=False,
        )
        chunks, size = [], 0
        for chunk in plan:
            arrays = self.validation_loader(chunk)
            size += sum(a.nbytes for a in arrays.values())
            if size <= self._KEEP_BYTES:
                chunks.append(arrays)
            yield arrays
        if size <= self._KEEP_BYTES:
            self._kept = chunks

    def _batches(self, arrays: dict[str, np.ndarray]) -> Iterator[dict[str, Tensor]]:
        size = self.spec.batch_size
        for start in range(0, len(next(iter(arrays.values()))), size):
            # A copy: arrays from Ray's object store are read-only.
            batch = {
                name: torch.from_numpy(np.array(values[start : start + size]))
                for name, values in arrays.items()
            }
            if "caption_id" in batch:
                batch |= self.captions.look_up(batch["caption_id"], self.spec.reads)
            yield batch

    def close(self) -> None:
        """Nothing streams in the background here."""


class MixedBatches:
    """Batches of several datasets. Each batch is of one dataset; their order is the same on all
    ranks.

    Args:
        parts: one for each dataset, of this rank; each is read completely in every epoch.
    """

    def __init__(self, parts: Sequence[Batches]) -> None:
        self.parts = tuple(parts)
        self.windows_per_epoch = sum(part.windows_per_epoch for part in parts)
        self.steps_per_epoch = sum(part.steps_per_epoch for part in parts)

    def train(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        turns = np.repeat(np.arange(len(self.parts)), [p.steps_per_epoch for p in self.parts])
        order = np.random.default_rng([self.parts[0].spec.seed, epoch]).permutation(turns)
        streams = [part.train(epoch) for part in self.parts]
        for turn in order:
            yield next(streams[turn])

    def validation(self) -> Iterator[dict[str, Tensor]]:
        for part in self.parts:
            yield from part.validation()

    def close(self) -> None:
        """Stop what streams in the background."""
        for part in self.parts:
            part.close()


def seed_for(run_seed: int, stage: str) -> int:
    """The seed of one stage's order and noise."""
    return derive_seed(run_seed, stage, "batches") % 2**32
