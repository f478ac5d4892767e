"""Plausibility checks of a body, which find wrong joint names, orders and axes.

A wrong guess about a file need not cause an error, but the body shows it: hips that coincide, limbs
of zero or changing length, different sides, a head that is never above the feet, or an impossible
height.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.motion.mapping import MappedMotion, map_to_canonical
from raydance.motion.skeleton import INDEX

HEIGHT_M: Final = (0.6, 2.6)
"""Of a person; anything else is a mistaken unit, or no person."""

BODY_SIZE_M: Final = (0.1, 5.0)
"""From the pelvis to the furthest joint; anything else is a mistaken unit."""

_LIMBS: Final = {
    "thigh": ("hip", "knee"),
    "shin": ("knee", "ankle"),
    "upper arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}
_LIMB_JOINTS: Final = ("knee", "ankle", "shoulder", "elbow", "wrist")
_LEG_SHARE: Final = 0.49  # of the height, see `units`
_COINCIDE: Final = 0.015  # of the body's extent; hips are about 0.1 apart
_FAR_PELVIS: Final = 0.2  # of the body's extent; it is about 0.06
_NO_LENGTH: Final = 0.03  # of the body's extent; a forearm is about 0.15
_MAX_CHANGE: Final = 0.5  # of a limb's length; keypoints of a single camera stay below
_MAX_SIDES: Final = 1.6  # the longer side by the shorter
_LYING: Final = 0.3  # sine of the body's slope
_MAX_FRAMES: Final = 100
_MAX_NAMES: Final = 12


def doubts(mapped: MappedMotion) -> list[str]:
    """Reasons against this being a plausible body, as sentences; empty if there are none."""
    some = mapped.positions[:: max(1, len(mapped.positions) // _MAX_FRAMES)].astype(np.float64)
    joints = {name: some[:, INDEX[name]] for name in mapped.matched}
    kept = some[:, mapped.joint_mask]
    extent = float(np.median(np.linalg.norm(kept.max(axis=1) - kept.min(axis=1), axis=-1)))
    found = list(_about_limbs(joints, max(extent, 1e-9)))
    if _lies_always(joints):
        found.append("the head is not above the feet in any frame (is another axis up?)")
    return found


def clip_doubts(clip: Clip) -> list[str]:
    """`doubts` of a clip; none where its joints cannot be mapped, which is refused elsewhere."""
    try:
        return doubts(map_to_canonical(clip))
    except InputError:
        return []


def left_out(mapped: MappedMotion) -> str:
    """Which limbs a source's joints did not give though some joints found no place; or empty."""
    missing = [
        f"{side}_{joint}"
        for joint in _LIMB_JOINTS
        for side in ("left", "right")
        if f"{side}_{joint}" in mapped.missing
    ]
    free = [name for name in mapped.unmatched_source if not name.endswith("_end")]
    if not (missing and free):
        return ""
    more = ", ..." if len(free) > _MAX_NAMES else ""
    return (
        f"no {', '.join(missing)} among the joints; left out: {', '.join(free[:_MAX_NAMES])}{more} "
        "(a mapping file can name them)"
    )


def hips_coincide(mapped: MappedMotion) -> bool:
    """Whether the hips coincide in nearly every frame, so that the body has no facing direction."""
    hips = mapped.positions[:, [INDEX["left_hip"], INDEX["right_hip"]]]
    kept = mapped.positions[:, mapped.joint_mask]
    extent = np.linalg.norm(kept.max(axis=1) - kept.min(axis=1), axis=-1)
    apart = np.linalg.norm(hips[:, 0] - hips[:, 1], axis=-1)
    return bool(np.median(apart) < 1e-3 * np.median(extent))


def _about_limbs(joints: dict[str, np.ndarray], extent: float) -> Iterator[str]:
    apart = float(np.median(np.linalg.norm(joints["left_hip"] - joints["right_hip"], axis=-1)))
    if apart < _COINCIDE * extent:
        yield f"the hips coincide ({apart:.2g} m apart)"
    middle = (joints["left_hip"] + joints["right_hip"]) / 2
    away = float(np.median(np.linalg.norm(joints["pelvis"] - middle, axis=-1)))
    if away > _FAR_PELVIS * extent:
        yield f"the pelvis is {away:.2g} m from the hips (is it a root on the floor?)"
    lengths = dict(_limb_lengths(joints))
    medians = {name: float(np.median(length)) for name, length in lengths.items()}
    none = [name for name, length in medians.items() if length < _NO_LENGTH * extent]
    if none:
        yield f"limbs of no length: {', '.join(none)}"
    changing = [
        name
        for name, length in lengths.items()
        if name not in none
        and np.subtract(*np.quantile(length, (0.95, 0.05))) > _MAX_CHANGE * medians[name]
    ]
    if changing:
        yield f"limbs that change their length: {', '.join(changing)}"
    for limb in _LIMBS:
        pair = [medians.get(f"{side} {limb}", 0.0) for side in ("left", "right")]
        if min(pair) > _NO_LENGTH * extent and max(pair) > _MAX_SIDES * min(pair):
            yield f"the {limb}s differ: {pair[0]:.2g} m on the left, {pair[1]:.2g} m on the right"
    legs = [
        medians[f"{side} thigh"] + medians[f"{side} shin"]
        for side in ("left", "right")
        if f"{side} thigh" in medians and f"{side} shin" in medians
    ]
    height = max(legs, default=0.0) / _LEG_SHARE
    if legs and not HEIGHT_M[0] <= height <= HEIGHT_M[1]:
        low, high = HEIGHT_M
        yield f"the body is {height:.3g} m tall, judged by its legs; people are {low} to {high} m"


def _limb_lengths(joints: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Each limb and its length `[T]` in metres."""
    for side in ("left", "right"):
        for limb, (first, last) in _LIMBS.items():
            ends = joints.get(f"{side}_{first}"), joints.get(f"{side}_{last}")
            if ends[0] is not None and ends[1] is not None:
                yield f"{side} {limb}", np.linalg.norm(ends[0] - ends[1], axis=-1)


def _lies_always(joints: dict[str, np.ndarray]) -> bool:
    top = joints.get("head", joints.get("neck"))
    feet = [joints[f"{side}_ankle"] for side in ("left", "right") if f"{side}_ankle" in joints]
    if top is None or not feet:
        return False
    along = top - np.mean(feet, axis=0)
    slope = along[:, 1] / np.maximum(np.linalg.norm(along, axis=-1), 1e-9)
    return bool((slope < _LYING).all())


def check(mapped: MappedMotion) -> None:
    """Warn of what is doubtful in a body and refuse one that cannot be.

    Raises:
        InputError: a size that only a mistaken unit explains, or hips in one place.
    """
    some = mapped.positions[:: max(1, len(mapped.positions) // 100)]
    reach = np.linalg.norm(some - some[:, :1], axis=-1)[:, mapped.joint_mask].max(axis=1)
    size, (low, high) = float(np.median(reach)), BODY_SIZE_M
    if not low <= size <= high:
        raise InputError(
            f"from the pelvis to the furthest joint the body measures {size:.3g} m; "
            f"{low} to {high} make sense: give the right units"
        )
    if hips_coincide(mapped):
        raise InputError(
            "both hips are in one place, so the body faces nowhere (are the joints named right?)"
        )
    for doubt in filter(None, [left_out(mapped), *doubts(mapped)]):
        warnings.warn(doubt, stacklevel=2)
