"""What a window is called, and what a caption therefore stands for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

LABEL_KEYS = ("movement", "content", "action")
"""Labels that name a movement, the first that a clip has counts."""


def label_of(labels: str | Mapping[str, str] | None, captions: Sequence[str]) -> str:
    """The movement's name: the first of `LABEL_KEYS`, else the first caption, else empty.

    Args:
        labels: a mapping, or one as JSON.
    """
    facts = json.loads(labels) if isinstance(labels, str) and labels else (labels or {})
    for key in LABEL_KEYS:
        if isinstance(facts, Mapping) and facts.get(key):
            return str(facts[key])
    return captions[0] if captions else ""


def label_key(labels: Sequence[str | Mapping[str, str] | None]) -> str:
    """Which key names most windows; `caption` where none of them does."""
    keys: Counter[str] = Counter()
    for row in labels:
        facts = json.loads(row) if isinstance(row, str) and row else (row or {})
        keys[next((key for key in LABEL_KEYS if facts.get(key)), "caption")] += 1
    return keys.most_common(1)[0][0] if keys else "caption"


def caption_labels(
    caption_ids: Sequence[Sequence[int]], labels: Sequence[str], num_captions: int
) -> list[str]:
    """The label of most of a caption's windows, for each caption; empty where it has none."""
    count: list[Counter[str]] = [Counter() for _ in range(num_captions)]
    for ids, label in zip(caption_ids, labels):
        for caption_id in ids:
            if label:
                count[caption_id][label] += 1
    return [c.most_common(1)[0][0] if c else "" for c in count]
