"""Kinetic and geometric features of a dance, which FID and diversity of dances are taken on.

Kinetic: Onuma et al., "FMDistance" (2008); geometric: Mueller et al., "Efficient Content-Based
Retrieval of Motion Capture Data" (2005), both as the AIST++ dance benchmark computes them. Its
code has slips that every published figure contains, so each function has `exact`: "published"
repeats them, "fixed" does what was meant. Figures of the two are not comparable.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np

from raydance.errors import InputError

Exact = Literal["published", "fixed"]

_LEFT_SHOULDER: Final = (0.199113488, 0.236807942, -0.0180702247)
_RIGHT_SHOULDER: Final = (-0.191692337, 0.236928746, -0.0123055102)
_LEFT_ELBOW: Final = (0.454445392, 0.221158922, -0.0410167128)
_LEFT_HIP: Final = (0.0564076714, -0.323069185, 0.0109197125)
_RIGHT_HIP: Final = (-0.0624834076, -0.331302464, 0.0150412619)

HUMERUS_M: Final = math.dist(_LEFT_SHOULDER, _LEFT_ELBOW)
SHOULDER_WIDTH_M: Final = math.dist(_LEFT_SHOULDER, _RIGHT_SHOULDER)
HIP_WIDTH_M: Final = math.dist(_LEFT_HIP, _RIGHT_HIP)
"""Lengths of the mean SMPL body: thresholds are multiples of them, whoever dances."""

_NAMES: Final = (
    *("root", "lhip", "rhip", "belly", "lknee", "rknee", "spine", "lankle", "rankle", "chest"),
    *("ltoes", "rtoes", "neck", "lcollar", "rcollar", "head", "lshoulder", "rshoulder"),
    *("lelbow", "relbow", "lwrist", "rwrist"),
)
"""SMPL's first 22 joints, which are also the first of the canonical skeleton."""

_H, _S, _W = HUMERUS_M, SHOULDER_WIDTH_M, HIP_WIDTH_M
GEOMETRIC: Final[tuple[tuple[str, str, float, float], ...]] = (
    # kind, joints, threshold (of an angle: degrees from, to)
    ("normal_speed", "neck rhip lhip rwrist", 1.8 * _H, 0),
    ("normal_speed", "neck lhip rhip lwrist", 1.8 * _H, 0),
    ("normal_distance", "chest neck neck rwrist", 0.2 * _H, 0),
    ("normal_distance", "chest neck neck lwrist", 0.2 * _H, 0),
    ("approach_speed", "belly chest chest rwrist", 1.8 * _H, 0),
    ("approach_speed", "belly chest chest lwrist", 1.8 * _H, 0),
    ("angle", "relbow rshoulder relbow rwrist", 0, 110),
    ("angle", "lelbow lshoulder lelbow lwrist", 0, 110),
    ("normal_distance", "lshoulder rshoulder lwrist rwrist", 2.5 * _S, 0),
    ("approach_speed", "lwrist rwrist rwrist lwrist", 1.4 * _H, 0),
    ("approach_speed", "rwrist root lwrist root", 1.4 * _H, 0),
    ("approach_speed", "lwrist root rwrist root", 1.4 * _H, 0),
    ("speed", "rwrist", 2.5 * _H, 0),
    ("speed", "lwrist", 2.5 * _H, 0),
    ("plane_distance", "root lhip ltoes rankle", 0.38 * _H, 0),
    ("plane_distance", "root rhip rtoes lankle", 0.38 * _H, 0),
    ("normal_distance", "zero up lowest rankle", 1.2 * _H, 0),
    ("normal_distance", "zero up lowest lankle", 1.2 * _H, 0),
    ("normal_distance", "lhip rhip lankle rankle", 2.1 * _W, 0),
    ("angle", "rknee rhip rknee rankle", 0, 110),
    ("angle", "lknee lhip lknee lankle", 0, 110),
    ("speed", "rankle", 2.5 * _H, 0),
    ("speed", "lankle", 2.5 * _H, 0),
    ("angle", "neck root rshoulder relbow", 25, 180),
    ("angle", "neck root lshoulder lelbow", 25, 180),
    ("angle", "neck root rhip rknee", 50, 180),
    ("angle", "neck root lhip lknee", 50, 180),
    ("plane_distance", "rankle neck lankle root", 0.5 * _H, 0),
    ("angle", "neck root zero up", 70, 110),
    ("normal_distance", "zero down lowest rwrist", -1.2 * _H, 0),
    ("normal_distance", "zero down lowest lwrist", -1.2 * _H, 0),
    ("speed", "root", 2.3 * _H, 0),
)
"""The 32 geometric features, in the order of the published vectors."""


def protocol_crop(
    joints: np.ndarray, *, fps: float = 60.0, seconds: float | None = 20.0
) -> np.ndarray:
    """A dance as Bailando gives it to the features: from its first pelvis on, at most 20 s.

    The published kinetic features depend on where the origin is, so figures are only comparable
    after this.

    Args:
        joints: `[T, J, 3]`, metres; joint 0 is the pelvis.
        fps: frames per second.
        seconds: that are kept; None for all, as of the real dances.

    Returns:
        `[min(T, seconds * fps), J, 3]`.

    Raises:
        InputError: a wrong shape or values that are not finite.
    """
    joints = checked_joints(joints, min_frames=1)
    check_options(fps, "published")
    kept = joints if seconds is None else joints[: max(1, round(seconds * fps))]
    return kept - joints[0, 0]


def kinetic_features(
    joints: np.ndarray, *, fps: float = 60.0, exact: Exact = "published"
) -> np.ndarray:
    """Per joint the mean squared horizontal and vertical speed, and the mean acceleration.

    Velocity and acceleration are means over windows of five frames, cut at the ends. Published:
    the earlier velocity within the acceleration is `p[i] - p[i-1] / dt` (a slip of precedence for
    `(p[i] - p[i-1]) / dt`), so the third figure mostly says how far the joint is from the origin.

    Args:
        joints: `[T, J, 3]`, metres, y up, at least 3 frames.
        fps: frames per second; published figures are at 60.
        exact: "published" or "fixed".

    Returns:
        `[3 J]`: horizontal (m^2/s^2), vertical (m^2/s^2), acceleration (m/s^2) of each joint in
        turn. Published vectors are these, rounded to float32.

    Raises:
        InputError: a wrong shape, too few frames, values that are not finite, an unknown `exact`.
    """
    joints = checked_joints(joints, min_frames=3)
    check_options(fps, exact)
    dt = 1.0 / fps
    step = np.diff(joints, axis=0)  # step[i] leads to frame i + 1
    velocity = _window_mean(step / dt)
    horizontal = (velocity[..., [0, 2]] ** 2).sum(axis=-1).mean(axis=0)
    vertical = (velocity[..., 1] ** 2).mean(axis=0)
    later = step[1:] / dt
    earlier = joints[1:-1] - joints[:-2] / dt if exact == "published" else step[:-1] / dt
    acceleration = _window_mean((later - earlier) / dt, extra=1)
    expenditure = np.linalg.norm(acceleration, axis=-1).mean(axis=0)
    return np.stack([horizontal, vertical, expenditure], axis=-1).reshape(-1)


def geometric_features(
    joints: np.ndarray, *, fps: float = 60.0, exact: Exact = "published"
) -> np.ndarray:
    """Share of the frames in which each of 32 geometric conditions holds (`GEOMETRIC`).

    Published: speeds are taken as if motion ran at 120 frames per second, whatever its rate, and
    the four `approach_speed` conditions never look at their last joint.

    Args:
        joints: `[T, J, 3]`, metres, y up; the first 22 joints are SMPL's (also of HumanML3D and
            the canonical skeleton); at least 2 frames. The first frame only gives speeds.
        fps: frames per second, which only "fixed" looks at.
        exact: "published" or "fixed".

    Returns:
        `[32]`, in [0, 1].

    Raises:
        InputError: a wrong shape, too few frames or joints, values that are not finite, an
            unknown `exact`.
    """
    joints = checked_joints(joints, min_frames=2)
    check_options(fps, exact)
    if joints.shape[1] < len(_NAMES):
        raise InputError(f"joints has {joints.shape[1]} joints; SMPL's first {len(_NAMES)} needed")
    rate = 120.0 if exact == "published" else fps
    places = {name: joints[:, i] for i, name in enumerate(_NAMES)}
    up = np.zeros_like(joints[:, 0])
    up[:, 1] = 1.0
    lowest = np.where(up > 0, joints[..., 1].min(axis=1)[:, None], 0.0)
    places |= {"zero": np.zeros_like(up), "up": up, "down": -up, "lowest": lowest}
    shares = []
    for kind, names, low, high in GEOMETRIC:
        value = _quantity(kind, [places[name] for name in names.split()], rate, exact)
        holds = (value > low) & (value < high) if kind == "angle" else value > low
        shares.append(holds.mean())
    return np.array(shares)


def _quantity(kind: str, p: list[np.ndarray], rate: float, exact: Exact) -> np.ndarray:
    """`[T - 1]`: what a condition compares, from places `[T, 3]`; without the first frame."""
    now = [place[1:] for place in p]
    if kind == "speed":
        return np.linalg.norm(np.diff(p[0], axis=0), axis=-1) * rate
    a, b, c, d = now
    if kind == "angle":
        cosine = _dot(b - a, d - c) / _norm(b - a) / _norm(d - c)
        return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    if kind == "normal_distance":
        return _dot(b - a, d - c) / _norm(b - a)
    if kind == "plane_distance":
        normal = np.cross(c - a, b - a)
        return _dot(normal, d - a) / _norm(normal)
    if kind == "normal_speed":
        normal = np.cross(c - a, b - a)
        return _dot(np.diff(p[3] - p[0], axis=0), normal) / _norm(normal) * rate
    assert kind == "approach_speed"
    moving, base = (p[2], p[0]) if exact == "published" else (p[3], p[2])
    return _dot(np.diff(moving - base, axis=0), b - a) / _norm(b - a) * rate


def _window_mean(values: np.ndarray, extra: int = 0) -> np.ndarray:
    """Mean over up to two neighbours on each side, for every frame but the first.

    With `extra`, frames beyond the last value also count: their window holds what is left.
    """
    num = len(values)
    total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    middle = np.arange(num + extra)
    start, stop = np.clip(middle - 2, 0, num), np.clip(middle + 3, 0, num)
    return (total[stop] - total[start]) / (stop - start)[:, None, None]


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=-1)


def _norm(a: np.ndarray) -> np.ndarray:
    # Two joints in one place: the condition does not hold, instead of a division by zero.
    length = np.linalg.norm(a, axis=-1)
    return np.where(length > 0, length, np.nan)


def check_options(fps: float, exact: str) -> None:
    """Raises InputError for a rate that is not positive or an unknown `exact`."""
    if exact not in ("published", "fixed"):
        raise InputError(f"exact is {exact!r}; allowed: 'published', 'fixed'")
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"{fps} frames per second; a positive number is needed")


def checked_joints(joints: np.ndarray, min_frames: int) -> np.ndarray:
    """`[T, J, 3]` as float64; raises InputError for other shapes and values not finite."""
    joints = np.asarray(joints, dtype=np.float64)
    if joints.ndim != 3 or joints.shape[-1] != 3 or 0 in joints.shape:
        raise InputError(f"joints has shape {joints.shape}, [frames, joints, 3] is needed")
    if len(joints) < min_frames:
        raise InputError(f"joints has {len(joints)} frames, at least {min_frames} are needed")
    if not np.isfinite(joints).all():
        raise InputError("joints holds values that are not finite")
    return joints
