"""Rows of clips of any length as the evaluator reads them. No torch.

Dimensions: N rows, T frames, J joints, F = 3 + 3 J values of a frame (`local_frames`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from raydance.motion import augment
from raydance.motion.local_frames import NUM_ROOT, to_local


@dataclass(frozen=True, kw_only=True)
class FrameStatistics:
    """What frames of real training motion are like.

    Attributes:
        mean, std: `[F]`.
        joint_mask: `[J]` bool: joints that some training clip has.
    """

    mean: np.ndarray
    std: np.ndarray
    joint_mask: np.ndarray

    def frames(self, motion: np.ndarray, joint_mask: np.ndarray) -> np.ndarray:
        """Motion `[N, T, J, 3]`, metres, y up, as z-scored `[N, T, F]` float32.

        Joints that a row lacks, or all training clips do, are at their mean.
        """
        mask_NJ = joint_mask & self.joint_mask
        scaled_NTF = (to_local(motion, mask_NJ) - self.mean) / self.std
        there_NF = np.concatenate(
            [np.ones((len(mask_NJ), NUM_ROOT), bool), np.repeat(mask_NJ, 3, axis=1)], axis=1
        )
        return np.where(there_NF[:, None], scaled_NTF, 0.0).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class EvaluatorRows:
    """How stored clips become `local` and `length`.

    Attributes:
        mirror: probability that a training row is mirrored.
    """

    statistics: FrameStatistics
    mirror: float = 0.5
    reads: ClassVar[tuple[str, ...]] = ("motion", "joint_mask", "length")
    gives: ClassVar[tuple[str, ...]] = ("local", "length")

    @property
    def augments(self) -> bool:
        """Whether training rows differ from what is stored."""
        return self.mirror > 0.0

    def mirror_flags(self, keys: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
        """`[N]` bool: rows that `training` mirrors."""
        return augment.uniforms(keys, seed=seed, epoch=epoch, stream=43) < self.mirror

    def training(
        self, rows: Mapping[str, Any], keys: np.ndarray, *, seed: int, epoch: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Batch columns, and which rows were mirrored, `[N]` bool."""
        flags = self.mirror_flags(keys, seed=seed, epoch=epoch)
        motion, mask = np.array(rows["motion"]), np.array(rows["joint_mask"])
        motion[flags], mask[flags] = augment.mirror(motion[flags], mask[flags])
        return self._columns(rows, motion, mask), flags

    def plain(self, rows: Mapping[str, Any], *, mirrored: bool = False) -> dict[str, np.ndarray]:
        """Batch columns of the rows as they are, or of all mirrored."""
        motion, mask = np.asarray(rows["motion"]), np.asarray(rows["joint_mask"])
        if mirrored:
            motion, mask = augment.mirror(motion, mask)
        return self._columns(rows, motion, mask)

    def _columns(
        self, rows: Mapping[str, Any], motion: np.ndarray, mask: np.ndarray
    ) -> dict[str, np.ndarray]:
        return {"local": self.statistics.frames(motion, mask), "length": rows["length"]}
