"""Training batches streamed by Ray Data; equal to those of `raydance.training.batches`.

Ray Data loads chunks whose content `raydance.training.batches` defines, so losses equal those of
the plain loop. One stream covers several epochs: data tasks read and augment the next epoch while
the current one trains, and executions are started rarely.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import ray.data

from raydance.cluster.tasks import LoadChunks
from raydance.data.chunks import BatchSpec, Chunk
from raydance.stages.base import TrainConfig
from raydance.training.batches import Batches

DATA_CPUS: Final = 0.5
"""Logical processors requested by each task that reads chunks."""

STREAM_CPUS: Final = 1.0
"""Logical processors that a stream needs; Ray Data's task that numbers the chunks requests 1."""

_CHUNKS_PER_STREAM = 256


class RayBatches(Batches):
    """Batches whose training chunks are read and augmented ahead of the loop by Ray Data tasks."""

    def __init__(self, spec: BatchSpec, train: TrainConfig, *, rank: int, world_size: int) -> None:
        super().__init__(spec, rank=rank, world_size=world_size)
        self.epochs = train.epochs_of(self.windows_per_epoch * world_size)
        self._stream: Iterator[dict[str, np.ndarray]] | None = None
        self._next_epoch = -1
        self._last_epoch = -1

    def load_epoch(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """Arrays of each chunk, from a stream over this and the following epochs."""
        if self._stream is None or epoch != self._next_epoch or epoch > self._last_epoch:
            self._open(epoch)
        for chunk in self.plan(epoch):
            yield self._take(chunk)
        self._next_epoch = epoch + 1

    def _open(self, epoch: int) -> None:
        chunks: list[Chunk] = []
        last = epoch
        for last in range(epoch, self.epochs):
            chunks += self.plan(last)
            if len(chunks) >= _CHUNKS_PER_STREAM:
                break
        self._last_epoch = last
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.execution_options.verbose_progress = False
        context.enable_progress_bars = False
        key = f"{os.getpid()}-{self.rank}-{self.spec.seed}-{','.join(self.spec.reads)}"
        stream = ray.data.range(len(chunks), override_num_blocks=len(chunks)).map_batches(
            LoadChunks(self.spec, chunks, key), batch_size=None, num_cpus=DATA_CPUS
        )
        # A split into one part makes an actor run the stream. Otherwise Ray Data's scheduling loop
        # runs in a thread of this process and competes for Python's lock: training was six times
        # slower.
        (split,) = stream.streaming_split(1)
        whole: Any = None  # None: blocks as they come; documented by Ray but not in its annotations
        blocks = split.iter_batches(batch_size=whole, prefetch_batches=2)
        self._stream = iter(blocks)

    def _take(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Rows of the next chunk; Ray may split or merge blocks but keeps their order."""
        assert self._stream is not None
        parts: list[dict[str, np.ndarray]] = []
        missing = chunk.num_windows
        while missing > 0:
            block = self._left_over or next(self._stream)
            self._left_over = None
            size = len(next(iter(block.values())))
            if size > missing:
                self._left_over = {name: values[missing:] for name, values in block.items()}
                block = {name: values[:missing] for name, values in block.items()}
                size = missing
            parts.append(block)
            missing -= size
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    _left_over: dict[str, np.ndarray] | None = None

    def close(self) -> None:
        """Stop the stream; Ray Data ends its tasks when nothing holds it."""
        self._stream = None
        self._left_over = None
