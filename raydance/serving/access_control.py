"""Who may ask: optional API keys, and headers that keep browsers out of trouble."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raydance.errors import InputError
from raydance.serving import problems

_SHORTEST: Final = 16
_GUARDED: Final = ("/v1", "/metrics", "/docs")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "style-src 'self'; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'"
    ),
}


def digest(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).digest()


class AccessControl:
    """Asks for a key under `/v1`, `/metrics` and `/docs`, and sets the headers.

    Args:
        app: what is guarded.
        digests: of the keys that open it; none, and it is open.
    """

    def __init__(self, app: ASGIApp, digests: Sequence[bytes] = ()) -> None:
        self._app = app
        self._digests = tuple(digests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        path = scope["path"]
        is_guarded = any(path == place or path.startswith(place + "/") for place in _GUARDED)
        if self._digests and is_guarded and not self._fits(Headers(scope=scope)):
            refusal = problems.response(
                401,
                "an API key is needed: send it as `X-API-Key` or as `Authorization: Bearer`",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _fits(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = headers.get("x-api-key") or (token if scheme.lower() == "bearer" else "")
        found = digest(given.strip())
        # All are compared, each in constant time: neither tells how near a guess came.
        return any([hmac.compare_digest(found, known) for known in self._digests])


def read_keys(path: str | Path) -> list[bytes]:
    """Digests of the keys in a file, one a line; blank lines and those with `#` do not count.

    Raises:
        InputError: the file cannot be read, holds no key, or one that is easily guessed or
            that not every client can send.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    keys = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    if not keys:
        raise InputError(f"{path}: no API key; one a line is needed")
    short = [number for number, key in enumerate(keys, 1) if len(key) < _SHORTEST]
    if short:  # the key itself is not told
        raise InputError(f"{path}: key {short[0]} is shorter than {_SHORTEST} characters")
    foreign = [number for number, key in enumerate(keys, 1) if not key.isascii()]
    if foreign:  # clients differ in how they write them into a header
        raise InputError(f"{path}: key {foreign[0]} has characters other than ASCII")
    return [digest(key) for key in keys]
