"""Turns of joints with several children, whose bones move together as one rigid body.

Hips and spine on the pelvis, collars and neck on the chest, knuckles on the wrist: their rest
directions are averaged in the turned frame (generalised Procrustes, Gower 1975), and each frame's
turn is the proper rotation closest to the bones (Kabsch 1976). Generated bones are not rigid, and
where they come near a line the closest turn may flip between two frames. There, and only there,
the turns of the frames around count too.

Dimensions: T frames, K joints, C children.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion import units
from raydance.motion.formats import smpl_body

_ROUNDS: Final = 2
_SURE_M: Final = 0.01  # a bone that strays less than this from the others' frame counts in full
_LINE: Final = 0.02  # second singular value over the first, below which bones lie on a line
_SUDDEN: Final = np.deg2rad(35.0)  # a change between two frames that is looked at
_OPEN: Final = 1e-6  # second singular value over the first, below which bones decide no turn
_SOFT: Final = 1e-3  # squared misfit over squared length from which bones are not rigid
_AROUND: Final = 0.15  # what the frames around count there, of the bones' squared lengths
_SWEEPS: Final = 5
_SMPL_REST: Final = units.rest_positions(smpl_body.SMPLH_OFFSETS, smpl_body.SMPLH_PARENTS)


def t_pose(joint_names: Sequence[str]) -> np.ndarray:
    """`[J, 3]` metres: where canonical joints are in SMPL's T-pose, y up, facing +z."""
    return _SMPL_REST[[smpl_body.SMPLH_JOINTS.index(name) for name in joint_names]]


def on_a_line(offsets: np.ndarray) -> bool:
    """Whether bones `[C, 3]` lie on one line through their joint: they tell no twist about it."""
    singular = np.linalg.svd(offsets, compute_uv=False)
    return bool(len(singular) < 2 or singular[1] <= _LINE * singular[0])


def turns_of_forks(
    bones: np.ndarray, offsets: np.ndarray, children: list[list[int]], own_rest: bool
) -> np.ndarray:
    """Global turns `[T, K, 4]` of K joints with several children.

    The rest offsets are an assumption, so with `own_rest` they are averaged anew, in place, in the
    turned frame; lengths stay.

    Args:
        bones: `[T, J, 3]` global, from each joint's parent to it.
        offsets: `[J, 3]` at rest.
        children: of each of the K joints.
    """
    width = max(map(len, children))
    # Short rows repeat a child with weight zero, so that all joints are one array.
    index = np.array([row + [row[0]] * (width - len(row)) for row in children])
    weight = np.array([[1.0] * len(row) + [0.0] * (width - len(row)) for row in children])
    current, rest = bones[:, index], offsets[index]
    lengths = np.linalg.norm(rest, axis=-1, keepdims=True)
    size = np.sum(lengths**2 * weight[..., None], axis=1, keepdims=True)
    # A grain of no turn decides what children in one line leave open.
    grain = 1e-9 * size * np.eye(3)
    moment = _moments(rest, current, weight) + grain
    turns = closest_turns(moment)
    for _ in range(_ROUNDS if own_rest else 0):
        local = rot.rotate(rot.conjugate(turns)[:, :, None], current)
        mean = local.mean(axis=0)
        norm = rot.length(mean)
        rest = np.where(norm > 1e-9, mean / np.maximum(norm, 1e-9) * lengths, rest)
        spread = np.mean(np.sum((local - rest) ** 2, axis=-1), axis=0)
        moment = _moments(rest, current, weight * _SURE_M**2 / (_SURE_M**2 + spread)) + grain
        turns = closest_turns(moment)
    _settle_open(turns, moment)
    for row, joints in enumerate(children):
        offsets[joints] = rest[row, : len(joints)]
    misfit = rot.rotate(turns[:, :, None], np.broadcast_to(rest, current.shape)) - current
    misfit = np.einsum("tkci,tkci,kc->tk", misfit, misfit, weight) / size[:, 0, 0]
    return _without_flips(turns, moment, misfit)


def _moments(rest: np.ndarray, current: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`[T, K, 3, 3]` of `rest` `[K, C, 3]` against `current` `[T, K, C, 3]`."""
    return np.swapaxes(current, -1, -2) @ (rest * weight[..., None])[None]


def closest_turns(moments: np.ndarray) -> np.ndarray:
    """Quaternions `[..., 4]` of the proper rotations closest to `[..., 3, 3]`."""
    left, _, right = np.linalg.svd(moments)
    # The least certain axis is flipped where the best fit is a reflection.
    sign = np.sign(np.linalg.det(left @ right))
    left[..., :, 2] *= np.where(sign == 0, 1.0, sign)[..., None]
    return rot.from_matrix(left @ right)


def _settle_open(turns: np.ndarray, moments: np.ndarray) -> None:
    """Turn joints, in place, as in the frame before where their bones lie on one line throughout.

    The turn about that line is decided by nothing but the grain: towards no turn, which is no
    answer where the line has turned half around.
    """
    certain = np.linalg.svd(moments, compute_uv=False)
    is_open = (certain[..., 1] < _OPEN * certain[..., 0]).all(axis=0)
    for joint in np.flatnonzero(is_open):
        for frame in range(1, len(turns)):
            grain = _OPEN * certain[frame, joint, 0] * rot.to_matrix(turns[frame - 1, joint])
            turns[frame, joint] = closest_turns(moments[frame, joint] + grain)


def _without_flips(turns: np.ndarray, moments: np.ndarray, misfit: np.ndarray) -> np.ndarray:
    """Turns `[T, K, 4]` that settle with the frames around them where bones that are not rigid
    jump; frames spread from a jump as long as it needs."""
    if len(turns) < 3:
        return turns
    weight = _AROUND * np.trace(moments, axis1=-2, axis2=-1).max(axis=0)
    is_soft = misfit > _SOFT
    active = np.zeros(misfit.shape, bool)
    for _ in range(_SWEEPS):
        cosine = np.abs(np.sum(turns[1:] * turns[:-1], axis=-1))
        jumps = cosine < np.cos(0.5 * _SUDDEN)
        active[1:] |= jumps
        active[:-1] |= jumps
        frames, joints = np.nonzero(active & is_soft)
        if not len(frames):
            break
        around = rot.to_matrix(turns[np.maximum(frames - 1, 0), joints])
        around += rot.to_matrix(turns[np.minimum(frames + 1, len(turns) - 1), joints])
        turns[frames, joints] = closest_turns(
            moments[frames, joints] + weight[joints, None, None] * around
        )
    return turns
