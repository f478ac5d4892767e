"""Sentences about the embedded scenes: object, start, kind, direction and speed, in each one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

_VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "moving": ("moves", "slides", "glides"),
    "rolling": ("rolls",),
    "bouncing": ("bounces", "hops"),
    "swinging": ("swings like a pendulum", "swings on a string"),
    "falling": ("falls", "drops"),
    "orbiting": ("circles around a point", "orbits a point"),
    "larger": ("grows", "gets larger"),
    "smaller": ("shrinks", "gets smaller"),
    "wider": ("stretches sideways", "gets wider"),
    "taller": ("stretches upwards", "gets taller"),
}
_WAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "left": ("to the left", "leftwards"),
    "right": ("to the right", "rightwards"),
    "up": ("up", "upwards"),
    "down": ("down", "downwards"),
    "up-left": ("up and to the left", "diagonally towards the upper left"),
    "up-right": ("up and to the right", "diagonally towards the upper right"),
    "down-left": ("down and to the left", "diagonally towards the lower left"),
    "down-right": ("down and to the right", "diagonally towards the lower right"),
    "clockwise": ("clockwise",),
    "counterclockwise": ("counterclockwise", "anticlockwise"),
    "larger": ("",),
    "smaller": ("",),
    "wider": ("",),
    "taller": ("",),
}
_FALLS: Final[Mapping[str, tuple[str, ...]]] = {
    "down": ("straight down",),
    "down-left": ("down to the left",),
    "down-right": ("down to the right",),
}
_PACES: Final[Mapping[str, tuple[str, ...]]] = {
    "slow": ("slowly", "at a slow pace"),
    "medium": ("at a medium pace", "at a moderate speed"),
    "fast": ("quickly", "fast", "at high speed"),
}
REGIONS: Final = (
    ("upper left", "top", "upper right"),
    ("left", "centre", "right"),
    ("lower left", "bottom", "lower right"),
)
"""Names of the nine parts of the frame, rows from the top."""

_FORMS: Final = (
    "a {what} {does}{way}{pace}, starting at the {where}",
    "starting at the {where}, a {what} {does}{way}{pace}",
    "from the {where}, a {what} {does}{way}{pace}",
    "the {what} at the {where} {does}{way}{pace}",
    "there is a {what} at the {where}, and it {does}{way}{pace}",
    "at the {where} of the picture a {what} {does}{pace}{way}",
    "a {what} begins at the {where} and {does}{way}{pace}",
)


def sentences(labels: Mapping[str, str], random: np.random.Generator, count: int = 5) -> list[str]:
    """`count` different wordings of a scene, each with all of its labels.

    Args:
        labels: `size`, `colour`, `shape`, `start`, `kind`, `direction`, `speed`.
    """
    found: dict[str, None] = {}
    forms = list(random.permutation(len(_FORMS)))
    while len(found) < count:
        form = _FORMS[forms[len(found) % len(forms)]]
        found[_sentence(form, labels, random)] = None
    return list(found)


def _sentence(form: str, labels: Mapping[str, str], random: np.random.Generator) -> str:
    kind, direction = labels["kind"], labels["direction"]

    def one_of(words: tuple[str, ...]) -> str:
        return words[random.integers(len(words))]

    way = one_of((_FALLS if kind == "falling" else _WAYS)[direction])
    if kind == "swinging":
        way = f"first {way}"
    return form.format(
        what=f"{labels['size']} {labels['colour']} {labels['shape']}",
        does=one_of(_VERBS[direction if kind == "deforming" else kind]),
        way=f" {way}" if way else "",
        pace=f" {one_of(_PACES[labels['speed']])}",
        where=labels["start"],
    )
