"""How a naming convention is written down, and the common words for joints.

The same word means different joints in different conventions: `LeftShoulder` is the collar in
MotionBuilder's and CMU's skeletons but the shoulder in Biovision's, `LeftFoot` is the ankle in
most but the toe base in SMPL's, `LeftLeg` is the knee in Mixamo's but the hip in SOMA's. So names
are never translated one by one: `mapping.py` first finds the convention that a whole skeleton
follows (`joint_conventions.py` lists them) and then reads every name by that convention's table.

In a table a name is written in the form that `joint_spelling.normalise` makes (side first, lower
case, no separators); `*` stands for both sides. Several names are alternatives, the first present
wins. A pair in `midpoints` means the mean of two joints, for sources that lack the joint itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

FINGERS: Final = ("index", "middle", "pinky", "ring", "thumb")
_SIDES: Final = ("left", "right")


@dataclass(frozen=True, kw_only=True)
class Convention:
    """One way of naming joints.

    Attributes:
        name: how messages call it.
        joints: canonical joint (`*_knee`: both sides) -> its names, separated by spaces.
        spine: names between pelvis and neck, the lowest first, where a skeleton may have any
            number of them; `spread` says which become spine1 to spine3.
        aside: names that the convention has and the canonical skeleton has no place for.
        midpoints: canonical joint -> two names whose mean stands for it.
    """

    name: str
    joints: Mapping[str, str]
    spine: str = ""
    aside: str = ""
    midpoints: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @cached_property
    def alternatives(self) -> dict[str, tuple[str, ...]]:
        """Canonical joint -> normalised names, both sides written out; without `spine`."""
        out: dict[str, tuple[str, ...]] = {}
        for joint, names in self.joints.items():
            for side in _SIDES if "*" in joint + names else ("",):
                out[joint.replace("*", side)] = tuple(names.replace("*", side).split())
        return out

    @cached_property
    def known_names(self) -> frozenset[str]:
        """Every normalised name that belongs to the convention."""
        aside = {n.replace("*", side) for n in self.aside.split() for side in _SIDES}
        ends = {n for pair in self.midpoints.values() for n in pair}
        named = {n for ns in self.alternatives.values() for n in ns}
        return frozenset(aside | ends | named | set(self.spine.split()))


def spread(spine: list[int]) -> dict[str, int]:
    """Which joints between pelvis and neck, from the lowest up, become spine1 to spine3.

    The highest is spine3, because it carries the collars; a lone one is spine1.
    """
    if len(spine) < 3:
        return dict(zip(("spine1", "spine3"), spine))
    return {"spine1": spine[0], "spine2": spine[(len(spine) - 1) // 2], "spine3": spine[-1]}


def fingers(pattern: str, first: int = 1, **other: str) -> dict[str, str]:
    """Table lines of all fingers, `{finger}` and `{i}` filled in; `other` renames a finger."""
    lines = {}
    for finger in FINGERS:
        for i in range(1, 3 if finger == "thumb" else 4):
            name = pattern.format(finger=other.get(finger, finger), i=i + first - 1)
            lines[f"*_{finger}{i}"] = f"*_{name}"
    return lines


def numbered_fingers(thumb: str, other: str, order: str = "thumb index middle ring pinky") -> dict:
    """Table lines of fingers that bear numbers, from 0 in `order`.

    Args:
        thumb: names of the thumb's two joints, with `{n}` for the finger's number.
        other: names of another finger's three joints.
    """
    lines = {}
    for n, finger in enumerate(order.split()):
        for i, name in enumerate((thumb if finger == "thumb" else other).split(), 1):
            lines[f"*_{finger}{i}"] = f"*_{name.format(n=n, m=n + 1)}"
    return lines


def limbs(leg: str, arm: str) -> dict[str, str]:
    """Table lines of the limbs.

    Args:
        leg: names of hip, knee, ankle and forefoot; `|` separates alternatives.
        arm: names of collar, shoulder, elbow and wrist.
    """
    parts = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
    lines = {}
    for part, names in zip(parts, (*leg.split(), *arm.split()), strict=True):
        if names != "-":
            lines[f"*_{part}"] = " ".join(f"*_{name}" for name in names.split("|"))
    return lines


GENERIC: Final[Mapping[str, str]] = {
    "pelvis": "pelvis hips hip root cog",
    "*_hip": "*_hip *_thigh *_upleg *_upperleg *_legupper *_femur *_uleg *_thighbend",
    "*_knee": "*_knee *_calf *_shin *_lowleg *_lowerleg *_leglower *_leg *_tibia *_shank *_lleg "
    "*_loleg",
    "*_ankle": "*_ankle *_talus",
    "*_foot": "*_toe *_toes *_toebase *_ball *_toe0 *_bigtoe",
    "neck": "neck neck1 lowerneck necklower",
    "head": "head head1 skull",
    "*_collar": "*_collar *_clavicle *_clav *_collarbone *_scapula",
    "*_shoulder": "*_upperarm *_uparm *_armupper *_arm *_humerus *_uarm *_shldr",
    "*_elbow": "*_elbow *_forearm *_lowerarm *_armlower *_lowarm *_radius *_ulna *_farm *_larm "
    "*_loarm",
    "*_wrist": "*_wrist *_hand *_palm",
    **{
        f"*_{finger}{i}": f"*_{finger}{i} *_hand{finger}{i} *_f{finger}{i}"
        for finger in FINGERS
        for i in (1, 2, 3)
        if (finger, i) != ("thumb", 3)
    },
}
"""Common words, for the gaps that a convention leaves and for skeletons of none; without the words
of two meanings."""

GENERIC_SPINE: Final = (
    "abdomen lowerback stomach ab torso waist spine spine0 spine1 spine2 spine3 spine4 spine5 "
    "upperback thorax chest chest1 chest2 chest3 chest4 upperchest"
).split()
"""Words for joints between pelvis and neck, from the lowest up."""
