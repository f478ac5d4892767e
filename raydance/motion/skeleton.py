"""The canonical 50-joint skeleton: SMPL-H's 22 body joints and 14 per hand.

Frame: y up, metres; at rest the dancer faces +z, so the dancer's left is +x. A hand has 14
joints: three for each finger and two for the thumb (SMPL-H's third thumb joint is left out).
The order of the body joints is SMPL's, so the first 22 are HumanML3D's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_BODY: Final = (
    # name, parent
    ("pelvis", None),
    ("left_hip", "pelvis"),
    ("right_hip", "pelvis"),
    ("spine1", "pelvis"),
    ("left_knee", "left_hip"),
    ("right_knee", "right_hip"),
    ("spine2", "spine1"),
    ("left_ankle", "left_knee"),
    ("right_ankle", "right_knee"),
    ("spine3", "spine2"),
    ("left_foot", "left_ankle"),
    ("right_foot", "right_ankle"),
    ("neck", "spine3"),
    ("left_collar", "spine3"),
    ("right_collar", "spine3"),
    ("head", "neck"),
    ("left_shoulder", "left_collar"),
    ("right_shoulder", "right_collar"),
    ("left_elbow", "left_shoulder"),
    ("right_elbow", "right_shoulder"),
    ("left_wrist", "left_elbow"),
    ("right_wrist", "right_elbow"),
)
_FINGERS: Final = (("index", 3), ("middle", 3), ("pinky", 3), ("ring", 3), ("thumb", 2))


def _hand(side: str) -> list[tuple[str, str]]:
    joints = []
    for finger, num_joints in _FINGERS:
        parent = f"{side}_wrist"
        for i in range(1, num_joints + 1):
            name = f"{side}_{finger}{i}"
            joints.append((name, parent))
            parent = name
    return joints


_ALL: Final = (*_BODY, *_hand("left"), *_hand("right"))

JOINTS: Final[tuple[str, ...]] = tuple(name for name, _ in _ALL)
"""Names of the canonical joints, in order."""

INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(JOINTS)}
"""Joint name -> position in `JOINTS`."""

PARENTS: Final[tuple[int, ...]] = tuple(
    -1 if parent is None else INDEX[parent] for _, parent in _ALL
)
"""Index of each joint's parent; -1 for the pelvis. A parent always precedes its children."""

NUM_JOINTS: Final = len(JOINTS)
NUM_BODY_JOINTS: Final = len(_BODY)


def parents_among(kept: Sequence[int], parents: Sequence[int] = PARENTS) -> tuple[int, ...]:
    """Parents of some joints among themselves: the nearest ancestor that is kept.

    Args:
        kept: indices of joints.
        parents: of all joints, the canonical ones by default; -1 for a root.

    Returns:
        For each, the parent's position in `kept`; -1 for a root.
    """
    place = {joint: i for i, joint in enumerate(kept)}
    found = []
    for joint in kept:
        parent = parents[joint]
        while parent >= 0 and parent not in place:
            parent = parents[parent]
        found.append(place.get(parent, -1))
    return tuple(found)


def swap_side(name: str) -> str:
    """The joint of the other side: `left_knee` -> `right_knee`; a middle joint is its own."""
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name


MIRROR: Final[tuple[int, ...]] = tuple(INDEX[swap_side(name)] for name in JOINTS)
"""`motion[:, MIRROR]` swaps the joints of the two sides (its own inverse)."""

assert NUM_JOINTS == 50 and all(p < i for i, p in enumerate(PARENTS))
