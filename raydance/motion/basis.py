"""Principal components of motion windows: a linear basis in closed form.

Motion is smooth and bodies are rigid, so a few hundred coefficients describe a window of 7,500
numbers nearly exactly. The basis works on network values (`raydance.motion.rows.to_network`). Its
metric weights an error of the root's path by the number of joints that it moves, so components are
ordered by the variance of joint positions in metres that they explain. Coefficients are whitened:
each has variance 1 over the training windows.

Not from the paper, whose motion VAE has no such starting point.

Dimensions: N windows, T frames, J joints, K components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from raydance.errors import InputError
from raydance.motion import normalise

_NOISE_M = 0.005
"""Measurement noise, metres: keeps the fit of few joints to many components stable."""
_LEAST_M = 1e-4
"""Windows that differ by less, metres over all of their values, are alike but for rounding."""
_MAX_FILLS = 4


@dataclass(frozen=True, kw_only=True)
class Basis:
    """Mean and components, in the space that networks read.

    Attributes:
        mean: `[T, J, 3]`.
        components: `[K, T, J, 3]`: effect of one standard deviation of each coefficient.
        weight: `[J, 3]`: metres that a unit of each value is worth, the root's path times the
            square root of the joints that it moves.
        scale: `[K]`: standard deviation of each component in that metric.
        explained: share of the variance that all components explain together.
    """

    mean: np.ndarray
    components: np.ndarray
    weight: np.ndarray
    scale: np.ndarray
    explained: float

    @property
    def num_components(self) -> int:
        """K."""
        return len(self.scale)

    def first(self, num: int) -> Basis:
        """A basis of the first components only."""
        variance = np.square(self.scale, dtype=np.float64)
        return replace(
            self,
            components=self.components[:num],
            scale=self.scale[:num],
            explained=self.explained * float(variance[:num].sum() / variance.sum()),
        )

    @cached_property
    def projection(self) -> np.ndarray:
        """`[K, T, J, 3]`: the inner products that give the coefficients of complete windows."""
        squared = np.square(self.weight, dtype=np.float64)
        scaled = self.components * squared / np.square(self.scale)[:, None, None, None]
        return scaled.astype(np.float32)

    def encode(
        self, network: np.ndarray, joint_mask: np.ndarray, length: np.ndarray | None = None
    ) -> np.ndarray:
        """Coefficients `[N, K]` float32 of windows `[N, T, J, 3]`.

        Joints that a window lacks but the basis knows, and frames from its `length [N]` on, are
        left out of its fit: the most probable coefficients given the others, for coefficients of
        variance 1 and a noise of half a centimetre.
        """
        num_frames = network.shape[1]
        out = np.empty((len(network), self.num_components), dtype=np.float32)
        known_J = np.any(self.components, axis=(0, 1, 3))
        length_N = np.full(len(network), num_frames) if length is None else length
        parts = np.column_stack([joint_mask & known_J, length_N])
        kinds, row_N = np.unique(parts, axis=0, return_inverse=True)
        centred = network - self.mean
        for number, (*mask, frames) in enumerate(kinds):
            rows = np.flatnonzero(row_N.reshape(-1) == number)
            if frames == num_frames and np.all(mask >= known_J):
                flat_KD = self.projection.reshape(self.num_components, -1)
                out[rows] = centred[rows].reshape(len(rows), -1) @ flat_KD.T
            else:
                out[rows] = self._most_probable(centred[rows, :frames], np.array(mask, dtype=bool))
        return out

    def _most_probable(self, centred: np.ndarray, mask_J: np.ndarray) -> np.ndarray:
        """Coefficients `[n, K]` of the first frames `[n, L, J, 3]` of windows less the mean."""
        weight = (self.weight * mask_J[:, None]).astype(np.float64)
        flat_KD = (self.components[:, : centred.shape[1]] * weight).reshape(len(self.scale), -1)
        system = flat_KD @ flat_KD.T + _NOISE_M**2 * np.eye(len(self.scale))
        flat_ND = (centred * weight).reshape(len(centred), -1)
        return np.linalg.solve(system, flat_KD @ flat_ND.T).T

    def decode(self, coefficients: np.ndarray) -> np.ndarray:
        """Windows `[N, T, J, 3]` float32, as networks read them, of coefficients `[N, K]`."""
        flat = coefficients.astype(np.float32) @ self.components.reshape(self.num_components, -1)
        return flat.reshape(-1, *self.mean.shape) + self.mean

    def tensors(self) -> dict[str, np.ndarray]:
        """Arrays to store."""
        return {
            "mean": self.mean,
            "components": self.components,
            "weight": self.weight,
            "scale": self.scale,
        }

    @classmethod
    def of(cls, tensors: Mapping[str, np.ndarray], explained: float) -> Basis:
        """What `tensors` returned."""
        names = ("mean", "components", "weight", "scale")
        return cls(**{name: tensors[name] for name in names}, explained=explained)


def metric(
    statistics: normalise.Statistics,
    representation: normalise.Representation,
    joint_mask: np.ndarray,
) -> np.ndarray:
    """`[J, 3]`: metres of joint positions that a unit of each network value is worth.

    Args:
        joint_mask: `[J]`: joints of the data; the root's path moves so many.
    """
    weight = np.broadcast_to(np.asarray(statistics.std, dtype=np.float64), (len(joint_mask), 3))
    weight = weight * joint_mask[:, None]
    if representation == "root_channel":
        weight[0] *= np.sqrt(joint_mask.sum())
    return weight.astype(np.float32)


def fit_basis(
    network: np.ndarray,
    joint_mask: np.ndarray,
    weight: np.ndarray,
    num_components: int,
    *,
    seed: int = 0,
) -> Basis:
    """Mean and principal components of windows.

    Joints that some windows lack are filled in from the components, and the components are fitted
    again, a few times.

    Args:
        network: `[N, T, J, 3]`, as networks read them; absent joints are zero.
        joint_mask: `[N, J]` bool.
        weight: `[J, 3]`, from `metric`.
        num_components: maximum number; limited by the number of windows.

    Raises:
        InputError: fewer than three windows, or none that differs from another.
    """
    if len(network) < 3:
        raise InputError(f"{len(network)} training windows make no basis; at least 3 are needed")
    known_J = weight.any(axis=1)
    holes_NJ = known_J & ~joint_mask
    filled = network.astype(np.float32, copy=True)
    mean = _mean(network, joint_mask)
    filled[:] = np.where(holes_NJ[:, None, :, None], mean, filled)
    basis = _components(filled, weight, num_components, seed)
    for _ in range(_MAX_FILLS if holes_NJ.any() else 0):
        guess = basis.decode(basis.encode(network, joint_mask))
        filled[:] = np.where(holes_NJ[:, None, :, None], guess, filled)
        basis = _components(filled, weight, num_components, seed)
    return basis


def _mean(network: np.ndarray, joint_mask: np.ndarray) -> np.ndarray:
    total = np.where(joint_mask[:, None, :, None], network, 0.0).sum(axis=0, dtype=np.float64)
    return (total / np.maximum(joint_mask.sum(axis=0), 1)[None, :, None]).astype(np.float32)


def _components(network: np.ndarray, weight: np.ndarray, num_components: int, seed: int) -> Basis:
    from sklearn.decomposition import PCA

    used = weight.any(axis=1)
    scaled = (network[:, :, used] * weight[used]).reshape(len(network), -1)
    num = min(num_components, len(network) - 1, scaled.shape[1])
    pca = PCA(num, svd_solver="randomized", iterated_power=3, random_state=seed).fit(scaled)
    scale = np.sqrt(pca.explained_variance_)
    kept = scale > 1e-6 * max(float(scale[0]), 1e-12)
    if not kept.any() or scale[0] < _LEAST_M:
        raise InputError("all training windows are alike: there is no movement to make a basis of")
    shape = (network.shape[1], int(used.sum()), 3)
    components = np.zeros((int(kept.sum()), *network.shape[1:]), dtype=np.float32)
    deviations = (pca.components_ * scale[:, None])[kept].reshape(-1, *shape)
    components[:, :, used] = deviations / weight[used]
    mean = np.zeros(network.shape[1:], dtype=np.float32)
    mean[:, used] = pca.mean_.reshape(shape) / weight[used]
    return Basis(
        mean=mean,
        components=components,
        weight=weight,
        scale=scale[kept].astype(np.float32),
        explained=float(pca.explained_variance_ratio_.sum()),
    )
