"""Wanted frames and paths as linear equations of basis coefficients.

Motion is linear in the coefficients of the motion basis, `x = W z + mu`, so wanted positions are
equations `A z = y`. The flow is told what they say (`Equations.seen`, which it learned to read) and
each of its predictions is moved towards them by the least-norm step (`Equations.correct`). What is
left is spread over the frames beside those that were wanted (`settle`), as games blend from one
animation into another.

Dimensions: S samples, T frames, J joints, K coefficients, M equations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

NOISE_M: Final = 0.01
"""Metres by which wanted positions may be missed inside the sampler; `settle` does the rest."""
SETTLE_FRAMES: Final = 8


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Positions that a window shall have, the same ones for all samples or one set for each.

    Attributes:
        target: `[S, T, J, 3]` metres; where nothing is wanted it does not matter.
        weight: `[T, J, 3]`: 1 where a value is wanted, 0 elsewhere.
        is_relative: `[T]` bool: only the pose of the frame is wanted: positions along the floor
            count from the pelvis.
        loops: whether the last frame's pose and velocity shall be those of the first.
    """

    target: np.ndarray
    weight: np.ndarray
    is_relative: np.ndarray
    loops: bool = False


class Equations:
    """Equations over the coefficients of one window.

    Args:
        components: `[K, T, J, 3]`: metres that one of each coefficient adds.
        mean: `[T, J, 3]`, metres.
    """

    def __init__(self, components: np.ndarray, mean: np.ndarray, wanted: Wanted) -> None:
        rows, targets = [], []
        samples, num = len(wanted.target), len(components)
        chosen = wanted.weight > 0.0
        floor = np.array([True, False, True])
        relative = wanted.is_relative[:, None, None] & floor
        world_W = np.where(relative, components - components[:, :, :1], components)
        world_mean = np.where(relative, mean - mean[:, :1], mean)
        target = np.where(relative, wanted.target - wanted.target[:, :, :1], wanted.target)
        if chosen.any():
            rows.append(world_W[:, chosen].T)
            targets.append((target - world_mean)[:, chosen])
        if wanted.loops:
            pose_W = np.where(floor, components - components[:, :, :1], components)
            pose_mean = np.where(floor, mean - mean[:, :1], mean)
            steps_W, steps_mean = np.diff(components, axis=1), np.diff(mean, axis=0)
            for values, base in (
                (pose_W[:, -1] - pose_W[:, 0], pose_mean[-1] - pose_mean[0]),
                (steps_W[:, -1] - steps_W[:, 0], steps_mean[-1] - steps_mean[0]),
            ):
                rows.append(values.reshape(num, -1).T)
                targets.append(np.repeat(-base.reshape(1, -1), samples, axis=0))
        self.rows_MK = np.concatenate(rows) if rows else np.zeros((0, num))
        self.targets_SM = np.concatenate(targets, axis=1) if rows else np.zeros((samples, 0))
        gram = self.rows_MK.T @ self.rows_MK
        self._inverse = np.linalg.inv(gram + NOISE_M**2 * np.eye(num))
        self._gram = gram
        self._right_SK = self.targets_SM @ self.rows_MK
        full_T = (chosen | ~np.any(components, axis=(0, 1, 3))[:, None]).all(axis=(1, 2))
        root_T = chosen[:, 0, floor].all(axis=1) & ~wanted.is_relative
        self.flags = np.concatenate([full_T & chosen.any(axis=(1, 2)), root_T & ~full_T])

    def seen(self) -> np.ndarray:
        """Least-norm coefficients and the frames' flags, `[S, K + 2 T]`: the flow's condition."""
        least_SK = self._right_SK @ self._inverse
        flags = np.broadcast_to(self.flags, (len(least_SK), len(self.flags)))
        return np.concatenate([least_SK, flags], axis=1).astype(np.float32)

    def correction(self, device: torch.device) -> _Correction:
        """The step onto the equations, for the sampler."""

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(device)

        return _Correction(
            step_KK=tensor(self._gram @ self._inverse), least_SK=tensor(self._right_SK @ self._inverse)
        )


@dataclass
class _Correction:
    """`z + (A^T A + e)^-1 A^T (y - A z)`, the least-norm step."""

    step_KK: Tensor
    least_SK: Tensor
    begins: float = 0.0

    def __call__(self, clean_SK: Tensor, now: float) -> Tensor:
        if now < self.begins:
            return clean_SK
        return clean_SK + self.least_SK - clean_SK @ self.step_KK


def settle(motion: np.ndarray, wanted: Wanted, frames: int = SETTLE_FRAMES) -> np.ndarray:
    """Motion `[S, T, J, 3]` that has what is wanted exactly.

    The offset at wanted frames fades over so many frames beside them. What is wanted of a joint
    alone moves that joint alone; what is wanted of the root's path carries the body.
    """
    offset = wanted.target - motion
    floor = np.array([True, False, True])
    relative = wanted.is_relative[:, None, None] & floor
    offset = np.where(relative, offset - offset[:, :, :1], offset)
    chosen = wanted.weight > 0.0
    alone = chosen[:, 0] & ~chosen[:, 1:].any(axis=1)  # [T, 3]: only the root is wanted
    chosen = chosen | alone[:, None]
    offset = np.where(alone[:, None], offset[:, :, :1], offset)
    return motion + _faded(np.where(chosen, offset, 0.0), chosen, frames)


def _faded(offset: np.ndarray, chosen_TJ3: np.ndarray, frames: int) -> np.ndarray:
    """Offsets at chosen frames, faded or interpolated over the frames between."""
    num = offset.shape[1]
    out = offset.copy()
    flat_offset = offset.reshape(len(offset), num, -1)
    flat_out = out.reshape(len(offset), num, -1)
    patterns, column = np.unique(chosen_TJ3.reshape(num, -1), axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        known = np.flatnonzero(pattern)
        if not len(known) or len(known) == num:
            continue
        places = np.flatnonzero(column.reshape(-1) == number)
        for t in np.flatnonzero(~pattern):
            before, after = known[known < t], known[known > t]
            total = np.zeros((len(offset), len(places)))
            weights = []
            for near in (before[-1:], after[:1]):
                if not len(near):
                    continue
                distance = abs(int(near[0]) - int(t)) / (frames + 1)
                if distance < 1.0:
                    weight = 1.0 - distance**2 * (3.0 - 2.0 * distance)
                    weights.append(weight)
                    total = total + weight * flat_offset[:, near[0]][:, places]
            flat_out[:, t, places] = total / max(1.0, sum(weights))
    return out
