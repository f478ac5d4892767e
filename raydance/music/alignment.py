"""Are music and motion in step? Offset and ratio of tempo by cross-correlation.

Not from any paper. What is heard (onsets and beats) is correlated with when the body is slowest,
over offsets and over small ratios of tempo, as a wrong frame rate makes them. How sure the finding
is, is measured by the same search on motion whose beats were put in another order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from raydance.errors import InputError
from raydance.metrics.dance import dance_beats
from raydance.music.features import NAMES, MusicFeatures

MAX_OFFSET_S: Final = 2.0
MAX_RATIO: Final = 1.1
SURE: Final = 0.9
"""Confidence from which a finding is reported."""
TOLERANCE_S: Final = 0.12
"""Music and motion that are less apart than this at any moment count as in step."""

_HZ: Final = 50.0
_WIDTH_S: Final = 0.06
_ALIKE: Final = 0.8
_NUM_SHUFFLED: Final = 10
_MIN_BEATS: Final = 8
_MIN_DURATION_S: Final = 5.0
_MAX_DURATION_S: Final = 120.0
"""What comes later is not looked at: two minutes are enough."""


@dataclass(frozen=True, kw_only=True)
class StepFinding:
    """How music and motion lie to each other.

    Attributes:
        offset_s: the motion is this late (positive) or early in the music, seconds. With a steady
            tempo this is known up to whole beats; the least that fits is given.
        tempo_ratio: tempo of the motion over that of the music; 1.1 where it runs 10 % fast.
        correlation: of what is heard and what is seen, so laid, in [-1, 1].
        confidence: in [0, 1], that the two belong together; low where motion has no beats, or the
            song is another one.
        apart_s: the most that they are apart at any moment, seconds.
    """

    offset_s: float
    tempo_ratio: float
    correlation: float
    confidence: float
    apart_s: float

    @property
    def is_sure(self) -> bool:
        return self.confidence >= SURE

    @property
    def is_in_step(self) -> bool:
        """Sure, and nowhere further apart than `TOLERANCE_S`."""
        return self.is_sure and self.apart_s <= TOLERANCE_S


def find_step(
    music: MusicFeatures, joints: np.ndarray, *, fps: float, seed: int = 0
) -> StepFinding:
    """Compare a song with a motion that is said to begin with it.

    Args:
        music: features of the song.
        joints: `[T, J, 3]`, metres.
        fps: frames per second of the motion, as its file says.
        seed: of the orders of beats that confidence is measured on.

    Returns:
        The finding; of confidence 0 where either has fewer than 8 beats in the time that both last,
        or that is under 5 seconds.

    Raises:
        InputError: joints of a wrong shape, or a rate that is not positive.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"{fps} frames per second; a positive number is needed")
    joints = np.asarray(joints)
    if joints.ndim != 3 or joints.shape[-1] != 3:
        raise InputError(f"joints has shape {joints.shape}, [frames, joints, 3] is needed")
    nothing = StepFinding(
        offset_s=0.0, tempo_ratio=1.0, correlation=0.0, confidence=0.0, apart_s=0.0
    )
    duration_s = min(len(joints) / fps, music.num_frames / music.fps, _MAX_DURATION_S)
    if duration_s < _MIN_DURATION_S:
        return nothing
    joints = joints[: round(duration_s * fps)]
    if len(joints) < 3:
        return nothing
    beats = dance_beats(joints, fps=fps, exact="fixed")
    num_heard = int((music.beats_s <= duration_s).sum())
    if min(len(beats), num_heard) < _MIN_BEATS:
        return nothing
    heard = _heard(music)
    correlation, offset_s, ratio = _search(heard, beats, duration_s)
    rng = np.random.default_rng(seed)
    others = [_search(heard, _shuffled(beats, rng), duration_s)[0] for _ in range(_NUM_SHUFFLED)]
    # How many deviations above other orders: about 0.5 at 3, 0.95 at 6.
    surplus = (correlation - float(np.mean(others))) / max(float(np.std(others)), 0.005)
    confidence = float(1 / (1 + np.exp(-(surplus - 3))))
    return StepFinding(
        offset_s=offset_s,
        tempo_ratio=ratio,
        correlation=correlation,
        confidence=confidence,
        apart_s=max(abs(offset_s), abs(offset_s + duration_s * (1 / ratio - 1))),
    )


def _heard(music: MusicFeatures) -> np.ndarray:
    """`[N]` at `_HZ`: onset strength and beats, of zero mean and unit deviation."""
    num = int(min(music.num_frames / music.fps, _MAX_DURATION_S) * _HZ)
    times = np.arange(num) / _HZ
    onset = np.interp(
        times, np.arange(music.num_frames) / music.fps, music.values[:, NAMES.index(NAMES[0])]
    )
    return _unit(_unit(onset - gaussian_filter1d(onset, _HZ)) + _unit(_pulses(music.beats_s, num)))


def _search(
    heard: np.ndarray, beats_s: np.ndarray, duration_s: float
) -> tuple[float, float, float]:
    """Best correlation, offset in seconds and ratio of tempo."""
    num = len(heard)
    size = fft.next_fast_len(2 * num, real=True)
    spectrum = fft.rfft(heard, size)
    reach = int(MAX_OFFSET_S * _HZ)
    lags = np.arange(-reach, reach + 1)
    # Beats at either end may move by their width from one ratio to the next.
    steps = int(np.ceil(np.log(MAX_RATIO) * duration_s / (2 * _WIDTH_S)))
    ratios = np.exp(np.linspace(-np.log(MAX_RATIO), np.log(MAX_RATIO), 2 * steps + 1))
    nearness = np.exp(-0.5 * (lags / _HZ / MAX_OFFSET_S) ** 2)

    def against(ratio: float) -> np.ndarray:
        # A motion that runs fast has its beats too close; at its true pace they are further apart.
        seen = _unit(_pulses(beats_s * ratio, num))
        # Entry k: what is heard, against what is seen k later.
        return fft.irfft(np.conj(spectrum) * fft.rfft(seen, size), size)[lags] / num

    best = (-1.0, 0.0, 1.0, -1.0)
    for ratio in ratios:
        product = against(ratio)
        weighed = product * nearness * np.exp(-0.5 * (np.log(ratio) / np.log(MAX_RATIO)) ** 2)
        i = int(weighed.argmax())
        if weighed[i] > best[3]:
            peaks = np.append(_peaks(product, _ALIKE * product[i]), i)
            i = int(peaks[np.abs(peaks - reach).argmin()])
            best = (float(product[i]), float(lags[i] / _HZ), float(ratio), float(weighed.max()))
    # Beats look alike: of what fits about as well, the least is taken, in tempo and in offset.
    unchanged = against(1.0)
    peaks = _peaks(unchanged, _ALIKE * best[0])
    if len(peaks):
        i = int(peaks[np.abs(peaks - reach).argmin()])
        return float(unchanged[i]), float(lags[i] / _HZ), 1.0
    return best[:3]


def _peaks(product: np.ndarray, least: float) -> np.ndarray:
    """Places of the peaks that are at least so high."""
    inner = product[1:-1]
    is_peak = (inner >= product[:-2]) & (inner >= product[2:]) & (inner >= least)
    return np.flatnonzero(is_peak) + 1


def _shuffled(beats_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same distances between beats in another order, some longer and shorter."""
    distances = rng.permutation(np.diff(beats_s)) * rng.uniform(0.7, 1.4, size=len(beats_s) - 1)
    distances *= (beats_s[-1] - beats_s[0]) / distances.sum()
    return np.concatenate([beats_s[:1], beats_s[0] + np.cumsum(distances)])


def _pulses(times_s: np.ndarray, num: int) -> np.ndarray:
    """`[num]` at `_HZ`: a bell of `_WIDTH_S` at each time."""
    pulses = np.zeros(num)
    places = np.round(times_s * _HZ).astype(int)
    np.add.at(pulses, places[(places >= 0) & (places < num)], 1.0)
    return gaussian_filter1d(pulses, _WIDTH_S * _HZ)


def _unit(values: np.ndarray) -> np.ndarray:
    deviation = float(values.std())
    return (values - values.mean()) / deviation if deviation > 1e-9 else np.zeros_like(values)
