"""The synthesiser's instruments: drums from swept sines and noise, tones from summed harmonics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.signal import butter, sosfilt


@dataclass(frozen=True, kw_only=True)
class Timbre:
    """How a pitched instrument sounds.

    Attributes:
        harmonics: amplitudes of the partials from the fundamental on.
        attack_s: seconds until it is loud.
        decay_s: seconds in which a held tone falls to 37 %; 0 for one that is sustained.
        release_s: seconds in which it ends after its length.
        detune: a second voice, this part of a semitone away, beats against the first.
    """

    harmonics: tuple[float, ...]
    attack_s: float
    decay_s: float
    release_s: float
    detune: float = 0.0


def _saw(num: int) -> tuple[float, ...]:
    return tuple(1 / k for k in range(1, num + 1))


TIMBRES: Final[Mapping[str, Timbre]] = {
    "sub": Timbre(harmonics=(1, 0.25), attack_s=0.008, decay_s=0, release_s=0.05),
    "bass": Timbre(harmonics=_saw(6), attack_s=0.006, decay_s=0.5, release_s=0.05),
    "slap": Timbre(harmonics=_saw(12), attack_s=0.002, decay_s=0.15, release_s=0.03),
    "upright": Timbre(harmonics=(1, 0.6, 0.25, 0.1), attack_s=0.008, decay_s=0.35, release_s=0.06),
    "piano": Timbre(
        harmonics=(1, 0.5, 0.35, 0.2, 0.12, 0.08), attack_s=0.004, decay_s=0.7, release_s=0.1
    ),
    "organ": Timbre(
        harmonics=(1, 0.8, 0, 0.6, 0, 0.3, 0, 0.3), attack_s=0.01, decay_s=0, release_s=0.03
    ),
    "pad": Timbre(harmonics=_saw(5), attack_s=0.25, decay_s=0, release_s=0.4, detune=0.12),
    "strings": Timbre(harmonics=_saw(9), attack_s=0.09, decay_s=0, release_s=0.2, detune=0.08),
    "pluck": Timbre(
        harmonics=(1, 0.7, 0.55, 0.4, 0.3, 0.2), attack_s=0.002, decay_s=0.16, release_s=0.05
    ),
    "brass": Timbre(
        harmonics=(0.6, 0.9, 1, 0.8, 0.6, 0.4, 0.3), attack_s=0.03, decay_s=0, release_s=0.06
    ),
    "accordion": Timbre(
        harmonics=(1, 0.4, 0.7, 0.3, 0.5, 0.2, 0.3),
        attack_s=0.04,
        decay_s=0,
        release_s=0.05,
        detune=0.15,
    ),
    "lead": Timbre(
        harmonics=(1, 0, 0.33, 0, 0.2, 0, 0.14), attack_s=0.01, decay_s=0, release_s=0.05
    ),
}

DRUMS: Final = (
    *("kick", "deep_kick", "soft_kick", "snare", "brush", "clap", "rim"),
    *("hat", "open_hat", "ride", "shaker", "conga_low", "conga_high"),
)


@lru_cache(maxsize=512)
def tone(name: str, midi: int, length_ms: int, rate: int) -> np.ndarray:
    """One note: `[N]` float32 of about unit loudness.

    Args:
        name: one of `TIMBRES`.
        midi: pitch, 69 is 440 Hz.
        length_ms: until it is let go; the sound lasts `release_s` longer.
        rate: samples per second.
    """
    timbre = TIMBRES[name]
    length_s = length_ms / 1000
    times = np.arange(max(1, int((length_s + timbre.release_s) * rate))) / rate
    wave = np.zeros(len(times))
    for shift in (0.0, timbre.detune) if timbre.detune else (0.0,):
        base = 440 * 2 ** ((midi + shift - 69) / 12)
        for k, amplitude in enumerate(timbre.harmonics, start=1):
            if amplitude and base * k < 0.45 * rate:
                wave += amplitude * np.sin(2 * np.pi * base * k * times + 0.7 * k)
    envelope = np.minimum(times / timbre.attack_s, 1)
    if timbre.decay_s:
        # High notes die sooner.
        envelope *= np.exp(-times / (timbre.decay_s * 2 ** ((60 - midi) / 24)))
    envelope *= np.clip(1 - (times - length_s) / timbre.release_s, 0, 1)
    return (0.5 * wave * envelope / np.linalg.norm(timbre.harmonics)).astype(np.float32)


@lru_cache(maxsize=64)
def drum(name: str, rate: int) -> np.ndarray:
    """One stroke: `[N]` float32; always the same noise."""
    rng = np.random.default_rng(DRUMS.index(name))
    if name in ("kick", "deep_kick", "soft_kick"):
        decay_s, top_hz, click = {
            "kick": (0.11, 140.0, 0.35),
            "deep_kick": (0.22, 100.0, 0.2),
            "soft_kick": (0.09, 90.0, 0.05),
        }[name]
        sound = _sweep(rate, top_hz, 46.0, 0.035, decay_s)
        return sound + click * _noise(rng, rate, 0.006, 1500, 8000, len(sound))
    if name in ("conga_low", "conga_high", "rim"):
        hertz, decay_s = {
            "conga_low": (165.0, 0.1),
            "conga_high": (250.0, 0.07),
            "rim": (850.0, 0.02),
        }[name]
        sound = _sweep(rate, hertz * 1.15, hertz, 0.02, decay_s)
        return sound + 0.25 * _noise(rng, rate, 0.008, 800, 6000, len(sound))
    if name == "snare":
        sound = 0.5 * _sweep(rate, 240, 180, 0.02, 0.07)
        return sound + 0.8 * _noise(rng, rate, 0.07, 900, 9000, len(sound))
    if name == "clap":
        claps = np.zeros(int(0.3 * rate), np.float32)
        for delay_s, loudness in ((0.0, 0.9), (0.01, 0.6), (0.02, 0.7)):
            start = int(delay_s * rate)
            part = loudness * _noise(rng, rate, 0.045, 1000, 5000, len(claps))
            claps[start:] += part[: len(claps) - start]
        return claps
    decay_s, low, high, loudness = {
        "brush": (0.06, 1500.0, 9000.0, 0.4),
        "hat": (0.025, 6000.0, 10500.0, 0.5),
        "open_hat": (0.12, 5500.0, 10500.0, 0.5),
        "ride": (0.25, 4500.0, 10000.0, 0.35),
        "shaker": (0.035, 5000.0, 10500.0, 0.3),
    }[name]
    return loudness * _noise(rng, rate, decay_s, low, high, int(5 * decay_s * rate))


def _sweep(rate: int, start_hz: float, end_hz: float, fall_s: float, decay_s: float) -> np.ndarray:
    times = np.arange(int(5 * decay_s * rate)) / rate
    phase = end_hz * times + (start_hz - end_hz) * fall_s * (1 - np.exp(-times / fall_s))
    return (np.sin(2 * np.pi * phase) * np.exp(-times / decay_s)).astype(np.float32)


def _noise(
    rng: np.random.Generator, rate: int, decay_s: float, low_hz: float, high_hz: float, num: int
) -> np.ndarray:
    band = np.clip(np.array([low_hz, high_hz]) / (rate / 2), 0.01, 0.98)
    noise = sosfilt(butter(2, band, "bandpass", output="sos"), rng.normal(size=num))
    noise *= np.exp(-np.arange(num) / rate / decay_s)
    return (noise / (np.abs(noise).max() + 1e-9)).astype(np.float32)
