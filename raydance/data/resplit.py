"""A copy of a dataset with other splits; no recording is read again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from raydance.data.dataset import SPLITS, Dataset, Shard, finish, write_shard
from raydance.errors import InputError

_SETTINGS = ("fps", "window", "stride", "split_seed")


def resplit(
    dataset: Dataset, out: Path, split_of: Callable[[Mapping[str, Any]], str | None]
) -> Dataset:
    """Write the copy.

    Args:
        split_of: from a clip (`clip_id`, `recording`, `split`, `captions` and `labels`, a mapping)
            to its split; None leaves it where it is.

    Raises:
        InputError: `out` exists, or a recording would lie in two splits.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; choose another folder")
    clips = dataset.clips()
    split: dict[str, str] = {}
    recordings: dict[str, str] = {}
    for clip in clips:
        wanted = split_of(clip | {"labels": json.loads(clip["labels"] or "{}")}) or clip["split"]
        if recordings.setdefault(clip["recording"], wanted) != wanted:
            raise InputError(f"{clip['recording']}: would lie in two splits")
        split[clip["clip_id"]] = clip["split"] = wanted
    building = out.with_name(f".{out.name}.resplitting")
    shutil.rmtree(building, ignore_errors=True)
    try:
        shards: list[Shard] = []
        for old in [shard for name in SPLITS for shard in dataset.shards(name)]:
            rows = dataset.read_shard(old)
            own = np.array([split[clip] for clip in rows["clip_id"]])
            for name in SPLITS:
                keep = np.flatnonzero(own == name)
                if not len(keep):
                    continue
                part = {
                    key: values[keep]
                    if isinstance(values, np.ndarray)
                    else [values[i] for i in keep]
                    for key, values in rows.items()
                }
                part["split"] = [name] * len(keep)
                shard = write_shard(building, f"{name}-{old.name}", name, part, dataset.modality)
                shards.append(shard)
        manifest = dataset.manifest
        finish(
            building,
            shards=shards,
            clips=clips,
            files=manifest["files"],
            settings={key: manifest[key] for key in _SETTINGS},
            versions=manifest["versions"],
            modality=dataset.modality,
            arrays=dataset.arrays,
        )
        building.rename(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Dataset.open(out)
