"""Principal components of how points leave their first frame: a linear basis in closed form.

Thirty frames of points of one object are thousands of numbers and a few dozen of freedom. The
basis describes displacements from the first frame, which generation is given, so that a generated
track begins exactly where it shall. Coefficients are whitened: over the training tracks each has
variance 1. Not from the paper, whose decoder learns everything from nothing.

Dimensions: n tracks, T frames, N points, K components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from raydance.errors import InputError

_LEAST_SCALE = 1e-5
"""Components that vary by less, against the first, are rounding."""


@dataclass(frozen=True, kw_only=True)
class TrackBasis:
    """Mean and components of displacements, in normalised coordinates.

    Attributes:
        mean: `[T, N, 2]`; zero in the first frame.
        components: `[K, T, N, 2]`: what one standard deviation of each coefficient adds.
        scale: `[K]`: root mean square over frames and points of what it adds.
        explained: share of the variance that all components explain together.
    """

    mean: np.ndarray
    components: np.ndarray
    scale: np.ndarray
    explained: float

    @property
    def num_components(self) -> int:
        """K."""
        return len(self.scale)

    @property
    def projection(self) -> np.ndarray:
        """`[K, T, N, 2]`: the inner products that give the coefficients of displacements."""
        squared_K = np.square(self.components, dtype=np.float64).sum(axis=(1, 2, 3))
        return (self.components / squared_K[:, None, None, None]).astype(np.float32)

    def encode(self, tracks: np.ndarray) -> np.ndarray:
        """Coefficients `[n, K]` float32 of tracks `[n, T, N, 2]`."""
        moved = tracks - tracks[:, :1] - self.mean
        return moved.reshape(len(tracks), -1) @ self.projection.reshape(len(self.scale), -1).T

    def decode(self, coefficients: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Tracks `[n, T, N, 2]` of coefficients `[n, K]` and first frames `[n, N, 2]`."""
        moved = coefficients @ self.components.reshape(len(self.scale), -1)
        return moved.reshape(-1, *self.mean.shape) + self.mean + start[:, None]

    def tensors(self) -> dict[str, np.ndarray]:
        """Arrays to store."""
        return {"mean": self.mean, "components": self.components, "scale": self.scale}

    @classmethod
    def of(cls, tensors: Mapping[str, np.ndarray], explained: float) -> TrackBasis:
        """What `tensors` returned."""
        names = ("mean", "components", "scale")
        return cls(**{name: tensors[name] for name in names}, explained=explained)


def fit_track_basis(tracks: np.ndarray, num_components: int, *, seed: int = 0) -> TrackBasis:
    """Mean and principal components of tracks' displacements from their first frames.

    Args:
        tracks: `[n, T, N, 2]`, normalised coordinates, mirrored copies included where the
            training mirrors.
        num_components: at most so many; never more than the tracks can tell.

    Raises:
        InputError: fewer than three tracks, or none that moves unlike another.
    """
    if len(tracks) < 3:
        raise InputError(f"{len(tracks)} training tracks make no basis; at least 3 are needed")
    from sklearn.decomposition import PCA

    moved = (tracks - tracks[:, :1]).reshape(len(tracks), -1).astype(np.float32)
    num = min(num_components, len(moved) - 1, moved.shape[1])
    pca = PCA(num, svd_solver="randomized", iterated_power=3, random_state=seed).fit(moved)
    deviation = np.sqrt(pca.explained_variance_)
    kept = deviation > _LEAST_SCALE * max(float(deviation[0]), 1e-12)
    if not kept.any() or deviation[0] < 1e-6:
        raise InputError("all training tracks move alike: there is no basis of their movement")
    shape = tracks.shape[1:]
    components = (pca.components_ * deviation[:, None])[kept].reshape(-1, *shape)
    return TrackBasis(
        mean=pca.mean_.reshape(shape).astype(np.float32),
        components=components.astype(np.float32),
        scale=(deviation[kept] / (shape[0] * shape[1]) ** 0.5).astype(np.float32),
        explained=float(pca.explained_variance_ratio_[kept].sum()),
    )
