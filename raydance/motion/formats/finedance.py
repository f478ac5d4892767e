"""FineDance: `[T, 315]` in .npy, 30 frames per second: where the root is, and 52 rotations.

Columns are the translation in metres and 52 SMPL-H rotations in 6-D form, the first two rows of
each matrix (Y. Zhou et al., 2019). Features `[T, 319]` have 4 foot contacts before that, which are
not read. Rotations become positions of a generic body (see `smpl_body`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import rotations as rot
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import smpl_body as body
from raydance.motion.formats import text as tx
from raydance.motion.formats.amass import clip_of_poses
from raydance.motion.formats.numpy_file import read_npy
from raydance.motion.formats.sidecar import facts_beside

FPS: Final = 30.0
_NUM_JOINTS: Final = len(body.SMPLH_JOINTS)
_WIDTHS: Final = {3 + 6 * _NUM_JOINTS: 0, 4 + 3 + 6 * _NUM_JOINTS: 4}  # -> columns to leave out


def is_finedance(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is a dance of FineDance."""
    return len(shape) == 2 and shape[1] in _WIDTHS


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read a dance of FineDance.

    Args:
        path: .npy of `[T, 315]` or `[T, 319]`.
        fps: frames per second, if not the data set's 30.
        units: metres per unit of the translation, if not 1.
        up: the up axis; a side-car's, or found from the body, where None.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: another shape, values that are not finite, or a size out of bounds.
        InputError: an argument is out of range.
    """
    tx.check_fps(fps)
    name = str(path)
    array = read_npy(path)
    if not is_finedance(array.shape) or array.dtype.kind != "f":
        reason = f"an array {list(array.shape)} of {array.dtype}; FineDance has [T, 315] or"
        raise FormatError(name, f"{reason} [T, 319]")
    if not 1 <= len(array) <= max_frames:
        raise FormatError(name, f"{len(array)} frames; 1 to {max_frames} are allowed")
    if not (np.abs(array) <= tx.MAX_VALUE).all():  # false for NaN, too
        raise FormatError(name, f"values that are not finite or above {tx.MAX_VALUE:g}")
    first = _WIDTHS[array.shape[1]]
    translation = array[:, first : first + 3].astype(np.float64)
    vectors = rotation_vectors(array[:, first + 3 :].reshape(len(array), _NUM_JOINTS, 6))
    facts = facts_beside(path)
    units = facts.get("units", 1.0) if units is None else units
    return clip_of_poses(
        name,
        vectors.reshape(len(array), -1),
        translation,
        fps=facts.get("fps", FPS) if fps is None else float(fps),
        units=units,
        up=up or facts.get("up") or _up_axis(vectors, translation * units),
        max_frames=max_frames,
    )


def rotation_vectors(rows: np.ndarray) -> np.ndarray:
    """Rotation vectors `[..., 3]`, radians, of the first two rows of matrices, `[..., 6]`.

    Rows that are no rotation's (of no length, or parallel) become some rotation.
    """
    # Rows of a matrix are the columns of its inverse.
    return rot.to_rotation_vector(rot.conjugate(rot.from_six(rows)))


def _up_axis(vectors: np.ndarray, translation: np.ndarray) -> str:
    """The axis along which the heads of dancers are above their feet."""
    some = slice(None, None, max(1, len(vectors) // 200))
    offsets, parents = body.SMPLH_OFFSETS, body.SMPLH_PARENTS
    positions, _ = body.pose(vectors[some], translation[some], offsets, parents)
    return un.detect(positions, parents=parents, joint_names=body.SMPLH_JOINTS, units=1.0).up
