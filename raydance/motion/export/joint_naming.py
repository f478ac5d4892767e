"""Names of joints in written files: the clip's own, or those that Mixamo's rigs have.

Tools that retarget motion (Blender add-ons, Unity, Unreal) know Mixamo's names without being told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from raydance.errors import InputError
from raydance.motion.joint_matching import match_names
from raydance.motion.skeleton import JOINTS

NAMINGS: Final = ("own", "mixamo")

_BODY: Final = {
    "pelvis": "Hips",
    "spine1": "Spine",
    "spine2": "Spine1",
    "spine3": "Spine2",
    "neck": "Neck",
    "head": "Head",
    "collar": "Shoulder",
    "shoulder": "Arm",
    "elbow": "ForeArm",
    "wrist": "Hand",
    "hip": "UpLeg",
    "knee": "Leg",
    "ankle": "Foot",
    "foot": "ToeBase",
}


def _mixamo(joint: str) -> str:
    """Mixamo's name of a canonical joint: `left_index1` -> `mixamorig:LeftHandIndex1`."""
    side, _, part = joint.rpartition("_")
    word = _BODY.get(part) or f"Hand{part.capitalize()}"
    return f"mixamorig:{side.capitalize()}{word}"


MIXAMO: Final[dict[str, str]] = {joint: _mixamo(joint) for joint in JOINTS}
"""Canonical joint -> Mixamo's name."""


def named(names: Sequence[str], naming: str) -> tuple[str, ...]:
    """Names of joints as a file is to have them; joints that are not recognised keep theirs.

    Raises:
        InputError: a naming that is not known.
    """
    if naming not in NAMINGS:
        raise InputError(f"names: {naming!r}; allowed: {', '.join(NAMINGS)}")
    if naming == "own":
        return tuple(names)
    found = list(names)
    sources = match_names(names)[1]
    for joint in JOINTS:
        for index in sources.get(joint, ())[:1]:
            found[index] = MIXAMO[joint]
    return tuple(found)
