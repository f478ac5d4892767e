"""Joint rotations that explain joint positions, for formats that store rotations.

Positions do not determine the twist of a bone with a single child; it is the least that the
parent's turn leaves. Joints with several children are turned as a rigid body (Kabsch 1976).
Nothing recovered here is ever used as training data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion import skeleton

_ROUNDS: Final = 3
_FREE: Final = 0.2  # a bone whose length varies by more than this share is none

# Directions of the canonical bones in a T-pose facing +z; the dancer's left is +x.
_DOWN, _UP, _AHEAD = (0.0, -1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_T_POSE: Final[dict[str, tuple[float, float, float]]] = {
    "hip": (0.6, -0.8, 0.0),
    "spine1": _UP,
    "spine2": _UP,
    "spine3": _UP,
    "neck": _UP,
    "head": _UP,
    "knee": _DOWN,
    "ankle": _DOWN,
    "foot": _AHEAD,
    "collar": (0.6, 0.8, 0.0),
    "thumb1": (0.7, 0.0, 0.7),
}
_OUTWARD: Final = (1.0, 0.0, 0.0)


def fit_rotations(
    positions: np.ndarray, parents: Sequence[int], joint_names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations and rest offsets whose forward kinematics come close to `positions`.

    Args:
        positions: `[T, J, 3]` global, metres, y up.
        parents: J indices; joint 0 is the only root and a parent precedes its children.
        joint_names: J names. For canonical joints the rest pose is a T-pose facing +z, for others
            the posture of the first frame.

    Returns:
        Local rotations `[T, J, 4]`, offsets `[J, 3]` of mean bone length (the root's is 0), and
        `is_free` `[J]`: joints at no fixed distance from their parent (such as hips below a
        ground marker), which no rotation explains.
    """
    positions = np.asarray(positions, dtype=np.float64)
    num_frames, num_joints = positions.shape[:2]
    children: list[list[int]] = [[] for _ in range(num_joints)]
    bones = np.zeros_like(positions)
    for joint in range(1, num_joints):
        children[parents[joint]].append(joint)
        bones[:, joint] = positions[:, joint] - positions[:, parents[joint]]
    all_lengths = np.linalg.norm(bones, axis=-1)
    lengths = all_lengths.mean(axis=0)
    is_free = all_lengths.std(axis=0) > _FREE * lengths
    offsets = _rest_directions(bones, joint_names) * lengths[:, None]
    turns = np.empty((num_frames, num_joints, 4))
    turns[:] = rot.IDENTITY
    local = turns.copy()
    for joint in range(num_joints):
        above = (
            turns[:, parents[joint]] if joint else np.broadcast_to(rot.IDENTITY, (num_frames, 4))
        )
        below = [child for child in children[joint] if lengths[child] > 1e-6 and not is_free[child]]
        if len(below) > 1:
            turns[:, joint], offsets[below] = _rigid(bones[:, below], offsets[below])
        elif below:
            current = rot.rotate(rot.conjugate(above), bones[:, below[0]])
            turns[:, joint] = rot.multiply(above, rot.between(offsets[below[0]], current))
        else:
            turns[:, joint] = above
        local[:, joint] = rot.multiply(rot.conjugate(above), turns[:, joint])
    return rot.continuous(rot.normalise(local)), offsets, is_free


def _rigid(bones: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Global turns `[T, 4]` of a joint with several children, and its offsets `[K, 3]` refined.

    The rest offsets are an assumption, so they are averaged anew in the turned frame (generalised
    Procrustes); lengths keep their means.
    """
    lengths = np.linalg.norm(offsets, axis=-1, keepdims=True)
    turns = _kabsch(offsets, bones)
    for _ in range(_ROUNDS):
        mean = rot.rotate(rot.conjugate(turns)[:, None], bones).mean(axis=0)
        norm = np.linalg.norm(mean, axis=-1, keepdims=True)
        offsets = np.where(norm > 1e-9, mean / np.maximum(norm, 1e-9) * lengths, offsets)
        turns = _kabsch(offsets, bones)
    return turns, offsets


def _kabsch(rest: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Quaternions `[T, 4]` that bring `rest` `[K, 3]` closest to `current` `[T, K, 3]`."""
    covariance = np.einsum("tki,kj->tij", current, rest)
    left, _, right = np.linalg.svd(covariance)
    # A proper rotation: the least certain axis is flipped where the best fit is a reflection.
    sign = np.sign(np.linalg.det(left @ right))
    left[..., :, 2] *= np.where(sign == 0, 1.0, sign)[:, None]
    return rot.from_matrix(left @ right)


def _rest_directions(bones: np.ndarray, joint_names: Sequence[str]) -> np.ndarray:
    """Unit directions `[J, 3]` of the bones at rest (zero for the root)."""
    if set(joint_names) <= set(skeleton.JOINTS):
        directions = np.array([_t_pose(name) for name in joint_names])
        directions[0] = 0.0
    else:
        directions = bones[0]
    norm = np.linalg.norm(directions, axis=-1, keepdims=True)
    mean = bones.mean(axis=0)
    directions = np.where(norm > 1e-9, directions, mean)
    return directions / np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), 1e-12)


def _t_pose(name: str) -> tuple[float, float, float]:
    side, _, part = name.partition("_")
    x, y, z = _T_POSE.get(part or side, _OUTWARD)
    return (-x, y, z) if side == "right" else (x, y, z)
