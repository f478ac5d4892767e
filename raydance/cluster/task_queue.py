"""Queue of training tasks between the driver and a `WorkerGroup`. Does not import torch."""

from __future__ import annotations

import asyncio
from typing import Final

import ray

CLOSED: Final = -1
"""Returned instead of a task number when the queue is closed."""


class TaskQueue:
    """Ray actor that hands out numbered tasks, one at a time, to a group of workers.

    A group that was restarted, for example after the loss of a worker, gets the current task again.
    If that task was finished already, the workers find its result and do nothing.
    """

    def __init__(self) -> None:
        self._tasks: dict[int, ray.ObjectRef] = {}
        self._number = 0
        self._finished = 0
        self._is_open = True
        self._num_starts = 0
        self._changed = asyncio.Condition()

    async def add(self, task: list[ray.ObjectRef]) -> int:
        """Add a task, in a list because Ray would resolve a bare reference; returns its number."""
        async with self._changed:
            self._number += 1
            (self._tasks[self._number],) = task
            self._tasks.pop(self._number - 2, None)
            self._changed.notify_all()
            return self._number

    async def start(self) -> None:
        """Record that a group of workers has started."""
        self._num_starts += 1

    async def num_starts(self) -> int:
        """Number of starts of the group; above 1 after a restart or a resize."""
        return self._num_starts

    async def next_number(self, after: int, patience_s: float) -> int:
        """Wait for a task newer than `after`: its number, `after` at the timeout, or `CLOSED`."""

        def is_news() -> bool:
            return not self._is_open or self._number > after

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(is_news), patience_s)
            except TimeoutError:
                return after
        return self._number if self._is_open else CLOSED

    async def take(self, number: int) -> list[ray.ObjectRef]:
        """The task of a number: the last one or the one before it.

        A restarting group may agree on a number just before a newer task is added.
        """
        return [self._tasks[number]]

    async def finish(self, number: int) -> None:
        """Record that a task is done."""
        async with self._changed:
            self._finished = max(self._finished, number)
            self._changed.notify_all()

    async def wait_for(self, number: int) -> None:
        """Return when a task is done."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._finished >= number)

    async def is_open(self) -> bool:
        """Whether the driver still wants the results."""
        return self._is_open

    async def close(self) -> None:
        """Stop idle workers at once, and training ones at the end of their epoch."""
        async with self._changed:
            self._is_open = False
            self._changed.notify_all()
