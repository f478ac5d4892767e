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


def part(low: float, high: float, doing: str) -> Callable[[float], None] | None:
    """What a part of the answer calls with the share of it that is done, from any thread.

    Args:
        low, high: the share of the whole answer that is done before and after the part.
        doing: what the part does.

    Returns:
        None where nobody follows.
    """
    follower = FOLLOWER.get()
    if follower is None:
        return None
    return lambda share: follower(low + (high - low) * share, doing)
