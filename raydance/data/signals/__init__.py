"""Signals: what goes with motion on its clock, as music does.

A new one is a file here and a line in `SIGNALS`. Ingestion, batches, Everything2Motion's input and
the commands follow from it; a network of its own is a line in `raydance.nn.conditioning.ADAPTERS`.
"""

from __future__ import annotations

from raydance.data.signals.base import Signal
from raydance.data.signals.music import MUSIC
from raydance.errors import ConfigError, InputError


def by_name(*signals: Signal) -> dict[str, Signal]:
    """Signals by their names.

    Raises:
        ConfigError: two of one name.
    """
    names = [signal.name for signal in signals]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"signal {name!r}: given {names.count(name)} times; names must be unique"
            )
    return dict(zip(names, signals))


SIGNALS: dict[str, Signal] = by_name(MUSIC)
"""Every signal by the name of its column."""


def signal_of(name: str) -> Signal:
    """A signal by its name.

    Raises:
        InputError: no such signal.
    """
    if name not in SIGNALS:
        raise InputError(f"signal {name}; known are {', '.join(SIGNALS)}")
    return SIGNALS[name]
