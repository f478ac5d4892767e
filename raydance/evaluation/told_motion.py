"""Whether generated tracks move as their sentence says, where the data tells how: the kind, the
direction and the speed that scenes made by rule are labelled with, read off the tracks by
`raydance.tracks.rules`.

Dimensions: B tracks, T frames, N points.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np

from raydance.evaluation.measure import Measure
from raydance.tracks.rules import read_motion
from raydance.tracks.track import to_pixels

TOLD: Final = ("kind", "direction", "speed")
_FRAME: Final = (256, 256)


def told_measures(
    labels: Sequence[str],
    made: np.ndarray,
    copied: np.ndarray,
    real: np.ndarray,
) -> list[Measure]:
    """Percentages of tracks whose kind, direction and speed of motion are those of their labels.

    Args:
        labels: B, JSON; tracks that lack one of `TOLD` are left out. No measure without any.
        made, copied, real: `[B, T, N, 2]` in [-1, 1]: generated from the sentences, of the training
            tracks with the nearest sentences, and the labelled tracks themselves.
    """
    facts = [json.loads(text or "{}") for text in labels]
    rows = [i for i, fact in enumerate(facts) if all(fact.get(name) for name in TOLD)]
    if not rows:
        return []
    wanted = [tuple(str(facts[i][name]) for name in TOLD) for i in rows]
    own, simple, true = (_read(tracks[rows]) for tracks in (made, copied, real))
    return [
        Measure(
            group=f"generation, {len(rows)} tracks read by a rule",
            name=f"{name} as told",
            value=_share(own, wanted, place),
            baseline=_share(simple, wanted, place),
            target=_share(true, wanted, place),
        )
        for place, name in enumerate(TOLD)
    ]


def _read(tracks: np.ndarray) -> list[tuple[str, ...]]:
    found = [read_motion(points, _FRAME) for points in to_pixels(tracks, _FRAME)]
    return [(one.kind, one.direction, one.speed) for one in found]


def _share(found: list[tuple[str, ...]], wanted: list[tuple[str, ...]], place: int) -> float:
    return 100.0 * float(np.mean([a[place] == b[place] for a, b in zip(found, wanted)]))
