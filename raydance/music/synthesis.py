"""Songs made by rule, with exact beat times, so that music works without a download.

Not from any paper, and no substitute for recordings. A song has a style, a tempo that may ramp or
jump, swing, sections of two intensities, and breaks: bars without drums and bass.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.music.instruments import drum, tone
from raydance.music.styles import STYLE_OF, STYLES, Style

BPM: Final = (70.0, 170.0)
MAX_SECONDS: Final = 600.0

_LOUDNESS: Final = {"X": 1.0, "x": 0.75, "o": 0.4}
_SEMITONES: Final = {c: i for i, c in enumerate("0123456789abc")}
_MAJOR: Final = (0, 2, 4, 5, 7, 9, 11)
_MINOR: Final = (0, 2, 3, 5, 7, 8, 10)


@dataclass(frozen=True, kw_only=True)
class Song:
    """A song and what is known of it.

    Attributes:
        samples: `[N]` float32 in [-1, 1].
        rate: samples per second.
        style: name of its style.
        bpm: tempo of the first beat.
        swing: 0 even, 1 triplets.
        beats_s: `[B]` float64, seconds of the beats.
        beat_in_bar: `[B]` int, 0 for the first beat of a bar.
        is_break: `[B]` bool, True where drums and bass pause.
        intensity: `[B]` in [0, 1], low in breaks, 1 in the loudest sections.
    """

    samples: np.ndarray
    rate: int
    style: str
    bpm: float
    swing: float
    beats_s: np.ndarray
    beat_in_bar: np.ndarray
    is_break: np.ndarray
    intensity: np.ndarray

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate


def make_song(
    style: str | None = None,
    seconds: float = 30.0,
    seed: int = 0,
    *,
    bpm: float | None = None,
    rate: int = 22_050,
) -> Song:
    """A song; the same arguments always give the same one.

    Args:
        style: one of `STYLES`; by default the seed's.
        seconds: its length.
        seed: of all choices.
        bpm: tempo, held throughout; by default the seed's, which may change within the song.
        rate: samples per second.

    Raises:
        InputError: an unknown style, or a number out of range.
    """
    if style is None:
        style = STYLES[seed % len(STYLES)].name
    if style not in STYLE_OF:
        raise InputError(f"style {style!r}; allowed: {', '.join(STYLE_OF)}")
    if not 2 <= seconds <= MAX_SECONDS:
        raise InputError(f"{seconds} s of music; allowed are 2 to {MAX_SECONDS:g}")
    if bpm is not None and not BPM[0] <= bpm <= BPM[1]:
        raise InputError(f"{bpm} beats per minute; allowed are {BPM[0]:g} to {BPM[1]:g}")
    if not 16_000 <= rate <= 96_000:
        raise InputError(f"{rate} samples per second; allowed are 16000 to 96000")
    made = STYLE_OF[style]
    rng = np.random.default_rng([seed, zlib.crc32(style.encode())])
    swing = float(rng.uniform(*made.swing))
    beats_s = _beats(made, seconds, bpm, rng)
    num_beats = len(beats_s) - 1  # the last one lies beyond the end
    bar = np.arange(num_beats) // made.beats_per_bar
    break_bars, bar_intensity = _sections(int(bar[-1]) + 1, rng)
    score = _Score(
        style=made,
        beats_s=beats_s,
        swing=swing,
        rate=rate,
        samples=np.zeros(int(round(seconds * rate)), np.float32),
        rng=rng,
    )
    _play(score, break_bars, bar_intensity)
    kept = beats_s[:num_beats] < seconds
    return Song(
        samples=_mastered(score.samples, rng),
        rate=rate,
        style=style,
        bpm=float(60 / (beats_s[1] - beats_s[0])),
        swing=swing,
        beats_s=beats_s[:num_beats][kept],
        beat_in_bar=(np.arange(num_beats) % made.beats_per_bar)[kept],
        is_break=break_bars[bar][kept],
        intensity=bar_intensity[bar][kept],
    )


@dataclass(frozen=True, kw_only=True)
class _Score:
    """What a song is written into."""

    style: Style
    beats_s: np.ndarray
    swing: float
    rate: int
    samples: np.ndarray
    rng: np.random.Generator

    def time_s(self, beat: float) -> float:
        """Seconds of a place in beats, with swing."""
        whole = int(beat)
        part = beat - whole
        if self.swing:
            unit = 1.0 if self.style.swung == "beat" else 0.5
            base = part // unit * unit
            inside, late = (part - base) / unit, 0.5 + self.swing / 6
            if inside < 0.5:
                inside = inside / 0.5 * late
            else:
                inside = late + (inside - 0.5) / 0.5 * (1 - late)
            part = base + inside * unit
        whole = min(whole, len(self.beats_s) - 2)
        start = self.beats_s[whole]
        return float(start + part * (self.beats_s[whole + 1] - start))

    def add(self, sound: np.ndarray, beat: float, loudness: float) -> None:
        start = round(self.time_s(beat) * self.rate)
        room = len(self.samples) - start
        if room > 0:
            self.samples[start : start + len(sound)] += loudness * sound[:room]

    def add_tone(
        self, name: str, midi: int, beat: float, num_beats: float, loudness: float
    ) -> None:
        length_s = self.time_s(beat + num_beats) - self.time_s(beat)
        # To the hundredth, so that equal notes are made once.
        length_ms = max(20, round(length_s * 100) * 10)
        self.add(tone(name, midi, length_ms, self.rate), beat, loudness)


def _beats(style: Style, seconds: float, bpm: float | None, rng: np.random.Generator) -> np.ndarray:
    """Beat times to beyond the end, from an upbeat of silence on."""
    start_s = rng.uniform(0.05, 0.6)
    base = float(rng.uniform(*style.bpm))
    change = str(rng.choice(("none", "ramp", "step"), p=(0.6, 0.2, 0.2)))
    factor = 1 + rng.uniform(0.06, 0.14) * rng.choice((-1, 1))
    at_s = rng.uniform(0.35, 0.65) * seconds
    if bpm is not None:
        base, change = bpm, "none"
    times = [start_s]
    num_beats = 0
    stepped = False
    while times[-1] < seconds or num_beats % style.beats_per_bar:
        now = times[-1]
        if change == "step" and now >= at_s and num_beats % style.beats_per_bar == 0:
            stepped = True
        tempo = base
        if change == "ramp":
            tempo *= factor ** min(now / seconds, 1)
        elif stepped:
            tempo *= factor
        times.append(now + 60 / float(np.clip(tempo, *BPM)))
        num_beats += 1
    return np.array(times)


def _sections(num_bars: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which bars are breaks, and how intense each bar is."""
    is_break = np.zeros(num_bars, bool)
    at = int(rng.integers(3, 7))
    while at < num_bars:
        length = int(rng.integers(1, 3))
        is_break[at : at + length] = True
        at += length + int(rng.integers(6, 13))
    intensity = np.where((np.arange(num_bars) // 8 + rng.integers(2)) % 2 == 0, 0.7, 1.0)
    intensity[is_break] = 0.2
    return is_break, intensity


def _play(score: _Score, break_bars: np.ndarray, bar_intensity: np.ndarray) -> None:
    style, rng = score.style, score.rng
    root = 45 + int(rng.integers(0, 12))
    progression = style.progressions[rng.integers(len(style.progressions))]
    tune = rng.uniform(size=(2, 4 * style.beats_per_bar * 2))
    steps = rng.integers(-2, 3, size=tune.shape)
    for bar, (is_break, intensity) in enumerate(zip(break_bars, bar_intensity)):
        beat = float(bar * style.beats_per_bar)
        degree = progression[bar % len(progression)]
        loudness = 0.4 + 0.6 * float(intensity)
        if is_break:
            # One soft chord that rings, and silence under it.
            for pitch in _chord(style, root, degree):
                score.add_tone(style.pad or "piano", pitch, beat, style.beats_per_bar, 0.04)
            continue
        _play_drums(score, beat, loudness)
        _play_bass(score, beat, _pitch(style, root - 12, degree), loudness)
        _play_chords(score, beat, _chord(style, root, degree), loudness)
        if intensity > 0.9:
            phrase = bar // 8 % 2
            _play_melody(score, bar, root + 12, tune[phrase], steps[phrase], loudness)


def _play_drums(score: _Score, beat: float, loudness: float) -> None:
    for name, pattern in score.style.drums.items():
        stroke = drum(name, score.rate)
        for step, mark in enumerate(pattern):
            if mark != ".":
                human = score.rng.uniform(0.88, 1.0)
                place = beat + step / score.style.steps_per_beat
                score.add(stroke, place, 0.5 * loudness * human * _LOUDNESS[mark])


def _play_bass(score: _Score, beat: float, root: int, loudness: float) -> None:
    name, pattern = score.style.bass
    played = [i for i, mark in enumerate(pattern) if mark != "."]
    for step, following in zip(played, [*played[1:], len(pattern)]):
        place = beat + step / score.style.steps_per_beat
        length = 0.9 * (following - step) / score.style.steps_per_beat
        score.add_tone(name, root + _SEMITONES[pattern[step]], place, length, 0.35 * loudness)


def _play_chords(score: _Score, beat: float, chord: tuple[int, ...], loudness: float) -> None:
    style = score.style
    name, pattern, length = style.chords
    for step, mark in enumerate(pattern):
        if mark != ".":
            for pitch in chord:
                place = beat + step / style.steps_per_beat
                score.add_tone(name, pitch, place, length, 0.12 * loudness * _LOUDNESS[mark])
    if style.pad:
        for pitch in chord:
            score.add_tone(style.pad, pitch, beat, style.beats_per_bar, 0.07 * loudness)


def _play_melody(
    score: _Score, bar: int, root: int, tune: np.ndarray, steps: np.ndarray, loudness: float
) -> None:
    """A phrase of four bars, the same whenever its section comes back."""
    style = score.style
    name, density = style.melody
    halves = 2 * style.beats_per_bar
    first = bar % 4 * halves
    degree = 4 + int(steps[:first].sum()) % 7
    for half in range(halves):
        degree = (degree + int(steps[first + half])) % 12
        if tune[first + half] < density:
            place = bar * style.beats_per_bar + half / 2
            score.add_tone(name, _pitch(style, root, degree), place, 0.45, 0.2 * loudness)


def _pitch(style: Style, root: int, degree: int) -> int:
    scale = _MINOR if style.minor else _MAJOR
    return root + 12 * (degree // 7) + scale[degree % 7]


def _chord(style: Style, root: int, degree: int) -> tuple[int, ...]:
    return tuple(_pitch(style, root, degree + third) for third in (0, 2, 4))


def _mastered(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Softly limited to below full scale, over a faint noise floor."""
    level = float(np.quantile(np.abs(samples[::7]), 0.99))
    limited = np.tanh(samples * (0.7 / max(level, 1e-3)))
    return (0.95 * limited + rng.normal(0, 1e-4, size=len(samples))).clip(-1, 1).astype(np.float32)
