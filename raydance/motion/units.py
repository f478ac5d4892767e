"""Units and up axis of a recording: detected from the body itself, or given.

Mocap files rarely state their unit or which way is up. A body gives both away: its legs say how
tall it is, or else the longest path through its bones, and its head is above its feet (`up_axis`).
Detection can be overridden in every reader, and what it found is returned as a `Scale`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion import rotations as rot
from raydance.motion import up_axis
from raydance.motion.joint_matching import match_names

LENGTHS: Final[dict[str, float]] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
"""Metres per unit of the units that a caller may name, and that files are written in."""

UNITS: Final[dict[str, float]] = {
    **LENGTHS,
    "cmu": LENGTHS["inch"] / 0.45,  # the CMU database: inches divided by its ASF scale 0.45
    "dm": 0.1,
    "foot": 0.3048,
}
"""Metres per unit of the units that detection chooses from."""

MIN_UNIT: Final = 1e-9
MAX_UNIT: Final = 1e9
"""Metres per unit beyond which no body is measured, and float32 ends soon."""

AXES: Final = ("x", "y", "z")

# A leg from hip to ankle, along the bones, is .49 of the height (Winter, Biomechanics and Motor
# Control of Human Movement, 2009, figure 4.1). Recorded dancers are 1.5 to 1.9 m tall by this.
_LEG_SHARE: Final = 0.49
_HEIGHT_M: Final = 1.7
# The longest path through a body's bones (fingertip or foot to fingertip, foot to head) is
# 1.7 to 2.6 m for adults, by how many bones the skeleton has; without a skeleton, the largest
# distance between two joints is about the standing height.
_BONE_PATH_M: Final = 2.1
_BODY_SPAN_M: Final = 1.65
_BLOCK_VALUES: Final = 1 << 20
_PLAUSIBLE_FACTOR: Final = 1.6
_PLAUSIBLE_HEIGHTS_M: Final = (1.0, 2.4)  # children are recorded, too
_PLAUSIBLE_IN_RARE_UNITS_M: Final = (1.35, 2.15)  # they lie close to each other
_COMMON_UNITS: Final = ("m", "cm", "mm")
_RARITY: Final = 1.25  # how much better a rare unit must fit

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
        doubts: what speaks against this reading, in words; empty when nothing does.
    """

    metres_per_unit: float
    unit: str
    up: str
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
    is_stated: bool = False,
) -> Scale:
    """Find the unit and the up axis of a recording.

    Args:
        positions: `[T, J, 3]` global positions in the source's unit and frame.
        parents: J indices of parents (-1 for a root), where there is a skeleton.
        joint_names: J names; those of the legs say the size, those of head and feet the up axis.
        rest: `[J, 3]` global positions of the rest pose, where the source has one.
        units: metres per unit, if the caller knows.
        up: `x`, `y` or `z`, if the caller knows.
        declared: metres per unit as the file has it; believed when a body of human size follows.
        is_stated: whether the file says so in words, so that it is doubted when it is not believed.

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
    size = _body_size(sample, parents, joint_names or ())
    doubts: list[str] = []
    unit, metres = _choose_unit(size, units, declared, is_stated, doubts)
    found_up = up or "y"
    if up is None:
        scores = up_axis.scores(sample, joint_names or (), rest, span=_span(sample))
        best, second = np.argsort(-scores)[:2]
        found_up = AXES[best]
        if scores[best] - scores[second] < 0.2:
            doubts.append(f"up axis {found_up} is hardly likelier than {AXES[second]}")
    return Scale(
        metres_per_unit=metres,
        unit=unit,
        up=found_up,
        doubts=tuple(doubts),
    )


def rest_positions(offsets: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """Global positions `[J, 3]` of the pose without any turn, from `offsets` `[J, 3]`."""
    identity = np.broadcast_to(rot.IDENTITY, (1, len(parents), 4))
    return rot.forward_kinematics(identity, offsets, parents)[0]


@dataclass(frozen=True)
class _Size:
    """A size of the body in source units, and what a person's would be in metres."""

    value: float
    usual_m: float
    is_height: bool = False

    def misfit(self, unit: str, metres_per_unit: float) -> float:
        """By what factor the size differs from a person's; rare units count as further off."""
        found = self.value * metres_per_unit / self.usual_m
        return max(found, 1.0 / found) * (1.0 if unit in _COMMON_UNITS else _RARITY)

    def is_plausible(self, unit: str, metres_per_unit: float) -> bool:
        if not self.is_height:
            return self.misfit("m", metres_per_unit) <= _PLAUSIBLE_FACTOR
        is_rare = unit not in (*_COMMON_UNITS, "declared")
        low, high = _PLAUSIBLE_IN_RARE_UNITS_M if is_rare else _PLAUSIBLE_HEIGHTS_M
        return low <= self.value * metres_per_unit <= high


def _body_size(
    positions: np.ndarray, parents: Sequence[int] | None, joint_names: Sequence[str]
) -> _Size:
    height = _height(positions, joint_names)
    if height > 0 and np.isfinite(height):
        return _Size(height, _HEIGHT_M, is_height=True)
    if parents is not None and any(p >= 0 for p in parents):
        return _Size(_bone_path(positions, parents), _BONE_PATH_M)
    return _Size(_span(positions), _BODY_SPAN_M)


def _height(positions: np.ndarray, joint_names: Sequence[str]) -> float:
    """How tall the body is by its legs, in source units; 0 where names do not tell the legs."""
    _, sources = match_names(joint_names) if joint_names else ("", {})
    legs = []
    for side in ("left", "right"):
        joints = [sources.get(f"{side}_{part}") for part in ("hip", "knee", "ankle")]
        if all(joints):
            hip, knee, ankle = (positions[:, list(at or ())].mean(axis=1) for at in joints)
            bones = np.linalg.norm(hip - knee, axis=-1), np.linalg.norm(knee - ankle, axis=-1)
            legs.append(sum(float(np.median(bone)) for bone in bones))
    return max(legs, default=0.0) / _LEG_SHARE


def _choose_unit(
    size: _Size,
    units: float | None,
    declared: float | None,
    is_stated: bool,
    doubts: list[str],
) -> tuple[str, float]:
    if units is not None:
        return "given", float(units)
    if size.value <= 0 or not np.isfinite(size.value):
        doubts.append("the body has no size, so metres are assumed")
        return "m", 1.0
    if declared is not None and size.is_plausible("declared", declared):
        return "declared", declared
    if declared is not None and is_stated:
        doubts.append(
            f"the file states a unit of {declared:.4g} m, in which the body would measure "
            f"{size.value * declared:.3g} m"
        )
    unit, metres = min(UNITS.items(), key=lambda item: size.misfit(*item))
    if not size.is_plausible(unit, metres):
        found = size.value * metres
        if size.is_height:
            doubts.append(f"in {unit} the body is {found:.3g} m tall, judged by its legs")
        else:
            doubts.append(
                f"in {unit} the body measures {found:.3g} m, about {size.usual_m} is usual"
            )
    return unit, metres


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
