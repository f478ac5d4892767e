"""Joint rotations that explain joint positions, for formats that store rotations.

From the root outwards: a joint with several children is turned as a rigid body (`forks`), one with
a single child so that its bone points to where the child has to be. Positions do not determine the
twist of such a bone; `twist` chooses it for the whole motion, so that canonical knees and elbows
bend as hinges and nothing jumps. Positions come first: where they ask for more than a human's range
the joint goes there.

Bones of fixed length cannot follow positions whose bones stretch. What that costs does not add up
along a limb: each joint aims from where the bones before it have left it, and the bones of a joint
with several children are moved together to where they fit best.
Nothing recovered here is ever used as training data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion import skeleton
from raydance.motion.export import limits as lim
from raydance.motion.export.twist import smooth_twists
from raydance.motion.forks import on_a_line, t_pose, turns_of_forks

_FREE: Final = 0.2  # a bone whose length varies by more than this share is none
_MOST_OFF_M: Final = 0.025  # joints farther than this from their place leave the end of their bone
_MOST_SHIFT_M: Final = 0.02
# Between two frames; at 15 frames a second the elbow of a recorded punch turns by 93 degrees.
_MOST_TURN: Final = np.deg2rad(90.0)
_FOLDED: Final = -0.7  # cosine of a bone with its rest direction below which its twist is chosen
_HINGES: Final = {"hip": "knee", "shoulder": "elbow"}


class Fit(NamedTuple):
    """A skeleton of constant bones and its turns.

    Attributes:
        rotations: `[T, J, 4]` float64 unit quaternions, local, signs continuous in time.
        offsets: `[J, 3]` metres at rest, of the bones' median length; the root's is 0.
        places: `[T, J, 3]` metres, each joint in its parent's frame: the offsets, but for the root
            and for the joints of the other two.
        is_free: `[J]` joints at no fixed distance from their parent (such as hips below a ground
            marker), which no rotation explains.
        is_stretched: `[J]` joints that leave the ends of their bones where those fall short.
    """

    rotations: np.ndarray
    offsets: np.ndarray
    places: np.ndarray
    is_free: np.ndarray
    is_stretched: np.ndarray


def fit_rotations(
    positions: np.ndarray,
    parents: Sequence[int],
    joint_names: Sequence[str],
    *,
    limits: bool = True,
    own_rest: bool = True,
) -> Fit:
    """Rotations and bones whose forward kinematics come close to `positions`.

    Args:
        positions: `[T, J, 3]` global, metres, y up.
        parents: J indices; joint 0 is the only root and a parent precedes its children.
        joint_names: J names. For canonical joints the rest pose is SMPL's T-pose facing +z, for
            others the posture of the first frame.
        limits: whether twists prefer what `limits.LIMITS` has within a human's range.
        own_rest: whether bones that leave one joint together (hips and spine, collars and neck,
            knuckles) take the directions among them that the positions show, rather than SMPL's,
            and joints aim at places; without it only the directions of bones count.
    """
    positions = np.asarray(positions, dtype=np.float64)
    num_frames, num_joints = positions.shape[:2]
    above = np.maximum(parents, 0)
    bones = positions - positions[:, above]
    all_lengths = rot.length(bones)[..., 0]
    lengths = np.median(all_lengths, axis=0)
    is_free = all_lengths.std(axis=0) > _FREE * all_lengths.mean(axis=0)
    is_canonical = set(joint_names) <= set(skeleton.JOINTS)
    offsets = _rest_directions(bones, above, joint_names, is_canonical) * lengths[:, None]
    below: list[list[int]] = [[] for _ in range(num_joints)]
    for joint in range(1, num_joints):
        if lengths[joint] > 1e-6 and not is_free[joint]:
            below[parents[joint]].append(joint)
    # Children on one line tell no more than the longest of them.
    aims = [
        children
        if len(children) < 2 or not on_a_line(offsets[children])
        else [max(children, key=lambda child: lengths[child])]
        for children in below
    ]
    turns = np.empty((num_frames, num_joints, 4))
    turns[:] = rot.IDENTITY
    local = turns.copy()
    targets = positions.copy()
    # The turns of joints with several children do not depend on those above, so all go at once.
    forks = [joint for joint in range(num_joints) if len(aims[joint]) > 1]
    if forks:
        turns[:, forks] = turns_of_forks(bones, offsets, [aims[joint] for joint in forks], own_rest)
        if own_rest:
            for joint in forks:
                targets[:, joint] += _best_shift(turns[:, joint], bones, offsets, aims[joint])
    places = np.broadcast_to(offsets, positions.shape).copy()
    is_stretched = np.zeros(num_joints, bool)
    there = positions.copy()
    there[:, 0] = places[:, 0] = targets[:, 0]
    for level in _levels(parents):
        if level[0]:
            frame = turns[:, above[level]]
            most_off = np.where(is_free[level], 0.0, _MOST_OFF_M if own_rest else np.inf)
            moved = _place(there, places, positions, frame, level, above[level], most_off)
            is_stretched[moved] = ~is_free[moved]
        else:
            frame = np.broadcast_to(rot.IDENTITY, (num_frames, 1, 4))
        several = [i for i, joint in enumerate(level) if len(aims[joint]) > 1]
        single = [i for i, joint in enumerate(level) if len(aims[joint]) == 1]
        here = np.array(np.broadcast_to(rot.IDENTITY, frame.shape))
        if several:
            wanted = turns[:, [level[i] for i in several]]
            here[:, several] = rot.multiply(rot.conjugate(frame[:, several]), wanted)
        if single:
            joints = [level[i] for i in single]
            child = [aims[joint][0] for joint in joints]
            wanted = bones[:, child]
            if own_rest:
                wanted = _aimed(wanted, targets[:, child] - there[:, joints], lengths[child])
            upper = frame[:, single]
            swings = rot.between(offsets[child], rot.rotate(rot.conjugate(upper), wanted))
            here[:, single] = _twisted(
                swings, upper, joints, aims, bones, offsets, joint_names, limits
            )
        if own_rest:
            here = rot.slowed(rot.continuous(here), 0.5 * _MOST_TURN)
        local[:, level] = here
        turns[:, level] = rot.multiply(frame, here)
    return Fit(rot.continuous(rot.normalise(local)), offsets, places, is_free, is_stretched)


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


def _place(
    there: np.ndarray,
    places: np.ndarray,
    positions: np.ndarray,
    frame: np.ndarray,
    joints: list[int],
    above: np.ndarray,
    most_off: np.ndarray,
) -> list[int]:
    """Put joints, in place, at the ends of their bones, and those that would be too far off nearer.

    Args:
        there: `[T, J, 3]` global; `places` the same in the parent's frame `frame` `[T, K, 4]`.
        above: `[K]` parents of the K joints.
        most_off: `[K]` metres.

    Returns:
        The joints that left the ends of their bones.
    """
    there[:, joints] = there[:, above] + rot.rotate(frame, places[:, joints])
    off = positions[:, joints] - there[:, joints]
    excess = np.maximum(1.0 - most_off[:, None] / np.maximum(rot.length(off), 1e-9), 0.0)
    moved = np.flatnonzero(excess.any(axis=(0, 2)))
    if not len(moved):
        return []
    off = off[:, moved] * excess[:, moved]
    found = [joints[i] for i in moved]
    there[:, found] += off
    places[:, found] += rot.rotate(rot.conjugate(frame[:, moved]), off)
    return found


def _best_shift(
    turns: np.ndarray, bones: np.ndarray, offsets: np.ndarray, children: list[int]
) -> np.ndarray:
    """`[T, 3]` by which a joint and its rigid bones together come closest to where they were."""
    rigid = rot.rotate(turns[:, None], np.broadcast_to(offsets[children], bones[:, children].shape))
    shift = (bones[:, children] - rigid).sum(axis=1) / (len(children) + 1)
    return shift / np.maximum(rot.length(shift) / _MOST_SHIFT_M, 1.0)


def _aimed(bones: np.ndarray, to_targets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Where bones `[T, K, 3]` have to point for their ends to be where they were.

    A joint that is off by no less than its bone is long points as the bone did: short bones would
    turn wildly.
    """
    off = np.sum((to_targets - bones) ** 2, axis=-1, keepdims=True)
    size = np.asarray(lengths)[..., None] ** 2
    share = size / (size + 16.0 * off + 1e-12)
    return bones + share * (to_targets - bones)


def _twisted(
    swings: np.ndarray,
    upper: np.ndarray,
    joints: list[int],
    aims: list[list[int]],
    bones: np.ndarray,
    offsets: np.ndarray,
    joint_names: Sequence[str],
    limits: bool,
) -> np.ndarray:
    """Local turns `[T, K, 4]` of joints with a single child, with the twists that they need.

    Args:
        swings: `[T, K, 4]` local turns without twist; `upper` the turns of the joints' parents.
        bones: `[T, J, 3]` global; `offsets` `[J, 3]` at rest.
    """
    axes = rot.unit(offsets[[aims[joint][0] for joint in joints]])
    bends = np.zeros(swings.shape[:2], complex)
    backwards, ranges = np.full(len(joints), np.inf), np.full(len(joints), np.inf)
    # Where a bone nearly reverses its rest direction, the least turn flips its twist.
    is_chosen = np.min(1.0 - 2.0 * np.sum(swings[..., 1:] ** 2, axis=-1), axis=0) < _FOLDED
    for i, joint in enumerate(joints):
        hinge = aims[joint][0]
        part, below = (lim.part_of(joint_names[k])[0] for k in (joint, hinge))
        if limits and part in lim.LIMITS:
            ranges[i] = np.deg2rad(lim.LIMITS[part].twist[1])
        if _HINGES.get(part) != below or len(aims[hinge]) != 1:
            continue
        is_chosen[i] = True
        ahead = rot.unit(rot.cross(lim.flexion_axis(joint_names[hinge]), axes[i]))
        turned = rot.multiply(upper[:, i], swings[:, i])
        tip = rot.unit(rot.rotate(rot.conjugate(turned), bones[:, aims[hinge][0]]))
        bends[:, i] = tip @ ahead + 1j * (tip @ rot.cross(axes[i], ahead))
        backwards[i] = np.sin(np.deg2rad(-lim.LIMITS[below].flexion[0]))
    chosen = np.flatnonzero(is_chosen)
    if not len(chosen):
        return swings
    twists = smooth_twists(
        swings[:, chosen], axes[chosen], bends[:, chosen], backwards[chosen], ranges[chosen]
    )
    axes = np.broadcast_to(axes[chosen], (*twists.shape, 3))
    result = swings.copy()
    result[:, chosen] = rot.multiply(swings[:, chosen], rot.from_axis_angle(axes, twists))
    return result


def _rest_directions(
    bones: np.ndarray, above: np.ndarray, joint_names: Sequence[str], is_canonical: bool
) -> np.ndarray:
    """Unit directions `[J, 3]` of the bones at rest (zero for the root)."""
    if is_canonical:
        places = t_pose(joint_names)
        directions = places - places[above]
    else:
        directions = bones[0]
    norm = np.linalg.norm(directions, axis=-1, keepdims=True)
    return rot.unit(np.where(norm > 1e-9, directions, bones.mean(axis=0)))
