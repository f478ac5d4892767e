"""The clusters of a run: fitted to the points of the training windows, kept with their exemplars.

Every window is then assigned to one of them (`ClusterWriter`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from raydance.data.columns import read_columns, write_columns
from raydance.data.dataset import Dataset
from raydance.data.schema import Column
from raydance.motion.descriptor_space import Scaler
from raydance.stages.clusters import Clusters, ClustersConfig, assign, fit_clusters
from raydance.systems.dance_language.cluster_space import COLUMN, ClusterSpace, raw_points
from raydance.systems.dance_language.label_step import held_out_agreement, window_labels
from raydance.training.run_folder import Run, load_bundle, save_bundle

CLUSTER: Final = Column(name="cluster", dtype="int64", meaning="nearest centroid")
"""The column that `ClusterWriter` adds to rows."""


def write_clusters(run: Run, dataset: Dataset, config: ClustersConfig, seed: int) -> Clusters:
    """Fit the clusters and keep them, with the motion of the windows that a person describes."""
    space = ClusterSpace.of(run)
    if config.space == "descriptors":
        space.scaler = Scaler.fit(np.concatenate(raw_points(run, dataset, "train")))

    def points_of(split: str) -> np.ndarray:
        return space.scaled(np.concatenate(raw_points(run, dataset, split)))

    labels = window_labels(dataset, "train", config.label) if config.label else None
    clusters = fit_clusters(config, points_of("train"), seed, labels)
    if labels is not None:
        clusters.report["held_out"] = held_out_agreement(run, dataset, clusters, points_of)
    exemplars = _exemplar_windows(dataset, clusters.exemplars)
    tensors = {
        "centroids": torch.from_numpy(clusters.centroids),
        "pca_mean": torch.from_numpy(clusters.pca_mean),
        "pca_axes": torch.from_numpy(clusters.pca_axes),
        "exemplar_motion": torch.from_numpy(exemplars["motion"]),
        "exemplar_mask": torch.from_numpy(exemplars["joint_mask"]),
        "exemplar_cluster": torch.from_numpy(exemplars["cluster"]),
    }
    if space.scaler is not None:
        tensors["point_mean"] = torch.from_numpy(space.scaler.mean.astype(np.float64))
        tensors["point_std"] = torch.from_numpy(space.scaler.std.astype(np.float64))
    if clusters.kept is not None:
        tensors["kept"] = torch.from_numpy(clusters.kept)
    facts = {"report": clusters.report, "exemplar_ids": exemplars["window_id"]}
    save_bundle(run.bundle("clusters"), tensors, facts)
    return clusters


def _exemplar_windows(dataset: Dataset, exemplars: list[list[int]]) -> dict[str, Any]:
    """Motion of the exemplar rows, counted over the training shards in order."""
    wanted = {row: cluster for cluster, rows in enumerate(exemplars) for row in rows}
    found: dict[int, Mapping[str, Any]] = {}
    first = 0
    for shard in dataset.shards("train"):
        here = [row for row in wanted if first <= row < first + shard.num_windows]
        if here:
            rows = dataset.read_shard(shard, columns=["window_id", "motion", "joint_mask"])
            for row in here:
                found[row] = {name: values[row - first] for name, values in rows.items()}
        first += shard.num_windows
    order = [row for rows in exemplars for row in rows]
    return {
        "motion": np.stack([found[row]["motion"] for row in order]).astype(np.float32),
        "joint_mask": np.stack([found[row]["joint_mask"] for row in order]),
        "cluster": np.array([wanted[row] for row in order], dtype=np.int64),
        "window_id": [str(found[row]["window_id"]) for row in order],
    }


class ClusterWriter:
    """Assigns the windows of a shard to clusters."""

    def __init__(self, run_path: str) -> None:
        self.run = Run.open(run_path)
        tensors, _ = load_bundle(self.run.bundle("clusters"))
        self.centroids = tensors["centroids"].numpy()
        self.kept = tensors["kept"].numpy() if "kept" in tensors else None
        """`[N]`, over the training windows in order: clusters that labelled windows stay in."""
        self.space = ClusterSpace.of(self.run)
        self.dataset = Dataset.open(self.run.facts["dataset"]["path"])

    def __call__(self, item: tuple[str, int]) -> dict[str, Any]:
        """`item` is (split, shard index)."""
        split, number = item
        shards = self.dataset.shards(split)
        shard = shards[number]
        window_ids = list(self.dataset.read_shard(shard, columns=["window_id"])["window_id"])
        path = self.run.columns("cluster_points") / f"{shard.name}.parquet"
        raw = np.asarray(read_columns(path, [COLUMN], window_ids)[COLUMN])
        points = self.space.scaled(raw)
        cluster, distance = assign(self.centroids, points)
        if self.kept is not None and split == "train":
            first = sum(s.num_windows for s in shards[:number])
            kept = self.kept[first : first + shard.num_windows]
            cluster = np.where(kept < 0, cluster, kept)
            distance = np.linalg.norm(points - self.centroids[cluster], axis=1)
        out = self.run.columns("clusters") / f"{shard.name}.parquet"
        write_columns(
            out,
            window_ids,
            {"cluster": cluster, "cluster_distance": distance, COLUMN: points},
        )
        return {"shard": shard.name}
