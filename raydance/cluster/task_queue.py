"""Where the driver lays tasks for workers that live longer than one. Loads no torch."""

from __future__ import annotations

import asyncio
from typing import Final

import ray

CLOSED: Final = -1
"""The number of a task that will not come any more."""


class TaskQueue:
    """An actor that hands numbered tasks, one after the other, to a group of workers.

    A group that is started anew, as after the loss of a worker, is given the task that lies here:
    it is the one that was not finished, or that was finished and is found done.
    """

    def __init__(self) -> None:
        self._tasks: dict[int, ray.ObjectRef] = {}
        self._number = 0
        self._finished = 0
        self._is_open = True
        self._num_starts = 0
        self._changed = asyncio.Condition()

    async def lay(self, task: list[ray.ObjectRef]) -> int:
        """Take a task, in a list, which Ray passes on without looking into; returns its number."""
        async with self._changed:
            self._number += 1
            (self._tasks[self._number],) = task
            self._tasks.pop(self._number - 2, None)
            self._changed.notify_all()
            return self._number

    async def start(self) -> None:
        """Hear that a group of workers has begun to ask."""
        self._num_starts += 1

    async def num_starts(self) -> int:
        """How often a group has begun to ask: above one where workers were lost, or changed."""
        return self._num_starts

    async def next_number(self, after: int, patience_s: float) -> int:
        """The number of a task newer than `after`, or `after` when none came, or `CLOSED`."""

        def is_news() -> bool:
            return not self._is_open or self._number > after

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(is_news), patience_s)
            except TimeoutError:
                return after
        return self._number if self._is_open else CLOSED

    async def take(self, number: int) -> list[ray.ObjectRef]:
        """The task of a number: the last one, or the one before it.

        A group that starts anew may agree on the last number just before a newer task is laid.
        """
        return [self._tasks[number]]

    async def finish(self, number: int) -> None:
        """Hear that a task is done."""
        async with self._changed:
            self._finished = max(self._finished, number)
            self._changed.notify_all()

    async def wait_for(self, number: int) -> None:
        """Return when a task is done."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._finished >= number)

    async def is_open(self) -> bool:
        """Whether anybody still wants what is worked on."""
        return self._is_open

    async def close(self) -> None:
        """Let workers go that wait, and those that train at the end of their epoch."""
        async with self._changed:
            self._is_open = False
            self._changed.notify_all()
