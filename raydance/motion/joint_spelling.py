"""How joint names are made comparable: case, separators, rig prefixes and sides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_RIG_PREFIX: Final = re.compile(
    r"^(mixamorig\d*[ _.\-]?|(bip\d+|character\d*|ctrl|def|skel|rig|b)[ _.\-])"
)
_LEFT: Final = re.compile(r"^(left|l)(?=[ _.\-])|(?<=[ _.\-])(left|l)$")
_RIGHT: Final = re.compile(r"^(right|r)(?=[ _.\-])|(?<=[ _.\-])(right|r)$")
_WORD_LEFT: Final = re.compile(r"^left(?=[a-z0-9])|(?<=[a-z0-9])left$")
_WORD_RIGHT: Final = re.compile(r"^right(?=[a-z0-9])|(?<=[a-z0-9])right$")


def normalise(name: str) -> str:
    """A name without rig prefix, case and separators, its side in front: `left_upleg`.

    `mixamorig:LeftUpLeg`, `UpLeg_L`, `L_UpLeg` and `LUpLeg` all become `left_upleg`; a number
    loses its zeros (`spine_01` -> `spine1`). A lower-case `lfemur` is left as it is, for a first
    letter alone does not say a side (`lowerback`).
    """
    text = name.strip().rsplit(":", 1)[-1].rsplit("|", 1)[-1]
    camel = re.match(r"^([LR])(?=[A-Z][a-z])", text)
    if camel:
        text = f"{camel.group(1)}_{text[1:]}"
    text = _RIG_PREFIX.sub("", text.lower()) or text.lower()
    side = ""
    for label, patterns in (("left_", (_LEFT, _WORD_LEFT)), ("right_", (_RIGHT, _WORD_RIGHT))):
        for pattern in patterns:
            if not side and pattern.search(text):
                side, text = label, pattern.sub("", text, count=1)
    words = re.sub(r"[^a-z0-9]+", " ", text).strip()
    words = re.sub(r"(?<![0-9])0+(?=[0-9])", "", words)
    return side + words.replace(" ", "")


def side_of_first_letter(name: str) -> str:
    """`lknee` -> `left_knee`, for the generic table only; other names unchanged."""
    if name[:1] in ("l", "r") and "_" not in name:
        return ("left_" if name[0] == "l" else "right_") + name[1:]
    return name


def index_by_normal_name(names: Sequence[str]) -> dict[str, int]:
    """Normalised name -> index of the first joint that bears it."""
    out: dict[str, int] = {}
    for i, name in enumerate(names):
        out.setdefault(normalise(name), i)
    return out
