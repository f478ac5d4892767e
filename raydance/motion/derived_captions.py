"""Sentences derived from kinematic descriptors, for motion without captions.

They state only what is measured (energy, extent, verticality, smoothness, side, travel), relative
to a corpus. Callers must mark them as derived.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion.kinematics import DESCRIPTORS

QUANTILES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
"""The rows of a reference: a value below the second is low, above the fourth high."""

_COLUMN: Final = {name: i for i, name in enumerate(DESCRIPTORS)}


def reference_of(rows: np.ndarray) -> np.ndarray:
    """Quantiles `[5, D]` of descriptor rows `[N, D]` of a corpus.

    Raises:
        InputError: no rows, or not `[N, D]`.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(DESCRIPTORS) or not len(rows):
        raise InputError(f"rows of shape {rows.shape}: [N, {len(DESCRIPTORS)}], N >= 1, is needed")
    return np.quantile(rows, QUANTILES, axis=0)


def derive_caption(row: np.ndarray, reference: np.ndarray) -> list[str]:
    """Two or three English sentences about one window, or about the mean of a cluster.

    Args:
        row: `[D]`, one row of `descriptors`, or a mean of some.
        reference: `[5, D]` from `reference_of`.

    Returns:
        Sentences without a mention of what was not measured (exactly 0) or is unremarkable.

    Raises:
        InputError: wrong shapes.
    """
    if np.shape(row) != (len(DESCRIPTORS),) or np.shape(reference) != (5, len(DESCRIPTORS)):
        raise InputError(
            f"shapes {np.shape(row)} and {np.shape(reference)}: "
            f"({len(DESCRIPTORS)},) and (5, {len(DESCRIPTORS)}) are needed"
        )
    traits = [*_dynamics(row, reference), *_manner(row, reference)]
    lead, way, level = _lead(row, reference), _way(row), _level(row, reference)
    kind = f"{_article(traits)} {_listed(traits)} movement" if traits else "a movement"
    sentences = [", ".join(part for part in (f"{kind}{lead}", way) if part)]
    if level:
        sentences.append(f"someone moves {_listed(level)}")
    detail = _detail(row, reference)
    if detail:
        sentences.append(f"a person moves with {_listed(detail)}")
    if len(sentences) < 2:
        adverbs = _listed([_ADVERBS[t] for t in traits]) if traits else "moderately"
        sentences.append(f"someone moves {adverbs}")
    return sentences


_ADVERBS: Final = {
    "large": "widely",
    "small": "in a small space",
    "fast": "fast",
    "slow": "slowly",
    "sharp": "sharply",
    "smooth": "smoothly",
}


def _rank(name: str, row: np.ndarray, reference: np.ndarray) -> int:
    """-2 very low, -1 low, 0 usual or not measured, 1 high, 2 very high."""
    value, usual = row[_COLUMN[name]], reference[:, _COLUMN[name]]
    if value == 0:
        return 0
    low = int(value < usual[1]) + int(value < usual[0])
    return int(value > usual[3]) + int(value > usual[4]) - low


def _dynamics(row: np.ndarray, reference: np.ndarray) -> list[str]:
    size = _rank("extent", row, reference)
    speed = _rank("peak_speed", row, reference)
    return [
        *(["large"] if size > 0 else ["small"] if size < 0 else []),
        *(["fast"] if speed > 0 else ["slow"] if speed < 0 else []),
    ]


def _manner(row: np.ndarray, reference: np.ndarray) -> list[str]:
    sharpness = sum(_rank(n, row, reference) for n in ("attack", "jerkiness", "peak_acceleration"))
    return ["sharp"] if sharpness >= 3 else ["smooth"] if sharpness <= -3 else []


def _lead(row: np.ndarray, reference: np.ndarray) -> str:
    """The limb that moves clearly more than its counterpart, and faster than the trunk."""
    found = []
    is_turning = row[_COLUMN["turn_total"]] > 200  # the outer leg then goes a longer way
    for limb in ("arm",) if is_turning else ("arm", "leg"):
        side = row[_COLUMN[f"{limb}_side"]]
        name = "left" if side > 0 else "right"
        speed = row[_COLUMN[f"{name}_{limb}_speed"]]
        if abs(side) > 0.3 and speed > max(0.2, row[_COLUMN["trunk_speed"]]):
            found.append((speed, f"{name} {limb}"))
    return f" led by the {max(found)[1]}" if found else ""


def _way(row: np.ndarray) -> str:
    travel, turn = row[_COLUMN["travel"]], row[_COLUMN["turn"]]
    if travel == 0:
        return ""
    if abs(turn) > 100:
        return f"turning to the {'left' if turn > 0 else 'right'}"
    if row[_COLUMN["turn_total"]] > 200:
        return "turning round"
    if travel > 0.8:
        return "travelling through the room"
    return "staying in place" if row[_COLUMN["path_length"]] < 1.2 and travel < 0.4 else ""


def _level(row: np.ndarray, reference: np.ndarray) -> list[str]:
    bend = _rank("leg_bend", row, reference)
    words = []
    if bend > 0 and row[_COLUMN["leg_bend"]] > 0.06:
        words.append("close to the floor with bent knees" if bend > 1 else "with bent knees")
    elif bend < 0:
        words.append("upright")
    if _rank("pelvis_height_range", row, reference) > 0:
        if row[_COLUMN["flight"]] > 0.05:
            words.append("up into the air")
        elif row[_COLUMN["pelvis_height_range"]] > 0.12:
            words.append("up and down")
    return words


def _detail(row: np.ndarray, reference: np.ndarray) -> list[str]:
    words = []
    head = row[_COLUMN["head_height"]]
    high = [s for s in ("left", "right") if row[_COLUMN[f"{s}_hand_height"]] > head + 0.1 and head]
    if high:
        words.append("both hands overhead" if len(high) == 2 else f"the {high[0]} hand overhead")
    foot = [s for s in ("left", "right") if row[_COLUMN[f"{s}_foot_height"]] > 0.55]
    if foot and row[_COLUMN["flight"]] < 0.05:
        words.append(f"the {foot[0]} foot raised high" if len(foot) == 1 else "feet raised high")
    if _rank("foot_spread", row, reference) > 1 and row[_COLUMN["foot_spread"]] > 0.4:
        words.append("the feet wide apart")
    if _rank("lean", row, reference) > 1 and row[_COLUMN["lean"]] > 15:
        words.append("the trunk leaning")
    if _rank("stillness", row, reference) > 1 and row[_COLUMN["stillness"]] > 0.3:
        words.append("clear stops")
    return words


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _article(traits: list[str]) -> str:
    return "an" if traits[0][0] in "aeiou" else "a"
