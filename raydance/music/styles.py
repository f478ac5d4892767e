"""The synthesiser's styles: metre, tempo, swing, drum patterns and who plays what.

A pattern is a bar in steps, as many per beat as `steps_per_beat` says: `X` accented, `x` played,
`o` soft, `.` nothing. A bass pattern has the degree of each note above the chord's root instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Style:
    """A kind of music.

    Attributes:
        beats_per_bar: 3 or 4.
        bpm: slowest and fastest tempo.
        swing: least and most; 0 is even, 1 a triplet.
        swung: `beat` where half beats are late, `half` where quarter beats are.
        steps_per_beat: of all patterns.
        drums: instrument -> pattern of a bar.
        bass: timbre and pattern; digits are semitones (`a` 10, `c` 12) above the chord's root.
        chords: timbre, pattern and length of a chord in beats.
        pad: timbre of a chord that is held through each bar, or nothing.
        melody: timbre and share of the half beats that it plays on.
        minor: whether the scale is minor.
        progressions: roots of the chords, a bar each, as degrees of the scale.
    """

    name: str
    beats_per_bar: int
    bpm: tuple[float, float]
    swing: tuple[float, float] = (0.0, 0.0)
    swung: str = "beat"
    steps_per_beat: int = 4
    drums: Mapping[str, str]
    bass: tuple[str, str]
    chords: tuple[str, str, float]
    pad: str = ""
    melody: tuple[str, float]
    minor: bool
    progressions: tuple[tuple[int, ...], ...]


STYLES: Final[tuple[Style, ...]] = (
    Style(
        name="house",
        beats_per_bar=4,
        bpm=(112, 134),
        drums={
            "kick": "X...X...X...X...",
            "clap": "....X.......X...",
            "open_hat": "..x...x...x...x.",
            "shaker": "o.o.o.o.o.o.o.o.",
        },
        bass=("bass", "..0...0...0...0c"),
        chords=("organ", "x..x..x.....x...", 0.3),
        pad="pad",
        melody=("lead", 0.15),
        minor=True,
        progressions=((0, 5, 2, 6), (0, 3, 5, 4)),
    ),
    Style(
        name="hip_hop",
        beats_per_bar=4,
        bpm=(76, 106),
        swing=(0.3, 0.8),
        swung="half",
        drums={
            "deep_kick": "X......x..X.....",
            "snare": "....X.......X..o",
            "hat": "x.xox.x.x.xox.xo",
        },
        bass=("sub", "0......0..0...3."),
        chords=("piano", "x.....x.........", 0.8),
        melody=("pluck", 0.2),
        minor=True,
        progressions=((0, 0, 5, 4), (0, 3, 0, 6)),
    ),
    Style(
        name="waltz",
        beats_per_bar=3,
        bpm=(84, 150),
        swing=(0.0, 0.2),
        steps_per_beat=2,
        drums={"soft_kick": "X.....", "brush": "..x.x.", "rim": "....o."},
        bass=("upright", "0....."),
        chords=("accordion", "..x.x.", 0.6),
        melody=("strings", 0.45),
        minor=False,
        progressions=((0, 0, 4, 4), (0, 3, 4, 0), (0, 5, 1, 4)),
    ),
    Style(
        name="funk",
        beats_per_bar=4,
        bpm=(96, 122),
        swing=(0.0, 0.35),
        swung="half",
        drums={
            "kick": "X.x...x...x..x..",
            "snare": "....X..o.o..X..o",
            "hat": "x.x.x.x.x.x.x.x.",
        },
        bass=("slap", "0..c..a0..7.a.c."),
        chords=("pluck", "..x.x..x..x.x...", 0.2),
        melody=("brass", 0.2),
        minor=True,
        progressions=((0, 0, 3, 3), (0, 0, 0, 3)),
    ),
    Style(
        name="ballad",
        beats_per_bar=4,
        bpm=(70, 88),
        drums={
            "soft_kick": "X.......x.......",
            "rim": "....x.......x...",
            "shaker": "o...o...o...o...",
        },
        bass=("upright", "0.......7......."),
        chords=("piano", "x...x...x...x...", 0.9),
        pad="strings",
        melody=("piano", 0.25),
        minor=False,
        progressions=((0, 4, 5, 3), (0, 5, 3, 4)),
    ),
    Style(
        name="drum_and_bass",
        beats_per_bar=4,
        bpm=(154, 170),
        drums={
            "kick": "X.........X.....",
            "snare": "....X..o.o..X...",
            "hat": "x.x.x.x.x.x.x.xx",
        },
        bass=("bass", "0.....0...7...a."),
        chords=("organ", "................", 0.5),
        pad="pad",
        melody=("lead", 0.1),
        minor=True,
        progressions=((0, 0, 5, 5), (0, 2, 5, 4)),
    ),
    Style(
        name="latin",
        beats_per_bar=4,
        bpm=(88, 124),
        drums={
            "kick": "X...X...X...X...",
            "rim": "...x..x....x..x.",
            "conga_low": "......o.......oo",
            "conga_high": "..o.o.....o.o...",
            "shaker": "xoxoxoxoxoxoxoxo",
        },
        bass=("upright", "0.....7.0...7..."),
        chords=("piano", "x..x..x.x...x...", 0.3),
        melody=("brass", 0.3),
        minor=True,
        progressions=((0, 3, 4, 4), (0, 6, 5, 4)),
    ),
    Style(
        name="swing_jazz",
        beats_per_bar=4,
        bpm=(124, 168),
        swing=(0.7, 1.0),
        steps_per_beat=2,
        drums={
            "ride": "X.xxX.xx",
            "hat": "..X...X.",
            "soft_kick": "x.o.x.o.",
            "brush": "......o.",
        },
        bass=("upright", "0.4.7.9."),
        chords=("piano", "x..x....", 0.4),
        melody=("brass", 0.35),
        minor=False,
        progressions=((0, 5, 1, 4), (0, 3, 0, 4)),
    ),
)
"""Styles by name; a new one is a line here and its dance in `dance_styles.DANCES`."""

STYLE_OF: Final[Mapping[str, Style]] = {style.name: style for style in STYLES}

for _style in STYLES:
    _steps = _style.beats_per_bar * _style.steps_per_beat
    for _pattern in (*_style.drums.values(), _style.bass[1], _style.chords[1]):
        assert len(_pattern) == _steps, f"{_style.name}: {_pattern} has not {_steps} steps"
