"""A further input in one file: drum hits as times, a line for each, beside the motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raydance.data.signals.base import Signal
from raydance.errors import FormatError


def _find(motion: str, folder: str) -> Path | None:
    file = Path(folder) / f"{Path(motion).stem}.drums"
    return file if file.is_file() else None


def _read(file: str, fps: float) -> np.ndarray:
    """Whether a frame has a hit, and how many seconds ago the last one was (at most one)."""
    try:
        hits_s = np.array([float(line) for line in Path(file).read_text().split()])
    except ValueError as error:
        raise FormatError(file, f"times of hits are needed ({error})") from None
    if not (np.isfinite(hits_s).all() and hits_s.min(initial=0.0) >= 0.0):
        raise FormatError(file, "times of hits are finite seconds, at least 0")
    num_frames = int(hits_s.max(initial=0.0) * fps) + 1
    values = np.zeros((num_frames, 2), dtype=np.float32)
    values[(hits_s * fps).astype(int), 0] = 1.0
    time_s = np.arange(num_frames) / fps
    since_s = time_s[:, None] - hits_s
    values[:, 1] = np.where(since_s >= 0, since_s, 1.0).min(axis=1, initial=1.0)
    return values


DRUMS = Signal(
    name="drums",
    help="times of drum hits",
    values=("hit", "since_hit_s"),
    suffixes=(".drums",),
    find=_find,
    read=_read,
    scaled=np.array,
)
