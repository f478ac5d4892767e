"""The folder of a sweep or of ablations: one process at a time, and nothing else in it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from raydance.errors import InputError

_LOCK: Final = ".lock"


@contextmanager
def claimed(place: Path, record: str, what: str) -> Iterator[None]:
    """Take an empty folder, or one that holds such a thing, for this process alone.

    Args:
        record: the file that marks such a folder.
        what: it is, for messages.

    Raises:
        InputError: something else lies there, or another process is at work.
    """
    found = {path.name for path in place.iterdir()} if place.is_dir() else set()
    if place.is_file() or (found - {_LOCK} and record not in found):
        raise InputError(f"{place}: not empty and not a {what}; choose another --out")
    place.mkdir(parents=True, exist_ok=True)
    with (place / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{place}: another {what} is at work here") from None
        yield
