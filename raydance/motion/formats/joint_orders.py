"""Joints of arrays that name none: the well-known orders, told apart by number and by the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from raydance.motion import skeleton
from raydance.motion.formats.smpl_body import (
    BODY_JOINTS,
    BODY_PARENTS,
    SMPL_JOINTS,
    SMPL_PARENTS,
    SMPLH_JOINTS,
    SMPLH_PARENTS,
)

COCO_JOINTS: Final = (
    "nose",
    *(f"{side}_{part}" for part in ("eye", "ear") for side in ("left", "right")),
    *(
        f"{side}_{part}"
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
)
"""COCO's 17 keypoints, also those of AIST++."""

COCO_PARENTS: Final = (-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14)
"""A tree over the keypoints (COCO itself has none), from the nose down."""

SKELETONS: Final[Mapping[int, tuple[tuple[str, ...], tuple[int, ...]]]] = {
    17: (COCO_JOINTS, COCO_PARENTS),
    22: (BODY_JOINTS, BODY_PARENTS),
    24: (SMPL_JOINTS, SMPL_PARENTS),
    50: (skeleton.JOINTS, skeleton.PARENTS),
    52: (SMPLH_JOINTS, SMPLH_PARENTS),
}
"""Number of joints -> names and parents, for arrays that name none: COCO, HumanML3D, SMPL, the
canonical skeleton, SMPL-H."""

HUMAN36M_JOINTS: Final = (
    "hip",
    *(f"{side}_{part}" for side in ("right", "left") for part in ("hip", "knee", "ankle")),
    *("spine", "thorax", "nose", "head"),
    *(f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist")),
)
"""The 17 joints of Human3.6M that pose estimators use."""

HUMAN36M_PARENTS: Final = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

_LIMBS: Final = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
_MAX_DIFFERENCE: Final = 0.2  # log of left by right: a body's two sides are alike


def order_of(positions: np.ndarray) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and parents of the joints of an array without names.

    Seventeen joints are Human3.6M's instead of COCO's where only that makes the limbs of both sides
    equally long.

    Args:
        positions: `[T, J, 3]`, J a key of `SKELETONS`.
    """
    num_joints = positions.shape[1]
    if num_joints == len(HUMAN36M_JOINTS):
        coco, human36m = (
            _difference_of_sides(positions, names) for names in (COCO_JOINTS, HUMAN36M_JOINTS)
        )
        if human36m < _MAX_DIFFERENCE < coco:
            return HUMAN36M_JOINTS, HUMAN36M_PARENTS
    return SKELETONS[num_joints]


def _difference_of_sides(positions: np.ndarray, names: tuple[str, ...]) -> float:
    """Mean absolute logarithm of left by right length over four limbs."""
    some = positions[:: max(1, len(positions) // 100)].astype(np.float64)
    at = {name: some[:, i] for i, name in enumerate(names)}
    differences = []
    for first, last in _LIMBS:
        left, right = (
            np.median(np.linalg.norm(at[f"{side}_{first}"] - at[f"{side}_{last}"], axis=-1))
            for side in ("left", "right")
        )
        differences.append(abs(np.log(max(left, 1e-9) / max(right, 1e-9))))
    return float(np.mean(differences))
