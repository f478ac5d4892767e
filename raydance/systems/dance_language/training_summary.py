"""What a run was trained on, in a few words: for readers who have to know what it can do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raydance.systems.dance_language.library_step import Library

_KINDS: Final = ("movement", "action", "genre", "style")
"""Labels that name what is done, the most telling first."""

_MOST_KINDS: Final = 200
"""A label with more values names recordings, not movements."""


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """Of the training clips.

    Attributes:
        num_clips: how many there are.
        seconds: how long they are together.
        movements: what is done in them, the commonest first: values of a label where the data has
            one for it, else captions.
    """

    num_clips: int
    seconds: float
    movements: tuple[str, ...]


def summarise(library: Library, texts: Sequence[str]) -> TrainingSummary:
    """Summarise the training part of a run's library.

    Args:
        texts: captions by id.
    """
    windows = library.windows
    spans: dict[str, tuple[float, float]] = {}
    first: dict[str, int] = {}  # clip -> its first row
    for row in library.rows("train").tolist():
        clip, start, end = (windows[name][row] for name in ("clip_id", "start_s", "end_s"))
        begin, stop = spans.get(clip, (start, end))
        spans[clip] = min(begin, start), max(stop, end)
        first.setdefault(clip, row)
    labels = [json.loads(windows["labels"][row] or "{}") for row in first.values()]
    counts = _kinds(labels) or Counter(
        texts[caption] for row in first.values() for caption in windows["caption_ids"][row][:1]
    )
    return TrainingSummary(
        num_clips=len(spans),
        seconds=sum(end - start for start, end in spans.values()),
        movements=tuple(name for name, _ in counts.most_common(_MOST_KINDS)),
    )


def _kinds(labels: Sequence[dict[str, str]]) -> Counter[str]:
    for kind in _KINDS:
        counts = Counter(str(one[kind]).replace("_", " ") for one in labels if one.get(kind))
        if 1 < len(counts) <= _MOST_KINDS:
            return counts
    return Counter()
