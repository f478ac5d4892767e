"""How many may be inside, and for how long: the rest are told to come back.

What is asked by callers who have gone is given up: it is not begun if it was waiting.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raydance.serving import problems

ANSWER_S: Final = 110.0
"""Until an answer must begin; less than Serve's proxy waits, so that the answer is still ours."""


class ConcurrencyLimit:
    """Bounds the requests under `/v1` that are being answered.

    Args:
        app: what is behind it.
        most: requests at once; more get 503 with `Retry-After`.
        answer_s: until an answer must begin, else 503.
    """

    def __init__(self, app: ASGIApp, most: int, answer_s: float = ANSWER_S) -> None:
        self._app = app
        self._most = most
        self._answer_s = answer_s
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or turn it away."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        if self._inside >= self._most:
            refusal = problems.busy(f"{self._most} requests are being answered; try again soon")
            await refusal(scope, receive, send)
            return
        self._inside += 1
        try:
            await self._within_time(scope, receive, send)
        finally:
            self._inside -= 1

    async def _within_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = _Caller(receive, has_body=scope["method"] not in ("GET", "HEAD"))
        has_begun = False

        async def starting(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                limit.reschedule(None)  # a slow reader is the connection's affair
            await send(message)

        async def watching() -> None:
            await caller.leaves()
            if not has_begun and not limit.expired():
                # One way out for both: what runs under the limit is cancelled and cleans up.
                limit.reschedule(asyncio.get_running_loop().time())

        try:
            async with asyncio.timeout(self._answer_s) as limit:
                watch = asyncio.create_task(watching())
                try:
                    await self._app(scope, caller.receive, starting)
                finally:
                    watch.cancel()
        except TimeoutError:
            if caller.has_gone:
                return
            refusal = problems.busy(
                f"no answer within {self._answer_s:g} s; ask for less at once, or again later"
            )
            await refusal(scope, receive, send)


class _Caller:
    """Hands on what the caller sends, and sees it leave once all of it is there.

    Args:
        has_body: otherwise whatever comes first tells that it has gone.
    """

    def __init__(self, receive: Receive, *, has_body: bool) -> None:
        self._receive = receive
        self._is_whole = asyncio.Event()
        self._has_gone = asyncio.Event()
        self._empty: Message | None = None
        if not has_body:
            self._empty = {"type": "http.request", "body": b"", "more_body": False}
            self._is_whole.set()

    @property
    def has_gone(self) -> bool:
        return self._has_gone.is_set()

    async def receive(self) -> Message:
        """What the application receives."""
        if self._empty is not None:
            message, self._empty = self._empty, None
            return message
        if self._is_whole.is_set():
            await self._has_gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._has_gone.set()
        if not message.get("more_body", False):
            self._is_whole.set()
        return message

    async def leaves(self) -> None:
        """Return when the caller has gone."""
        await self._is_whole.wait()
        while not self.has_gone:
            if (await self._receive())["type"] == "http.disconnect":
                self._has_gone.set()
