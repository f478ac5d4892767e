"""Units and up axis of a recording: detected from the body itself, or given.

Mocap files rarely state their unit or which way is up. A body gives both away: the longest path
through its bones is a little over two metres, and the head is above the feet in the rest pose.
Detection can be overridden in every reader, and what it found is returned as a `Scale`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion import rotations as rot

LENGTHS: Final[dict[str, float]] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
"""Metres per unit of the units that a caller may name, and that files are written in."""

UNITS: Final[dict[str, float]] = {
    **LENGTHS,
    "cmu": LENGTHS["inch"] / 0.45,  # the CMU database: inches divided by its ASF scale 0.45
}
"""Metres per unit of the units that detection chooses from."""

MIN_UNIT: Final = 1e-9
MAX_UNIT: Final = 1e9
"""Metres per unit beyond which no body is measured, and float32 ends soon."""

AXES: Final = ("x", "y", "z")

# The longest path through a body's bones (fingertip or foot to fingertip, foot to head) is
# 1.7 to 2.6 m for adults, by how many bones the skeleton has; without a skeleton, the largest
# distance between two joints is about the standing height.
_BONE_PATH_M: Final = 2.1
_BODY_SPAN_M: Final = 1.65
_BLOCK_VALUES: Final = 1 << 20
_PLAUSIBLE_FACTOR: Final = 1.6

_TOP: Final = re.compile(r"head|skull|nose", re.IGNORECASE)
_NECK: Final = re.compile(r"neck", re.IGNORECASE)
_HIPS: Final = re.compile(r"^(?!.*(left|right))(.*[:_ ])?(hips?|pelvis|root)$", re.IGNORECASE)
_BOTTOM: Final = re.compile(r"foot|feet|toe|ankle|heel", re.IGNORECASE)

# Turns that bring the source's up axis onto +y; z-up data that faces -y comes out facing +z.
_TO_Y_UP: Final[dict[str, np.ndarray]] = {
    "y": rot.IDENTITY,
    "z": rot.from_euler(np.array([-90.0]), "x", degrees=True),
    "x": rot.from_euler(np.array([90.0]), "z", degrees=True),
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What one unit of a file is and which of its axes points up.

    Attributes:
        metres_per_unit: length of one unit.
        unit: its name in `UNITS`, or `given`, or `declared` by the file.
        up: the axis of the source that points up: `x`, `y` or `z`.
        units_given: whether the caller or the file said so, rather than the body.
        up_given: whether the caller said so.
        body_size: the size that the unit was judged by, in source units: the longest path through
            the bones, or the largest distance between joints where there is no skeleton.
        up_scores: evidence for each axis (x, y, z), larger is likelier; zeros where `up` is given.
        doubts: what speaks against this reading, in words; empty when nothing does.
    """

    metres_per_unit: float
    unit: str
    up: str
    units_given: bool
    up_given: bool
    body_size: float
    up_scores: tuple[float, float, float] = (0.0, 0.0, 0.0)
    doubts: tuple[str, ...] = ()

    @property
    def turn(self) -> np.ndarray:
        """The quaternion `[4]` that brings the source's frame to y up."""
        return _TO_Y_UP[self.up]

    def vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Source vectors `[..., 3]` as float32 metres, y up."""

        def turned(part: np.ndarray) -> np.ndarray:
            return rot.rotate(self.turn, part) * self.metres_per_unit

        return _in_blocks(turned, vectors)

    def warn(self, path: str) -> None:
        """Warn about each doubt, naming the file and the arguments that settle it."""
        for doubt in self.doubts:
            warnings.warn(f"{path}: {doubt} (give units or up to settle it)", stacklevel=3)

    def rotations(self, rotations: np.ndarray) -> np.ndarray:
        """Source local rotations `[..., 4]` in the y-up frame, float32 (a change of basis)."""
        if self.up == "y":
            return np.asarray(rotations, dtype=np.float32)

        def turned(part: np.ndarray) -> np.ndarray:
            return rot.multiply(rot.multiply(self.turn, part), rot.conjugate(self.turn))

        return _in_blocks(turned, rotations)


def _in_blocks(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """`function` of `values` `[..., N]`, float32, some rows at a time: its float64 steps take
    several times the memory of the result."""
    values = np.asarray(values)
    if values.size <= _BLOCK_VALUES:
        return function(values).astype(np.float32)
    rows = max(1, _BLOCK_VALUES * len(values) // values.size)
    result = np.empty(values.shape, dtype=np.float32)
    for start in range(0, len(values), rows):
        result[start : start + rows] = function(values[start : start + rows])
    return result


def detect(
    positions: np.ndarray,
    *,
    parents: Sequence[int] | None = None,
    joint_names: Sequence[str] | None = None,
    rest: np.ndarray | None = None,
    units: float | None = None,
    up: str | None = None,
    declared: float | None = None,
) -> Scale:
    """Find the unit and the up axis of a recording.

    Args:
        positions: `[T, J, 3]` global positions in the source's unit and frame.
        parents: J indices of parents (-1 for a root), where there is a skeleton.
        joint_names: J names; the words head, neck, hips, foot, ankle, toe in them help.
        rest: `[J, 3]` global positions of the rest pose, where the source has one.
        units: metres per unit, if the caller knows.
        up: `x`, `y` or `z`, if the caller knows.
        declared: metres per unit as the file states it; believed when a body of human size follows.

    Raises:
        InputError: `units` is not a number from `MIN_UNIT` to `MAX_UNIT`, or `up` is not an axis.
    """
    if units is not None and not MIN_UNIT <= units <= MAX_UNIT:
        allowed = f"{MIN_UNIT:g} to {MAX_UNIT:g}"
        raise InputError(f"units: found {units!r}, metres per unit are needed; allowed: {allowed}")
    if up is not None and up not in AXES:
        raise InputError(f"up: found {up!r}; allowed: {', '.join(AXES)}")
    step = max(1, len(positions) // 200)
    sample = np.asarray(positions[::step], dtype=np.float64)
    if parents is not None and any(p >= 0 for p in parents):
        body_size, expected = _bone_path(sample, parents), _BONE_PATH_M
    else:
        body_size, expected = _span(sample), _BODY_SPAN_M
    doubts: list[str] = []
    unit, metres = _choose_unit(body_size, expected, units, declared, doubts)
    scores = np.zeros(3)
    up_axis = up or "y"
    if up is None:
        scores = _up_scores(sample, joint_names or (), rest)
        best, second = np.argsort(-scores)[:2]
        up_axis = AXES[best]
        if scores[best] - scores[second] < 0.2:
            doubts.append(f"up axis {up_axis} is hardly likelier than {AXES[second]}")
    return Scale(
        metres_per_unit=metres,
        unit=unit,
        up=up_axis,
        units_given=unit in ("given", "declared"),
        up_given=up is not None,
        body_size=body_size,
        up_scores=(float(scores[0]), float(scores[1]), float(scores[2])),
        doubts=tuple(doubts),
    )


def rest_positions(offsets: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """Global positions `[J, 3]` of the pose without any turn, from `offsets` `[J, 3]`."""
    identity = np.broadcast_to(rot.IDENTITY, (1, len(parents), 4))
    return rot.forward_kinematics(identity, offsets, parents)[0]


def _choose_unit(
    size: float, expected: float, units: float | None, declared: float | None, doubts: list[str]
) -> tuple[str, float]:
    if units is not None:
        return "given", float(units)
    if size <= 0 or not np.isfinite(size):
        doubts.append("the body has no size, so metres are assumed")
        return "m", 1.0
    if declared is not None and _misfit(size * declared, expected) < _PLAUSIBLE_FACTOR:
        return "declared", declared
    unit, metres = min(UNITS.items(), key=lambda item: _misfit(size * item[1], expected))
    if _misfit(size * metres, expected) > _PLAUSIBLE_FACTOR:
        doubts.append(
            f"in {unit} the body measures {size * metres:.3g} m, about {expected} is usual"
        )
    return unit, metres


def _misfit(size_m: float, expected_m: float) -> float:
    return max(size_m / expected_m, expected_m / size_m)


def _bone_path(positions: np.ndarray, parents: Sequence[int]) -> float:
    """The longest path down one branch and another: bones above the first branching don't count.

    That leaves out the way from the world's origin to the hips in files where it is a bone.
    """
    depth = np.zeros(len(parents))
    longest = 0.0
    for joint in range(len(parents) - 1, -1, -1):
        parent = parents[joint]
        if parent < 0:
            continue
        lengths = np.linalg.norm(positions[:, joint] - positions[:, parent], axis=-1)
        mean = float(lengths.mean())
        # A "bone" that changes its length is a free object or a moving origin, not a bone.
        reach = depth[joint] + (mean if lengths.std() <= 0.2 * mean else 0.0)
        if depth[parent] > 0:
            longest = max(longest, depth[parent] + reach)
        depth[parent] = max(depth[parent], reach)
    return float(longest or depth.max())


def _span(positions: np.ndarray) -> float:
    """The largest distance between two joints of a frame, at a high quantile over frames."""
    squares = []
    for frame in positions[::4].astype(np.float64):
        dots = frame @ frame.T
        norms = np.diagonal(dots)
        squares.append((norms[:, None] + norms - 2.0 * dots).max())
    return float(np.quantile(np.sqrt(np.maximum(squares, 0.0)), 0.8))


def _up_scores(
    positions: np.ndarray, joint_names: Sequence[str], rest: np.ndarray | None
) -> np.ndarray:
    """Evidence `[3]` for x, y and z being up, from the rest pose, the posture and the floor."""
    scores = np.array([-0.3, 0.1, 0.0])  # y is the commonest, x is hardly ever used
    top = _find(joint_names, _TOP) or _find(joint_names, _NECK)
    bottom = _find(joint_names, _BOTTOM)
    if rest is not None:
        # As weighty as the posture, so that the floor decides where the two differ: crawling keeps
        # the rest pose's axis, a skeleton that its root turns upright does not.
        scores = scores + _rest_evidence(rest, joint_names, top, bottom)
    if top and bottom:
        upright = _unit(positions[:, top].mean(axis=1) - positions[:, bottom].mean(axis=1))
        scores = scores + np.maximum(upright.mean(axis=0), 0.0)
    else:
        extent = (positions.max(axis=1) - positions.min(axis=1)).mean(axis=0)
        scores = scores + extent / max(float(extent.max()), 1e-12)
    # The lowest joint stays on the floor while the body travels.
    wander = positions.min(axis=1).std(axis=0) + 0.02 * _span(positions) + 1e-12
    return scores + 0.5 * (1.0 / wander) / np.sum(1.0 / wander)


def _rest_evidence(
    rest: np.ndarray, joint_names: Sequence[str], top: list[int], bottom: list[int]
) -> np.ndarray:
    """How far the head is above the feet along each axis `[3]`, squared; zeros if unusable.

    A skeleton whose bones all lie along their own x or y axis has no posture at rest: there one of
    the feet at least is not opposite to the head, seen from the hips.
    """
    hips = _find(joint_names, _HIPS)[:2]  # a root at the world's origin may come before the hips
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
