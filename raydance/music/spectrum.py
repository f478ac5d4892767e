"""Spectra of music: mel, MFCC, chroma and onset strength, as librosa defines them.

Written out in NumPy because librosa compiles parts of itself: a minute at its first use on a
machine and seconds in every new process, of which Ray starts many. Mel, MFCC and onset strength
equal librosa's; chroma differs (each bin goes to its pitch classes by a Gaussian alone).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

NUM_MELS: Final = 128
MEL_WINDOW: Final = 1024
CHROMA_WINDOW: Final = 4096
ONSET_DELAY: Final = 1
"""Frames by which rises of decibels come early: on a logarithmic scale a sound is heard when the
window's edge meets it. Measured on songs with known beats (one frame leaves 3 ms, librosa's two
frames 13 ms late)."""
DYNAMIC_RANGE_DB: Final = 80.0
"""What lies further below the loudest moment counts as silence."""

_BLOCK: Final = 2048


def mel_decibels(samples: np.ndarray, rate: int, hop: int) -> np.ndarray:
    """Mel spectrogram in decibels.

    Args:
        samples: `[N]` float32.
        rate: samples per second.
        hop: samples from frame to frame; frame t is centred at sample `t * hop`.

    Returns:
        `[1 + N // hop, 128]` float32, at most 80 below the largest.
    """
    filters = mel_filters(rate, MEL_WINDOW).T
    power = np.concatenate([part @ filters for part in _power(samples, MEL_WINDOW, hop)])
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(decibels, decibels.max() - DYNAMIC_RANGE_DB).astype(np.float32)


def mfcc(mel_db: np.ndarray, num: int = 20) -> np.ndarray:
    """The first cepstral coefficients `[T, num]` of a mel spectrogram `[T, M]` in decibels."""
    return fft.dct(mel_db, axis=1, type=2, norm="ortho")[:, :num].astype(np.float32)


def onset_strength(mel_db: np.ndarray, delay: int = 0) -> np.ndarray:
    """How much louder the mel bands are than one frame before: the mean of what rose.

    Args:
        mel_db: `[T, M]` decibels.
        delay: frames by which the result comes later, see `ONSET_DELAY`.

    Returns:
        `[T]` float32, not negative.
    """
    strength = np.zeros(len(mel_db), np.float32)
    rise = np.maximum(np.diff(mel_db, axis=0), 0).mean(axis=1)
    rise = rise[: max(len(strength) - 1 - delay, 0)]
    strength[1 + delay : 1 + delay + len(rise)] = rise
    return strength


def chroma(samples: np.ndarray, rate: int, hop: int) -> np.ndarray:
    """Energy of the twelve pitch classes from C on, the largest of each frame at 1.

    Args and frames as for `mel_decibels`.

    Returns:
        `[1 + N // hop, 12]` float32 in [0, 1]; zeros in silence.
    """
    filters = _chroma_filters(rate, CHROMA_WINDOW).T
    energy = np.concatenate([part @ filters for part in _power(samples, CHROMA_WINDOW, hop)])
    largest = energy.max(axis=1, keepdims=True)
    floor = max(float(largest.max()) * 10 ** (-DYNAMIC_RANGE_DB / 10), 1e-10)
    return np.where(largest > floor, energy / np.maximum(largest, floor), 0).astype(np.float32)


@lru_cache(maxsize=8)
def mel_filters(rate: int, window: int) -> np.ndarray:
    """`[128, 1 + window // 2]` triangles on Slaney's mel scale, each of area one (in hertz)."""
    edges = _hertz(np.linspace(0, _mel(rate / 2), NUM_MELS + 2))
    bins = np.linspace(0, rate / 2, 1 + window // 2)
    low, middle, high = (edges[i : i + NUM_MELS, None] for i in range(3))
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (high - low)).astype(np.float32)


def _mel(hertz: float) -> float:
    # Linear below 1 kHz, logarithmic above (Slaney 1998).
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


@lru_cache(maxsize=8)
def _chroma_filters(rate: int, window: int) -> np.ndarray:
    """`[12, bins]`: bins from 65 Hz to 2.1 kHz go to the pitch classes near them."""
    bins = np.linspace(0, rate / 2, 1 + window // 2)
    heard = (bins > 65) & (bins < 2100)
    pitch = 12 * np.log2(np.where(heard, bins, 440) / 440) + 9  # semitones above C
    # A bin is wider than a semitone where pitch is low.
    width = np.maximum(0.5, 12 / np.log(2) * (rate / window) / np.where(heard, bins, 440))
    distance = (pitch - np.arange(12)[:, None] + 6) % 12 - 6
    return (np.exp(-0.5 * (distance / width) ** 2) / width * heard).astype(np.float32)


def _power(samples: np.ndarray, window: int, hop: int) -> Iterator[np.ndarray]:
    """`[frames, 1 + window // 2]` squared magnitudes, some frames at a time."""
    padded = np.pad(np.asarray(samples, np.float32), window // 2)
    shape = np.hanning(window + 1)[:-1].astype(np.float32)
    frames = sliding_window_view(padded, window)[::hop]
    for start in range(0, len(frames), _BLOCK):
        spectrum = fft.rfft(frames[start : start + _BLOCK] * shape, axis=1)
        yield spectrum.real**2 + spectrum.imag**2
