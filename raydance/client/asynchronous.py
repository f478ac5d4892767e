"""The client for programs with an event loop: each method of `Client`, awaited."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from raydance.client.answers import Job
from raydance.client.client import Client

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def _awaited(
    method: Callable[Concatenate[Client, Given], Answer],
) -> Callable[Concatenate[AsyncClient, Given], Coroutine[Any, Any, Answer]]:
    """A method of `Client` that waits in a thread, with its arguments and documentation."""

    @functools.wraps(method)
    async def twin(self: AsyncClient, *arguments: Given.args, **more: Given.kwargs) -> Answer:
        return await self._do(method, self._client, *arguments, **more)

    return twin


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

    models = _awaited(Client.models)
    generate = _awaited(Client.generate)
    make = _awaited(Client.make)
    make_all = _awaited(Client.make_all)
    save = _awaited(Client.save)
    interpolate = _awaited(Client.interpolate)
    describe = _awaited(Client.describe)
    convert = _awaited(Client.convert)
    search = _awaited(Client.search)
    embed = _awaited(Client.embed)
    clip = _awaited(Client.clip)
    thumbnail = _awaited(Client.thumbnail)
    map = _awaited(Client.map)
    task = _awaited(Client.task)

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
