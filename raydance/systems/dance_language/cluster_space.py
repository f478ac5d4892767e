"""The space that windows are clustered in.

The paper clusters the latents of the motion VAE, of which every one counts alike. Measured against
what people call alike (LOG.md), kinematic descriptors and coefficients weighed by what they move
both do better; each is a choice of `clusters.space`.

Dimensions: N windows, D values of a point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raydance.data.columns import read_columns, write_columns
from raydance.data.dataset import Dataset
from raydance.motion.descriptor_space import Scaler, describe
from raydance.motion.rows import to_network
from raydance.stages.clusters import Space
from raydance.systems.dance_language.basis_step import basis_of
from raydance.systems.dance_language.config import config_of
from raydance.systems.dance_language.statistics_step import statistics_of
from raydance.training.run_folder import Run, load_bundle

COLUMN = "cluster_point"


class ClusterSpace:
    """Points of windows, from what is known of them.

    Args:
        kind: which space.
        fps: of the windows.
        scaler: of descriptors; none yet while it is being fitted.
        scale: `[K]`, of coefficients.
    """

    def __init__(
        self,
        kind: Space,
        fps: float,
        scaler: Scaler | None = None,
        scale: np.ndarray | None = None,
    ) -> None:
        self.kind, self.fps, self.scaler, self.scale = kind, fps, scaler, scale

    @classmethod
    def of(cls, run: Run) -> ClusterSpace:
        """The space of a run, whose clusters may not be there yet."""
        kind: Space = run.config["clusters"]["space"]
        scaler, scale = None, None
        if kind == "descriptors" and run.bundle("clusters").exists():
            tensors, _ = load_bundle(run.bundle("clusters"))
            if "point_mean" in tensors:
                scaler = Scaler(tensors["point_mean"].numpy(), tensors["point_std"].numpy())
        if kind == "coefficients":
            scale = np.sqrt(basis_of(run).scale)
        return cls(kind, float(run.facts["dataset"]["fps"]), scaler, scale)

    def raw(
        self,
        motion: np.ndarray,
        joint_mask: np.ndarray,
        latent: np.ndarray,
        coefficients: np.ndarray,
    ) -> np.ndarray:
        """Points `[N, D]` before they are scaled.

        Args:
            motion: `[N, T, 50, 3]`, metres; `joint_mask`: `[N, 50]`.
            latent: `[N, Z]` of the motion VAE; `coefficients`: `[N, K]` of the motion basis.
        """
        if self.kind == "descriptors":
            return describe(motion, joint_mask, self.fps).astype(np.float32)
        if self.kind == "coefficients":
            assert self.scale is not None
            return coefficients * self.scale
        return latent

    def scaled(self, raw_ND: np.ndarray) -> np.ndarray:
        """Points `[N, D]` as clusters know them."""
        return raw_ND if self.scaler is None else self.scaler(raw_ND)


class PointWriter:
    """Writes the points of a shard's windows, not scaled yet."""

    def __init__(self, run_path: str) -> None:
        self.run = Run.open(run_path)
        self.space = ClusterSpace.of(self.run)
        self.dataset = Dataset.open(self.run.facts["dataset"]["path"])

    def __call__(self, item: tuple[str, int]) -> dict[str, Any]:
        """`item` is (split, shard index)."""
        split, number = item
        shard = self.dataset.shards(split)[number]
        name = f"{shard.name}.parquet"
        rows = self.dataset.read_shard(shard, columns=["window_id", "motion", "joint_mask"])
        ids = list(rows["window_id"])
        latent = read_columns(self.run.columns("motion_vae") / name, ["latent"], ids)["latent"]
        motion, mask = rows["motion"], rows["joint_mask"]
        coefficients = np.empty((len(ids), 0), dtype=np.float32)
        if self.space.kind == "coefficients":  # of padded clips as they are, as `describe` has them
            kind = config_of(self.run).representation
            network = to_network(motion, mask, statistics_of(self.run), kind)
            coefficients = basis_of(self.run).encode(network, mask)
        points = self.space.raw(motion, mask, np.asarray(latent), coefficients)
        write_columns(self.run.columns("cluster_points") / name, ids, {COLUMN: points})
        return {"shard": shard.name}


def raw_points(run: Run, dataset: Dataset, split: str) -> list[np.ndarray]:
    """What `PointWriter` wrote of a split's windows, `[n, D]` for each of its shards."""
    folder = run.columns("cluster_points")
    return [
        np.asarray(read_columns(folder / f"{shard.name}.parquet", [COLUMN])[COLUMN])
        for shard in dataset.shards(split)
    ]
