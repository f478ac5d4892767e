"""What the joints of each naming convention are called.

The same word means different joints in different conventions: `LeftShoulder` is the collar in
MotionBuilder's and CMU's skeletons but the shoulder in Biovision's, `LeftFoot` is the ankle in
most but the toe base in SMPL's. So names are never translated one by one: `mapping.py` first finds
the convention that a whole skeleton follows and then reads every name by that convention's table.

In a table a name is written in the form that `joint_spelling.normalise` makes (side first, lower
case, no separators); `*` stands for both sides. Several names are alternatives, the first present
wins. A pair in `midpoints` means the mean of two joints, for sources that lack the joint itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_FINGERS: Final = ("index", "middle", "pinky", "ring", "thumb")
_SIDES: Final = ("left", "right")


@dataclass(frozen=True, kw_only=True)
class Convention:
    """One way of naming joints.

    Attributes:
        name: how messages call it.
        joints: canonical joint (`*_knee`: both sides) -> its names, separated by spaces.
        aside: names that the convention has and the canonical skeleton has no place for.
        midpoints: canonical joint -> two names whose mean stands for it.
    """

    name: str
    joints: Mapping[str, str]
    aside: str = ""
    midpoints: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def alternatives(self) -> dict[str, tuple[str, ...]]:
        """Canonical joint -> normalised names, both sides written out."""
        out: dict[str, tuple[str, ...]] = {}
        for joint, names in self.joints.items():
            for side in _SIDES if "*" in joint + names else ("",):
                out[joint.replace("*", side)] = tuple(names.replace("*", side).split())
        return out

    def known_names(self) -> frozenset[str]:
        """Every normalised name that belongs to the convention."""
        aside = {n.replace("*", side) for n in self.aside.split() for side in _SIDES}
        ends = {n for pair in self.midpoints.values() for n in pair}
        return frozenset(aside | ends | {n for ns in self.alternatives().values() for n in ns})


def _fingers(pattern: str, first: int = 1, **other: str) -> dict[str, str]:
    """Table lines of all fingers, `{finger}` and `{i}` filled in; `other` renames a finger."""
    lines = {}
    for finger in _FINGERS:
        for i in range(1, 3 if finger == "thumb" else 4):
            name = pattern.format(finger=other.get(finger, finger), i=i + first - 1)
            lines[f"*_{finger}{i}"] = f"*_{name}"
    return lines


_SMPL: Final = {
    "pelvis": "pelvis",
    "*_hip": "*_hip",
    "*_knee": "*_knee",
    "*_ankle": "*_ankle",
    "*_foot": "*_foot *_toe",
    "spine1": "spine1 torso",
    "spine2": "spine2 spine",
    "spine3": "spine3 chest",
    "neck": "neck",
    "head": "head",
    "*_collar": "*_collar *_thorax",
    "*_shoulder": "*_shoulder",
    "*_elbow": "*_elbow",
    "*_wrist": "*_wrist",
    **_fingers("{finger}{i}"),
}

_MOTIONBUILDER: Final = {
    "pelvis": "hips hip",
    "*_hip": "*_upleg",
    "*_knee": "*_leg",
    "*_ankle": "*_foot",
    "*_foot": "*_toebase *_toe",
    "spine1": "spine",
    "spine2": "spine1",
    "spine3": "spine3 spine2",  # the one that carries the collars
    "neck": "neck",
    "head": "head",
    "*_collar": "*_shoulder",
    "*_shoulder": "*_arm",
    "*_elbow": "*_forearm",
    "*_wrist": "*_hand",
    **_fingers("hand{finger}{i}"),
}

# CMU's spine has six joints, of which the lowest lies on the pelvis. The one that carries neck
# and collars is `lowerneck` (`Neck` in the BVH conversion), so it is spine3, and the next one up
# is the canonical neck. Heights above the pelvis then agree with SMPL's to a few centimetres.
# CMU's hand has a finger base, one "finger" and one thumb bone, none of them a finger's joint;
# in the BVH conversion they lie on or near the wrist. They are left aside. (That conversion drops
# the bones above a branching: the thorax and the lower third of the forearm, so that its spine and
# forearms are shorter than in the ASF file of the same person.)
_CMU_BVH: Final = {
    **{k: v for k, v in _MOTIONBUILDER.items() if k.startswith(("pelvis", "*_", "head"))},
    "spine1": "spine",
    "spine2": "spine1",
    "spine3": "neck",
    "neck": "neck1",
}
for _finger in _FINGERS:
    for _i in (1, 2, 3):
        _CMU_BVH.pop(f"*_{_finger}{_i}", None)

CONVENTIONS: Final[tuple[Convention, ...]] = (
    Convention(
        name="SMPL",
        joints=_SMPL,
        aside="jaw *_eyesmplhf *_eye *_hand *_thumb3",
    ),
    Convention(
        name="Mixamo",
        joints=_MOTIONBUILDER,
        aside="root headtopend headend *_eye *_toeend *_handthumb3 *_handthumb4 *_handindex4 "
        "*_handmiddle4 *_handring4 *_handpinky4 *_toebaseend *_footend *_handend neck1",
    ),
    Convention(
        name="CMU BVH",
        joints=_CMU_BVH,
        aside="*_hipjoint lowerback *_fingerbase *_handindex1 *_thumb",
    ),
    Convention(
        name="CMU ASF/AMC",
        joints={
            "pelvis": "root",
            "left_hip": "lfemur",
            "right_hip": "rfemur",
            "left_knee": "ltibia",
            "right_knee": "rtibia",
            "left_ankle": "lfoot",
            "right_ankle": "rfoot",
            "left_foot": "ltoes",
            "right_foot": "rtoes",
            "spine1": "upperback",
            "spine2": "thorax",
            "spine3": "lowerneck",
            "neck": "upperneck",
            "head": "head",
            "left_collar": "lclavicle",
            "right_collar": "rclavicle",
            "left_shoulder": "lhumerus",
            "right_shoulder": "rhumerus",
            "left_elbow": "lradius",
            "right_elbow": "rradius",
            # `lwrist` only twists: it is the lower third of the forearm. The hand bends at `lhand`.
            "left_wrist": "lhand lwrist",
            "right_wrist": "rhand rwrist",
        },
        aside="lhipjoint rhipjoint lowerback lfingers rfingers lthumb rthumb",
    ),
    Convention(
        name="Biovision",
        joints={
            "pelvis": "hips",
            "*_hip": "*_hip",
            "*_knee": "*_knee",
            "*_ankle": "*_ankle",
            "*_foot": "*_toe",
            "spine1": "chest",
            "spine2": "chest2",
            "spine3": "chest4 chest3 lowerneck",
            "neck": "neck",
            "head": "head",
            "*_collar": "*_collar",
            "*_shoulder": "*_shoulder",
            "*_elbow": "*_elbow",
            "*_wrist": "*_wrist",
        },
        aside="*_hipjoint lowerback lhand rhand *_fingers *_thumb",
    ),
    Convention(
        name="Biovision (limb names)",
        joints={
            "pelvis": "hips",
            "*_hip": "*_upleg",
            "*_knee": "*_lowleg",
            "*_ankle": "*_foot",
            "*_foot": "*_toe",
            "spine1": "chest abdomen",
            "spine2": "chest2",
            "spine3": "chest3",
            "neck": "neck",
            "head": "head",
            "*_collar": "*_collar",
            "*_shoulder": "*_uparm",
            "*_elbow": "*_lowarm",
            "*_wrist": "*_hand",
        },
    ),
    Convention(  # also Unity's humanoid, whose words are the same with the side in front
        name="Bandai-Namco",
        joints={
            "pelvis": "hips",
            "*_hip": "*_upperleg",
            "*_knee": "*_lowerleg",
            "*_ankle": "*_foot",
            "*_foot": "*_toes",
            "spine1": "spine",
            "spine2": "spine2",
            "spine3": "upperchest chest",  # Chest carries the shoulders
            "neck": "neck",
            "head": "head",
            "*_collar": "*_shoulder",
            "*_shoulder": "*_upperarm",
            "*_elbow": "*_lowerarm",
            "*_wrist": "*_hand",
            "*_thumb1": "*_thumbproximal",
            "*_thumb2": "*_thumbintermediate",
            **{
                f"*_{finger}{i}": f"*_{'little' if finger == 'pinky' else finger}{part}"
                for finger in _FINGERS[:4]
                for i, part in enumerate(("proximal", "intermediate", "distal"), 1)
            },
        },
        aside="jointroot root *_eye jaw *_thumbdistal",
    ),
    Convention(
        name="Unreal",
        joints={
            "pelvis": "pelvis",
            "*_hip": "*_thigh",
            "*_knee": "*_calf",
            "*_ankle": "*_foot",
            "*_foot": "*_ball",
            "spine1": "spine1",
            "spine2": "spine2",
            "spine3": "spine5 spine4 spine3",
            "neck": "neck1 neck",
            "head": "head",
            "*_collar": "*_clavicle",
            "*_shoulder": "*_upperarm",
            "*_elbow": "*_lowerarm",
            "*_wrist": "*_hand",
            **_fingers("{finger}{i}"),
        },
        aside="root *_thumb3 *_thightwist1 *_calftwist1 *_upperarmtwist1 *_lowerarmtwist1",
    ),
    Convention(
        name="3ds Max Biped",
        joints={
            "pelvis": "pelvis",
            "*_hip": "*_thigh",
            "*_knee": "*_calf",
            "*_ankle": "*_foot",
            "*_foot": "*_toe0",
            "spine1": "spine",
            "spine2": "spine1",
            "spine3": "spine3 spine2",
            "neck": "neck",
            "head": "head",
            "*_collar": "*_clavicle",
            "*_shoulder": "*_upperarm",
            "*_elbow": "*_forearm",
            "*_wrist": "*_hand",
        },
    ),
    Convention(
        name="COCO (AIST++)",
        joints={
            name: name
            for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
            for name in (f"left_{joint}", f"right_{joint}")
        },
        aside="nose *_eye",
        midpoints={
            "pelvis": ("left_hip", "right_hip"),
            "neck": ("left_shoulder", "right_shoulder"),
            "head": ("left_ear", "right_ear"),
        },
    ),
)
"""Every known convention; where two fit a skeleton equally well the earlier one is taken."""

GENERIC: Final[Mapping[str, str]] = {
    "pelvis": "pelvis hips hip root cog",
    "*_hip": "*_hip *_thigh *_upleg *_upperleg *_femur *_uleg",
    "*_knee": "*_knee *_calf *_shin *_lowleg *_lowerleg *_leg *_tibia *_lleg",
    "*_ankle": "*_ankle",
    "*_foot": "*_toe *_toes *_toebase *_ball *_toe0",
    "neck": "neck neck1 lowerneck",
    "head": "head skull",
    "*_collar": "*_collar *_clavicle *_clav *_scapula",
    "*_shoulder": "*_upperarm *_uparm *_arm *_humerus *_uarm",
    "*_elbow": "*_elbow *_forearm *_lowerarm *_lowarm *_radius *_farm",
    "*_wrist": "*_wrist *_hand",
    **{
        f"*_{finger}{i}": f"*_{finger}{i} *_hand{finger}{i}"
        for finger in _FINGERS
        for i in (1, 2, 3)
        if (finger, i) != ("thumb", 3)
    },
}
"""The last resort for skeletons of no known convention, without the words of two meanings."""

GENERIC_SPINE: Final = (
    "abdomen lowerback torso waist spine spine0 spine1 spine2 spine3 spine4 spine5 "
    "upperback thorax chest chest1 chest2 chest3 chest4 upperchest"
).split()
"""Words for joints between pelvis and neck, from the lowest up."""
