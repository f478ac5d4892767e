"""The procedural dancer's body: rest skeleton, joint limits, and what a movement writes.

Not from any paper: it serves the embedded corpus, so that everything runs without a download.
A movement writes a `PoseTrack` (where the pelvis and feet are, how spine, head and arms point);
`synthetic_solve` turns it into local rotations. Frame: y up, metres, rest facing +z, left = +x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.motion.skeleton import INDEX, NUM_JOINTS

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
