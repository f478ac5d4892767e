"""The signals of one clip, read while its motion is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from raydance.data import layouts
from raydance.data.signals import signal_of
from raydance.data.sources import FileJob
from raydance.errors import RaydanceError


def clip_signals(
    job: FileJob, places: Mapping[str, str], fps: float, begin_s: float, duration_s: float
) -> dict[str, np.ndarray]:
    """Values `[T, F]` of each signal of a clip; what is missing is warned of.

    Args:
        places: folder of the files of each signal, or `auto` for the one that the job names.
        fps: of the values.
        begin_s: of the clip, from the begin of its file and of the signal.
    """
    found: dict[str, np.ndarray] = {}
    for name, place in places.items():
        signal = signal_of(name)
        named = job.signals.get(name)
        file = named if place == layouts.AUTO else signal.find(job.path, place)
        if file is None:
            where = "" if place == layouts.AUTO else f" of its name in {place}"
            warnings.warn(f"without {name}: no file{where}", stacklevel=2)
            continue
        try:
            values = signal.read(str(file), fps)
        except RaydanceError as error:
            warnings.warn(f"read without {name}: {error}", stacklevel=2)
            continue
        first = round(begin_s * fps)
        found[name] = values[first : first + int(duration_s * fps) + 2]
    return found
