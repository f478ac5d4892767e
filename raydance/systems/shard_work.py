"""Small pieces of work on one shard of windows, run by `Runner.map`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raydance.artifacts import Run, load_bundle
from raydance.columns import read_columns, write_columns
from raydance.dataset import Dataset
from raydance.motion import normalise
from raydance.stages.clusters import assign


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

    @staticmethod
    def merge(
        sums: Sequence[normalise.Sums], granularity: normalise.Granularity
    ) -> normalise.Statistics:
        """Mean and standard deviation over all shards."""
        return normalise.fit_statistics(sums, granularity)


class ClusterWriter:
    """Assigns the windows of a shard to clusters."""

    def __init__(self, run_path: str) -> None:
        self.run = Run.open(run_path)
        self.centroids = load_bundle(self.run.bundle("clusters"))[0]["centroids"].numpy()
        self.dataset = Dataset.open(self.run.facts["dataset"]["path"])

    def __call__(self, item: tuple[str, int]) -> dict[str, Any]:
        """`item` is (split, shard index)."""
        split, number = item
        shard = self.dataset.shards(split)[number]
        window_ids = list(self.dataset.read_shard(shard, columns=["window_id"])["window_id"])
        path = self.run.columns("motion_vae") / f"{shard.name}.parquet"
        latents = np.asarray(read_columns(path, ["latent"], window_ids)["latent"])
        cluster, distance = assign(self.centroids, latents)
        out = self.run.columns("clusters") / f"{shard.name}.parquet"
        write_columns(out, window_ids, {"cluster": cluster, "cluster_distance": distance})
        return {"shard": shard.name}
