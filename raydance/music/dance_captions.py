"""Sentences about the procedural dancer's dances, by genre and tempo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

_WHO: Final = ("a person", "a dancer", "someone", "the dancer", "the performer")
_TEMPO: Final[Mapping[str, tuple[str, ...]]] = {
    "slow": ("slow", "unhurried", "calm"),
    "medium": ("medium tempo", "steady", "moderately fast"),
    "fast": ("fast", "quick", "rapid"),
}
_GENRE: Final[Mapping[str, str]] = {
    "house": "house",
    "hip_hop": "hip hop",
    "waltz": "waltz",
    "funk": "funk",
    "ballad": "ballad",
    "drum_and_bass": "drum and bass",
    "latin": "latin",
    "swing_jazz": "swing jazz",
}
_TEMPLATES: Final = (
    "{who} dances to {tempo} {genre} music",
    "a {tempo} {genre} dance in time with the beat",
    "{who} moves to the beat of a {tempo} {genre} song",
    "{genre} dancing to {tempo} music",
    "{who} performs a {tempo} {genre} routine",
)


def tempo_word(bpm: float) -> str:
    """`slow` below 100 beats per minute, `fast` from 130 on, else `medium`."""
    return "slow" if bpm < 100 else "medium" if bpm < 130 else "fast"


def captions(style: str, bpm: float, rng: np.random.Generator) -> tuple[str, ...]:
    """Three sentences about a dance to a song of that style and tempo."""
    genre = _GENRE.get(style, style.replace("_", " "))
    words = _TEMPO[tempo_word(bpm)]
    chosen = rng.choice(len(_TEMPLATES), size=3, replace=False)
    return tuple(
        _TEMPLATES[i].format(who=rng.choice(_WHO), tempo=rng.choice(words), genre=genre)
        for i in chosen
    )
