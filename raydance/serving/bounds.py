"""How large and how slow a request may be, and in what coding: for every route, before it reads."""

from __future__ import annotations

import asyncio
from email.message import Message
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from raydance.serving import problems

JSON_BYTES: Final = 1 << 20
BODY_S: Final = 60.0
"""Until a body must be here: whoever sends it drop by drop must not keep others out."""

_FORM: Final = "multipart/form-data"
_OVERHEAD_BYTES: Final = 1 << 16  # boundaries and headers of a multipart body


def media_type(headers: Headers) -> str:
    """What a request says that it brings, in lower case and without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def charset(headers: Headers) -> str:
    """The coding of its text that a request names; `utf-8` where it is silent."""
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    return message.get_content_charset("utf-8")


def is_json(headers: Headers) -> bool:
    """Whether a request says that it brings JSON."""
    return media_type(headers) == "application/json"


def is_form(headers: Headers) -> bool:
    """Whether a request says that it brings a file."""
    return media_type(headers) == _FORM


class Bounds:
    """Refuses bodies that are packed, or that say or turn out to be too large.

    Args:
        app: what is behind it.
        upload_bytes: of a form's files; anything that is no form may have `JSON_BYTES`.
        body_s: until the whole body must be here.
    """

    def __init__(self, app: ASGIApp, upload_bytes: int, body_s: float = BODY_S) -> None:
        self._app = app
        self._upload_bytes = upload_bytes
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, counting what it brings, or refuse it.

        The answer to a file names the upload, by which it can be asked for again.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            refusal = problems.response(
                415, f"content encoding: {coding[:40]!r}; send the body as it is (identity)"
            )
            await refusal(scope, receive, send)
            return
        most = self._upload_bytes + _OVERHEAD_BYTES if is_form(headers) else JSON_BYTES
        too_large = f"the request is larger than {most} bytes"
        if is_form(headers):
            too_large += "; send a part of the motion"
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > most:
            await problems.response(413, too_large)(scope, receive, send)
            return
        seen, is_whole = 0, False
        end = asyncio.get_running_loop().time() + self._body_s

        async def counted() -> dict[str, Any]:
            nonlocal seen, is_whole
            try:  # behind the body only the caller's going away is waited for
                async with asyncio.timeout_at(None if is_whole else end):
                    message: dict[str, Any] = dict(await receive())
            except TimeoutError:
                late = f"the request's body was not here within {self._body_s:g} s"
                raise HTTPException(408, late) from None
            is_whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > most:  # as the framework's own kind, which its reading of bodies lets pass
                raise HTTPException(413, too_large)
            return message

        state = scope.setdefault("state", {})

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start" and "upload" in state:
                MutableHeaders(scope=message)["X-Raydance-Upload"] = state["upload"]
            await send(message)

        await self._app(scope, counted, named)
