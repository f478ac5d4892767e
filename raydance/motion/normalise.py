"""Network values of motion: relative positions, and the normalisation of eq. 1 (Dance-Language).

The paper removes root position and orientation from every frame, which also removes locomotion.
The default keeps joint 0 as the root's path and makes every other joint relative to the pelvis of
its frame; `per_frame` is the paper's way.

Dimensions: N windows, T frames, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from raydance.errors import InputError
from raydance.motion.windows import normalise_frames

Representation = Literal["root_channel", "per_frame"]
Granularity = Literal["global", "axis", "feature"]

_AXES: Final[dict[str, tuple[int, ...]]] = {"global": (0, 1), "axis": (0,), "feature": ()}
_SMALLEST_STD: Final = 1e-3


def to_features(
    motion: np.ndarray, joint_mask: np.ndarray, representation: Representation = "root_channel"
) -> np.ndarray:
    """Windows -> features of the same shape, metres; joints that a source lacks are zero.

    Args:
        motion: `[N, T, J, 3]`, metres, windows as `normalise_window` leaves them.
        joint_mask: `[N, J]` bool.
    """
    root = motion[:, :, :1]
    if representation == "per_frame":
        features = normalise_frames(motion, joint_mask)
    else:
        features = motion - root
        features[:, :, 0] = root[:, :, 0]
    return np.where(joint_mask[:, None, :, None], features, 0.0).astype(np.float32, copy=False)


def from_features(
    features: np.ndarray, representation: Representation = "root_channel"
) -> np.ndarray:
    """Features `[N, T, J, 3]` -> positions in metres, arrays and tensors alike.

    Absent joints are at the pelvis: use the mask. `per_frame` features have no root path: the
    pelvis stays at the origin.
    """
    if representation == "per_frame":
        return features
    motion = features + features[:, :, :1]
    motion[:, :, 0] = features[:, :, 0]
    return motion


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Mean and standard deviation of eq. 1, shaped to broadcast over `[N, T, J, 3]`.

    Plain arithmetic, so it takes arrays and tensors alike.
    """

    mean: Any
    std: Any

    def apply(self, features: Any) -> Any:
        """Eq. 1: `(x - mean) / std`."""
        return (features - self.mean) / self.std

    def invert(self, normalised: Any) -> Any:
        """`x * std + mean`."""
        return normalised * self.std + self.mean


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Count, sum and sum of squares of each joint and axis; sums of parts add up.

    Attributes:
        count: `[J, 1]`.
        total, squares: `[J, 3]`, float64.
    """

    count: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, joint_mask: np.ndarray) -> Sums:
        """Sums over windows `[N, T, J, 3]` with masks `[N, J]`."""
        weight = joint_mask[:, None, :, None].astype(np.float64)
        return cls(
            count=joint_mask.sum(axis=0, dtype=np.float64)[:, None] * features.shape[1],
            total=(features * weight).sum(axis=(0, 1)),
            squares=(np.square(features, dtype=np.float64) * weight).sum(axis=(0, 1)),
        )


def fit_statistics(parts: Sequence[Sums], granularity: Granularity = "global") -> Statistics:
    """Eq. 1's statistics from the sums of all training windows.

    Args:
        granularity: one value for everything (the paper's "across all frames and joints"), one
            for each axis, or one for each joint and axis.

    Raises:
        InputError: nothing to count, or an unknown granularity.
    """
    if granularity not in _AXES:
        raise InputError(f"normalisation {granularity!r}; allowed: {', '.join(_AXES)}")
    if not parts:
        raise InputError("no training windows to take statistics of")
    axes = _AXES[granularity]
    count = sum(p.count for p in parts) * np.ones((1, 3))
    total, squares = sum(p.total for p in parts), sum(p.squares for p in parts)
    count, total, squares = (np.sum(x, axis=axes, keepdims=True) for x in (count, total, squares))
    count = np.maximum(count, 1.0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))
    std = np.where(std < _SMALLEST_STD, 1.0, std)
    return Statistics(mean=mean.astype(np.float32), std=std.astype(np.float32))
