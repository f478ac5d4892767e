"""Joints of the SMPL family, and a generic body to turn its rotations into positions.

AMASS and AIST++ store rotations of SMPL's joints; the lengths of the bones are in a body model
that only its licence's holders may have. This is **not** that model: the rest offsets below are a
generic adult of 1.70 m, written from textbook segment proportions (D. A. Winter, Biomechanics and
Motor Control of Human Movement, figure 4.1: thigh .245, shank .246, upper arm .186, forearm .146
of the height) and rounded to centimetres. Body shape (`betas`) is not used, so all people have
these bone lengths; directions, timing and travel are the recording's.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion.skeleton import swap_side

# name, parent, rest offset from the parent in metres (left and middle joints; right is mirrored).
# T-pose, y up, facing +z, the left side at +x.
_BODY: Final = (
    ("pelvis", None, (0.0, 0.0, 0.0)),
    ("left_hip", "pelvis", (0.08, -0.08, 0.0)),
    ("right_hip", "pelvis", None),
    ("spine1", "pelvis", (0.0, 0.11, -0.02)),
    ("left_knee", "left_hip", (0.02, -0.41, 0.0)),
    ("right_knee", "right_hip", None),
    ("spine2", "spine1", (0.0, 0.13, 0.01)),
    ("left_ankle", "left_knee", (-0.01, -0.41, -0.02)),
    ("right_ankle", "right_knee", None),
    ("spine3", "spine2", (0.0, 0.06, 0.01)),
    ("left_foot", "left_ankle", (0.02, -0.06, 0.13)),
    ("right_foot", "right_ankle", None),
    ("neck", "spine3", (0.0, 0.20, -0.02)),
    ("left_collar", "spine3", (0.07, 0.11, -0.01)),
    ("right_collar", "spine3", None),
    ("head", "neck", (0.0, 0.09, 0.03)),
    ("left_shoulder", "left_collar", (0.11, 0.04, -0.02)),
    ("right_shoulder", "right_collar", None),
    ("left_elbow", "left_shoulder", (0.30, -0.01, -0.01)),
    ("right_elbow", "right_shoulder", None),
    ("left_wrist", "left_elbow", (0.25, 0.0, 0.0)),
    ("right_wrist", "right_elbow", None),
)

_FINGERS: Final = (  # three joints each: knuckle from the wrist, then two bones
    ("index", (0.09, 0.0, 0.025), (0.035, 0.0, 0.0), (0.025, 0.0, 0.0)),
    ("middle", (0.095, 0.0, 0.0), (0.035, 0.0, 0.0), (0.03, 0.0, 0.0)),
    ("pinky", (0.08, -0.01, -0.04), (0.025, 0.0, 0.0), (0.02, 0.0, 0.0)),
    ("ring", (0.09, 0.0, -0.02), (0.03, 0.0, 0.0), (0.025, 0.0, 0.0)),
    ("thumb", (0.03, -0.01, 0.03), (0.03, 0.0, 0.025), (0.025, 0.0, 0.015)),
)


def _joints() -> list[tuple[str, str | None, tuple[float, float, float]]]:
    rest: dict[str, tuple[float, float, float]] = {}
    joints = []
    for name, parent, offset in _BODY:
        if offset is None:
            x, y, z = rest[swap_side(name)]
            offset = (-x, y, z)
        rest[name] = offset
        joints.append((name, parent, offset))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for finger, *offsets in _FINGERS:
            parent = f"{side}_wrist"
            for i, (x, y, z) in enumerate(offsets, 1):
                joints.append((f"{side}_{finger}{i}", parent, (sign * x, y, z)))
                parent = f"{side}_{finger}{i}"
    return joints


_ALL: Final = tuple(_joints())
_INDEX: Final = {name: i for i, (name, _, _) in enumerate(_ALL)}

SMPLH_JOINTS: Final[tuple[str, ...]] = tuple(_INDEX)
"""SMPL-H's 52 joints: 22 of the body, then 15 per hand."""

SMPLH_PARENTS: Final[tuple[int, ...]] = tuple(
    -1 if parent is None else _INDEX[parent] for _, parent, _ in _ALL
)
SMPLH_OFFSETS: Final = np.array([offset for _, _, offset in _ALL], dtype=np.float64)
"""`[52, 3]` metres: rest offsets of the generic body."""

BODY_JOINTS: Final = SMPLH_JOINTS[:22]
BODY_PARENTS: Final = SMPLH_PARENTS[:22]

# SMPL has one joint per hand instead of the fingers: the middle of the palm.
SMPL_JOINTS: Final = (*BODY_JOINTS, "left_hand", "right_hand")
SMPL_PARENTS: Final = (*BODY_PARENTS, _INDEX["left_wrist"], _INDEX["right_wrist"])
SMPL_OFFSETS: Final = np.concatenate(
    (SMPLH_OFFSETS[:22], np.array([[0.08, -0.01, 0.0], [-0.08, -0.01, 0.0]]))
)

# SMPL-X has jaw and eyes between body and hands; they move nothing that is kept here.
SMPLX_KEPT: Final = (*range(22), *range(25, 55))
"""Indices of SMPL-X's 55 joints that are SMPL-H's 52, in order."""


def pose(
    rotation_vectors: np.ndarray,
    translation: np.ndarray,
    offsets: np.ndarray,
    parents: tuple[int, ...],
    turn: np.ndarray = rot.IDENTITY,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the generic body in the frame of the translation.

    Args:
        rotation_vectors: `[T, J, 3]` radians, local axis-angle of each joint.
        translation: `[T, 3]` metres, where the pelvis is, y up.
        offsets: `[J, 3]` metres.
        parents: J indices, -1 for the root.
        turn: `[4]` brings the frame of the root's rotation to y up.

    Returns:
        positions `[T, J, 3]` and local quaternions `[T, J, 4]`, float64.
    """
    turns = rot.from_rotation_vector(rotation_vectors)
    turns[:, 0] = rot.multiply(turn, turns[:, 0])
    places = np.broadcast_to(offsets, (*rotation_vectors.shape[:2], 3)).copy()
    places[:, 0] = translation
    return rot.forward_kinematics(turns, places, parents), turns
