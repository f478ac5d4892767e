"""A clip as formats with rotations need it: one tree, local rotations, bones, and what is lost.

A clip that has rotations keeps them. A clip of positions alone (generated motion) gets them from
`fit`, with bones of constant length where those can follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion import rotations as rot
from raydance.motion.clip import Clip
from raydance.motion.export.fit import fit_rotations
from raydance.motion.export.limits import beyond
from raydance.motion.export.written_file import Residual, WrittenFile
from raydance.motion.skeleton import JOINTS, parents_among

_BEYOND_DEG: Final = 20.0  # less may be the T-pose's proportions
_STRETCH_M: Final = 1e-4  # a bone that moves more than this in its parent's frame gets positions


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Local rotations and bones whose forward kinematics is (nearly) a clip's motion.

    Attributes:
        joint_names: J names as the clip gives them; joint 0 is the only root.
        parents: J indices; a parent precedes its children.
        rotations: `[T, J, 4]` float64 unit quaternions, local, y up, signs continuous in time.
        offsets: `[J, 3]` metres: the rest pose; zero for the root.
        places: `[T, J, 3]` metres, where each joint is in its parent's frame: `offsets`, but for
            the root and for the joints of `moves`.
        moves: `[J]` bool: the root, and joints at no fixed distance from their parent (such as
            hips below a ground marker, or files with position channels on every joint).
        stretches: `[J]` bool, those of `moves` that only leave the ends of their bones where bones
            of fixed length fall short.
        residual: distance of the joints from the clip's.
        is_fitted: whether the rotations were recovered from positions.
    """

    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    rotations: np.ndarray
    offsets: np.ndarray
    places: np.ndarray
    moves: np.ndarray
    stretches: np.ndarray
    residual: Residual
    is_fitted: bool

    def written(self, *notes: str) -> WrittenFile:
        """What to tell of a file that holds this pose."""
        if self.is_fitted:
            said = [
                f"rotations fitted to bones of fixed length: joints are {self.residual} from where "
                "they were"
            ]
            if self.stretches.any():
                way = np.linalg.norm(self.places - self.offsets, axis=-1)[:, self.stretches].max()
                said.append(
                    f"{self.stretches.sum()} joints are moved off the ends of their bones, by up "
                    f"to {100 * way:.1f} cm, because rotations alone could not reach them"
                )
            notes = (*said, *self._beyond_range(), *notes)
        return WrittenFile(self.residual, notes)

    def _beyond_range(self) -> list[str]:
        """A sentence on canonical joints that go where no human's do."""
        if not set(self.joint_names) <= set(JOINTS):
            return []
        excess = beyond(self.rotations, self.joint_names)
        far = sorted(
            (joint for joint in excess if excess[joint] > _BEYOND_DEG),
            key=lambda joint: excess[joint],
        )
        if not far:
            return []
        others = f", {len(far) - 1} others less" if len(far) > 1 else ""
        return [
            f"{far[-1]} turns up to {excess[far[-1]]:.0f} degrees beyond a human's range{others}, "
            "as the motion asks for"
        ]


def pose_of(
    clip: Clip,
    *,
    limits: bool = True,
    joint_mask: Sequence[bool] | np.ndarray | None = None,
) -> Pose:
    """Rotations and bones of a clip.

    Args:
        clip: with rotations and offsets, or with positions alone.
        limits: whether twists, which positions leave open, prefer a human's range.
        joint_mask: `[J]`, for a clip of positions: joints that are False are left out, and their
            children hang from the nearest joint above that is there.

    Raises:
        InputError: no frames, values or a rate that cannot be, several roots, or a mask that does
            not fit.
    """
    if not (np.isfinite(clip.fps) and clip.fps > 0):
        raise InputError(f"{clip.clip_id}: {clip.fps} frames per second; above 0 is needed")
    kept, parents, positions = _present(clip, joint_mask)
    names = tuple(clip.joint_names[i] for i in kept)
    is_fitted = clip.rotations is None or clip.offsets is None
    if is_fitted:
        rotations, offsets, places, is_free, stretches = fit_rotations(
            positions, parents, names, limits=limits
        )
        moves = is_free | stretches
        moves[0] = True
    else:
        if len(names) < len(clip.joint_names):
            raise InputError("joint_mask: for clips of positions; this one has rotations")
        rotations = rot.continuous(rot.normalise(np.asarray(clip.rotations)))
        offsets = np.array(clip.offsets, dtype=np.float64)
        offsets[0] = 0.0
        places, moves = _places(rotations, offsets, positions, parents)
        stretches = np.zeros(len(names), bool)
    there = rot.forward_kinematics(rotations, places, parents)
    return Pose(
        joint_names=names,
        parents=parents,
        rotations=rotations,
        offsets=offsets,
        places=places,
        moves=moves,
        stretches=stretches,
        residual=Residual.between(there, positions),
        is_fitted=is_fitted,
    )


def _present(
    clip: Clip, joint_mask: Sequence[bool] | np.ndarray | None
) -> tuple[list[int], tuple[int, ...], np.ndarray]:
    """Indices, parents and positions `[T, J, 3]` of the joints to be written."""
    num_joints = len(clip.joint_names)
    mask = np.ones(num_joints, bool) if joint_mask is None else np.asarray(joint_mask, dtype=bool)
    if mask.shape != (num_joints,):
        raise InputError(f"joint_mask: {mask.size} values, the clip has {num_joints} joints")
    kept = [int(i) for i in np.flatnonzero(mask)]
    parents = parents_among(kept, clip.parents)
    if parents.count(-1) != 1:
        raise InputError(f"{clip.clip_id}: {parents.count(-1)} root joints, exactly one is needed")
    positions = np.asarray(clip.positions[:, kept], dtype=np.float64)
    if not len(positions):
        raise InputError(f"{clip.clip_id}: no frames to write")
    if not np.isfinite(positions).all():
        raise InputError(f"{clip.clip_id}: positions must be finite")
    return kept, parents, positions


def _places(
    rotations: np.ndarray, offsets: np.ndarray, positions: np.ndarray, parents: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Each joint's place in its parent's frame `[T, J, 3]`, and which of them move `[J]`.

    That is its offset, but for the root and for bones that stretch.
    """
    places = np.broadcast_to(offsets, positions.shape).copy()
    places[:, 0] = positions[:, 0]
    turns, _ = rot.global_transforms(rotations, places, parents)
    above = list(parents[1:])
    local = rot.rotate(rot.conjugate(turns[:, above]), positions[:, 1:] - positions[:, above])
    free = np.linalg.norm(local - offsets[1:], axis=-1).max(axis=0) > _STRETCH_M
    places[:, 1:][:, free] = local[:, free]
    return places, np.concatenate(([True], free))
