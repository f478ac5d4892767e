"""Clips to NumPy archives (.npz): positions, and beside them SMPL-H poses as AMASS has them.

One file for both kinds of reader. Ours, and whoever wants points, takes `positions` (metres, y up)
with `joint_names`, `parents` and `fps`; a clip with rotations adds `local_quaternions_wxyz` and
`rest_offsets`. Tools for AMASS (Mahmood et al. 2019) take `poses`, `trans`, `betas`, `gender` and
`mocap_framerate` (metres, z up). Those poses are angles alone: on a body of other proportions the
joints are elsewhere, which is reported, and the pelvis is at `trans` itself, as our reader of
AMASS has it (SMPL's own pelvis lies a constant away, depending on the shape).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import InputError
from raydance.files import replacing
from raydance.motion import rotations as rot
from raydance.motion import skeleton
from raydance.motion.clip import Clip
from raydance.motion.export.bvh import UP
from raydance.motion.export.fit import fit_rotations
from raydance.motion.export.written_file import Residual, WrittenFile
from raydance.motion.formats import smpl_body
from raydance.motion.formats.arrays import ROTATION_KEYS
from raydance.motion.joint_rotations import canonical_rotations
from raydance.motion.mapping import map_to_canonical

_NUM_BETAS: Final = 16  # AMASS's, zero: the average shape


def write(path: str | Path, clip: Clip, *, limits: bool = True) -> WrittenFile:
    """Write a clip as an .npz archive, whole or not at all.

    Args:
        path: the file; replaced where it exists.
        clip: any; its positions are kept as they are.
        limits: whether fitted SMPL-H poses prefer `limits.LIMITS` where positions leave it open.
    """
    arrays: dict[str, Any] = {
        "positions": clip.positions.astype(np.float32),
        "joint_names": np.array(clip.joint_names),
        "parents": np.array(clip.parents, dtype=np.int64),
        "fps": np.float64(clip.fps),
        "metres_per_unit": np.float64(1.0),
        "up": np.array("y"),
    }
    if clip.rotations is not None and clip.offsets is not None:
        arrays |= dict(zip(ROTATION_KEYS, (clip.rotations, clip.offsets)))
    try:
        poses, translation, residual = smplh_poses(clip, limits=limits)
    except InputError as error:
        note = f"without SMPL-H poses: {error}"
    else:
        note = f"SMPL-H poses beside the positions: on an average body joints are {residual} away"
        arrays |= {
            "poses": poses,
            "trans": translation,
            "betas": np.zeros(_NUM_BETAS),
            "gender": np.array("neutral"),
            "mocap_framerate": np.float64(clip.fps),
        }
    with replacing(Path(path)) as temporary:
        np.savez_compressed(temporary, **arrays)
    return WrittenFile(notes=(note,))


def smplh_poses(clip: Clip, *, limits: bool = True) -> tuple[np.ndarray, np.ndarray, Residual]:
    """Rotations of SMPL-H's 52 joints, as AMASS stores them.

    SMPL-H clips keep theirs; others are mapped to the canonical joints, whose rotations are the
    clip's own, counted from SMPL's T-pose, or are fitted to bones in its directions. Joints that
    the clip lacks do not turn.

    Returns:
        `poses` `[T, 156]` float32 rotation vectors, radians, z up; `trans` `[T, 3]` float32, the
        pelvis, metres, z up; and how far `smpl_body`'s average body in these poses is from the
        clip (from the joints that both have).

    Raises:
        InputError: the clip cannot be mapped, or its positions are not finite.
    """
    if not np.isfinite(clip.positions).all():
        raise InputError(f"{clip.clip_id}: positions must be finite")
    turns = np.broadcast_to(rot.IDENTITY, (clip.num_frames, len(smpl_body.SMPLH_JOINTS), 4)).copy()
    if _is_smplh(clip):
        assert clip.rotations is not None
        turns[:] = clip.rotations
        places, positions = list(range(turns.shape[1])), clip.positions
    else:
        mapped = map_to_canonical(clip)
        kept = [int(i) for i in np.flatnonzero(mapped.joint_mask)]
        names = [skeleton.JOINTS[i] for i in kept]
        places = [smpl_body.SMPLH_JOINTS.index(name) for name in names]
        positions = mapped.positions[:, kept]
        parents = skeleton.parents_among(kept)
        six = canonical_rotations(clip, mapped)
        if six is None:
            fit = fit_rotations(positions, parents, names, limits=limits, own_rest=False)
            turns[:, places] = fit.rotations
        else:
            turns[:, places] = rot.from_six(six[:, kept])
    vectors = rot.to_rotation_vector(turns)
    posed, _ = smpl_body.pose(
        vectors, positions[:, 0], smpl_body.SMPLH_OFFSETS, smpl_body.SMPLH_PARENTS
    )
    residual = Residual.between(posed[:, places], positions)
    # The pelvis' frame is the only one that meets the world's.
    vectors[:, 0] = rot.to_rotation_vector(rot.multiply(UP["z"], turns[:, 0]))
    translation = rot.rotate(UP["z"], positions[:, 0])
    poses = vectors.reshape(len(vectors), -1)
    return poses.astype(np.float32), translation.astype(np.float32), residual


def _is_smplh(clip: Clip) -> bool:
    """Whether a clip's rotations already are those of SMPL-H's generic body."""
    return (
        clip.rotations is not None
        and clip.offsets is not None
        and clip.joint_names == smpl_body.SMPLH_JOINTS
        and np.allclose(clip.offsets[1:], smpl_body.SMPLH_OFFSETS[1:], atol=1e-4)
    )
