"""Music: features of a song (`raydance.music.features`), found by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from raydance.data.signals.base import Signal
from raydance.music.audio import SUFFIXES
from raydance.music.features import NAMES

if TYPE_CHECKING:
    from raydance.music.alignment import StepFinding

_TEMPO: Final = NAMES.index("tempo_bpm")
_IS_TIMBRE: Final = np.array([name.startswith("mfcc_") for name in NAMES])


def _find(motion: str, folder: str) -> Path | None:
    # Here, as it brings the synthesiser and scipy.signal: most datasets have no music.
    from raydance.music.songs import song_of

    return song_of(motion, folder)


def _read(song: str, fps: float) -> np.ndarray:
    from raydance.music.songs import song_features

    return song_features(song, fps).values


def _find_step(
    song: str, fps: float, begin_s: float, joints: np.ndarray, joints_fps: float
) -> StepFinding:
    from raydance.music.alignment import find_step
    from raydance.music.songs import song_features

    return find_step(song_features(song, fps).since(begin_s), joints, fps=joints_fps)


def _scaled(music: np.ndarray) -> np.ndarray:
    """Tempo in multiples of 120 per minute, timbre in multiples of 100."""
    scaled = np.array(music, dtype=np.float32)
    scaled[..., _TEMPO] /= 120.0
    scaled[..., _IS_TIMBRE] /= 100.0
    return scaled


MUSIC: Final = Signal(
    name="music",
    help="a song",
    values=NAMES,
    suffixes=SUFFIXES,
    find=_find,
    read=_read,
    scaled=_scaled,
    find_step=_find_step,
)
