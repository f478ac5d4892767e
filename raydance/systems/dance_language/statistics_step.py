"""The statistics of a run (eq. 1): summed over the training shards, kept as a bundle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from raydance.data.dataset import Dataset
from raydance.motion import normalise
from raydance.training.run_folder import Run, load_bundle, save_bundle


class ShardStatistics:
    """Sums for eq. 1 over a training shard."""

    def __init__(self, dataset: str, representation: normalise.Representation) -> None:
        self.dataset = Dataset.open(dataset)
        self.representation = representation

    def __call__(self, index: int) -> normalise.Sums:
        """Sums of the index-th training shard."""
        shard = self.dataset.shards("train")[index]
        rows = self.dataset.read_shard(shard, columns=["motion", "joint_mask"])
        features = normalise.to_features(rows["motion"], rows["joint_mask"], self.representation)
        return normalise.Sums.of(features, rows["joint_mask"])


def write_statistics(
    run: Run, sums: Sequence[normalise.Sums], granularity: normalise.Granularity
) -> None:
    """Keep the mean and deviation of all shards, and which joints the training data has."""
    statistics = normalise.fit_statistics(sums, granularity)
    seen = np.sum([part.count for part in sums], axis=0)[:, 0] > 0
    tensors = {
        "mean": torch.as_tensor(np.asarray(statistics.mean)),
        "std": torch.as_tensor(np.asarray(statistics.std)),
        "joint_mask": torch.from_numpy(seen),
    }
    save_bundle(run.bundle("statistics"), tensors, {})


def statistics_of(run: Run) -> normalise.Statistics:
    """Mean and standard deviation of eq. 1 that the run's networks were trained with."""
    tensors, _ = load_bundle(run.bundle("statistics"))
    return normalise.Statistics(mean=tensors["mean"].numpy(), std=tensors["std"].numpy())
