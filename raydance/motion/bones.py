"""Constant bone lengths for motion that was generated as positions.

Each bone gets one length, and bones that leave one joint together (hips and spine, collars and
neck, knuckles) turn as one rigid body, so that a skeleton with rotations can show the same motion.

Walking the tree from the pelvis along the old directions would give constant lengths, but errors
would add up towards hands and feet, and noise of a short bone would move everything below it. So
each bone first corrects the distance of its two ends, a few times (position based dynamics, Mueller
and others 2007, with the corrections of a joint averaged as in Jacobi's method; rigid parts as in
Mueller and others 2005, "Meshless deformations based on shape matching"); then the walk makes
lengths exact. Independent noise of joints is smaller afterwards than before.

Dimensions: T frames, J joints, B bones.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion.forks import on_a_line, t_pose, turns_of_forks
from raydance.motion.skeleton import JOINTS, PARENTS, parents_among

_NUM_PULLS: Final = 6
_AROUND: Final = 5  # frames
_MOST_TURN: Final = np.deg2rad(60.0)  # between two frames; at 20 of them a fist flies 6 m/s
_NO_LENGTH_M: Final = 1e-6


def fix_bone_lengths(motion: np.ndarray, joint_mask: np.ndarray | None = None) -> np.ndarray:
    """Motion whose bones keep their mean lengths, and their angles where they leave one joint.

    Joints stay near their positions. A bone that has shrunk to less than half of its length takes
    its direction from the frames around.

    Args:
        motion: `[T, 50, 3]`, metres.
        joint_mask: `[50]` bool; a bone leads to the nearest ancestor that is there, and absent
            joints stay as they are.

    Returns:
        `[T, 50, 3]`, of the motion's type.
    """
    kept = np.arange(len(PARENTS)) if joint_mask is None else np.flatnonzero(joint_mask)
    parents = np.array(parents_among(kept.tolist()))
    child = np.flatnonzero(parents >= 0)
    # Bones are differences of joints: `ends [B, J] @ places [J, T * 3]`.
    ends = np.zeros((len(child), len(kept)))
    ends[np.arange(len(child)), child] = 1.0
    ends[np.arange(len(child)), parents[child]] = -1.0
    pull = 0.5 * (ends / np.maximum(np.abs(ends).sum(axis=0), 1.0)).T
    places = motion[:, kept].astype(np.float64).swapaxes(0, 1).reshape(len(kept), -1)
    wanted = rot.length(_bones(ends @ places))[..., 0].mean(axis=1, keepdims=True)
    rest = t_pose([JOINTS[joint] for joint in kept])
    offsets = rot.unit(rest[child] - rest[parents[child]]) * wanted
    # What hangs from a joint only because one between them is absent moves by itself.
    is_direct = kept[parents[child]] == np.array(PARENTS)[kept[child]]
    forks = _forks(np.where(is_direct, parents[child], -1), offsets)
    for first in (True, False):
        together = _together(ends @ places, offsets, forks, own_rest=first)
        for _ in range(_NUM_PULLS):
            bones = _bones(ends @ places)
            change = _whole(bones, wanted, together) - bones
            places += pull @ change.reshape(len(child), -1)
    whole = _whole(_bones(ends @ places), wanted, together)
    single = [row for row in range(len(child)) if row not in together]
    directions = rot.slowed(rot.unit(whole[single]).swapaxes(0, 1), _MOST_TURN).swapaxes(0, 1)
    whole[single] = directions * wanted[single, None]
    for joint, bone in zip(child, whole.reshape(len(child), -1)):
        places[joint] = places[parents[joint]] + bone
    result = motion.copy()
    result[:, kept] = places.reshape(len(kept), len(motion), 3).swapaxes(0, 1)
    return result


def _forks(parents: np.ndarray, offsets: np.ndarray) -> list[list[int]]:
    """Rows of the bones that leave one joint together, if they are not on one line.

    Args:
        parents: `[B]` joints from which the bones lead, -1 for bones by themselves.
        offsets: `[B, 3]` at rest.
    """
    joints = np.unique(parents[parents >= 0])
    rows = [np.flatnonzero(parents == joint).tolist() for joint in joints]
    return [row for row in rows if len(row) > 1 and not on_a_line(offsets[row])]


def _together(
    flat: np.ndarray, offsets: np.ndarray, forks: list[list[int]], *, own_rest: bool
) -> dict[int, np.ndarray]:
    """Row -> bone `[T, 3]`, turned as one rigid body with those beside it; `flat` `[B, T * 3]`.

    With `own_rest` `offsets` `[B, 3]` take the shapes that are found, in place.
    """
    if not forks:
        return {}
    bones = _bones(flat).swapaxes(0, 1)
    turns = rot.continuous(turns_of_forks(bones, offsets, forks, own_rest))
    turns = rot.slowed(turns, 0.5 * _MOST_TURN)
    return {
        row: rot.rotate(turns[:, fork], offsets[row])
        for fork, rows in enumerate(forks)
        for row in rows
    }


def _bones(flat: np.ndarray) -> np.ndarray:
    """`[B, T, 3]` of `[B, T * 3]`."""
    return flat.reshape(len(flat), -1, 3)


def _whole(bones: np.ndarray, wanted: np.ndarray, together: dict[int, np.ndarray]) -> np.ndarray:
    """Bones `[B, T, 3]` of their lengths `[B, 1]`, or as they are turned together."""
    length = rot.length(bones)[..., 0]
    lacking = np.maximum(1.0 - 2.0 * length / np.maximum(wanted, _NO_LENGTH_M), 0.0)
    if lacking.any():
        bones = bones + (wanted * lacking)[..., None] * _direction_around(bones)
        length = rot.length(bones)[..., 0]
    whole = bones * (wanted / np.maximum(length, _NO_LENGTH_M))[..., None]
    for row, bone in together.items():
        whole[row] = bone
    return whole


def _direction_around(bones: np.ndarray) -> np.ndarray:
    """Mean directions `[B, T, 3]` of the frames around each, in which longer bones count more."""
    total = np.cumsum(np.pad(bones, ((0, 0), (_AROUND + 1, _AROUND), (0, 0))), axis=1)
    return rot.unit(total[:, 2 * _AROUND + 1 :] - total[:, : -2 * _AROUND - 1])
