"""Bones of constant length for motion that was generated as bare positions.

Dimensions: T frames, J joints.
"""

from __future__ import annotations

import numpy as np

from raydance.motion.skeleton import PARENTS, parents_among

_NO_LENGTH_M = 1e-6


def fix_bone_lengths(motion: np.ndarray, joint_mask: np.ndarray | None = None) -> np.ndarray:
    """Motion whose bones keep their mean lengths: the tree walked anew along the same directions.

    The pelvis stays where it is; so joints far down the tree, such as feet, move by the sum of
    what the bones above them change. A bone without a direction in some frame (both ends in one
    place) takes its mean direction.

    Args:
        motion: `[T, 50, 3]`, metres.
        joint_mask: `[50]` bool; a bone leads to the nearest ancestor that is there, and absent
            joints stay as they are.

    Returns:
        `[T, 50, 3]`, of the motion's type.
    """
    kept = np.arange(len(PARENTS)) if joint_mask is None else np.flatnonzero(joint_mask)
    parents = np.array(parents_among(kept.tolist()))
    # [J, T, 3]: a joint's frames lie together, and each step of the walk touches two joints.
    places = motion[:, kept].astype(np.float64).swapaxes(0, 1)
    child = np.flatnonzero(parents >= 0)
    bones = places[child] - places[parents[child]]
    length = np.linalg.norm(bones, axis=-1, keepdims=True)
    usual = bones.mean(axis=1, keepdims=True)
    usual /= np.maximum(np.linalg.norm(usual, axis=-1, keepdims=True), _NO_LENGTH_M)
    direction = np.where(length > _NO_LENGTH_M, bones / np.maximum(length, _NO_LENGTH_M), usual)
    steps = direction * length.mean(axis=1, keepdims=True)
    walked = places.copy()
    for joint, step in zip(child, steps):
        walked[joint] = walked[parents[joint]] + step
    result = motion.copy()
    result[:, kept] = walked.swapaxes(0, 1)
    return result
