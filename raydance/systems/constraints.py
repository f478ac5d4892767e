"""Wanted frames and paths as linear equations of basis coefficients.

Motion is linear in the coefficients of the motion basis, `x = W z + mu`, so wanted positions are
equations `A z = y`. The flow is told what they say (`Equations.seen`, which it learned to read) and
each of its predictions is moved towards them by the least-norm step (`Equations.correct`). What is
left is spread over the frames beside those that were wanted (`settle`), as games blend from one
animation into another.

Dimensions: S samples, T frames, J joints, K coefficients, M equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

NOISE_M: Final = 0.1
"""Metres by which wanted positions may be missed inside the sampler; `settle` does the rest. A
tenth of it leaves the words less say, and what has to be settled is small either way (LOG.md)."""
SETTLE_FRAMES: Final = 8
_EXACT_M: Final = 0.001


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Positions that a window shall have, the same ones for all samples or one set for each.

    Attributes:
        target: `[S, T, J, 3]` metres; where nothing is wanted it does not matter.
        weight: `[T, J, 3]`: 0 where nothing is wanted; above it, how much more exactly than by
            `NOISE_M` the sampler shall keep to it.
        is_relative: `[T]` bool: only the pose of the frame is wanted: positions along the floor
            count from the pelvis.
        loop: the frame whose pose and velocity shall be those of the first; 0 for none.
    """

    target: np.ndarray
    weight: np.ndarray
    is_relative: np.ndarray
    loop: int = 0


class Equations:
    """Equations over the coefficients of one window.

    Args:
        components: `[K, T, J, 3]`: metres that one of each coefficient adds.
        mean: `[T, J, 3]`, metres.
    """

    def __init__(self, components: np.ndarray, mean: np.ndarray, wanted: Wanted) -> None:
        rows, targets, asked = [], [], []
        samples, num = len(wanted.target), len(components)
        chosen = wanted.weight > 0.0
        floor = np.array([True, False, True])
        for t in np.flatnonzero(chosen.any(axis=(1, 2))):
            parts = [components[:, t], mean[t], wanted.target[:, t]]
            if wanted.is_relative[t]:
                parts = [np.where(floor, x - x[..., :1, :], x) for x in parts]
            weight = wanted.weight[t][chosen[t]]
            rows.append((parts[0][:, chosen[t]] * weight).T)
            asked.append(weight <= 1.0)
            targets.append((parts[2] - parts[1])[:, chosen[t]] * weight)
        if wanted.loop:
            end = wanted.loop
            known = np.any(components, axis=(0, 1, 3))  # absent joints would tie the pelvis
            W, mu = components[:, :, known], mean[:, known]
            root_W, root_mu = components[:, :, :1], mean[:, :1]
            pose_W = np.where(floor, W - root_W, W)
            pose_mean = np.where(floor, mu - root_mu, mu)
            steps_W, steps_mean = np.diff(W, axis=1), np.diff(mu, axis=0)
            for values, base in (
                (pose_W[:, end] - pose_W[:, 0], pose_mean[end] - pose_mean[0]),
                (steps_W[:, end - 1] - steps_W[:, 0], steps_mean[end - 1] - steps_mean[0]),
            ):
                rows.append(values.reshape(num, -1).T)
                asked.append(np.ones(len(rows[-1]), dtype=bool))
                targets.append(np.repeat(-base.reshape(1, -1), samples, axis=0))
        self.rows_MK = np.concatenate(rows) if rows else np.zeros((0, num))
        self._asked_M = np.concatenate(asked) if asked else np.zeros(0, dtype=bool)
        self.targets_SM = np.concatenate(targets, axis=1) if rows else np.zeros((samples, 0))
        gram = (self.rows_MK.T @ self.rows_MK).astype(np.float64)
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

    def shortfall_m(self) -> float:
        """Root mean square, metres, by which the nearest motion of the basis misses what is wanted.

        Frames of the motion before (weights above 1) are not counted.
        """
        if not self._asked_M.any():
            return 0.0
        exact = self._gram + _EXACT_M**2 * np.eye(len(self._gram))
        best_KS = np.linalg.solve(exact, self._right_SK.T)
        miss_MS = self.rows_MK @ best_KS - self.targets_SM.T
        return float(np.sqrt(np.square(miss_MS[self._asked_M]).mean()))

    def correction(self, device: torch.device) -> _Correction:
        """The step onto the equations, for the sampler."""

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(device)

        return _Correction(
            step_KK=tensor(self._gram @ self._inverse),
            least_SK=tensor(self._right_SK @ self._inverse),
        )


@dataclass
class _Correction:
    """`z + (A^T A + e)^-1 A^T (y - A z)`, the least-norm step."""

    step_KK: Tensor
    least_SK: Tensor

    def __call__(self, clean_SK: Tensor, now: float) -> Tensor:
        return clean_SK + self.least_SK - clean_SK @ self.step_KK


def missing(motion: np.ndarray, wanted: Wanted) -> np.ndarray:
    """How far motion `[S, T, J, 3]` is from what is wanted, zero where nothing is: same shape."""
    floor = np.array([True, False, True])
    relative = wanted.is_relative[:, None, None] & floor
    offset = wanted.target - motion
    offset = np.where(relative, offset - offset[:, :, :1], offset)
    return np.where(wanted.weight > 0.0, offset, 0.0)


def settle(
    motion: np.ndarray,
    wanted: Wanted,
    frames: int = SETTLE_FRAMES,
    parents: Sequence[int] = (),
) -> np.ndarray:
    """Motion `[S, T, J, 3]` that has what is wanted exactly.

    The offset at wanted frames fades over so many frames beside them. What is wanted of a joint
    alone moves that joint and those that hang from it; what is wanted of the root's path carries
    the body.

    Args:
        parents: of the joints, in an order in which parents come first.
    """
    offset = missing(motion, wanted)
    chosen = wanted.weight > 0.0
    for joint, parent in enumerate(parents):
        if parent > 0:
            follows = chosen[:, parent] & ~chosen[:, joint]
            offset[:, :, joint] = np.where(follows, offset[:, :, parent], offset[:, :, joint])
            chosen[:, joint] |= follows
    alone = chosen[:, 0] & ~chosen[:, 1:].any(axis=1)  # [T, 3]: only the root is wanted
    offset = np.where(alone[:, None], offset[:, :, :1], offset)
    settled = motion + _faded(offset, chosen | alone[:, None], frames)
    return close_loop(settled, wanted.loop, frames) if wanted.loop else settled


def close_loop(motion: np.ndarray, end: int, frames: int = SETTLE_FRAMES) -> np.ndarray:
    """Motion `[S, T, J, 3]` whose frame `end` has the pose and the velocity of the first."""
    frames = min(frames, end - 2)  # the first two are what it is led to
    pose = motion - motion[:, :, :1] * np.array([1.0, 0.0, 1.0])
    offset = pose[:, 0] - pose[:, end]
    speed = (motion[:, 1] - motion[:, 0]) - (motion[:, end] - motion[:, end - 1])
    share = np.clip(1.0 - (end - np.arange(motion.shape[1])) / (frames + 1), 0.0, 1.0)[
        :, None, None
    ]
    # Hermite's cubic: nothing at first, the offset at the end, and its speed in the last step.
    rises = share**2 * (3.0 - 2.0 * share)
    turns = share**2 * (share - 1.0)
    turn = (offset * (1.0 - rises[end - 1]) - speed) / turns[end - 1]
    return motion + offset[:, None] * rises + turn[:, None] * turns


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
            for near, beyond in ((before[-1:], before[-2:-1]), (after[:1], after[1:2])):
                if not len(near):
                    continue
                steps = abs(int(near[0]) - int(t))
                distance = steps / (frames + 1)
                if distance < 1.0:
                    weight = 1.0 - distance**2 * (3.0 - 2.0 * distance)
                    weights.append(weight)
                    value = flat_offset[:, near[0]][:, places]
                    total = total + weight * value
                    if len(beyond) and abs(int(beyond[0]) - int(near[0])) == 1:
                        # Hermite's cubic: it goes on as fast as it came.
                        speed = value - flat_offset[:, beyond[0]][:, places]
                        total = total + speed * steps * (1.0 - distance) ** 2
            flat_out[:, t, places] = total / max(1.0, sum(weights))
    return out
