"""How thick a body is: joints into limbs and a trunk, the same as on the service's page.

Limbs are tapered capsules, the trunk is one surface of ellipses around the spine. The numbers are
those of `raydance/web/src/body.js` and `torso.js`; a test compares them.

Dimensions: T frames, L limbs, R rings, S points of a ring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.motion.skeleton import INDEX, JOINTS, NUM_JOINTS, PARENTS

RADII_M: Final = {  # at the parent, at the joint, of the bone that ends there
    "spine1": (0.09, 0.09),
    "spine2": (0.09, 0.095),
    "spine3": (0.095, 0.1),
    "neck": (0.072, 0.05),
    "head": (0.047, 0.045),
    "hip": (0.088, 0.088),
    "knee": (0.08, 0.052),
    "ankle": (0.054, 0.034),
    "foot": (0.04, 0.032),
    "collar": (0.06, 0.06),
    "shoulder": (0.06, 0.058),
    "elbow": (0.056, 0.039),
    "wrist": (0.039, 0.026),
}
_FINGER_M: Final = (0.0105, 0.009)
_PALM_M: Final = (0.022, 0.0125)
IN_TORSO: Final = frozenset({"spine1", "spine2", "spine3", "hip"})
"""Bones that the trunk hides where there is one."""

TORSO_NEEDS: Final = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
RINGS: Final = (
    (-0.2, 0.03, 0.03),
    (-0.18, 0.07, 0.062),
    (-0.11, 0.118, 0.092),
    (-0.02, 0.147, 0.109),
    (0.08, 0.155, 0.113),
    (0.19, 0.149, 0.106),
    (0.32, 0.135, 0.097),
    (0.46, 0.128, 0.094),
    (0.6, 0.138, 0.101),
    (0.74, 0.153, 0.11),
    (0.86, 0.16, 0.112),
    (0.95, 0.155, 0.103),
    (1.02, 0.135, 0.087),
    (1.07, 0.1, 0.068),
    (1.1, 0.055, 0.045),
)
"""Of the trunk: place on the spine (0 between the hips, 1 between the shoulders), half the width
and half the depth, metres."""

NUM_AROUND: Final = 20


@dataclass(frozen=True, kw_only=True)
class Limbs:
    """Tapered capsules over time.

    Attributes:
        starts, ends: `[T, L, 3]` metres.
        radii: `[L, 2]` metres, at the start and at the end.
        sides: L of `left`, `right` and `middle`.
    """

    starts: np.ndarray
    ends: np.ndarray
    radii: np.ndarray
    sides: tuple[str, ...]


def bones_among(joint_mask: np.ndarray) -> list[tuple[int, int]]:
    """(joint, nearest present ancestor) of every present joint `[50]` that has one."""
    bones = []
    for joint in range(NUM_JOINTS):
        parent = PARENTS[joint]
        while parent >= 0 and not joint_mask[parent]:
            parent = PARENTS[parent]
        if joint_mask[joint] and parent >= 0:
            bones.append((joint, parent))
    return bones


def has_torso(joint_mask: np.ndarray) -> bool:
    """Whether the joints `[50]` that carry a trunk are there."""
    return all(joint_mask[INDEX[name]] for name in TORSO_NEEDS)


def limbs(motion: np.ndarray, joint_mask: np.ndarray) -> Limbs:
    """The limbs of canonical motion `[T, 50, 3]`, those that a trunk hides left out."""
    starts, ends, radii, sides = [], [], [], []
    hides = has_torso(joint_mask)
    bones = bones_among(joint_mask)
    hands = {parent for joint, parent in bones if _is_finger(JOINTS[joint])}

    def add(start: np.ndarray, end: np.ndarray, thick: tuple[float, float], side: str) -> None:
        starts.append(start)
        ends.append(end)
        radii.append(thick)
        sides.append(side)

    for joint, parent in bones:
        name = JOINTS[joint]
        side, part = _side_and_part(name)
        if part in ("hip", "collar"):
            side = "middle"
        start, end = motion[:, parent], motion[:, joint]
        if _is_finger(name):
            add(start, end, _FINGER_M if _is_finger(JOINTS[parent]) else _PALM_M, side)
            continue
        if not (hides and part in IN_TORSO):
            add(start, end, RADII_M[part], side)
        way = end - start
        if part == "head":
            add(*_beyond(end, way, 0.05, 0.115), (0.078, 0.086), side)
        if part == "foot":
            add(*_beyond(end, way * (1, 0.25, 1), 0.0, 0.06), (0.032, 0.026), side)
        if part == "wrist" and joint not in hands:
            add(*_beyond(end, way, 0.0, 0.12), (0.032, 0.022), side)
    if not starts:  # a lone joint is still something to see
        first = motion[:, int(np.flatnonzero(joint_mask)[0])]
        add(first, first, (0.03, 0.03), "middle")
    return Limbs(
        starts=np.stack(starts, axis=1),
        ends=np.stack(ends, axis=1),
        radii=np.array(radii),
        sides=tuple(sides),
    )


def torso(motion: np.ndarray, joint_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals `[T, R, S, 3]` of the trunk of canonical motion `[T, 50, 3]`.

    `has_torso` must hold.
    """
    at = {name: motion[:, INDEX[name]] for name in TORSO_NEEDS}
    low = 0.5 * (at["left_hip"] + at["right_hip"])
    high = 0.5 * (at["left_shoulder"] + at["right_shoulder"])
    if joint_mask[INDEX["neck"]]:
        high = 0.5 * (high + motion[:, INDEX["neck"]])
    spine = [f"spine{i}" for i in (1, 2, 3) if joint_mask[INDEX[f"spine{i}"]]]
    line = np.stack([low, *(motion[:, INDEX[name]] for name in spine), high], axis=1)
    centres, along = _on_line(line, np.array([ring[0] for ring in RINGS]))
    share = np.clip([ring[0] for ring in RINGS], 0.0, 1.0)
    share = (share * share * (3 - 2 * share))[None, :, None]
    hips = _unit(at["left_hip"] - at["right_hip"])[:, None]
    shoulders = _unit(at["left_shoulder"] - at["right_shoulder"])[:, None]
    across = hips * (1 - share) + shoulders * share
    across = _unit(across - along * (across * along).sum(-1, keepdims=True))
    ahead = np.cross(across, along)
    angle = np.linspace(0, 2 * np.pi, NUM_AROUND, endpoint=False)
    width, depth = (np.array([ring[i] for ring in RINGS])[None, :, None, None] for i in (1, 2))
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    points = (
        centres[:, :, None] + width * cos * across[:, :, None] + depth * sin * ahead[:, :, None]
    )
    around = np.roll(points, -1, axis=2) - np.roll(points, 1, axis=2)
    normals = _unit(np.cross(np.gradient(points, axis=1), around))
    return points, normals


def _on_line(line: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and directions `[T, R, 3]` at shares of the length of polylines `[T, P, 3]`.

    Below 0 and above 1 the first and last piece go straight on. Directions are blended between
    pieces, so that a surface around the line bends evenly.
    """
    pieces = np.diff(line, axis=1)
    lengths = np.maximum(np.linalg.norm(pieces, axis=-1), 1e-6)
    ends = np.cumsum(lengths, axis=1)
    place = shares[None] * ends[:, -1:]
    piece = (place[:, :, None] > ends[:, None, :-1]).sum(-1)
    row = np.arange(len(line))[:, None]
    begins = ends - lengths
    share = (place - begins[row, piece]) / lengths[row, piece]
    points = line[row, piece] + share[..., None] * pieces[row, piece]
    middles = begins + 0.5 * lengths
    ways = pieces / lengths[..., None]
    # Between the middles of two pieces: linearly from one direction to the other.
    after = (place[:, :, None] > middles[:, None]).sum(-1)
    last = pieces.shape[1] - 1
    a, b = np.clip(after - 1, 0, last), np.clip(after, 0, last)
    gap = np.maximum(middles[row, b] - middles[row, a], 1e-6)
    blend = np.clip((place - middles[row, a]) / gap, 0.0, 1.0)[..., None]
    return points, _unit(ways[row, a] * (1 - blend) + ways[row, b] * blend)


def _beyond(
    end: np.ndarray, way: np.ndarray, first_m: float, last_m: float
) -> tuple[np.ndarray, np.ndarray]:
    way = _unit(way)
    return end + first_m * way, end + last_m * way


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _is_finger(name: str) -> bool:
    return name[-1].isdigit() and not name.startswith("spine")


def _side_and_part(name: str) -> tuple[str, str]:
    side, _, part = name.partition("_")
    return (side, part) if side in ("left", "right") else ("middle", name)
