"""The client for programs with an event loop: each method of `Client`, awaited."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Unpack

import numpy as np

from raydance.client.answers import Generation, Job
from raydance.client.client import Client
from raydance.client.options import (
    GenerateOptions,
    PartOptions,
    ReadingOptions,
    SearchOptions,
    TaskInputs,
)
from raydance.motion.clip import Clip

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class AsyncClient:
    """`Client`, whose requests wait in threads instead of the event loop.

    Args:
        most: requests at once.
        settings: of `Client`: `key`, `model`, `timeout_s`, `tries`.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8000", *, most: int = 8, **settings: Any
    ) -> None:
        self._client = Client(url, **settings)
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="raydance-client")

    async def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False)
        self._client.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _do(
        self,
        work: Callable[Given, Answer],
        *arguments: Given.args,
        **more: Given.kwargs,
    ) -> Answer:
        call = functools.partial(work, *arguments, **more)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def models(self) -> list[dict[str, Any]]:
        """See `Client.models`."""
        return await self._do(self._client.models)

    async def generate(self, text: str, **wanted: Unpack[GenerateOptions]) -> list[Clip]:
        """See `Client.generate`."""
        return await self._do(self._client.generate, text, **wanted)

    async def make(self, text: str, **wanted: Unpack[GenerateOptions]) -> Generation:
        """See `Client.make`."""
        return await self._do(self._client.make, text, **wanted)

    async def make_all(
        self, texts: Sequence[str], **wanted: Unpack[GenerateOptions]
    ) -> list[Generation]:
        """See `Client.make_all`."""
        return await self._do(self._client.make_all, texts, **wanted)

    async def save(
        self,
        text: str | Sequence[str],
        path: str | Path,
        *,
        format: str | None = None,
        **wanted: Unpack[GenerateOptions],
    ) -> Path:
        """See `Client.save`."""
        return await self._do(self._client.save, text, path, format=format, **wanted)

    async def interpolate(
        self,
        start: tuple[str, float],
        end: tuple[str, float],
        *,
        share: float | None = None,
        steps: int | None = None,
        clean_feet: bool | None = None,
    ) -> list[Clip]:
        """See `Client.interpolate`."""
        return await self._do(
            self._client.interpolate, start, end, share=share, steps=steps, clean_feet=clean_feet
        )

    async def describe(
        self,
        file: str | Path,
        k: int = 3,
        *,
        skeleton: str | Path | None = None,
        **reading: Unpack[ReadingOptions],
    ) -> list[dict[str, Any]]:
        """See `Client.describe`."""
        return await self._do(self._client.describe, file, k, skeleton=skeleton, **reading)

    async def convert(
        self,
        file: str | Path,
        path: str | Path | None = None,
        *,
        skeleton: str | Path | None = None,
        **reading: Unpack[ReadingOptions],
    ) -> Clip | Path:
        """See `Client.convert`."""
        return await self._do(self._client.convert, file, path, skeleton=skeleton, **reading)

    async def search(
        self,
        query: str | Path,
        k: int = 5,
        *,
        skeleton: str | Path | None = None,
        **wanted: Unpack[SearchOptions],
    ) -> list[dict[str, Any]]:
        """See `Client.search`."""
        return await self._do(self._client.search, query, k, skeleton=skeleton, **wanted)

    async def embed(
        self, query: Sequence[str] | Path, *, skeleton: str | Path | None = None
    ) -> np.ndarray:
        """See `Client.embed`."""
        return await self._do(self._client.embed, query, skeleton=skeleton)

    async def clip(self, clip_id: str, **part: Unpack[PartOptions]) -> Clip:
        """See `Client.clip`."""
        return await self._do(self._client.clip, clip_id, **part)

    async def thumbnail(self, clip_id: str, path: str | Path, **part: Unpack[PartOptions]) -> Path:
        """See `Client.thumbnail`."""
        return await self._do(self._client.thumbnail, clip_id, path, **part)

    async def map(self, limit: int | None = None, cursor: str | None = None) -> dict[str, Any]:
        """See `Client.map`."""
        return await self._do(self._client.map, limit, cursor)

    async def task(
        self,
        name: str,
        options: dict[str, Any] | None = None,
        *,
        path: str | Path | None = None,
        sample: int = 0,
        **inputs: Unpack[TaskInputs],
    ) -> dict[str, Any] | Path:
        """See `Client.task`."""
        return await self._do(self._client.task, name, options, path=path, sample=sample, **inputs)

    async def start(self, route: str, request: dict[str, Any] | None = None) -> AsyncJob:
        """See `Client.start`."""
        return AsyncJob(self, await self._do(self._client.start, route, request))

    async def start_with_file(
        self, route: str, field: str, file: str | Path, **fields: Any
    ) -> AsyncJob:
        """See `Client.start_with_file`."""
        job = await self._do(self._client.start_with_file, route, field, file, **fields)
        return AsyncJob(self, job)


class AsyncJob:
    """`Job`, awaited."""

    def __init__(self, client: AsyncClient, job: Job) -> None:
        self._client = client
        self._job = job
        self.id = job.id

    async def state(self) -> dict[str, Any]:
        """See `Job.state`."""
        return await self._client._do(self._job.state)

    async def save(self, path: str | Path, timeout_s: float = 1800.0) -> Path:
        """See `Job.save`."""
        return await self._client._do(self._job.save, path, timeout_s)

    async def cancel(self) -> None:
        """See `Job.cancel`."""
        await self._client._do(self._job.cancel)
