"""How many may be inside at once: the rest are turned away at once, and told when to come back."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from raydance.serving import problems


class Gate:
    """Bounds the requests under `/v1` that are being answered.

    Args:
        app: what is behind it.
        most: requests at once; more get 503 with `Retry-After`.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or turn it away."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        if self._inside >= self._most:
            await problems.busy(f"{self._most} requests are being answered; try again soon")(
                scope, receive, send
            )
            return
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1
