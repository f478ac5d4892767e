"""Windows of a clip into timed segments: what is said of it, from when to when.

Neighbouring windows overlap; where their best captions agree they are one segment, and where two
segments meet, the border lies half-way between the middles of the two windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Windows `first:end` of a clip that are described together, and their time in seconds."""

    first: int
    end: int
    start_s: float
    end_s: float


def merge_windows(
    labels: Sequence[int], starts_s: Sequence[float], ends_s: Sequence[float]
) -> list[Stretch]:
    """Stretches of equal labels, without gaps where windows touch.

    A single window that differs from two equal neighbours is taken for a slip and joins them.

    Args:
        labels: of each window, in order of time.
        starts_s, ends_s: of each window, seconds.
    """
    if not labels:
        return []
    steady = list(labels)
    touches = [ends_s[i] >= starts_s[i + 1] for i in range(len(labels) - 1)]
    for i in range(1, len(labels) - 1):
        if labels[i - 1] == labels[i + 1] and touches[i - 1] and touches[i]:
            steady[i] = labels[i - 1]
    cuts = [i for i in range(1, len(steady)) if steady[i] != steady[i - 1] or not touches[i - 1]]
    middle = (np.asarray(starts_s, dtype=float) + np.asarray(ends_s, dtype=float)) / 2
    found: list[Stretch] = []
    edges = [0, *cuts, len(steady)]
    for first, end in zip(edges, edges[1:]):
        joined_before = first > 0 and touches[first - 1]
        joined_after = end < len(steady) and touches[end - 1]
        start = (middle[first - 1] + middle[first]) / 2 if joined_before else starts_s[first]
        stop = (middle[end - 1] + middle[end]) / 2 if joined_after else ends_s[end - 1]
        found.append(Stretch(first=first, end=end, start_s=float(start), end_s=float(stop)))
    return found
