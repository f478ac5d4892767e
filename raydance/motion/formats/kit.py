"""KIT-ML in HumanML3D's form: `[T, 21, 3]` joints or 251 features per frame, 12.5 per second.

The joints are those of the Master Motor Map, in the order root, spine, left and right arm, left and
right leg (see `KIT_JOINTS`). The unit is that of the file, found from the body. Public code
disagrees on which of the two sides is left, so the body decides, by where its toes point.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import text as tx
from raydance.motion.formats.arrays import check_positions
from raydance.motion.formats.humanml3d import positions_of_features
from raydance.motion.formats.numpy_file import read_npy
from raydance.motion.formats.sidecar import facts_beside
from raydance.motion.skeleton import swap_side

FPS: Final = 12.5
NUM_JOINTS: Final = 21
NUM_FEATURES: Final = 251

KIT_JOINTS: Final = (
    *("pelvis", "spine1", "spine3", "neck", "head"),
    *(f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist")),
    *(
        f"{side}_{part}"
        for side in ("left", "right")
        for part in ("hip", "knee", "ankle", "heel", "foot")
    ),
)
KIT_PARENTS: Final = (-1, 0, 1, 2, 3, 3, 5, 6, 3, 8, 9, 0, 11, 12, 13, 14, 0, 16, 17, 18, 19)
_AT: Final = {name: i for i, name in enumerate(KIT_JOINTS)}


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read a `new_joints` or `new_joint_vecs` file of KIT-ML.

    Args:
        path: .npy of `[T, 21, 3]` positions or `[T, 251]` features.
        fps: frames per second, if not the data set's 12.5.
        units: metres per unit; a side-car's, or found from the body, where None.
        up: the up axis, if not the data set's y.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: another shape, values that are not finite, or a size out of bounds.
        InputError: an argument is out of range.
    """
    tx.check_fps(fps)
    name = str(path)
    array = read_npy(path)
    if array.ndim == 2 and array.shape[1] == NUM_FEATURES and array.dtype.kind == "f":
        if not 1 <= len(array) <= max_frames:
            raise FormatError(name, f"{len(array)} frames; 1 to {max_frames} are allowed")
        array = positions_of_features(array, NUM_JOINTS)
    elif array.shape[1:] != (NUM_JOINTS, 3):
        reason = f"an array {list(array.shape)}; KIT-ML has [T, 21, 3] or [T, 251]"
        raise FormatError(name, reason)
    positions = check_positions(array, name, max_frames)
    facts = facts_beside(path)
    scale = un.detect(
        positions,
        parents=KIT_PARENTS,
        joint_names=KIT_JOINTS,
        units=facts.get("units") if units is None else units,
        up=up or facts.get("up", "y"),
    )
    scale.warn(name)
    positions = scale.vectors(positions)
    swapped = _sides_are_swapped(positions)
    return Clip(
        clip_id=Path(path).stem,
        source=name,
        fps=facts.get("fps", FPS) if fps is None else float(fps),
        joint_names=tuple(map(swap_side, KIT_JOINTS)) if swapped else KIT_JOINTS,
        parents=KIT_PARENTS,
        positions=positions,
    )


def _sides_are_swapped(positions: np.ndarray) -> bool:
    """Whether the hips lie the other way round than the toes and the head allow.

    Args:
        positions: `[T, 21, 3]` metres, y up.
    """
    some = positions[:: max(1, len(positions) // 100)].astype(np.float64)
    across = some[:, _AT["left_hip"]] - some[:, _AT["right_hip"]]
    toes = sum(some[:, _AT[f"{s}_foot"]] - some[:, _AT[f"{s}_ankle"]] for s in ("left", "right"))
    up = some[:, _AT["neck"]] - some[:, _AT["pelvis"]]
    # For a body that faces +z with its head at +y, the left is at +x: y cross z.
    return bool(np.median(np.einsum("ti,ti->t", across, np.cross(up, toes))) < 0)
