"""The frame rate and the unit that Acclaim files state: in directives, comments, documentation.

The format has no field for either. Some AMC files have a directive such as `:SAMPLES-PER-SECOND 60`
or a comment such as `# framerate: 60` or `# recorded at 60 Hz`; some ASF files name a unit beside
the scale (`length 1.0 cm`) or in a comment (`# all lengths in centimetres`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from raydance.errors import FormatError
from raydance.motion.formats import text as tx

UNIT_WORDS: Final[dict[str, float]] = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("dm", "decimetre", "decimetres", "decimeter", "decimeters"), 0.1),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 0.001),
    **dict.fromkeys(("in", "inch", "inches"), 0.0254),
    **dict.fromkeys(("ft", "foot", "feet"), 0.3048),
}
"""Word -> metres."""

_HEAD: Final = 1 << 16
_NUMBER: Final = r"(\d+(?:\.\d*)?|\.\d+)"
_RATE_KEY: Final = (
    r"(?:samples?[-_ ]?per[-_ ]?sec(?:ond)?|frames?[-_ ]?per[-_ ]?sec(?:ond)?|frame[-_ ]?rate"
    r"|sampl(?:e|ing)[-_ ]?(?:rate|frequency)|capture[-_ ]?rate|fps)"
)
_RATE: Final = re.compile(rf"\b{_RATE_KEY}\b\s*(?:is|of)?\s*[:=]?\s*{_NUMBER}", re.IGNORECASE)
_RATE_BEFORE: Final = re.compile(
    rf"{_NUMBER}\s*(?:fps|hz|hertz|(?:frames|samples)\s*(?:per|/)\s*s(?:ec(?:ond)?)?)\b",
    re.IGNORECASE,
)
_FRAME_TIME: Final = re.compile(
    rf"\bframe[-_ ]?time\b\s*(?:is|of)?\s*[:=]?\s*{_NUMBER}", re.IGNORECASE
)
# `in` and `m` are words of other meanings, too, so only `units: m` names them in a sentence.
_LONG_UNIT: Final = "|".join(sorted((w for w in UNIT_WORDS if w not in ("in", "m")), key=len)[::-1])
_UNIT: Final = re.compile(
    rf"\b(?:units?|lengths?|distances?|offsets?|positions?|measured|given)\b[^.;\n]{{0,40}}?"
    rf"\b({_LONG_UNIT})\b|\b(?:units?|lengths?)\s*[:=]\s*(in|m)\b",
    re.IGNORECASE,
)


def stated_fps(path: str, text: str) -> float | None:
    """The frame rate that the head of an AMC file states, before its first frame; None if none.

    Raises:
        FormatError: a directive's rate that no recording has; names the line.
    """
    from_comment: float | None = None
    for number, line in enumerate(text[:_HEAD].split("\n"), start=1):
        stripped = line.strip()
        if stripped.isdigit():
            break
        fps = _fps_of(stripped)
        if fps is None:
            continue
        is_possible = tx.MIN_FPS <= fps <= tx.MAX_FPS
        if stripped.startswith(":"):
            if not is_possible:
                reason = f"{stripped[:60]!r}: {fps:g} frames per second; allowed: "
                raise FormatError(path, f"{reason}{tx.MIN_FPS} to {tx.MAX_FPS}", number)
            return fps
        if stripped.startswith("#") and is_possible and from_comment is None:
            from_comment = fps
    return from_comment


def _fps_of(line: str) -> float | None:
    if not line.startswith((":", "#")):
        return None
    found = _RATE.search(line) or _RATE_BEFORE.search(line)
    if found:
        return float(found[1])
    time = _FRAME_TIME.search(line)
    return 1.0 / float(time[1]) if time and float(time[1]) > 0 else None


def stated_unit(sentences: Iterable[str]) -> float | None:
    """Metres per unit that comments or documentation name; None if none does."""
    for sentence in sentences:
        found = _UNIT.search(sentence)
        if found:
            return UNIT_WORDS[(found[1] or found[2]).lower()]
    return None
