"""Ctrl-C and SIGTERM while Ray starts.

A driver that is interrupted before it is connected crashes when it leaves, Ray replaces the
handler of SIGTERM by one that ends the process without a word, and a driver whose cluster is gone
waits for it and ends in the same way.
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def signals_wait() -> Iterator[None]:
    """Handlers of Python's run after the block, and are those from before it.

    A second signal does not wait.
    """
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {
        int(number): handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }
    if threading.current_thread() is not threading.main_thread() or not handlers:
        yield
        return
    came: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            handlers[number](number, frame)

    with _kept_from_ray():
        for number in handlers:
            signal.signal(number, wait)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    if len(came) == 1:
        handlers[came[0]](came[0], None)


@contextmanager
def processes_apart() -> Iterator[None]:
    """Ray's processes that start within the block are in sessions of their own.

    `timeout`, among others, sends SIGTERM to the whole process group of a command. Only where the
    kernel ends these processes with the driver; elsewhere Ray finds them by the group.
    """
    from ray._private import services, utils

    if not utils.detect_fate_sharing_support():
        yield
        return
    module: Any = services  # a function takes the place of a class
    before = module.ConsolePopen
    module.ConsolePopen = functools.partial(before, start_new_session=True)
    try:
        yield
    finally:
        module.ConsolePopen = before


@contextmanager
def _kept_from_ray() -> Iterator[None]:
    """Ray's driver sets no handler of its own; there is no option for it."""
    from ray._private import utils

    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before
