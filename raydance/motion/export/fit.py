"""Joint rotations that explain joint positions, for formats that store rotations.

From the root outwards: a joint with several children is turned as a rigid body (Kabsch 1976), one
with a single child so that its bone points as it should. Positions do not determine the twist of
such a bone; on canonical joints a thigh's and an upper arm's is the one that makes the knee or
elbow below it a hinge, any other is the least that the parent's turn leaves. Each turn is then
brought within the joint's `limits`, and the joints below aim from where that leaves them.
Nothing recovered here is ever used as training data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion import skeleton, units
from raydance.motion.export import limits as lim
from raydance.motion.formats import smpl_body

_ROUNDS: Final = 2
_FREE: Final = 0.2  # a bone whose length varies by more than this share is none
_SURE_M: Final = 0.01  # a bone that strays less than this from the others' frame counts in full
_STRAIGHT: Final = 0.1  # sine of the bend below which a hinge hardly tells the twist above it
_NEVER: Final = 0.002  # its mean square below which the frames around tell nothing, either
_AROUND: Final = 5  # frames, a quarter of a second at the rate of generated motion
_HINGES: Final = {"hip": "knee", "shoulder": "elbow"}
_SMPL_REST: Final = units.rest_positions(smpl_body.SMPLH_OFFSETS, smpl_body.SMPLH_PARENTS)


def fit_rotations(
    positions: np.ndarray,
    parents: Sequence[int],
    joint_names: Sequence[str],
    *,
    limits: bool = True,
    own_rest: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations and rest offsets whose forward kinematics come close to `positions`.

    Args:
        positions: `[T, J, 3]` global, metres, y up.
        parents: J indices; joint 0 is the only root and a parent precedes its children.
        joint_names: J names. For canonical joints the rest pose is SMPL's T-pose facing +z, for
            others the posture of the first frame.
        limits: whether canonical joints stay within `limits.LIMITS`.
        own_rest: whether bones that leave one joint together (hips and spine, collars and neck,
            knuckles) take the directions among them that the positions show, rather than SMPL's.

    Returns:
        Local rotations `[T, J, 4]`, offsets `[J, 3]` of mean bone length (the root's is 0), and
        `is_free` `[J]`: joints at no fixed distance from their parent (such as hips below a
        ground marker), which no rotation explains.
    """
    positions = np.asarray(positions, dtype=np.float64)
    num_frames, num_joints = positions.shape[:2]
    above = np.maximum(parents, 0)
    bones = positions - positions[:, above]
    all_lengths = np.linalg.norm(bones, axis=-1)
    lengths = all_lengths.mean(axis=0)
    is_free = all_lengths.std(axis=0) > _FREE * lengths
    is_canonical = set(joint_names) <= set(skeleton.JOINTS)
    offsets = _rest_directions(bones, above, joint_names, is_canonical) * lengths[:, None]
    below: list[list[int]] = [[] for _ in range(num_joints)]
    for joint in range(1, num_joints):
        if lengths[joint] > 1e-6 and not is_free[joint]:
            below[parents[joint]].append(joint)
    turns = np.empty((num_frames, num_joints, 4))
    turns[:] = rot.IDENTITY
    local = turns.copy()
    # The turns of joints with several children do not depend on those above, so all go at once.
    forks = [joint for joint in range(num_joints) if len(below[joint]) > 1]
    whole = turns.copy()
    if forks:
        whole[:, forks] = _rigid(bones, offsets, [below[joint] for joint in forks], own_rest)
    for level in _levels(parents):
        if not any(below[joint] for joint in level):
            turns[:, level] = turns[:, above[level]]
            continue
        frame = turns[:, [0]] if level[0] == 0 else turns[:, above[level]]
        several = [i for i, joint in enumerate(level) if len(below[joint]) > 1]
        single = [i for i, joint in enumerate(level) if len(below[joint]) == 1]
        here = np.array(np.broadcast_to(rot.IDENTITY, frame.shape))
        if several:
            wanted = whole[:, [level[i] for i in several]]
            here[:, several] = rot.multiply(rot.conjugate(frame[:, several]), wanted)
        if single:
            child = [below[level[i]][0] for i in single]
            current = rot.rotate(rot.conjugate(frame[:, single]), bones[:, child])
            here[:, single] = rot.between(offsets[child], current)
        if is_canonical:
            _twist_to_hinges(here, frame, level, below, bones, offsets, joint_names)
            if limits:
                here = lim.clamp(here, [joint_names[joint] for joint in level])
        local[:, level] = here
        turns[:, level] = rot.multiply(frame, here)
    return rot.continuous(rot.normalise(local)), offsets, is_free


def _levels(parents: Sequence[int]) -> list[list[int]]:
    """Joints by their depth, the root first: those of one depth depend on shallower ones alone."""
    depth = [0] * len(parents)
    levels: list[list[int]] = [[0]]
    for joint in range(1, len(parents)):
        depth[joint] = depth[parents[joint]] + 1
        if depth[joint] == len(levels):
            levels.append([])
        levels[depth[joint]].append(joint)
    return levels


def _twist_to_hinges(
    here: np.ndarray,
    frame: np.ndarray,
    level: list[int],
    below: list[list[int]],
    bones: np.ndarray,
    offsets: np.ndarray,
    joint_names: Sequence[str],
) -> None:
    """Twist thighs and upper arms, in place, so that the joint below bends as a hinge.

    Where the limb is nearly straight the twist tends to that of the frames around: what is left
    bends the hinge sideways by at most `_STRAIGHT` radians.

    Args:
        here: `[T, K, 4]` local turns of the joints of `level`; `frame` is their parents' turns.
        bones: `[T, J, 3]` global; `offsets` `[J, 3]` at rest.
    """
    columns, hinges, tips = [], [], []
    for i, joint in enumerate(level):
        part, _ = lim.part_of(joint_names[joint])
        if part not in _HINGES or len(below[joint]) != 1:
            continue
        hinge = below[joint][0]
        if lim.part_of(joint_names[hinge])[0] == _HINGES[part] and len(below[hinge]) == 1:
            columns.append(i)
            hinges.append(hinge)
            tips.append(below[hinge][0])
    if not columns:
        return
    bone = rot.unit(offsets[hinges])
    axis = np.array([lim.flexion_axis(joint_names[hinge]) for hinge in hinges])
    ahead = rot.unit(rot.cross(axis, bone))  # where flexion moves the tip
    turned = rot.multiply(frame[:, columns], here[:, columns])
    tip = rot.unit(rot.rotate(rot.conjugate(turned), bones[:, tips]))
    # A complex number for each frame: its angle is the twist, its size how clearly it shows.
    shown = np.sum(tip * ahead, axis=-1) + 1j * np.sum(tip * rot.cross(bone, ahead), axis=-1)
    twist = np.angle(shown + _STRAIGHT * _usual(shown))
    twist = rot.from_axis_angle(np.broadcast_to(bone, tip.shape), twist)
    here[:, columns] = rot.multiply(here[:, columns], twist)


def _usual(shown: np.ndarray) -> np.ndarray:
    """The twist of the frames around each, for when it does not show: `[T, K]`, at most 1 long.

    Where it does not show there either it is none.
    """
    steps = np.arange(-3 * _AROUND, 3 * _AROUND + 1)
    kernel = np.exp(-0.5 * (steps / _AROUND) ** 2)
    weighted = shown * np.abs(shown)
    around = np.stack([np.convolve(column, kernel, "full") for column in weighted.T], axis=-1)
    around = around[3 * _AROUND : 3 * _AROUND + len(shown)] / kernel.sum()
    size = np.abs(around)
    return (around + _NEVER) / (size + _NEVER)


def _rigid(
    bones: np.ndarray,
    offsets: np.ndarray,
    children: list[list[int]],
    own_rest: bool,
) -> np.ndarray:
    """Global turns `[T, K, 4]` of K joints with several children.

    The rest offsets are an assumption, so with `own_rest` they are averaged anew, in place, in the
    turned frame (generalised Procrustes); lengths keep their means.
    """
    width = max(map(len, children))
    # Short rows repeat a child with weight zero, so that all joints are one array.
    index = np.array([row + [row[0]] * (width - len(row)) for row in children])
    weight = np.array([[1.0] * len(row) + [0.0] * (width - len(row)) for row in children])
    current, rest = bones[:, index], offsets[index]
    lengths = np.linalg.norm(rest, axis=-1, keepdims=True)
    # A grain of no turn decides what children in one line leave open.
    grain = 1e-6 * np.sum(lengths**2, axis=1, keepdims=True) * np.eye(3)
    turns = _kabsch(rest, current, weight, grain)
    for _ in range(_ROUNDS if own_rest else 0):
        local = rot.rotate(rot.conjugate(turns)[:, :, None], current)
        mean = local.mean(axis=0)
        norm = rot.length(mean)
        rest = np.where(norm > 1e-9, mean / np.maximum(norm, 1e-9) * lengths, rest)
        spread = np.mean(np.sum((local - rest) ** 2, axis=-1), axis=0)
        turns = _kabsch(rest, current, weight * _SURE_M**2 / (_SURE_M**2 + spread), grain)
    for row, joints in enumerate(children):
        offsets[joints] = rest[row, : len(joints)]
    return turns


def _kabsch(
    rest: np.ndarray, current: np.ndarray, weight: np.ndarray, grain: np.ndarray
) -> np.ndarray:
    """Quaternions `[T, K, 4]` that bring `rest` `[K, C, 3]` closest to `current` `[T, K, C, 3]`."""
    weighted = (rest * weight[..., None])[None]
    left, _, right = np.linalg.svd(np.swapaxes(current, -1, -2) @ weighted + grain)
    # A proper rotation: the least certain axis is flipped where the best fit is a reflection.
    sign = np.sign(np.linalg.det(left @ right))
    left[..., :, 2] *= np.where(sign == 0, 1.0, sign)[..., None]
    return rot.from_matrix(left @ right)


def _rest_directions(
    bones: np.ndarray, above: np.ndarray, joint_names: Sequence[str], is_canonical: bool
) -> np.ndarray:
    """Unit directions `[J, 3]` of the bones at rest (zero for the root)."""
    if is_canonical:
        places = _SMPL_REST[[smpl_body.SMPLH_JOINTS.index(name) for name in joint_names]]
        directions = places - places[above]
    else:
        directions = bones[0]
    norm = np.linalg.norm(directions, axis=-1, keepdims=True)
    return rot.unit(np.where(norm > 1e-9, directions, bones.mean(axis=0)))
