"""Kinematic descriptors of a window: speeds, reach, heights, smoothness, sides, travel.

Not from a paper. Two uses: features for the baseline that learns nothing (nearest neighbour),
and words for clusters without a description (`derive_caption`; the caller marks them as derived).
Motion is on the canonical 50 joints, metres, y up, the floor at the window's lowest foot.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion.skeleton import INDEX, NUM_JOINTS

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "head": ("neck", "head"),
    "trunk": ("pelvis", "spine1", "spine2", "spine3"),
    "left_arm": ("left_shoulder", "left_elbow", "left_wrist"),
    "right_arm": ("right_shoulder", "right_elbow", "right_wrist"),
    "left_leg": ("left_knee", "left_ankle", "left_foot"),
    "right_leg": ("right_knee", "right_ankle", "right_foot"),
}
"""Body part -> its joints."""

DESCRIPTORS: Final[dict[str, str]] = {
    **{f"{part}_speed": "m/s, mean" for part in PARTS},
    "peak_speed": "m/s, 95th percentile over frames of the fastest of wrists, ankles and head",
    "mean_acceleration": "m/s2, mean over wrists, ankles and head",
    "peak_acceleration": "m/s2, 95th percentile over frames, greatest of wrists, ankles and head",
    "attack": "1, peak over mean speed of wrists, ankles and head: 1 even, large abrupt",
    "stillness": "1, share of frames in which wrists, ankles and head move below 0.15 m/s",
    "jerkiness": "ln, dimensionless jerk of wrists, ankles and head: small smooth, large jerky",
    "rhythm": "Hz, mean frequency of the movement relative to the pelvis, weighted by energy",
    "extent": "m3, mean volume of the box around the body joints",
    "hand_spread": "m, mean distance between the wrists",
    "hand_spread_range": "m",
    "foot_spread": "m, mean horizontal distance between the ankles",
    "left_reach": "m, greatest distance of wrist from shoulder",
    "right_reach": "m, greatest distance of wrist from shoulder",
    "left_hand_height": "m, highest, over the floor",
    "right_hand_height": "m, highest, over the floor",
    "left_foot_height": "m, highest, over the floor",
    "right_foot_height": "m, highest, over the floor",
    "pelvis_height": "m, mean, over the floor",
    "pelvis_height_min": "m",
    "pelvis_height_range": "m",
    "leg_bend": "1, 1 - mean of (hip to ankle) / (thigh + shin): 0 straight",
    "head_height": "m, mean, over the floor",
    "lean": "degrees, mean angle of pelvis to neck from upright",
    "lean_range": "degrees",
    "arm_side": "1, (left - right) / (left + right) arm speed relative to the trunk: + left leads",
    "leg_side": "1, the same for the legs, in the room",
    "travel": "m, pelvis from first to last frame on the floor plane",
    "path_length": "m, way of the pelvis on the floor plane",
    "turn": "degrees, net turn of the hips, + to the left",
    "turn_total": "degrees, sum of turns either way",
    "left_contact": "1, share of frames with the left foot on the floor and still",
    "right_contact": "1, share of frames with the right foot on the floor and still",
    "flight": "1, share of frames with both feet off the floor",
}
"""Name -> unit and meaning of each column of `descriptors`, in order."""

_ENDS: Final = ("left_wrist", "right_wrist", "left_ankle", "right_ankle", "head")
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "hand_spread": ("left_wrist", "right_wrist"),
    "hand_spread_range": ("left_wrist", "right_wrist"),
    "foot_spread": ("left_ankle", "right_ankle"),
    "pelvis_height": ("pelvis",),
    "pelvis_height_min": ("pelvis",),
    "pelvis_height_range": ("pelvis",),
    "leg_bend": tuple(f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle")),
    "head_height": ("head",),
    "lean": ("pelvis", "neck"),
    "lean_range": ("pelvis", "neck"),
    "arm_side": ("left_wrist", "right_wrist"),
    "leg_side": ("left_ankle", "right_ankle"),
    "travel": ("pelvis",),
    "path_length": ("pelvis",),
    "turn": ("left_hip", "right_hip"),
    "turn_total": ("left_hip", "right_hip"),
    "flight": ("left_ankle", "right_ankle"),
    **{f"{s}_reach": (f"{s}_shoulder", f"{s}_wrist") for s in ("left", "right")},
    **{f"{s}_hand_height": (f"{s}_wrist",) for s in ("left", "right")},
    **{f"{s}_foot_height": (f"{s}_ankle",) for s in ("left", "right")},
    **{f"{s}_contact": (f"{s}_ankle",) for s in ("left", "right")},
}
"""Descriptor -> joints without which it cannot be measured."""


def descriptors(
    motion: np.ndarray, joint_mask: np.ndarray | None = None, fps: float = 20.0
) -> np.ndarray:
    """Measure windows.

    Args:
        motion: `[N, T, 50, 3]`, metres, y up, T at least 4.
        joint_mask: `[N, 50]` or `[50]` booleans; None for all. What needs an absent joint is
            exactly 0, which a moving body never measures.
        fps: frames per second.

    Returns:
        `[N, D]` float32, columns as in `DESCRIPTORS`.

    Raises:
        InputError: a wrong shape, too few frames, or values that are not finite in joints that
            are there.
    """
    motion = np.asarray(motion, dtype=np.float64)
    if motion.ndim != 4 or motion.shape[2:] != (NUM_JOINTS, 3) or motion.shape[1] < 4:
        raise InputError(f"shape {motion.shape}: [N, T, {NUM_JOINTS}, 3] with T >= 4 is needed")
    mask = np.ones(NUM_JOINTS, dtype=bool) if joint_mask is None else np.asarray(joint_mask, bool)
    if mask.shape not in ((NUM_JOINTS,), (len(motion), NUM_JOINTS)):
        raise InputError(f"joint mask of shape {mask.shape}: [N, {NUM_JOINTS}] is needed")
    mask = np.broadcast_to(mask, (len(motion), NUM_JOINTS))
    place = np.where(mask[:, None, :, None], motion, 0.0)
    if not np.isfinite(place).all():
        raise InputError("values that are not finite in joints that are there")
    columns = {
        **_speeds(place, mask, fps),
        **_shape(place, mask),
        **_heights(place, mask),
        **_sides_and_ways(place, mask, fps),
    }
    for name, joints in _NEEDS.items():
        columns[name] = np.where(_has(mask, *joints), columns[name], 0.0)
    return np.stack([columns[name] for name in DESCRIPTORS], axis=-1).astype(np.float32)


def _at(place: np.ndarray, *joints: str) -> np.ndarray:
    """`[N, T, len(joints), 3]`, or `[N, T, 3]` for one."""
    return place[:, :, INDEX[joints[0]] if len(joints) == 1 else [INDEX[j] for j in joints]]


def _has(mask: np.ndarray, *joints: str) -> np.ndarray:
    return np.asarray(mask[:, [INDEX[j] for j in joints]].all(axis=1))


def _mean(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean over time and present joints of `[N, T, K]` with `[N, K]`; 0 where none is present."""
    total = (values.mean(axis=1) * present).sum(axis=1)
    return total / np.maximum(present.sum(axis=1), 1)


def _speed(place: np.ndarray, fps: float) -> np.ndarray:
    return np.linalg.norm(np.diff(place, axis=1), axis=-1) * fps


def _speeds(place: np.ndarray, mask: np.ndarray, fps: float) -> dict[str, np.ndarray]:
    columns = {}
    for part, joints in PARTS.items():
        present = mask[:, [INDEX[j] for j in joints]]
        columns[f"{part}_speed"] = _mean(_speed(_at(place, *joints), fps), present)
    ends, present = _at(place, *_ENDS), mask[:, [INDEX[j] for j in _ENDS]]
    speed = _speed(ends, fps)
    acceleration = np.linalg.norm(np.diff(ends, n=2, axis=1), axis=-1) * fps**2
    jerk = np.sum(np.diff(ends, n=3, axis=1) ** 2, axis=-1) * fps**6
    fastest = (speed * present[:, None]).max(axis=-1)
    mean_speed = _mean(speed, present)
    columns["peak_speed"] = np.quantile(fastest, 0.95, axis=1)
    columns["mean_acceleration"] = _mean(acceleration, present)
    greatest = (acceleration * present[:, None]).max(axis=-1)
    columns["peak_acceleration"] = np.quantile(greatest, 0.95, axis=1)
    together = (speed * present[:, None]).sum(axis=-1) / np.maximum(present.sum(1), 1)[:, None]
    peak = np.quantile(together, 0.95, axis=1)
    columns["attack"] = np.where(mean_speed > 1e-3, peak / np.maximum(mean_speed, 1e-3), 0.0)
    columns["stillness"] = ((fastest < 0.15).mean(axis=1)) * present.any(axis=1)
    # Dimensionless: integral of squared jerk, times duration^3 over peak speed^2. The floor on
    # the speed keeps a motionless joint's noise from counting as the jerkiest of all.
    duration_s = ends.shape[1] / fps
    top = np.maximum(speed.max(axis=1), 0.2)
    jerky = np.log(np.maximum(jerk.mean(axis=1) * duration_s**4 / top**2, 1.0))
    columns["jerkiness"] = (jerky * present).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    columns["rhythm"] = _rhythm(ends - place[:, :, :1], present, fps)
    return columns


def _rhythm(ends: np.ndarray, present: np.ndarray, fps: float) -> np.ndarray:
    centred = ends - ends.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, axis=1)) ** 2
    power = (power.sum(axis=-1) * present[:, None]).sum(axis=-1)
    frequency_hz = np.fft.rfftfreq(ends.shape[1], 1 / fps)
    total = power.sum(axis=1)
    return np.where(total > 1e-6, power @ frequency_hz / np.maximum(total, 1e-6), 0.0)


def _shape(place: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    body = np.arange(22)
    here = mask[:, None, body, None]
    high = np.where(here, place[:, :, body], -np.inf).max(axis=2)
    low = np.where(here, place[:, :, body], np.inf).min(axis=2)
    sizes = np.where(np.isfinite(high), high, 0) - np.where(np.isfinite(low), low, 0)
    hands = np.linalg.norm(_at(place, "left_wrist") - _at(place, "right_wrist"), axis=-1)
    feet = (_at(place, "left_ankle") - _at(place, "right_ankle"))[..., [0, 2]]
    columns = {
        "extent": sizes.prod(axis=-1).mean(axis=1),
        "hand_spread": hands.mean(axis=1),
        "hand_spread_range": np.ptp(hands, axis=1),
        "foot_spread": np.linalg.norm(feet, axis=-1).mean(axis=1),
    }
    for side in ("left", "right"):
        arm = _at(place, f"{side}_wrist") - _at(place, f"{side}_shoulder")
        columns[f"{side}_reach"] = np.linalg.norm(arm, axis=-1).max(axis=1)
    return columns


def _floor(place: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`[N]` height of the lowest foot joint, or of the lowest joint where there are no feet."""
    feet = [INDEX[f"{side}_{joint}"] for side in ("left", "right") for joint in ("ankle", "foot")]
    height = np.where(mask[:, None], place[..., 1], np.inf).min(axis=1)
    has_feet = mask[:, feet].any(axis=1)
    lowest = np.where(has_feet, height[:, feet].min(axis=1), height.min(axis=1))
    return np.where(np.isfinite(lowest), lowest, 0.0)


def _heights(place: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    height = place[..., 1] - _floor(place, mask)[:, None, None]
    pelvis = height[:, :, 0]
    columns = {
        "pelvis_height": pelvis.mean(axis=1),
        "pelvis_height_min": pelvis.min(axis=1),
        "pelvis_height_range": np.ptp(pelvis, axis=1),
        "head_height": height[:, :, INDEX["head"]].mean(axis=1),
    }
    bends = []
    for side in ("left", "right"):
        hip, knee, ankle = (_at(place, f"{side}_{j}") for j in ("hip", "knee", "ankle"))
        bones = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
        bends.append(1 - np.linalg.norm(ankle - hip, axis=-1) / np.maximum(bones, 1e-6))
        columns[f"{side}_hand_height"] = height[:, :, INDEX[f"{side}_wrist"]].max(axis=1)
        columns[f"{side}_foot_height"] = height[:, :, INDEX[f"{side}_ankle"]].max(axis=1)
    columns["leg_bend"] = np.mean(bends, axis=(0, 2))
    trunk = _at(place, "neck") - _at(place, "pelvis")
    lean = np.degrees(np.arctan2(np.hypot(trunk[..., 0], trunk[..., 2]), trunk[..., 1]))
    columns["lean"], columns["lean_range"] = lean.mean(axis=1), np.ptp(lean, axis=1)
    return columns


def _sides_and_ways(place: np.ndarray, mask: np.ndarray, fps: float) -> dict[str, np.ndarray]:
    columns = {}
    # An arm counts relative to the trunk that carries it; a leg on the floor carries the body.
    trunk = np.where(_has(mask, "spine3")[:, None, None], _at(place, "spine3"), 0.0)
    for part, joint, carrier in (("arm", "wrist", trunk), ("leg", "ankle", 0.0)):
        left, right = (
            _speed(_at(place, f"{side}_{joint}") - carrier, fps).mean(axis=1)
            for side in ("left", "right")
        )
        columns[f"{part}_side"] = (left - right) / np.maximum(left + right, 0.05)
    ground = place[:, :, 0][..., [0, 2]]
    columns["travel"] = np.linalg.norm(ground[:, -1] - ground[:, 0], axis=-1)
    columns["path_length"] = np.linalg.norm(np.diff(ground, axis=1), axis=-1).sum(axis=1)
    across = _at(place, "left_hip") - _at(place, "right_hip")
    heading = np.unwrap(np.arctan2(-across[..., 2], across[..., 0]), axis=1)
    columns["turn"] = np.degrees(heading[:, -1] - heading[:, 0])
    columns["turn_total"] = np.degrees(np.abs(np.diff(heading, axis=1)).sum(axis=1))
    off = []
    for side in ("left", "right"):
        ankle = _at(place, f"{side}_ankle")
        height = ankle[..., 1] - ankle[..., 1].min(axis=1, keepdims=True)
        slow = _speed(ankle, fps) < 0.3
        columns[f"{side}_contact"] = ((height[:, 1:] < 0.06) & slow).mean(axis=1)
        off.append(height > 0.08)
    columns["flight"] = (off[0] & off[1]).mean(axis=1)
    return columns
