"""What a generator hears of music, at the frame rate of the motion.

The 35 features of Li et al., "AI Choreographer" (2021), which Everything2Motion takes: onset
strength, MFCC, chroma, onset peaks and beats; beside them tempo, the phase of the beat and the
distance to the nearest beat. Differences: chroma is of the short-time spectrum, not CENS of a
constant-Q transform, which takes seconds; beats and onsets are found at about 100 values per
second whatever the motion's rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from raydance.errors import InputError
from raydance.music.audio import MAX_DURATION_S, RATES, read_audio, resample
from raydance.music.beats import TEMPI_BPM, beat_strength, find_beats, tempo_of
from raydance.music.spectrum import ONSET_DELAY, chroma, mel_decibels, mfcc, onset_strength

NAMES: Final[tuple[str, ...]] = (
    "onset_strength",
    *(f"mfcc_{i}" for i in range(20)),
    *(f"chroma_{note}" for note in "c c# d d# e f f# g g# a a# b".split()),
    "onset_peak",
    "beat",
    "tempo_bpm",
    "beat_sine",
    "beat_cosine",
    "beat_distance_s",
)
"""Columns of `MusicFeatures.values`; the first `NUM_PAPER` are the papers'."""

NUM_PAPER: Final = 35
MAX_BEAT_DISTANCE_S: Final = 1.0
FPS: Final = (5.0, 240.0)

_HOP: Final = 256
_WANTED_HZ: Final = 90.0


@dataclass(frozen=True, kw_only=True)
class MusicFeatures:
    """Features of one song.

    Attributes:
        values: `[T, 39]` float32; row t is about the moment `t / fps` seconds.
        fps: rows per second.
        beats_s: `[B]` float64, seconds of the beats, rising.
        tempo_bpm: beats per minute by the median distance of beats; 0 without beats.
        duration_s: of the song.
        names: of the columns.
    """

    values: np.ndarray
    fps: float
    beats_s: np.ndarray
    tempo_bpm: float
    duration_s: float
    names: tuple[str, ...] = NAMES

    @property
    def num_frames(self) -> int:
        return len(self.values)

    @property
    def paper(self) -> np.ndarray:
        """`[T, 35]`: the papers' features alone."""
        return self.values[:, :NUM_PAPER]

    def since(self, begin_s: float) -> MusicFeatures:
        """Those of the song without its first seconds; its tempo stays."""
        later = self.beats_s[self.beats_s >= begin_s] - begin_s
        return replace(
            self,
            values=self.values[round(begin_s * self.fps) :],
            beats_s=later,
            duration_s=max(self.duration_s - begin_s, 0.0),
        )


def read_features(
    path: str | Path,
    *,
    fps: float = 20.0,
    beats_s: np.ndarray | None = None,
    num_frames: int | None = None,
    start_bpm: float | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> MusicFeatures:
    """Features of an audio file; arguments as `music_features`.

    Raises:
        FormatError: the file cannot be read, see `read_audio`.
        InputError: an argument out of range.
    """
    _check_fps(fps)
    rate, _ = _analysis(fps)
    samples, rate = read_audio(path, rate, max_duration_s=max_duration_s)
    return music_features(
        samples, rate, fps=fps, beats_s=beats_s, num_frames=num_frames, start_bpm=start_bpm
    )


def music_features(
    samples: np.ndarray,
    rate: int,
    *,
    fps: float = 20.0,
    beats_s: np.ndarray | None = None,
    num_frames: int | None = None,
    start_bpm: float | None = None,
) -> MusicFeatures:
    """Features of a song.

    Args:
        samples: `[N]`, full scale is [-1, 1].
        rate: samples per second.
        fps: the motion's frames per second.
        beats_s: seconds of the beats where they are known, rising; they are then not looked for.
        num_frames: of the motion; by default as many as the song lasts. Frames after the song's
            end are silent.
        start_bpm: the tempo, where it is known and does not change.

    Raises:
        InputError: a wrong shape, no samples, values that are not finite, or a number out of
            range.
    """
    _check_fps(fps)
    samples = np.asarray(samples, dtype=np.float32)
    if samples.ndim != 1 or not samples.size:
        raise InputError(f"samples have shape {samples.shape}, [N] with N of at least 1 is needed")
    if not np.isfinite(samples).all():
        raise InputError("samples hold values that are not finite")
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"{rate} samples per second; allowed are {RATES[0]} to {RATES[1]}")
    if start_bpm is not None and not TEMPI_BPM[0] <= start_bpm <= TEMPI_BPM[1]:
        low, high = TEMPI_BPM
        raise InputError(f"{start_bpm} beats per minute; allowed are {low:g} to {high:g}")
    duration_s = len(samples) / rate
    if num_frames is None:
        num_frames = max(1, int(duration_s * fps + 1e-6))
    if not 1 <= num_frames <= MAX_DURATION_S * FPS[1]:
        raise InputError(f"{num_frames} frames; allowed are 1 to {MAX_DURATION_S * FPS[1]:.0f}")
    analysis_rate, per_frame = _analysis(fps)
    samples = resample(samples, rate, analysis_rate)
    mel = mel_decibels(samples, analysis_rate, _HOP)
    strength = onset_strength(mel, delay=ONSET_DELAY)
    fine_hz = fps * per_frame
    if beats_s is None:
        beats = find_beats(beat_strength(mel), fine_hz, start_bpm=start_bpm)
    else:
        beats = _checked_beats(beats_s)
    pitch = chroma(samples, analysis_rate, _HOP * per_frame)
    columns = (
        _per_frame(strength[:, None], per_frame, num_frames, largest=True),
        _per_frame(mfcc(mel), per_frame, num_frames),
        _per_frame(pitch, 1, num_frames),
        _marks(onset_peaks(strength, fine_hz), fps, num_frames)[:, None],
        _marks(beats, fps, num_frames)[:, None],
        beat_columns(beats, fps, num_frames),
    )
    return MusicFeatures(
        values=np.concatenate(columns, axis=1, dtype=np.float32),
        fps=float(fps),
        beats_s=beats,
        tempo_bpm=tempo_of(beats),
        duration_s=duration_s,
    )


def beat_columns(beats_s: np.ndarray, fps: float, num_frames: int) -> np.ndarray:
    """Tempo in beats per minute, sine and cosine of the beat's phase, and distance to a beat.

    Phase grows by a full circle from beat to beat and goes on at the same pace before the first
    and after the last. Distance, in seconds, is at most `MAX_BEAT_DISTANCE_S`. Without two beats,
    tempo, sine and cosine are 0.

    Args:
        beats_s: `[B]` seconds, rising.

    Returns:
        `[num_frames, 4]`.
    """
    times = np.arange(num_frames) / fps
    columns = np.zeros((num_frames, 4))
    columns[:, 3] = MAX_BEAT_DISTANCE_S
    if len(beats_s):
        after = np.searchsorted(beats_s, times)
        nearest = np.minimum(
            np.abs(times - beats_s[np.clip(after, 0, len(beats_s) - 1)]),
            np.abs(times - beats_s[np.clip(after - 1, 0, len(beats_s) - 1)]),
        )
        columns[:, 3] = np.minimum(nearest, MAX_BEAT_DISTANCE_S)
    if len(beats_s) > 1:
        which = np.clip(np.searchsorted(beats_s, times, side="right") - 1, 0, len(beats_s) - 2)
        period = np.diff(beats_s)[which]
        angle = 2 * np.pi * (times - beats_s[which]) / period
        columns[:, 0] = 60 / period
        columns[:, 1], columns[:, 2] = np.sin(angle), np.cos(angle)
    return columns


def onset_peaks(strength: np.ndarray, rate_hz: float) -> np.ndarray:
    """Seconds at which something begins to sound: peaks of onset strength above what is around.

    A peak is the largest of 30 ms before and after, and above the mean of 100 ms before and after
    by 7 % of the song's largest.

    Args:
        strength: `[T]`, `rate_hz` values per second.
    """
    largest = float(strength.max(initial=0))
    if not largest > 1e-6:
        return np.zeros(0)
    near, around = (1 + 2 * max(1, round(s * rate_hz)) for s in (0.03, 0.1))
    is_peak = (strength >= maximum_filter1d(strength, near)) & (
        strength >= uniform_filter1d(strength, around) + 0.07 * largest
    )
    return np.flatnonzero(is_peak) / rate_hz


def _analysis(fps: float) -> tuple[int, int]:
    """Sample rate, and spectra per motion frame, so that a frame is a whole number of hops."""
    per_frame = max(1, math.ceil(_WANTED_HZ / fps))
    return round(_HOP * per_frame * fps), per_frame


def _per_frame(
    values: np.ndarray, per_frame: int, num_frames: int, *, largest: bool = False
) -> np.ndarray:
    """`[num_frames, D]`: mean (or largest) of the spectra around each motion frame."""
    width = per_frame + 1 - per_frame % 2
    if per_frame > 1:
        if largest:
            values = maximum_filter1d(values, width, axis=0, mode="nearest")
        else:
            values = uniform_filter1d(values, width, axis=0, mode="nearest")
    kept = values[::per_frame][:num_frames]
    missing = num_frames - len(kept)
    if missing > 0:
        # After the end: nothing begins and nothing has a pitch; the timbre is that of silence.
        end = values[-1:] if values.shape[1] == 20 else np.zeros_like(values[-1:])
        kept = np.concatenate([kept, np.repeat(end, missing, axis=0)])
    return kept


def _marks(times_s: np.ndarray, fps: float, num_frames: int) -> np.ndarray:
    """`[num_frames]`: 1 at the frame nearest to each time, else 0."""
    marks = np.zeros(num_frames, np.float32)
    frames = np.round(times_s * fps).astype(int)
    marks[frames[(frames >= 0) & (frames < num_frames)]] = 1
    return marks


def _checked_beats(beats_s: np.ndarray) -> np.ndarray:
    beats = np.asarray(beats_s, dtype=np.float64)
    if beats.ndim != 1 or not np.isfinite(beats).all():
        raise InputError(f"beats have shape {beats.shape}, [B] finite seconds are needed")
    if (np.diff(beats) <= 0).any():
        i = int(np.argmax(np.diff(beats) <= 0)) + 1
        raise InputError(f"beat {i} at {beats[i]:g} s does not come after {beats[i - 1]:g} s")
    return beats


def _check_fps(fps: float) -> None:
    if not FPS[0] <= fps <= FPS[1]:
        raise InputError(f"{fps} frames per second; allowed are {FPS[0]:g} to {FPS[1]:g}")
