"""All rows of a split of a dataset of motion, read at once, and copies of training clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raydance.data.dataset import Dataset


def read_split(dataset: Dataset, split: str) -> dict[str, Any]:
    """All rows of a split, by column.

    Returns:
        `window_id`, `captions` and `labels` lists; `motion [N, T, J, 3]`, `joint_mask [N, J]` and
        `length [N]`, of a dataset with music also `music` and `has_music`.
    """
    parts: dict[str, list[Any]] = {}
    for shard in dataset.shards(split):
        names = ["window_id", "captions", "labels", "motion", "joint_mask", "length"]
        names += ["music", "has_music"] if "music" in dataset.arrays else []
        rows = dataset.read_shard(shard, columns=names)
        for name, values in rows.items():
            parts.setdefault(name, []).append(values)
    return {
        name: np.concatenate(found) if isinstance(found[0], np.ndarray) else sum(found, [])
        for name, found in parts.items()
    }


def rows_by_caption(captions: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """Rows that have each caption."""
    owners: dict[str, list[int]] = {}
    for row, words in enumerate(captions):
        for text in words:
            owners.setdefault(text, []).append(row)
    return owners


def long_enough(
    rows: Sequence[int], lengths: np.ndarray, length: int, rng: np.random.Generator
) -> int:
    """One of the rows that are at least so long, drawn; the longest where none is."""
    fitting = [row for row in rows if lengths[row] >= length]
    return int(rng.choice(fitting or [max(rows, key=lambda row: lengths[row])]))
