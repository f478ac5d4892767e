"""Uploads that were read, by what they hold: sent again, or named, they need not be read again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from raydance.motion.clip import Clip
from raydance.serving.problems import NotHere

MAX_BYTES: Final = 128 << 20


@dataclass
class _Reading:
    task: asyncio.Task[Clip]
    waiting: int = 0


class ReadCache:
    """Clips by the hash of the upload that they were read from; the least recent make room.

    Args:
        max_bytes: of all clips together.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._clips: OrderedDict[str, Clip] = OrderedDict()
        self._reading: dict[str, _Reading] = {}

    def find(self, key: str) -> Clip:
        """A clip that was read before.

        Raises:
            NotHere: it was not, or it made room.
        """
        if key not in self._clips:
            raise NotHere("upload: not here, or no longer; send the file again")
        self._clips.move_to_end(key)
        return self._clips[key]

    async def get(self, key: str, read: Callable[[], Awaitable[Clip]]) -> Clip:
        """A clip, read now if it was not before; who asks meanwhile waits for the same reading.

        Args:
            read: given up when everybody who waits for it has gone.
        """
        if key in self._clips:
            return self.find(key)
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = _Reading(asyncio.ensure_future(self._read(key, read)))
        reading.waiting += 1
        try:
            return await asyncio.shield(reading.task)
        finally:
            reading.waiting -= 1
            if reading.waiting == 0 and not reading.task.done():
                reading.task.cancel()
                self._reading.pop(key, None)

    async def _read(self, key: str, read: Callable[[], Awaitable[Clip]]) -> Clip:
        try:
            clip = await read()
        finally:
            if (mine := self._reading.get(key)) and mine.task is asyncio.current_task():
                del self._reading[key]
        self._clips[key] = clip
        while sum(map(_size, self._clips.values())) > self._max_bytes:
            self._clips.popitem(last=False)
        return clip


def _size(clip: Clip) -> int:
    arrays = (clip.positions, clip.rotations, clip.offsets)
    return sum(array.nbytes for array in arrays if array is not None)
