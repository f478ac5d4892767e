"""Pages of an answer: a cursor is an opaque text that says where the next page begins."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from raydance.errors import InputError

MAX_CURSOR: Final = 100
"""Characters of a cursor."""

MAX_DEPTH: Final = 1000
"""Hits of a search that can be paged through."""


def cursor_of(offset: int, *question: object) -> str:
    """The cursor of a page.

    Args:
        question: what was asked; a cursor fits that question alone.
    """
    return base64.urlsafe_b64encode(f"{offset}.{_mark(question)}".encode()).decode().rstrip("=")


def offset_of(cursor: str | None, *question: object) -> int:
    """Where the page of a cursor begins; 0 without one.

    Raises:
        InputError: it is none of this service, or of another question.
    """
    if cursor is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        offset, mark = text.split(".")
        number = int(offset)
    except ValueError:
        raise InputError(f"cursor: {cursor[:40]!r}; allowed: `next_cursor` of an answer") from None
    if mark != _mark(question) or number < 0:
        raise InputError(
            f"cursor: {cursor[:40]!r} is of another question; allowed: `next_cursor` of this one"
        )
    return number


def _mark(question: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(question).encode("utf-8", "replace")).hexdigest()[:12]
