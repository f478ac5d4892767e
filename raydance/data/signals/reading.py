"""Signals read from their files: one alone, or those of a clip while its motion is read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from raydance.data import layouts
from raydance.data.signals import signal_of
from raydance.data.sources import FileJob
from raydance.errors import InputError, RaydanceError

if TYPE_CHECKING:
    from raydance.music.alignment import StepFinding

_MISSING_S: Final = 1.0  # at the end of a clip; less is not warned of


def read_signal(name: str, given: str | Path | np.ndarray, fps: float) -> np.ndarray:
    """Values `[T, F]` float32 of a signal, with at least one frame.

    Args:
        given: its file, or its values.
        fps: of the values.

    Raises:
        InputError: no such signal, a file that cannot be read, or values of another shape or that
            are not finite.
    """
    signal = signal_of(name)
    is_file = not isinstance(given, np.ndarray)
    values = np.asarray(signal.read(str(given), fps) if is_file else given, dtype=np.float32)
    where = given if is_file else name
    names = ", ".join(signal.values)
    if values.ndim != 2 or not len(values) or values.shape[1] != len(signal.values):
        shape = " x ".join(map(str, values.shape)) or "a number"
        needed = f"needed: frames x {len(signal.values)} ({names}), at least one frame"
        raise InputError(f"{where}: values of shape {shape}; {needed}")
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        frame, column = wrong[0]
        value = f"{signal.values[column]} at {frame / fps:.2f} s is {values[frame, column]}"
        raise InputError(f"{where}: {value}; finite values are needed")
    return values


def clip_signals(
    job: FileJob,
    places: Mapping[str, str],
    fps: float,
    *,
    begin_s: float,
    joints: np.ndarray,
    joints_fps: float,
) -> tuple[dict[str, np.ndarray], dict[str, StepFinding]]:
    """Values `[T, F]` of each signal of a clip, and whether the motion is in step with those that
    can tell; what is missing is warned of.

    Args:
        places: folder of the files of each signal, or `auto` for the one that the job names.
        fps: of the values.
        begin_s: of the clip, from the begin of its file and of the signal.
        joints: `[T, J, 3]` of the clip, metres, at `joints_fps`.
    """
    found: dict[str, np.ndarray] = {}
    steps: dict[str, StepFinding] = {}
    for name, place in places.items():
        signal = signal_of(name)
        named = job.signals.get(name)
        file = named if place == layouts.AUTO else signal.find(job.path, place)
        if file is None:
            where = "" if place == layouts.AUTO else f" of its name in {place}"
            warnings.warn(f"without {name}: no file{where}", stacklevel=2)
            continue
        try:
            values = read_signal(name, file, fps)
        except RaydanceError as error:
            warnings.warn(f"read without {name}: {error}", stacklevel=2)
            continue
        first, end_s = round(begin_s * fps), len(values) / fps
        part = values[first : first + int(len(joints) / joints_fps * fps) + 2]
        if not len(part):
            ends = f"it ends at {end_s:.1f} s, the clip begins at {begin_s:.1f} s"
            warnings.warn(f"read without {name}: {ends}", stacklevel=2)
            continue
        found[name] = part
        missing_s = begin_s + len(joints) / joints_fps - end_s
        if missing_s >= _MISSING_S:
            warnings.warn(f"{name} ends {missing_s:.1f} s before the motion", stacklevel=2)
        if signal.find_step is not None:
            try:
                steps[name] = signal.find_step(str(file), fps, begin_s, joints, joints_fps)
            except RaydanceError as error:
                warnings.warn(f"not checked to be in step with {name}: {error}", stacklevel=2)
    return found, steps
