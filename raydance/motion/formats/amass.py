"""AMASS: SMPL-H (or SMPL, SMPL-X) rotations in .npz files, z up, to joint positions.

The positions are those of a generic body (`smpl_body`), because the licensed body model is not
needed to learn movement: bone lengths are not the recorded person's, and the pelvis, which SMPL
places a few centimetres from its origin depending on the shape, is placed at `trans` itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import smpl_body as body
from raydance.motion.formats import text as tx
from raydance.motion.formats.arrays import FPS_KEYS, check_positions
from raydance.motion.formats.numpy_file import NpzReader
from raydance.motion.formats.sidecar import facts_beside

_WIDTHS: Final = {72: "SMPL", 156: "SMPL-H", 165: "SMPL-X"}
_FRAMES_AT_ONCE: Final = 4096


def is_amass(keys: tuple[str, ...]) -> bool:
    """Whether an .npz with these keys is an AMASS recording, and has no positions beside it."""
    return "poses" in keys and "trans" in keys and "positions" not in keys


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read an AMASS recording.

    A side-car's rate, unit and axis win over AMASS's own.

    Args:
        path: .npz with `poses` `[T, 156]` (or 72, 165), `trans` `[T, 3]` and the frame rate.
        fps: frames per second, if the file does not say or is wrong.
        units: metres per unit of `trans`, if not AMASS's 1.
        up: the up axis, if not AMASS's z.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: a key is missing, shapes disagree, values are not finite, or no frame rate.
        InputError: an argument is out of range.
    """
    tx.check_fps(fps)
    name = str(path)
    with NpzReader(path) as archive:
        for key in ("poses", "trans"):
            if key not in archive:
                found = ", ".join(archive.keys)
                raise FormatError(name, f"no `{key}`; AMASS has poses and trans (found {found})")
        poses, translation = archive.read("poses"), archive.read("trans")
        rate = fps
        if rate is None:
            rate = next((archive.number(key) for key in FPS_KEYS if key in archive), None)
    facts = facts_beside(path)
    rate = facts.get("fps") if rate is None else rate
    if rate is None:
        raise FormatError(name, f"no frame rate ({', '.join(FPS_KEYS)}); give it as fps")
    return clip_of_poses(
        name,
        poses,
        translation,
        fps=tx.check_rate(rate, name),
        units=facts.get("units", 1.0) if units is None else units,
        up=up or facts.get("up", "z"),
        max_frames=max_frames,
    )


def clip_of_poses(
    name: str,
    poses: np.ndarray,
    translation: np.ndarray,
    *,
    fps: float,
    units: float,
    up: str,
    max_frames: int,
) -> Clip:
    """A clip of the generic body in SMPL-family poses (AIST++ uses this, too).

    Args:
        name: the file, for errors.
        poses: `[T, 72 | 156 | 165]` rotation vectors, radians.
        translation: `[T, 3]` in `units` metres, frame with `up` pointing up.

    Raises:
        FormatError: shapes that disagree or values that are not finite.
    """
    if poses.ndim != 2 or poses.shape[1] not in _WIDTHS or poses.dtype.kind != "f":
        allowed = ", ".join(f"[T, {width}] ({kind})" for width, kind in _WIDTHS.items())
        raise FormatError(name, f"poses {list(poses.shape)} of {poses.dtype}; allowed: {allowed}")
    num_frames = len(poses)
    if not 1 <= num_frames <= max_frames:
        raise FormatError(name, f"{num_frames} frames; 1 to {max_frames} are allowed")
    if translation.shape != (num_frames, 3):
        reason = f"translation {list(translation.shape)}; [{num_frames}, 3] is needed"
        raise FormatError(name, reason)
    vectors = check_positions(poses.reshape(num_frames, -1, 3), f"{name} poses", max_frames)
    translation = check_positions(translation[:, None], f"{name} translation", max_frames)[:, 0]
    if vectors.shape[1] == 55:
        vectors = vectors[:, list(body.SMPLX_KEPT)]
    if vectors.shape[1] == 52:
        joints, parents, offsets = body.SMPLH_JOINTS, body.SMPLH_PARENTS, body.SMPLH_OFFSETS
    else:
        joints, parents, offsets = body.SMPL_JOINTS, body.SMPL_PARENTS, body.SMPL_OFFSETS

    scale = un.detect(translation[:, None], units=units, up=up)
    positions = np.empty((num_frames, len(joints), 3), np.float32)
    rotations = np.empty((num_frames, len(joints), 4), np.float32)
    # The pelvis' frame is the only one that meets the world's: turning its rotation and its place
    # to y up turns everything, and the other local rotations stay as they are.
    place = scale.vectors(translation)
    for start in range(0, num_frames, _FRAMES_AT_ONCE):
        block = slice(start, start + _FRAMES_AT_ONCE)
        positions[block], rotations[block] = body.pose(
            vectors[block], place[block], offsets, parents, scale.turn
        )
    return Clip(
        clip_id=Path(name).stem,
        source=name,
        fps=fps,
        joint_names=joints,
        parents=parents,
        positions=positions,
        rotations=rotations,
        offsets=offsets.astype(np.float32),
    )
