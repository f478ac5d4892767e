"""Rows of motion as networks read them: augmented, normalised, mirrored. No torch.

Dimensions: N rows, T frames, J joints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from raydance.motion import augment, normalise


@dataclass(frozen=True, kw_only=True)
class MotionRows:
    """How stored rows of motion become the batch columns `motion`, `joint_mask` and `length`.

    Attributes:
        statistics: mean and standard deviation for eq. 1; None leaves metres.
        representation: `root_channel` or `per_frame`.
        augment: noise applied in training.
    """

    statistics: normalise.Statistics | None = None
    representation: normalise.Representation = "root_channel"
    augment: augment.Augment = field(default_factory=augment.Augment)

    reads: ClassVar[tuple[str, ...]] = ("motion", "joint_mask", "length")
    gives: ClassVar[tuple[str, ...]] = ("motion", "joint_mask", "length")

    @property
    def augments(self) -> bool:
        """Whether training rows get noise."""
        return self.augment.enabled

    def mirror_flags(self, keys: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
        """`[N]` bool: rows that `training` mirrors."""
        return augment.mirror_flags(keys, seed=seed, epoch=epoch, config=self.augment)

    def training(
        self, rows: Mapping[str, Any], keys: np.ndarray, *, seed: int, epoch: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Augmented batch columns, and which rows were mirrored, `[N]` bool."""
        motion, mask, mirrored = augment.augment(
            rows["motion"],
            rows["joint_mask"],
            keys,
            seed=seed,
            epoch=epoch,
            config=self.augment,
            length=rows["length"],
        )
        return self._columns(motion, mask, rows["length"]), mirrored

    def plain(self, rows: Mapping[str, Any], *, mirrored: bool = False) -> dict[str, np.ndarray]:
        """Batch columns without noise."""
        motion, mask = rows["motion"], rows["joint_mask"]
        if mirrored:
            motion, mask = augment.mirror(motion, mask)
        return self._columns(motion, mask, rows["length"])

    def _columns(
        self, motion: np.ndarray, mask: np.ndarray, length: np.ndarray
    ) -> dict[str, np.ndarray]:
        network = to_network(motion, mask, self.statistics, self.representation)
        return {"motion": network, "joint_mask": mask, "length": length}


def to_network(
    motion: np.ndarray,
    joint_mask: np.ndarray,
    statistics: normalise.Statistics | None,
    representation: normalise.Representation,
) -> np.ndarray:
    """Network values of windows `[N, T, 50, 3]` in metres: normalised, absent joints zero."""
    features = normalise.to_features(motion, joint_mask, representation)
    if statistics is not None:
        features = statistics.apply(features)
    return np.where(joint_mask[:, None, :, None], features, 0.0).astype(np.float32, copy=False)
