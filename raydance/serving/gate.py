"""How many may be inside, and for how long: the rest are told to come back."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raydance.serving import problems

ANSWER_S: Final = 110.0
"""Until an answer must begin; less than Serve's proxy waits, so that the answer is still ours."""


class Gate:
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
        async def starting(message: Message) -> None:
            if message["type"] == "http.response.start":
                limit.reschedule(None)  # a slow reader is the connection's affair
            await send(message)

        try:
            async with asyncio.timeout(self._answer_s) as limit:
                await self._app(scope, receive, starting)
        except TimeoutError:
            refusal = problems.busy(
                f"no answer within {self._answer_s:g} s; ask for less at once, or again later"
            )
            await refusal(scope, receive, send)
