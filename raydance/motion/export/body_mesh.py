"""A body of capsules around the bones of any skeleton, for formats that show a skin.

One capsule for each bone, moved by the joint that it starts from, and a head. The dancer's left is
blue, the right orange and the middle dark, as in `raydance.motion.render`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion.joint_matching import match_names
from raydance.motion.joint_spelling import normalise
from raydance.motion.render import COLOURS

_RADII_M: Final = {  # of the bone that ends at this part of the body
    "hip": 0.085,
    "spine1": 0.1,
    "spine2": 0.11,
    "spine3": 0.12,
    "neck": 0.065,
    "head": 0.05,
    "collar": 0.075,
    "shoulder": 0.055,
    "elbow": 0.045,
    "wrist": 0.036,
    "knee": 0.068,
    "ankle": 0.05,
    "foot": 0.038,
}
_SHARE: Final = 0.2  # radius of any other capsule as a share of its bone's length
_OTHER_M: Final = (0.006, 0.05)
_SKULL_M: Final = (0.085, 0.12, 0.1)  # half the width, height and depth
_SKULL_UP_M: Final = 0.09  # from the head joint, at the base of the skull, to its middle
_SHORT_M: Final = 0.005  # bones below this have no capsule

_Shape = tuple[np.ndarray, np.ndarray, np.ndarray]

SIDES: Final = tuple(COLOURS)
"""`left`, `right`, `middle`."""


@dataclass(frozen=True)
class Mesh:
    """Triangles in the rest pose.

    Attributes:
        points: `[V, 3]` float32, metres, in the frame of the rest pose.
        normals: `[V, 3]` float32, one long.
        joints: `[V]` uint16, the joint that moves each point.
        triangles: side -> `[N, 3]` uint32 indices of points, counter-clockwise from outside.
    """

    points: np.ndarray
    normals: np.ndarray
    joints: np.ndarray
    triangles: dict[str, np.ndarray]


def body_mesh(
    names: Sequence[str], parents: Sequence[int], rest: np.ndarray, moves: np.ndarray
) -> Mesh:
    """Capsules around bones.

    Args:
        names: J joint names, which say the side.
        parents: J indices, -1 for the root.
        rest: `[J, 3]` metres, joints in the rest pose.
        moves: `[J]` bool, joints at no fixed distance from their parent: no bone leads there.
    """
    _, sources = match_names(names)
    known = {index: name for name, found in sources.items() for index in found}
    parts: list[tuple[str, int, np.ndarray, np.ndarray, np.ndarray]] = []
    for joint, parent in enumerate(parents):
        if parent < 0 or moves[joint]:
            continue
        length = float(np.linalg.norm(rest[joint] - rest[parent]))
        if length > _SHORT_M:
            side, part = _side_and_part(known.get(joint, names[joint]))
            radius = _RADII_M.get(part) or float(np.clip(_SHARE * length, *_OTHER_M))
            around = 12 if radius > 0.015 else 6
            points, normals, triangles = _capsule(length, radius, around)
            turn = rot.between(np.array([0.0, 1.0, 0.0]), rest[joint] - rest[parent])
            points = rot.rotate(turn, points) + rest[parent]
            parts.append((side, parent, points, rot.rotate(turn, normals), triangles))
    for head in sources.get("head", ()):
        points, normals, triangles = _ball(12)
        normals = rot.unit(normals / _SKULL_M)
        points = points * _SKULL_M + rest[head] + (0.0, _SKULL_UP_M, 0.02)
        parts.append(("middle", head, points, normals, triangles))
    if not parts:  # a lone joint is still something to see
        points, normals, triangles = _ball(12)
        parts.append(("middle", 0, points * _OTHER_M[1] + rest[0], normals, triangles))
    start = np.cumsum([0, *(len(points) for _, _, points, _, _ in parts)])
    triangles_of = {
        side: [t + start[i] for i, (s, _, _, _, t) in enumerate(parts) if s == side]
        for side in SIDES
    }
    return Mesh(
        points=np.concatenate([part[2] for part in parts]).astype(np.float32),
        normals=np.concatenate([part[3] for part in parts]).astype(np.float32),
        joints=np.repeat([part[1] for part in parts], np.diff(start)).astype(np.uint16),
        triangles={
            side: np.concatenate(some).astype(np.uint32)
            for side, some in triangles_of.items()
            if some
        },
    )


def _side_and_part(name: str) -> tuple[str, str]:
    """`left`, `right` or `middle`, and the rest of a joint's name, from any spelling."""
    plain = normalise(name)
    side, _, part = plain.partition("_")
    return (side, part) if side in ("left", "right") else ("middle", plain)


def _capsule(length: float, radius: float, around: int) -> _Shape:
    """Points, normals `[V, 3]` and triangles `[N, 3]` from the origin up to (0, length, 0)."""
    latitudes = np.deg2rad([-90, -45, 0, 0, 45, 90])
    heights = np.array([0.0, 0.0, 0.0, length, length, length])
    return _revolve(latitudes, heights, radius, around)


def _ball(around: int) -> _Shape:
    """A ball of radius 1 about the origin."""
    latitudes = np.deg2rad(np.linspace(-90, 90, 1 + around // 2))
    return _revolve(latitudes, np.zeros_like(latitudes), 1.0, around)


def _revolve(latitudes: np.ndarray, heights: np.ndarray, radius: float, around: int) -> _Shape:
    """Rings of a sphere about the y axis, each lifted by its height; poles are single points."""
    turns = np.linspace(0, 2 * np.pi, around, endpoint=False)
    circle = np.stack((np.cos(turns), np.zeros(around), np.sin(turns)), axis=-1)
    up = np.array([0.0, 1.0, 0.0])
    rings = [np.cos(a) * circle + np.sin(a) * up for a in latitudes[1:-1]]
    normals = np.concatenate((-up[None], *rings, up[None]))
    lift = np.concatenate((heights[:1], np.repeat(heights[1:-1], around), heights[-1:]))
    points = radius * normals + lift[:, None] * up
    first, last = 1, len(normals) - 1
    i = np.arange(around)
    j = (i + 1) % around
    triangles = [np.stack((np.zeros_like(i), first + i, first + j), axis=-1)]
    for ring in range(len(rings) - 1):
        low, high = first + ring * around, first + (ring + 1) * around
        triangles.append(np.stack((low + i, high + i, high + j), axis=-1))
        triangles.append(np.stack((low + i, high + j, low + j), axis=-1))
    top = first + (len(rings) - 1) * around
    triangles.append(np.stack((top + i, np.full_like(i, last), top + j), axis=-1))
    return points, normals, np.concatenate(triangles)
