"""Windows as points in a space of standardised kinematic descriptors.

Dimensions: N windows, D descriptors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raydance.motion import kinematics

_CHUNK = 128


@dataclass(frozen=True)
class Scaler:
    """z-scores with the training windows' mean and standard deviation.

    Attributes:
        mean, std: `[D]`.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, rows_ND: np.ndarray) -> Scaler:
        """Statistics of `[N, D]`; constant columns are ignored."""
        std = rows_ND.std(axis=0)
        return cls(rows_ND.mean(axis=0), np.where(std > 1e-9, std, np.inf))

    def __call__(self, rows_ND: np.ndarray) -> np.ndarray:
        """`(x - mean) / std`, clipped to 5 standard deviations against outliers."""
        return np.clip((rows_ND - self.mean) / self.std, -5.0, 5.0).astype(np.float32)


def describe(motion: np.ndarray, joint_mask: np.ndarray, fps: float) -> np.ndarray:
    """Kinematic descriptors `[N, D]` of windows `[N, T, 50, 3]`, in pieces of bounded memory."""
    parts = [
        kinematics.descriptors(motion[i : i + _CHUNK], joint_mask[i : i + _CHUNK], fps)
        for i in range(0, len(motion), _CHUNK)
    ]
    return np.concatenate(parts)
