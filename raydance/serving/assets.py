"""The page's assets: compressed once, and kept by browsers for as long as they like.

Their names carry a hash of what they hold (`raydance/web/build.mjs`), so a new page has new names.
"""

from __future__ import annotations

import asyncio
import gzip
import mimetypes
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response

from raydance.serving.problems import NotHere

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HASHED: Final = re.compile(r"-[A-Z0-9]{8}\.[a-z]+(\.LEGAL\.txt)?$")
_FOREVER: Final = "public, max-age=31536000, immutable"
_TEXTS: Final = ("text/", "application/json", "image/svg+xml", "application/javascript")


def add_page(app: FastAPI, folder: Path) -> None:
    """Offer the page at `/`, and its assets.

    Args:
        folder: the built page, with `index.html` and `assets/`.
    """

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(folder / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str, request: Request) -> Response:
        path = folder / "assets" / name
        if not _NAME.fullmatch(name) or not path.is_file():
            raise NotHere(f"no asset {name[:80]!r}")
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {"Cache-Control": _FOREVER if _HASHED.search(name) else "no-cache"}
        if media_type.startswith(_TEXTS):
            headers["Vary"] = "Accept-Encoding"
            if _takes_gzip(request.headers.get("accept-encoding", "")):
                content = await asyncio.to_thread(_compressed, path, path.stat().st_mtime_ns)
                headers["Content-Encoding"] = "gzip"
                return Response(content, headers=headers, media_type=media_type)
        return FileResponse(path, headers=headers, media_type=media_type)


@lru_cache(maxsize=64)
def _compressed(path: Path, changed_ns: int) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)


def _takes_gzip(accepted: str) -> bool:
    """Whether the header `Accept-Encoding` allows gzip."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
