"""Labels that clusters start from, and how well the clusters agree with labels held out.

Agreement is measured on the validation and test windows alone: the training windows told the
clusters what they are called. Dimensions: N windows, K clusters, Z values of a point.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.metrics import clustering
from raydance.stages.clusters import Clusters, WindowLabels, assign, partition
from raydance.training.run_folder import Run

_TRUSTED = 0.75
"""Share of held-out windows below which the names of clusters are doubted aloud."""


def check_label(dataset: Dataset, key: str | None) -> None:
    """Refuse, before anything is trained, a label that no training clip has.

    Raises:
        InputError: names the labels that there are.
    """
    if key is None:
        return
    rows = [json.loads(c["labels"] or "{}") for c in dataset.clips() if c["split"] == "train"]
    if not any(row.get(key) for row in rows):
        there = sorted({name for row in rows for name in row})
        raise InputError(
            f"clusters.label: no training clip of {dataset.path} has the label {key!r}; "
            f"labels there: {', '.join(there) or 'none'}"
        )


def window_labels(dataset: Dataset, split: str, key: str) -> WindowLabels:
    """The label and the clip of each window of a split, in the order of its shards."""
    names: list[str] = []
    clips: list[str] = []
    for shard in dataset.shards(split):
        rows = dataset.read_shard(shard, columns=["clip_id", "labels"])
        names += [str(json.loads(labels or "{}").get(key) or "") for labels in rows["labels"]]
        clips += [str(clip) for clip in rows["clip_id"]]
    return WindowLabels(names=names, clips=clips)


def held_out_agreement(
    run: Run,
    dataset: Dataset,
    clusters: Clusters,
    points_of: Callable[[str], np.ndarray],
) -> dict[str, Any]:
    """How the labels of validation and test windows agree with the clusters they fall into.

    Adds a warning to the clusters' report where they agree badly.

    Args:
        points_of: the points `[N, Z]` of a split's windows.

    Returns:
        `windows` counted, the adjusted Rand index `ari`, the same of K-means with as many clusters
        and without labels, `ari_kmeans`, and `own`: the share in the cluster called by their
        label. Empty where no held-out window has the label.
    """
    key = clusters.report["label"]
    names, points = [], []
    for split in ("val", "test"):
        names += list(window_labels(dataset, split, key).names)
        points.append(points_of(split))
    rows = [i for i, name in enumerate(names) if name]
    if not rows:
        return {}
    true, points_NZ = [names[i] for i in rows], np.concatenate(points)[rows]
    seed, limit = run.facts["seed"], run.config["clusters"]["fit_windows"]
    train_NZ = points_of("train").astype(np.float64)
    train_NZ = np.random.default_rng([seed, 37]).permutation(train_NZ)[:limit]
    plain = partition("kmeans", train_NZ, len(clusters.centroids), seed)
    means_KZ = np.stack([train_NZ[plain == c].mean(axis=0) for c in np.unique(plain)])
    found = clusters.assign(points_NZ)[0]
    own = float(np.mean([clusters.names[c] == name for c, name in zip(found, true)]))
    if own < _TRUSTED:
        clusters.report["warnings"].append(
            f"only {own:.0%} of the held-out windows fall into the cluster called by their {key}: "
            "its name says little of its other windows"
        )
    return {
        "windows": len(rows),
        "ari": clustering.adjusted_rand_index(true, found),
        "ari_kmeans": clustering.adjusted_rand_index(true, assign(means_KZ, points_NZ)[0]),
        "own": own,
    }
