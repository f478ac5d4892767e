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
        tensors, _ = load_bundle(self.run.bundle("clusters"))
        self.centroids = tensors["centroids"].numpy()
        self.kept = tensors["kept"].numpy() if "kept" in tensors else None
        """`[N]`, over the training windows in order: clusters that labelled windows stay in."""
        self.dataset = Dataset.open(self.run.facts["dataset"]["path"])

    def __call__(self, item: tuple[str, int]) -> dict[str, Any]:
        """`item` is (split, shard index)."""
        split, number = item
        shards = self.dataset.shards(split)
        shard = shards[number]
        window_ids = list(self.dataset.read_shard(shard, columns=["window_id"])["window_id"])
        path = self.run.columns("motion_vae") / f"{shard.name}.parquet"
        latents = np.asarray(read_columns(path, ["latent"], window_ids)["latent"])
        cluster, distance = assign(self.centroids, latents)
        if self.kept is not None and split == "train":
            first = sum(s.num_windows for s in shards[:number])
            kept = self.kept[first : first + shard.num_windows]
            cluster = np.where(kept < 0, cluster, kept)
            distance = np.linalg.norm(latents - self.centroids[cluster], axis=1)
        out = self.run.columns("clusters") / f"{shard.name}.parquet"
        write_columns(out, window_ids, {"cluster": cluster, "cluster_distance": distance})
        return {"shard": shard.name}
