"""How far the answer to a request is, told to whoever follows it: a job, or nobody."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

FOLLOWER: Final[ContextVar[Callable[[float, str], None] | None]] = ContextVar(
    "follower", default=None
)
"""Told of the request that is answered in this context: the share done, 0 to 1, and what it is."""


def report(share: float, doing: str) -> None:
    """Say how far the answer is.

    Args:
        share: done, 0 to 1.
        doing: what is done next, in a few words.
    """
    follower = FOLLOWER.get()
    if follower is not None:
        follower(share, doing)
