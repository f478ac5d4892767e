"""From the procedural dancer's pose track to local rotations within the joint limits.

Trunk and arms are set by angles and directions; legs by two-bone inverse kinematics from where
the feet are, so that a planted foot neither slides nor sinks.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from raydance.motion.skeleton import INDEX, NUM_JOINTS
from raydance.motion.synthetic_body import (
    ELBOW_LIMIT,
    FINGER_LIMIT,
    LEG_LIMITS,
    SHOULDER_CENTRE,
    SHOULDER_CONE,
    SHOULDER_TWIST,
    SIDES,
    TRUNK_LIMITS,
    WRIST_LIMIT,
    Body,
    PoseTrack,
)

_REACH: Final = 0.998
"""A leg never stretches fully: the knee's direction would be undefined."""


def rotation(axis: str, degrees: np.ndarray) -> np.ndarray:
    """`[..., 3, 3]` matrices about `x`, `y` or `z` from `[...]` degrees."""
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.zeros((*angle.shape, 3, 3))
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    matrix[..., i, i] = 1
    matrix[..., j, j] = matrix[..., k, k] = cos
    matrix[..., j, k], matrix[..., k, j] = -sin, sin
    return matrix


def trunk_matrix(degrees: np.ndarray) -> np.ndarray:
    """`[..., 3, 3]` of Ry Rx Rz from `[..., 3]` degrees (x, y, z)."""
    x, y, z = np.moveaxis(degrees, -1, 0)
    return rotation("y", y) @ rotation("x", x) @ rotation("z", z)


def trunk_angles(matrix: np.ndarray) -> np.ndarray:
    """Inverse of `trunk_matrix`."""
    x = np.arcsin(np.clip(-matrix[..., 1, 2], -1, 1))
    y = np.arctan2(matrix[..., 0, 2], matrix[..., 2, 2])
    z = np.arctan2(matrix[..., 1, 0], matrix[..., 1, 1])
    return np.degrees(np.stack([x, y, z], axis=-1))


def leg_matrix(degrees: np.ndarray) -> np.ndarray:
    """`[..., 3, 3]` of Rx Rz Ry from `[..., 3]` degrees (x, y, z)."""
    x, y, z = np.moveaxis(degrees, -1, 0)
    return rotation("x", x) @ rotation("z", z) @ rotation("y", y)


def leg_angles(matrix: np.ndarray) -> np.ndarray:
    """Inverse of `leg_matrix`."""
    x = np.arctan2(matrix[..., 2, 1], matrix[..., 1, 1])
    y = np.arctan2(matrix[..., 0, 2], matrix[..., 0, 0])
    z = np.arcsin(np.clip(-matrix[..., 0, 1], -1, 1))
    return np.degrees(np.stack([x, y, z], axis=-1))


def shoulder_matrix(direction: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """Upper arm (left, T-pose rest) in the chest frame.

    The arm swings from `SHOULDER_CENTRE` along the shortest arc, then turns about itself: no
    direction inside the cone is singular.

    Args:
        direction: `[..., 3]` (outward, up, forward).
        twist: `[...]` degrees, inward +.

    Returns:
        `[..., 3, 3]` rotations within `SHOULDER_CONE` and `SHOULDER_TWIST`.
    """
    centre = SHOULDER_CENTRE
    direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    angle = np.arccos(np.clip(direction @ centre, -1, 1))
    axis = np.cross(np.broadcast_to(centre, direction.shape), direction)
    axis /= np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)
    angle = np.minimum(angle, np.radians(SHOULDER_CONE))[..., None, None]
    skew = np.zeros((*axis.shape, 3))
    skew[..., 0, 1], skew[..., 0, 2], skew[..., 1, 2] = -axis[..., 2], axis[..., 1], -axis[..., 0]
    skew -= np.swapaxes(skew, -1, -2)
    swing = np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * (skew @ skew)
    return swing @ _SHOULDER_REST @ rotation("x", np.clip(twist, *SHOULDER_TWIST))


_SHOULDER_REST: Final = np.stack(
    [SHOULDER_CENTRE, np.cross([0.0, 1.0, 0.0], SHOULDER_CENTRE), [0.0, 1.0, 0.0]], axis=-1
)
_FLIP: Final = np.array([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
"""Element-wise factor that mirrors a rotation matrix from the left side to the right."""


def solve(pose: PoseTrack, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations and pelvis places of a pose track, within the joint limits.

    The pelvis is lowered where a planted foot would be out of reach.

    Returns:
        rotations: `[T, 50, 3, 3]` matrices, local to the parent.
        root: `[T, 3]` metres.
    """
    num_frames = len(pose.pelvis)
    local = np.broadcast_to(np.eye(3), (num_frames, NUM_JOINTS, 3, 3)).copy()
    local[:, 0] = trunk_matrix(pose.turn)
    half_head = pose.head / 2
    trunk = {"spine1": pose.spine[:, 0], "spine2": pose.spine[:, 1], "spine3": pose.spine[:, 2]}
    for name, degrees in {**trunk, "neck": half_head, "head": half_head}.items():
        low, high = np.array(TRUNK_LIMITS[name]).T
        local[:, INDEX[name]] = trunk_matrix(np.clip(degrees, low, high))
    for s in range(2):
        _solve_arm(pose, s, local)
    root = _solve_legs(pose, body, local)
    return local, root


def _solve_arm(pose: PoseTrack, s: int, local: np.ndarray) -> None:
    side, flip = SIDES[s], _FLIP if s else 1.0
    unit = pose.arm[:, s] / np.linalg.norm(pose.arm[:, s], axis=-1, keepdims=True)
    # The collar bone follows an arm that rises above the shoulder.
    collar = rotation("z", 25 * np.clip(unit[:, 1] + 0.1, 0, 1) ** 1.5)
    upper = np.swapaxes(collar, -1, -2) @ shoulder_matrix(unit, pose.twist[:, s])
    local[:, INDEX[f"{side}_collar"]] = collar * flip
    local[:, INDEX[f"{side}_shoulder"]] = upper * flip
    elbow = rotation("y", -np.clip(pose.elbow[:, s], *ELBOW_LIMIT))
    local[:, INDEX[f"{side}_elbow"]] = elbow * flip
    wrist = rotation("z", -np.clip(pose.wrist[:, s], *WRIST_LIMIT))
    local[:, INDEX[f"{side}_wrist"]] = wrist * flip
    curl = np.clip(pose.curl[:, s], *FINGER_LIMIT)
    for f, finger in enumerate(("index", "middle", "ring", "pinky")):
        for i in (1, 2, 3):
            bend = np.clip(curl * (0.9 + 0.06 * f), *FINGER_LIMIT)
            local[:, INDEX[f"{side}_{finger}{i}"]] = rotation("z", -bend) * flip
    for i in (1, 2):
        local[:, INDEX[f"{side}_thumb{i}"]] = rotation("y", 0.35 * curl) * flip


def _solve_legs(pose: PoseTrack, body: Body, local: np.ndarray) -> np.ndarray:
    leg_length = body.leg_length
    pelvis_frame = local[:, 0]
    root = pose.pelvis * leg_length + (0, body.standing_height, 0)
    feet = [_foot_targets(pose, body, s) for s in range(2)]
    hips = [pelvis_frame @ body.offsets[INDEX[f"{side}_hip"]] for side in SIDES]
    for s in range(2):
        ankle = feet[s][0]
        across = np.sum((ankle - root - hips[s])[:, [0, 2]] ** 2, axis=-1)
        ceiling = np.sqrt(np.maximum((_REACH * leg_length) ** 2 - across, 0))
        ceiling += ankle[:, 1] - hips[s][:, 1] + 4 * leg_length * pose.free[:, s]
        root[:, 1] = np.minimum(root[:, 1], ceiling)
    heading = rotation("y", pose.turn[:, 1])
    for s, side in enumerate(SIDES):
        hip = root + hips[s]
        ankle, foot_frame = feet[s]
        free = pose.free[:, s, None]
        swung = hip + (heading @ pose.leg[:, s, :, None])[..., 0] * leg_length
        ankle = ankle + free * (swung - ankle)
        # A free foot may point down: its toes stay above the floor.
        toes = free[:, 0] * -body.offsets[INDEX[f"{side}_foot"], 1] * 0.8
        ankle[:, 1] = np.maximum(ankle[:, 1], body.ankle_height + toes)
        hinge = rotation("y", pose.foot_yaw[:, s])[..., 0]
        _two_bone(side, hip, ankle, hinge, body, local)
        shin = pelvis_frame @ local[:, INDEX[f"{side}_hip"]] @ local[:, INDEX[f"{side}_knee"]]
        degrees = leg_angles(np.swapaxes(shin, -1, -2) @ foot_frame)
        loose = np.zeros_like(degrees)
        loose[:, 0] = pose.point[:, s]
        degrees += free * (loose - degrees)
        local[:, INDEX[f"{side}_ankle"]] = leg_matrix(_clamp_leg("ankle", s, degrees))
    return root


def _foot_targets(pose: PoseTrack, body: Body, s: int) -> tuple[np.ndarray, np.ndarray]:
    """Ankle places `[T, 3]` in metres and foot frames `[T, 3, 3]` of feet on the floor.

    A foot that pitches stays where its toes are, or on its heel if the toes go up.
    """
    toe = body.offsets[INDEX[f"{SIDES[s]}_foot"]]
    yaw = rotation("y", pose.foot_yaw[:, s])
    frame = yaw @ rotation("x", pose.foot_pitch[:, s])
    flat = pose.foot[:, s] * body.leg_length + (0, body.ankle_height, 0)
    ankle = flat + yaw @ toe - frame @ toe
    heel = frame @ np.array([0, -body.ankle_height, -0.4 * toe[2]])
    ankle[:, 1] += np.maximum(pose.foot[:, s, 1] * body.leg_length - ankle[:, 1] - heel[:, 1], 0)
    return ankle, frame


def _two_bone(
    side: str, hip: np.ndarray, ankle: np.ndarray, hinge: np.ndarray, body: Body, local: np.ndarray
) -> None:
    """Set hip and knee so that the ankle is reached, bending about `hinge` `[T, 3]`."""
    thigh = -body.offsets[INDEX[f"{side}_knee"], 1]
    shin = -body.offsets[INDEX[f"{side}_ankle"], 1]
    reach = ankle - hip
    distance = np.linalg.norm(reach, axis=-1)
    down = reach / np.maximum(distance, 1e-9)[:, None]
    distance = np.clip(distance, 0.25 * (thigh + shin), _REACH * (thigh + shin))
    opening = (thigh**2 + shin**2 - distance**2) / (2 * thigh * shin)
    flexion = 180 - np.degrees(np.arccos(np.clip(opening, -1, 1)))
    lead = (thigh**2 + distance**2 - shin**2) / (2 * thigh * distance)
    lead = np.arccos(np.clip(lead, -1, 1))[:, None]
    axis = hinge - np.sum(hinge * down, axis=-1, keepdims=True) * down
    axis /= np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)
    forward = np.cross(down, axis)
    along = np.cos(lead) * down + np.sin(lead) * forward
    front = np.cos(lead) * forward - np.sin(lead) * down
    frame = np.stack([axis, -along, front], axis=-1)
    s = SIDES.index(side)
    degrees = leg_angles(np.swapaxes(local[:, 0], -1, -2) @ frame)
    local[:, INDEX[f"{side}_hip"]] = leg_matrix(_clamp_leg("hip", s, degrees))
    low, high = LEG_LIMITS["knee"][0]
    local[:, INDEX[f"{side}_knee"]] = rotation("x", np.clip(flexion, low, high))


def _clamp_leg(joint: str, s: int, degrees: np.ndarray) -> np.ndarray:
    sign = np.array([1, -1, -1]) if s else np.ones(3)
    low, high = np.array(LEG_LIMITS[joint]).T
    return np.clip(degrees * sign, low, high) * sign
