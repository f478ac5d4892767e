"""Which axis of a recording points up, judged by the body.

Three facts speak: along which axis the head is above the feet in the rest pose, along which it is
in the recording, and the floor: the lowest joint stays at its height while the body travels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from raydance.motion.joint_matching import match_names

_TOP: Final = re.compile(r"head|skull|nose", re.IGNORECASE)
_NECK: Final = re.compile(r"neck", re.IGNORECASE)
_HIPS: Final = re.compile(r"^(?!.*(left|right))(.*[:_ ])?(hips?|pelvis|root)$", re.IGNORECASE)
_BOTTOM: Final = re.compile(r"foot|feet|toe|ankle|heel", re.IGNORECASE)

_PRIOR: Final = (-0.3, 0.1, 0.0)  # y is the commonest, x is hardly ever used
_SMALLEST_REST: Final = 0.01  # of the body: offsets of less are noise in a field that is not used
_UPRIGHT: Final = 0.7  # cosine of the body's lean
_UPRIGHT_FRAMES: Final = 0.9
_REST_AGAINST_POSTURE: Final = 0.6
_FLOOR_AT_ZERO: Final = 0.06  # of the body
_FLOOR_BONUS: Final = 0.4


def scores(
    positions: np.ndarray, joint_names: Sequence[str], rest: np.ndarray | None, span: float
) -> np.ndarray:
    """Evidence `[3]` for x, y and z being up, larger is likelier.

    Args:
        positions: `[T, J, 3]` global positions in the source's frame.
        joint_names: J names, or none.
        rest: `[J, 3]` global positions of the rest pose, where the source has one.
        span: the body's largest extent, in the source's unit.
    """
    top, bottom = _top_and_bottom(joint_names)
    lowest = positions.min(axis=1)
    wander = lowest.std(axis=0) + 0.02 * span + 1e-12
    total = np.array(_PRIOR) + 0.5 * (1.0 / wander) / np.sum(1.0 / wander)
    resting = np.zeros(3)
    if rest is not None and float(np.ptp(rest, axis=0).max()) > _SMALLEST_REST * span:
        resting = _rest_evidence(rest, joint_names, top, bottom)
    if not (top and bottom):
        extent = (positions.max(axis=1) - positions.min(axis=1)).mean(axis=0)
        return total + resting + extent / max(float(extent.max()), 1e-12)
    upright = _unit(positions[:, top].mean(axis=1) - positions[:, bottom].mean(axis=1))
    total = total + np.maximum(upright.mean(axis=0), 0.0)
    # Rest pose and posture weigh the same, so that the floor decides where the two differ: crawling
    # keeps the rest pose's axis, a skeleton that its root turns upright does not.
    stands = (upright > _UPRIGHT).mean(axis=0)
    axis = int(stands.argmax())
    if resting.max() > 0.5 and axis != int(resting.argmax()) and stands[axis] > _UPRIGHT_FRAMES:
        # The dancer stands along one axis in nearly all frames, and lies to the rest pose's: then
        # the rest pose is another world's, unless the floor is where it says.
        # (Zero is the floor, not the middle of a body that is kept at the origin.)
        height = np.abs(lowest).mean(axis=0)
        is_floor = height < np.minimum(_FLOOR_AT_ZERO * span, 0.5 * np.abs(positions.mean((0, 1))))
        return total + _REST_AGAINST_POSTURE * resting + _FLOOR_BONUS * is_floor
    return total + resting


def _top_and_bottom(joint_names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Joints of the head, or the neck, and of the feet; by convention where words do not tell."""
    top = _find(joint_names, _TOP) or _find(joint_names, _NECK)
    bottom = _find(joint_names, _BOTTOM)
    if joint_names and not (top and bottom):
        _, sources = match_names(joint_names)
        top = top or list(sources.get("head", sources.get("neck", ())))
        bottom = bottom or [
            index for side in ("left", "right") for index in sources.get(f"{side}_ankle", ())
        ]
    return top, bottom


def _rest_evidence(
    rest: np.ndarray, joint_names: Sequence[str], top: list[int], bottom: list[int]
) -> np.ndarray:
    """How far the head is above the feet along each axis `[3]`, squared; zeros if unusable.

    A skeleton whose bones all lie along their own x or y axis has no posture at rest: there one of
    the feet at least is not opposite to the head, seen from the hips.
    """
    hips = _find(joint_names, _HIPS)[:2]  # a root at the world's origin may come before the hips
    if not hips and joint_names:
        hips = list(match_names(joint_names)[1].get("pelvis", ()))[:1]
    if not (top and bottom and hips):
        return np.zeros(3)
    centre = rest[hips[-1]]
    head, feet = _unit(rest[top].mean(axis=0) - centre), _unit(rest[bottom] - centre)
    if float((feet @ head).max()) > -0.5:
        return np.zeros(3)
    return np.maximum(_unit(head - feet.mean(axis=0)), 0.0) ** 2


def _find(joint_names: Sequence[str], pattern: re.Pattern[str]) -> list[int]:
    return [i for i, name in enumerate(joint_names) if pattern.search(name)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(norm, 1e-12)
