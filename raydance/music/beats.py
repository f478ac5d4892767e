"""Tempo and beats of music from its onset strength.

Dynamic programming of Ellis, "Beat Tracking by Dynamic Programming" (2007), with a tempo that may
change: the period at each moment is the best path through local autocorrelations, so that a tempo
change is followed and a local error of an octave is not.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from raydance.music.spectrum import ONSET_DELAY, onset_strength

TEMPI_BPM: Final = (40.0, 240.0)
PREFERRED_BPM: Final = 115.0
"""Centre of the prior over tempi, which is log-normal."""
PRIOR_OCTAVES: Final = 0.9

_WINDOW_S: Final = 8.0
_STEP_S: Final = 1.0
_NUM_TEMPI: Final = 180
_CHANGE_COST: Final = 60.0
_TIGHTNESS: Final = 100.0


def beat_strength(mel_db: np.ndarray) -> np.ndarray:
    """What beats are looked for in: rises of decibels and rises of loudness, alike in weight.

    Decibels alone hear a soft cymbal between the beats as much as the drum on them.

    Args:
        mel_db: `[T, M]` mel spectrogram in decibels.

    Returns:
        `[T]`, not negative.
    """
    loudness = 10 ** ((mel_db - mel_db.max(initial=0)) / 40)
    parts = (onset_strength(mel_db, delay=ONSET_DELAY), onset_strength(loudness))
    return sum((part / max(float(part.std()), 1e-6) for part in parts), np.zeros(len(mel_db)))


def find_beats(
    strength: np.ndarray, rate_hz: float, *, start_bpm: float | None = None
) -> np.ndarray:
    """Times of the beats.

    Args:
        strength: `[T]` of `beat_strength`, or another onset strength, not negative.
        rate_hz: its values per second, about 50 to 200.
        start_bpm: the tempo, where it is known; changes are then not followed.

    Returns:
        `[B]` seconds, rising; empty where nothing sounds.
    """
    strength = np.asarray(strength, dtype=np.float64)
    scale = strength.std()
    if len(strength) < 4 or not scale > 1e-6:
        return np.zeros(0)
    if start_bpm is None:
        tempo = local_tempo(strength, rate_hz)
    else:
        tempo = np.full(len(strength), float(start_bpm))
    frames = _best_chain(strength / scale, 60 * rate_hz / tempo)
    return _between_frames(strength, frames) / rate_hz


def local_tempo(strength: np.ndarray, rate_hz: float) -> np.ndarray:
    """Tempo `[T]` in beats per minute at each value of the onset strength `[T]`.

    The best path through windows of 8 s: how well a tempo explains each window's autocorrelation,
    less a cost for changes.
    """
    tempi = np.geomspace(*TEMPI_BPM, _NUM_TEMPI)
    lags = 60 * rate_hz / tempi
    size, step = round(_WINDOW_S * rate_hz), round(_STEP_S * rate_hz)
    centred = strength - gaussian_filter1d(strength, rate_hz * 0.5)
    padded = np.pad(centred, size // 2)
    middles = np.arange(0, len(strength), step)
    shape = np.hanning(size)
    scores = np.zeros((len(middles), len(tempi)))
    octaves = np.log2(tempi / PREFERRED_BPM) / PRIOR_OCTAVES
    for i, middle in enumerate(middles):
        window = padded[middle : middle + size] * shape
        spectrum = fft.rfft(window, 2 * size)
        correlation = fft.irfft(spectrum.real**2 + spectrum.imag**2)[:size]
        if correlation[0] > 1e-9:
            correlation = np.maximum(correlation / correlation[0], 0)
            # A beat is heard again after two and four of them.
            for multiple, weight in ((1, 1.0), (2, 0.5), (4, 0.25)):
                scores[i] += weight * np.interp(
                    lags * multiple, np.arange(size), correlation, right=0
                )
    quality = scores * np.exp(-0.5 * octaves**2)
    path = _best_path(quality, np.log2(tempi))
    return np.interp(np.arange(len(strength)), middles, tempi[path])


def tempo_of(beats_s: np.ndarray) -> float:
    """Beats per minute by the median distance of beats; 0 with fewer than two."""
    return float(60 / np.median(np.diff(beats_s))) if len(beats_s) > 1 else 0.0


def _best_path(quality: np.ndarray, octave: np.ndarray) -> np.ndarray:
    cost = _CHANGE_COST * (octave[:, None] - octave) ** 2  # from, to
    cost = np.minimum(cost, 3.0)
    total = quality[0]
    came_from = np.zeros(quality.shape, dtype=int)
    for i in range(1, len(quality)):
        options = total[:, None] - cost
        came_from[i] = options.argmax(axis=0)
        total = options.max(axis=0) + quality[i]
    path = np.zeros(len(quality), dtype=int)
    path[-1] = int(total.argmax())
    for i in range(len(quality) - 1, 0, -1):
        path[i - 1] = came_from[i, path[i]]
    return path


def _best_chain(strength: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Frames of the chain of beats with the strongest onsets and the evenest distances."""
    score = gaussian_filter1d(strength, max(float(period.mean()) / 32, 0.5))
    num = len(score)
    total = score.copy()
    before = np.full(num, -1)
    for t in range(num):
        nearest, furthest = round(period[t] / 2), round(period[t] * 2)
        start = max(t - furthest, 0)
        if t - nearest < start:
            continue
        past = np.arange(start, t - nearest + 1)
        cost = _TIGHTNESS * np.log((t - past) / period[t]) ** 2
        options = total[past] - cost
        best = int(options.argmax())
        if options[best] > 0:
            before[t] = past[best]
            total[t] += options[best]
    # The last beat: the best of the last period and a half.
    tail = max(num - round(1.5 * period[-1]), 0)
    frame = tail + int(total[tail:].argmax())
    chain = []
    while frame >= 0:
        chain.append(frame)
        frame = int(before[frame])
    chain.reverse()
    return np.array(chain, dtype=int)


def _between_frames(strength: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Beats moved to the top of the parabola through the strongest onset within two frames."""
    moved = frames.astype(np.float64)
    for i, frame in enumerate(frames):
        low, high = max(frame - 2, 1), min(frame + 3, len(strength) - 1)
        if high <= low:
            continue
        top = low + int(strength[low:high].argmax())
        a, b, c = strength[top - 1 : top + 2]
        if b > a and b >= c:
            moved[i] = top + 0.5 * (a - c) / (a - 2 * b + c)
    return moved
