"""Rotations of the canonical joints, six numbers each, where a source has them.

Six numbers are the first two columns of a rotation matrix (Zhou et al. 2019, "On the Continuity of
Rotation Representations in Neural Networks"), which can be averaged as positions can. A joint's
rotation is local to the nearest canonical joint above it that the source has; that of the pelvis is
global. In SMPL's T-pose facing +z all are the identity: a source's own rest frames are turned by a
constant for each joint, so that its bones have the directions of that pose. For a joint with a
single bone that leaves a constant twist: the shortest such turn is taken. Rigs whose frames at rest
are those of no standing body (each bone along its own axis, as some tools write) get the twist that
is zero on average over the clip instead.

Nothing here is recovered from positions alone: without rotations in the source there are none.

Dimensions: T frames, J joints, K joints that the source has.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion import skeleton, windows
from raydance.motion.clip import Clip
from raydance.motion.forks import closest_turns, on_a_line, t_pose
from raydance.motion.mapping import MappedMotion

_STANDING = 0.6  # mean cosine of the body's bones with the T-pose's; arms that hang make it 0.81
_LEGS = tuple(
    tuple(skeleton.INDEX[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle", "foot"))
    for side in ("left", "right")
)
_MIRRORED = np.array([1, -1, -1, -1, 1, 1], dtype=np.float32)
"""Of `M R M` with `M` the reflection in x = 0, over `R`: its first two columns."""


def canonical_rotations(clip: Clip, mapped: MappedMotion) -> np.ndarray | None:
    """Six numbers of each canonical joint, `[T, 50, 6]` float32; zero for absent joints.

    Returns:
        None where the clip has no rotations, or a canonical joint is the midpoint of two.
    """
    kept = np.flatnonzero(mapped.joint_mask).tolist()
    own = [mapped.sources[skeleton.JOINTS[joint]] for joint in kept]
    if clip.rotations is None or any(len(indices) > 1 for indices in own):
        return None
    offsets = np.zeros((len(clip.joint_names), 3))  # turns do not depend on them
    turns = rot.global_transforms(clip.rotations, offsets, clip.parents)[0]
    turns_TK4 = turns[:, [indices[0] for indices in own]]
    parents = skeleton.parents_among(kept)
    bones_K3 = bone_offsets(mapped.positions[:, kept], turns_TK4, parents)
    frames_K4, is_standing = _rest_frames(bones_K3, kept, parents)
    turns_TK4 = rot.multiply(turns_TK4, frames_K4)
    if not is_standing:
        turns_TK4 = _without_mean_twists(turns_TK4, kept, parents)
    out = np.zeros((clip.num_frames, skeleton.NUM_JOINTS, 6), dtype=np.float32)
    out[:, kept] = rot.to_six(_local(turns_TK4, parents))
    return out


def _local(turns: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """Global turns `[T, K, 4]` as those from the joints above; a root's stay."""
    below = [joint for joint, parent in enumerate(parents) if parent >= 0]
    local = turns.copy()
    above = rot.conjugate(turns[:, [parents[joint] for joint in below]])
    local[:, below] = rot.multiply(above, turns[:, below])
    return local


def bone_offsets(positions: np.ndarray, turns: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """`[K, 3]` metres: where each joint is in its parent's frame, on average; zero for a root.

    Args:
        positions: `[T, K, 3]` global.
        turns: `[T, K, 4]` global quaternions.
    """
    above = np.maximum(parents, 0)
    bones = rot.rotate(rot.conjugate(turns[:, above]), positions - positions[:, above])
    return bones.mean(axis=0)


def _rest_frames(
    bones: np.ndarray, kept: list[int], parents: tuple[int, ...]
) -> tuple[np.ndarray, bool]:
    """From SMPL's T-pose to the frames in which a source has its `bones` `[K, 3]`: turns `[K, 4]`,
    and whether those bones without any turn make a standing body."""
    names = [skeleton.JOINTS[joint] for joint in kept]
    pose = t_pose(names)
    rest = np.zeros((skeleton.NUM_JOINTS, 3))
    mask = np.zeros(skeleton.NUM_JOINTS, dtype=bool)
    children: list[list[int]] = [[] for _ in kept]
    for joint, parent in enumerate(parents):
        mask[kept[joint]] = True
        if parent >= 0:
            children[parent].append(joint)
            rest[kept[joint]] = rest[kept[parent]] + bones[joint]
    facing = rot.from_axis_angle(np.array([0.0, 1.0, 0.0]), windows.heading(rest, mask))
    frames = np.empty((len(kept), 4))
    agreement: list[float] = []
    for joint, parent in enumerate(parents):
        theirs = bones[children[joint]]
        ours = rot.rotate(facing, pose[children[joint]] - pose[joint])
        cosine = np.sum(rot.unit(ours) * rot.unit(theirs), axis=-1)
        is_body = np.array(kept)[children[joint]] < skeleton.NUM_BODY_JOINTS
        agreement += cosine[is_body].tolist()
        if not children[joint]:
            frames[joint] = frames[parent] if parent >= 0 else facing
        elif on_a_line(theirs) or on_a_line(ours):
            frames[joint] = rot.multiply(rot.between(ours[0], theirs[0]), facing)
        else:
            frames[joint] = rot.multiply(closest_turns(theirs.T @ ours), facing)
    return frames, float(np.mean(agreement)) > _STANDING


def _without_mean_twists(
    turns: np.ndarray, kept: list[int], parents: tuple[int, ...]
) -> np.ndarray:
    """Global turns `[T, K, 4]` whose joints with one bone do not twist about it on average, and
    whose last joints do not turn on average."""
    pose = t_pose([skeleton.JOINTS[joint] for joint in kept])
    turns = turns.copy()
    for joint, parent in enumerate(parents):
        children = [child for child, above in enumerate(parents) if above == joint]
        if parent < 0 or len(children) > 1:
            continue
        local = rot.continuous(rot.multiply(rot.conjugate(turns[:, parent]), turns[:, joint]))
        mean = rot.normalise(local.sum(axis=0))
        if children:
            axis = rot.unit(pose[children[0]] - pose[joint])
            mean = rot.normalise(np.array([mean[0], *(axis * (mean[1:] @ axis))]))
        turns[:, joint] = rot.multiply(turns[:, joint], rot.conjugate(mean))
    return turns


def posed(clip: Clip, rotations: np.ndarray) -> Clip:
    """A clip of positions with rotations, which turn bones of one length: joints are where those
    ends are, from the clip's pelvis on.

    Args:
        clip: canonical joints, such as `generated_clip` makes.
        rotations: `[T, K, 6]` of its joints.
    """
    local = rot.continuous(rot.from_six(rotations))
    turns = rot.global_transforms(local, np.zeros((local.shape[1], 3)), clip.parents)[0]
    bones = _rigid_bones(clip.positions, turns, clip.parents)
    places = np.broadcast_to(bones, clip.positions.shape).copy()
    places[:, 0] = clip.positions[:, 0]
    there = rot.forward_kinematics(local, places, clip.parents)
    return replace(
        clip,
        positions=there.astype(np.float32),
        rotations=local.astype(np.float32),
        offsets=bones.astype(np.float32),
    )


def _rigid_bones(positions: np.ndarray, turns: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """`bone_offsets` as long as the bones are, in the median."""
    bones = positions - positions[:, np.maximum(parents, 0)]
    lengths = np.median(rot.length(bones.astype(np.float64)), axis=0)
    return rot.unit(bone_offsets(positions, turns, parents)) * lengths


def reaching_feet(rotations: np.ndarray, motion: np.ndarray, joint_mask: np.ndarray) -> np.ndarray:
    """Rotations `[T, 50, 6]` with legs turned, by the least, towards where `motion` has them.

    Generated rotations agree with generated positions nearly; at the end of a leg that is not
    enough for a foot that stands.

    Args:
        motion: `[T, 50, 3]` metres.
        joint_mask: `[50]` bool: joints that both have.
    """
    kept = np.flatnonzero(joint_mask).tolist()
    parents, positions = skeleton.parents_among(kept), motion[:, kept].astype(np.float64)
    local = rot.from_six(rotations[:, kept])
    turns = rot.global_transforms(local, np.zeros((len(kept), 3)), parents)[0]
    bones = _rigid_bones(positions, turns, parents)
    places = np.broadcast_to(bones, positions.shape).copy()
    places[:, 0] = positions[:, 0]
    there = rot.forward_kinematics(local, places, parents)
    for leg in _LEGS:
        chain = [kept.index(joint) for joint in leg if joint in kept]
        for joint, end in pairwise(chain):
            bone = rot.rotate(turns[:, joint], bones[end])
            least = rot.between(bone, positions[:, end] - there[:, joint])
            turns[:, joint] = rot.multiply(least, turns[:, joint])
            there[:, end] = there[:, joint] + rot.rotate(turns[:, joint], bones[end])
    out = rotations.copy()
    out[:, kept] = rot.to_six(_local(turns, parents))
    return out


def resampled(rotations: np.ndarray, fps_in: float, fps_out: float) -> np.ndarray:
    """Rotations `[T, J, 6]` at another rate, as `windows.resample` does with positions."""
    return rot.orthonormal_six(windows.resample(rotations, fps_in, fps_out))


def turned(rotations: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotations `[..., 50, 6]` of a body turned about the vertical, as `windows.rotate_y` turns it.

    Args:
        angle: `[...]` radians, broadcast.
    """
    out = rotations.copy()
    columns = windows.rotate_y(out[..., 0, :].reshape(*out.shape[:-2], 2, 3), angle)
    out[..., 0, :] = columns.reshape(*out.shape[:-2], 6)
    return out


def mirrored(rotations: np.ndarray) -> np.ndarray:
    """Rotations `[..., 50, 6]` of the body that `augment.mirror` makes, sides swapped."""
    return rotations[..., list(skeleton.MIRROR), :] * _MIRRORED.astype(rotations.dtype)
