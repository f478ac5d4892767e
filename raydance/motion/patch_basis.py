"""A linear basis of short overlapping patches of motion, for clips of any length.

A patch is 32 frames of `local_frames`, every 16 frames, described by whitened principal components.
Overlapping patches are blended with smooth weights, so that there are no seams. As in
`motion.basis`, the metric weights an error by the joints that it moves: a wrong step moves all
joints, for half a patch, and a wrong rotation the end of a bone.

Dimensions: N rows, T frames, P patches, K components, F values of a frame, L frames of a patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.sparse.linalg import eigsh

from raydance.errors import InputError
from raydance.motion.forks import t_pose
from raydance.motion.local_frames import NUM_PLACES, NUM_ROOT, joints_known
from raydance.motion.skeleton import JOINTS, NUM_JOINTS, PARENTS

HOP: Final = 16
LENGTH: Final = 32
_LEAD: Final = (LENGTH - HOP) // 2
_LEVER_M: Final = 0.4  # how far from the axis of a turn a joint is
_MOST_ROWS: Final = 20_000


def num_patches(num_frames: int) -> int:
    """P: patches that cover so many frames."""
    return -(-num_frames // HOP)


@dataclass(frozen=True, kw_only=True)
class PatchBasis:
    """Mean and components of patches.

    Attributes:
        mean: `[L, F]`.
        components: `[K, L, F]`: what one standard deviation of each coefficient adds.
        weight: `[F]`: metres per unit of each value; 0 for joints that no clip has.
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

    def encode(self, local: np.ndarray, is_known: np.ndarray) -> np.ndarray:
        """Coefficients `[N, P, K]` float32 of values `[N, T, F]`.

        Args:
            is_known: `[N, F]` of `values_known`; others count as the mean.
        """
        patches = _patches_of(local)
        rows = np.repeat(is_known, patches.shape[1], axis=0)
        codes = self.project(patches.reshape(-1, *patches.shape[2:]), rows)
        return codes.reshape(*patches.shape[:2], -1)

    def project(self, patches: np.ndarray, is_known: np.ndarray) -> np.ndarray:
        """Coefficients `[R, K]` float32 of patches `[R, L, F]` with these values, `[R, F]`."""
        centred = np.where(is_known[:, None], patches - self.mean, 0.0) * np.square(self.weight)
        flat = (
            self.components.reshape(self.num_components, -1)
            / np.square(self.scale).clip(min=1e-12)[:, None]
        )
        return (centred.reshape(len(patches), -1) @ flat.T).astype(np.float32)

    def decode(self, coefficients: np.ndarray, num_frames: int) -> np.ndarray:
        """Values `[N, T, F]` float32 of coefficients `[N, P, K]`."""
        flat = coefficients @ self.components.reshape(self.num_components, -1)
        patches = flat.reshape(*coefficients.shape[:2], LENGTH, -1) + self.mean
        fade = np.hanning(LENGTH + 2)[1:-1].astype(np.float32)
        total = coefficients.shape[1] * HOP + LENGTH - HOP
        out = np.zeros((len(patches), total, patches.shape[-1]), dtype=np.float32)
        weight = np.zeros(total, dtype=np.float32)
        for p in range(coefficients.shape[1]):
            part = slice(p * HOP, p * HOP + LENGTH)
            out[:, part] += patches[:, p] * fade[:, None]
            weight[part] += fade
        out /= weight[:, None]
        return out[:, _LEAD : _LEAD + num_frames]

    def padded(self, num: int) -> PatchBasis:
        """The same with components of nothing, `num` in all."""
        more = num - self.num_components
        return replace(
            self,
            components=np.pad(self.components, ((0, more), (0, 0), (0, 0))),
            scale=np.pad(self.scale, (0, more)),
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """Arrays to store."""
        return {
            "mean": self.mean,
            "components": self.components,
            "weight": self.weight,
            "scale": self.scale,
        }

    @classmethod
    def of(cls, tensors: Mapping[str, np.ndarray], explained: float) -> PatchBasis:
        """What `tensors` returned."""
        names = ("mean", "components", "weight", "scale")
        return cls(**{name: tensors[name] for name in names}, explained=explained)


def _patches_of(local: np.ndarray) -> np.ndarray:
    """`[N, P, L, F]`: overlapping patches; before the start and after the end frames repeat."""
    count = num_patches(local.shape[1])
    frames = np.arange(count)[:, None] * HOP - _LEAD + np.arange(LENGTH)
    return local[:, np.clip(frames, 0, local.shape[1] - 1)]


def patch_rows(local: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All patches `[R, L, F]` of rows that differ in length, and the row of each, `[R]`."""
    parts, owners = [], []
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        patches = _patches_of(local[rows][:, :length])
        parts.append(patches.reshape(-1, LENGTH, local.shape[-1]))
        owners.append(np.repeat(rows, patches.shape[1]))
    return np.concatenate(parts), np.concatenate(owners)


def metric(is_known: np.ndarray) -> np.ndarray:
    """`[F]`: metres per unit of each value of a frame.

    A step or a turn moves all joints, in this frame and those after it; over half a patch a joint
    is displaced by HOP times as much, which counts once in each of its frames. A rotation displaces
    the end of the joint's bone: by `sqrt(2 / 3)` of angle and length about a random axis, where the
    six numbers change by `sqrt(4 / 3)` of the angle.

    Args:
        is_known: `[F]` of `values_known`: values that the data have.
    """
    joint_mask, rotation_mask = joints_known(is_known)
    carried = np.sqrt(joint_mask.sum()) * HOP / 2.0
    parts = [np.array([carried, carried, carried * _LEVER_M])]
    parts.append(np.repeat(joint_mask.astype(float), 3))
    if len(is_known) > NUM_PLACES:
        parts.append(np.repeat(rotation_mask * _bone_lengths() / np.sqrt(2.0), 6))
    return np.concatenate(parts).astype(np.float32)


def _bone_lengths() -> np.ndarray:
    """`[50]` metres: the longest bone below each joint in the T-pose; at the end of a limb the one
    above."""
    pose = t_pose(JOINTS)
    bones = np.linalg.norm(pose - pose[np.maximum(PARENTS, 0)], axis=-1)
    below = [
        [bones[child] for child in range(NUM_JOINTS) if PARENTS[child] == joint]
        for joint in range(NUM_JOINTS)
    ]
    return np.array([max(found, default=own) for found, own in zip(below, bones)])


def fit_patch_basis(
    patches: np.ndarray,
    is_known: np.ndarray,
    weight: np.ndarray,
    *,
    explained: float,
    most: int,
    group: np.ndarray | None = None,
    seed: int = 0,
) -> PatchBasis:
    """Principal components of patches `[R, L, F]`.

    Args:
        is_known: `[R, F]` of `values_known`; what a patch lacks is as the mean of those that have
            it, so that no component is spent on what is absent.
        weight: `[F]` of `metric`.
        explained: share of the variance that is enough, of each group's.
        most: components at most.
        group: `[R]`, such as the dataset that a patch is of; all of one where None.

    Raises:
        InputError: too few patches, or all alike.
    """
    if group is None:
        group = np.zeros(len(patches), dtype=np.int64)
    if len(patches) < 8:
        raise InputError(f"{len(patches)} patches of motion; at least 8 are needed for a basis")
    if len(patches) > _MOST_ROWS:
        chosen = np.random.default_rng(seed).choice(len(patches), _MOST_ROWS, replace=False)
        chosen = np.sort(chosen)
        patches, is_known, group = patches[chosen], is_known[chosen], group[chosen]
    count = is_known.sum(axis=0).clip(min=1)
    mean = np.einsum("rlf,rf->lf", patches, is_known, dtype=np.float64) / count
    known = np.flatnonzero(weight > 0.0)
    centred = np.where(is_known[:, None], patches - mean.astype(np.float32), 0.0) * weight
    scaled = centred[:, :, known].reshape(len(patches), -1).astype(np.float32)
    gram = (scaled.T @ scaled).astype(np.float64) / (len(patches) - 1)
    total = float(np.trace(gram))
    if total < 1e-9:
        raise InputError("all patches of motion are alike; nothing moves")
    wanted = min(most, len(gram) - 1)
    # A start of its own: else scipy draws one, and components differ from run to run.
    values, vectors = eigsh(gram, k=wanted, v0=np.ones(len(gram)))
    values, vectors = values[::-1], vectors[:, ::-1]
    share = np.cumsum(values.clip(min=0.0)) / total
    enough = 1
    for number in np.unique(group):
        own = scaled[group == number]
        found = np.square(own @ vectors.astype(np.float32)).sum(axis=0, dtype=np.float64)
        own_total = max(float(np.square(own).sum(dtype=np.float64)), 1e-12)
        enough = max(enough, int(np.searchsorted(np.cumsum(found) / own_total, explained)) + 1)
    num = int(min(most, enough, (values > 1e-9 * total).sum()))
    scale = np.sqrt(values[:num])
    components = np.zeros((num, LENGTH, patches.shape[-1]))
    parts = (vectors[:, :num] * scale).T.reshape(num, LENGTH, len(known))
    components[:, :, known] = parts / weight[known]
    return PatchBasis(
        mean=mean.astype(np.float32),
        components=components.astype(np.float32),
        weight=weight.astype(np.float32),
        scale=scale.astype(np.float32),
        explained=float(share[num - 1]),
    )


def first(basis: PatchBasis, num: int) -> PatchBasis:
    """A basis of the first components only."""
    variance = np.square(basis.scale, dtype=np.float64)
    return replace(
        basis,
        components=basis.components[:num],
        scale=basis.scale[:num],
        explained=basis.explained * float(variance[:num].sum() / variance.sum()),
    )


assert NUM_ROOT == 3
