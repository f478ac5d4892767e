"""What runs inside Ray Data's tasks. Loads no torch by itself: a task's process starts in a second.

Tasks of later executions are given to processes that are already there, so what is costly to build
is kept in the process, by key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import ray

from raydance.data.chunks import BatchSpec, Chunk, ChunkLoader


class LoadChunks:
    """Numbers of chunks in, the arrays of each chunk out, in order.

    Args:
        key: names the spec; a process keeps the loader of the last one.
    """

    _kept: ClassVar[dict[str, ChunkLoader]] = {}

    def __init__(self, spec: BatchSpec, chunks: Sequence[Chunk], key: str) -> None:
        self.spec, self.chunks, self.key = spec, chunks, key

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        loader = self._kept.get(self.key)
        if loader is None:
            self._kept.clear()
            loader = self._kept[self.key] = ChunkLoader(self.spec, "train", training=True)
        for number in rows["id"]:
            yield loader(self.chunks[int(number)])


class Apply:
    """Numbers of items in, `factory(*args)(item)` of each out.

    Args:
        items: a reference to the list of items.
        key: names the factory and its arguments; a process keeps what it built last.
    """

    _kept: ClassVar[dict[str, Callable[[Any], Any]]] = {}

    def __init__(
        self,
        factory: Callable[..., Callable[[Any], Any]],
        args: tuple,
        items: ray.ObjectRef,
        key: str,
    ) -> None:
        self.factory, self.args, self.items, self.key = factory, args, items, key

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        work = self._kept.get(self.key)
        if work is None:
            self._kept.clear()
            work = self._kept[self.key] = self.factory(*self.args)
        items = ray.get(self.items)
        for number in rows["id"]:
            cell = np.empty(1, dtype=object)
            cell[0] = [work(items[int(number)])]  # in a list, so that Arrow leaves it whole
            yield {"result": cell}


class ApplyInActor(Apply):
    """The same, built once for the life of an actor."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._kept[self.key] = self.factory(*self.args)
