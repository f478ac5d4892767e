"""The procedural dancer's body: rest skeleton, joint limits, and from a pose track to joints.

Not from any paper: it serves the embedded corpus, so that everything runs without a download.
A movement writes a `PoseTrack` (where the pelvis and feet are, how spine, head and arms point);
`solve` turns it into local rotations. Legs are solved by two-bone inverse kinematics, so that a
planted foot neither slides nor sinks. Frame: y up, metres, rest facing +z, left = +x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.motion.skeleton import INDEX, NUM_JOINTS, PARENTS

SIDES: Final = ("left", "right")

TRUNK_LIMITS: Final[dict[str, tuple[tuple[float, float], ...]]] = {
    # joint: ranges in degrees of (x: bend forward +, y: turn left +, z: lean right +)
    "spine1": ((-22, 38), (-22, 22), (-22, 22)),
    "spine2": ((-22, 38), (-22, 22), (-22, 22)),
    "spine3": ((-22, 38), (-22, 22), (-22, 22)),
    "neck": ((-30, 35), (-45, 45), (-25, 25)),
    "head": ((-30, 35), (-45, 45), (-25, 25)),
}
"""A trunk joint rotates as Ry Rx Rz."""

LEG_LIMITS: Final[dict[str, tuple[tuple[float, float], ...]]] = {
    # joint: ranges in degrees of (x, y: outward turn +, z: outward lift +), for the left side;
    # x is extension + for the hip, flexion + for the knee and pointed toes + for the ankle.
    "hip": ((-135, 35), (-50, 70), (-40, 80)),
    "knee": ((0, 155), (0, 0), (0, 0)),
    "ankle": ((-48, 60), (-45, 45), (-55, 55)),
}
"""A leg joint rotates as Rx Rz Ry; the right side mirrors y and z."""

ELBOW_LIMIT: Final = (0.0, 150.0)
WRIST_LIMIT: Final = (-60.0, 60.0)
FINGER_LIMIT: Final = (0.0, 90.0)
SHOULDER_CENTRE: Final = np.array([0.6, 0.0, 0.8])
"""Middle of the upper arm's range in the chest frame (outward, up, forward)."""
SHOULDER_CONE: Final = 122.0
"""Largest angle in degrees between the upper arm and `SHOULDER_CENTRE`."""
SHOULDER_TWIST: Final = (-90.0, 110.0)
"""Range in degrees of the upper arm's turn inward about itself."""

TOE_HEIGHT: Final = 0.02
"""Height in metres of the toe joint above the floor of a flat foot."""
_STANDING: Final = 0.992
_REACH: Final = 0.998


def _rest_offsets() -> np.ndarray:
    """`[50, 3]` metres: a T-pose of 1.70 m, palms down."""
    offsets = np.zeros((NUM_JOINTS, 3))
    middle: dict[str, tuple[float, float, float]] = {
        "spine1": (0, 0.115, -0.012),
        "spine2": (0, 0.135, 0.004),
        "spine3": (0, 0.06, 0.004),
        "neck": (0, 0.205, -0.012),
        "head": (0, 0.085, 0.045),
    }
    left: dict[str, tuple[float, float, float]] = {
        "hip": (0.088, -0.07, 0),
        "knee": (0, -0.39, 0),
        "ankle": (0, -0.4, 0),
        "foot": (0, -0.06, 0.135),
        "collar": (0.075, 0.115, -0.008),
        "shoulder": (0.105, 0.025, -0.008),
        "elbow": (0.262, 0, 0),
        "wrist": (0.25, 0, 0),
    }
    knuckles = {"index": 0.028, "middle": 0.008, "ring": -0.012, "pinky": -0.03}
    for finger, z in knuckles.items():
        length = 0.026 if finger == "pinky" else 0.032
        left[f"{finger}1"] = (0.088 - abs(z) * 0.2, 0, z)
        left[f"{finger}2"] = (length, 0, 0)
        left[f"{finger}3"] = (length * 0.75, 0, 0)
    left["thumb1"] = (0.03, -0.012, 0.032)
    left["thumb2"] = (0.032, -0.004, 0.022)
    for name, offset in middle.items():
        offsets[INDEX[name]] = offset
    for name, offset in left.items():
        offsets[INDEX[f"left_{name}"]] = offset
        offsets[INDEX[f"right_{name}"]] = np.array(offset) * (-1, 1, 1)
    return offsets


REST_OFFSETS: Final = _rest_offsets()


@dataclass(frozen=True, kw_only=True)
class Body:
    """One dancer's proportions. `offsets`: `[50, 3]` metres from each joint's parent at rest."""

    offsets: np.ndarray

    @property
    def leg_length(self) -> float:
        """Thigh and shin, metres."""
        return float(-self.offsets[INDEX["left_knee"], 1] - self.offsets[INDEX["left_ankle"], 1])

    @property
    def ankle_height(self) -> float:
        """Height of the ankle of a flat foot, metres."""
        return float(TOE_HEIGHT - self.offsets[INDEX["left_foot"], 1])

    @property
    def standing_height(self) -> float:
        """Height of the pelvis when standing at ease, metres."""
        hip = float(self.offsets[INDEX["left_hip"], 1])
        return self.ankle_height + _STANDING * self.leg_length - hip


def make_body(rng: np.random.Generator) -> Body:
    """A symmetric body of 1.5 to 1.9 m whose limbs, trunk and widths vary on their own."""
    offsets = REST_OFFSETS.copy()
    height = rng.uniform(1.50, 1.90) / 1.70
    leg, arm, trunk = rng.uniform(0.94, 1.06, size=3)
    shoulders, hips = rng.uniform(0.9, 1.1, size=2)
    for name, i in INDEX.items():
        part = name.split("_")[-1]
        if part in ("knee", "ankle"):
            offsets[i] *= leg
        elif part in ("elbow", "wrist"):
            offsets[i] *= arm
        elif part in ("spine1", "spine2", "spine3", "neck"):
            offsets[i] *= trunk
        elif part in ("collar", "shoulder"):
            offsets[i, 0] *= shoulders
        elif part == "hip":
            offsets[i, 0] *= hips
    return Body(offsets=offsets * height)


class PoseTrack:
    """What a movement writes, frame by frame; starts as standing at ease.

    Angles are in degrees, places in leg lengths, the last axis of a place or turn is (x, y, z),
    axis 1 of `[T, 2, ...]` is (left, right). Arm directions are (outward, up, forward), so that
    the same numbers serve both arms.

    Attributes:
        pelvis: `[T, 3]` place relative to standing at the origin.
        turn: `[T, 3]` rotation of the pelvis, as Ry Rx Rz.
        spine: `[T, 3, 3]` rotation of spine1, spine2 and spine3 (`TRUNK_LIMITS`).
        head: `[T, 3]` rotation, shared equally by neck and head.
        arm: `[T, 2, 3]` direction of the upper arm in the chest frame, any length but zero.
        twist: `[T, 2]` upper arm about itself, inward +; at 0 a bent forearm points upward from
            an arm held level, at 37 forward from an arm that hangs.
        elbow, wrist, curl: `[T, 2]` flexions; `curl` of the fingers (15 relaxed, 80 a fist).
        foot: `[T, 2, 3]` place of the flat foot's ankle on the floor; y is lift.
        foot_yaw, foot_pitch: `[T, 2]` of the foot in the world; pitch + lifts the heel.
        free: `[T, 2]` in [0, 1]: how far a leg leaves `foot` and follows `leg`.
        leg: `[T, 2, 3]` ankle relative to the hip for a free leg, turned with the pelvis' yaw.
        point: `[T, 2]` pointing of a free foot.
    """

    def __init__(self, num_frames: int, width: float = 0.13, toe_out: float = 8.0) -> None:
        self.pelvis = np.zeros((num_frames, 3))
        self.turn = np.zeros((num_frames, 3))
        self.spine = np.zeros((num_frames, 3, 3))
        self.head = np.zeros((num_frames, 3))
        self.arm = np.tile([0.2, -1.0, 0.03], (num_frames, 2, 1))
        self.twist = np.full((num_frames, 2), 45.0)
        self.elbow = np.full((num_frames, 2), 18.0)
        self.wrist = np.zeros((num_frames, 2))
        self.curl = np.full((num_frames, 2), 18.0)
        self.foot = np.zeros((num_frames, 2, 3))
        self.foot[:, :, 0] = (width, -width)
        self.foot_yaw = np.tile([toe_out, -toe_out], (num_frames, 1))
        self.foot_pitch = np.zeros((num_frames, 2))
        self.free = np.zeros((num_frames, 2))
        self.leg = np.tile([0.0, -0.9, 0.0], (num_frames, 2, 1))
        self.point = np.full((num_frames, 2), 25.0)


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


def joint_places(local: np.ndarray, root: np.ndarray, body: Body) -> np.ndarray:
    """Forward kinematics of local matrices: `[T, 50, 3]` metres."""
    frames = local.copy()
    places = np.empty((len(root), NUM_JOINTS, 3))
    places[:, 0] = root
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        places[:, joint] = places[:, parent] + frames[:, parent] @ body.offsets[joint]
        frames[:, joint] = frames[:, parent] @ local[:, joint]
    return places
