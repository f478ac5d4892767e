"""SIGTERM ends a command as Ctrl-C does: what is half-written goes, and one line says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Termination:
    """Whether SIGTERM came."""

    came = False

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: stop the main thread where it is."""
        self.came = True
        raise KeyboardInterrupt


@contextmanager
def sigterm_interrupts() -> Iterator[Termination]:
    """SIGTERM raises `KeyboardInterrupt` within the block, in the main thread.

    Where it is ignored, it stays ignored.
    """
    state = Termination()
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
        yield state
        return
    signal.signal(signal.SIGTERM, state.interrupt)
    try:
        yield state
    finally:
        signal.signal(signal.SIGTERM, before)
