"""How far a human's joints turn: ranges of the canonical joints, and what goes beyond them.

Ranges are anatomical: flexion, to the side and twist, from the T-pose. The normal ones are those
of the American Academy of Orthopaedic Surgeons (Joint Motion: Method of Measuring and Recording,
1965), as textbooks repeat them (Norkin and White, Measurement of Joint Motion). Ours are wider on
purpose: dancers go beyond the normal, the joints of recordings are not the anatomical centres, and
a rest pose of average proportions is not the dancer's. Nothing is forced into them: `twist` prefers
them where positions leave a choice, and what positions ask for beyond them is said (`beyond`).

A turn is split into a twist about the bone and a swing across it (swing-twist decomposition,
Dobrowolski, Swing-twist decomposition in Clifford algebra, 2015); the swing's rotation vector has
the two other parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

_Vector = tuple[float, float, float]
_UP: Final[_Vector] = (0.0, 1.0, 0.0)
_DOWN: Final[_Vector] = (0.0, -1.0, 0.0)
_AHEAD: Final[_Vector] = (0.0, 0.0, 1.0)
_OUT: Final[_Vector] = (1.0, 0.0, 0.0)
_IN: Final[_Vector] = (-1.0, 0.0, 0.0)
_BACK: Final[_Vector] = (0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Limit:
    """The range of one joint, of the left where there are two; the right is its mirror image.

    Attributes:
        bone: direction of its bone in the T-pose (y up, facing +z, the left at +x).
        axis: what flexion turns about, right-handed.
        flexion, side, twist: (least, most), degrees. Side turns about `axis` x `bone`, twist about
            `bone`.
    """

    bone: _Vector
    axis: _Vector
    flexion: tuple[float, float]
    side: tuple[float, float]
    twist: tuple[float, float]


_SPINE: Final = Limit(_UP, _OUT, (-50, 70), (-45, 45), (-50, 50))
_CURL: Final = Limit(_OUT, _BACK, (-25, 125), (-25, 25), (-25, 25))

LIMITS: Final[dict[str, Limit]] = {
    # part, bone, flexion axis; degrees of ours                        normal (AAOS)
    "hip": Limit(_DOWN, _IN, (-80, 160), (-60, 110), (-115, 115)),  # -30..120, -30..45, -45..45
    "knee": Limit(_DOWN, _OUT, (-10, 165), (-12, 12), (-15, 15)),  # 0..135; a hinge
    "ankle": Limit(_AHEAD, _IN, (-85, 75), (-50, 50), (-50, 50)),  # -50..20, -35..15
    "spine1": _SPINE,  # the whole back: -25..80, -35..35, -45..45, by three joints
    "spine2": _SPINE,
    "spine3": _SPINE,
    "neck": Limit(_UP, _OUT, (-100, 75), (-60, 60), (-90, 90)),  # -45..45, -45..45, -60..60
    "collar": Limit(_OUT, _DOWN, (-45, 60), (-60, 60), (-40, 40)),
    # From arms out: forward 135, back 45; up 90, down 90 and across the body; twist -70..90.
    "shoulder": Limit(_OUT, _DOWN, (-90, 150), (-120, 120), (-150, 150)),
    "elbow": Limit(_OUT, _DOWN, (-12, 165), (-12, 12), (-15, 15)),  # 0..150; a hinge
    "wrist": Limit(_OUT, _BACK, (-95, 100), (-50, 55), (-110, 110)),  # -70..80, -20..30; forearm 90
    **{
        f"{finger}1": Limit(_OUT, _BACK, (-60, 110), (-40, 40), (-30, 30))
        for finger in ("index", "middle", "pinky", "ring")
    },  # -45..90
    **{f"{finger}2": _CURL for finger in ("index", "middle", "pinky", "ring")},  # 0..100; a hinge
}
"""Part of the body -> range. Joints that are not here are free: the pelvis, and those at the end
of the canonical skeleton, whose turns no position tells."""


def part_of(joint: str) -> tuple[str, bool]:
    """`right_knee` -> (`knee`, True): the part of a canonical joint and whether it is the right."""
    side, _, part = joint.partition("_")
    return (part, side == "right") if side in ("left", "right") else (joint, False)


def flexion_axis(joint: str) -> np.ndarray:
    """`[3]` what a canonical joint's flexion turns about in the T-pose; the part has a limit."""
    part, is_right = part_of(joint)
    x, y, z = LIMITS[part].axis
    return np.array((x, -y, -z) if is_right else (x, y, z))  # the mirror image of a turn


def beyond(rotations: np.ndarray, joints: Sequence[str]) -> dict[str, float]:
    """How many degrees joints go beyond their range at most; those within it are left out.

    Args:
        rotations: `[T, K, 4]` unit quaternions, local, from the T-pose.
        joints: K canonical names.
    """
    limited = [i for i, joint in enumerate(joints) if part_of(joint)[0] in LIMITS]
    if not limited:
        return {}
    names = tuple(joints[i] for i in limited)
    axes, low, high = _frames(names)
    parts = _parts(rotations[:, limited], axes)
    excess = np.rad2deg(np.maximum(low - parts, parts - high).max(axis=(0, 2)))
    return {name: float(degrees) for name, degrees in zip(names, excess) if degrees > 0.0}


def angles(rotations: np.ndarray, joint: str) -> np.ndarray:
    """Flexion, side and twist `[..., 3]` in degrees of a canonical joint's turns `[..., 4]`."""
    axes, _, _ = _frames((joint,))
    return np.rad2deg(_parts(np.asarray(rotations)[..., None, :], axes)[..., 0, :])


@cache
def _frames(joints: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axes of flexion, side and twist `[K, 3, 3]`, and the limits `[K, 3]`, radians."""
    axes, low, high = [], [], []
    for joint in joints:
        part, is_right = part_of(joint)
        limit = LIMITS[part]
        flexion, bone = np.array(limit.axis), np.array(limit.bone)
        frame = np.stack((flexion, np.cross(flexion, bone), bone))
        axes.append(frame * (1, -1, -1) if is_right else frame)
        low.append([limit.flexion[0], limit.side[0], limit.twist[0]])
        high.append([limit.flexion[1], limit.side[1], limit.twist[1]])
    return np.array(axes), np.deg2rad(low), np.deg2rad(high)


def _parts(rotations: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Angles `[..., K, 3]` of turns `[..., K, 4]`: the swing's rotation vector along the first two
    axes `[K, 3, 3]`, the twist about the third."""
    # Of q = swing twist with w >= 0, in the (left-handed) frame of the axes; spelt out in
    # components, for most of a fit's time would be spent here.
    turns = np.asarray(rotations, dtype=np.float64)
    turns = np.where(turns[..., :1] < 0, -turns, turns)
    along = np.matmul(axes, turns[..., 1:, None])[..., 0]
    w, a, b, c = turns[..., 0], along[..., 0], along[..., 1], along[..., 2]
    cosine = np.maximum(np.hypot(w, c), 1e-12)
    x, y = (a * w + b * c) / cosine, (b * w - a * c) / cosine
    sine = np.hypot(x, y)
    scale = np.where(sine > 1e-12, 2.0 * np.arctan2(sine, cosine) / np.maximum(sine, 1e-12), 2.0)
    result = np.empty(along.shape)
    result[..., 0], result[..., 1] = scale * x, scale * y
    result[..., 2] = 2.0 * np.arctan2(c, w)
    return result
