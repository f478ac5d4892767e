"""The naming conventions of joints that are known: mocap systems, rigs, game engines, data sets.

See `joint_names.py` for how a table is written. Compared with the bone lists of the retargeting
add-ons that animators use (Rokoko's for Blender, MakeHuman's, Character Creator's) and with the
exporters' own sources where these are public (SlimeVR, FreeMoCap, SOMA).
"""

from __future__ import annotations

from functools import cache
from typing import Final

from raydance.motion.joint_names import (
    FINGERS,
    GENERIC,
    GENERIC_SPINE,
    Convention,
    fingers,
    limbs,
    numbered_fingers,
)

_SMPL: Final = {
    "pelvis": "pelvis",
    **limbs("hip knee ankle foot|toe", "collar|thorax shoulder elbow wrist"),
    "spine1": "spine1 torso",
    "spine2": "spine2 spine",
    "spine3": "spine3 chest",
    "neck": "neck",
    "head": "head",
    **fingers("{finger}{i}"),
}

# CMU's spine has six joints, of which the lowest lies on the pelvis. The one that carries neck
# and collars is `lowerneck` (`Neck` in the BVH conversion), so it is spine3, and the next one up
# is the canonical neck. Heights above the pelvis then agree with SMPL's to a few centimetres.
# CMU's hand has a finger base, one "finger" and one thumb bone, none of them a finger's joint;
# in the BVH conversion they lie on or near the wrist. They are left aside. (That conversion drops
# the bones above a branching: the thorax and the lower third of the forearm, so that its spine and
# forearms are shorter than in the ASF file of the same person.)
_CMU_BVH: Final = {
    "pelvis": "hips hip",
    **limbs("upleg leg foot toebase|toe", "shoulder arm forearm hand"),
    "spine1": "spine",
    "spine2": "spine1",
    "spine3": "neck",
    "neck": "neck1",
    "head": "head",
}

CONVENTIONS: Final[tuple[Convention, ...]] = (
    Convention(
        name="SMPL",
        joints=_SMPL,
        aside="jaw *_eyesmplhf *_eye *_hand *_thumb3",
    ),
    Convention(  # MotionBuilder's names: also Perception Neuron, DeepMotion, LAFAN1, SFU, ARKit
        name="Mixamo",
        joints={
            "pelvis": "hips hip",
            **limbs("upleg leg foot toebase|toe", "shoulder|shoulder1 arm forearm hand"),
            "neck": "neck neck1",
            "head": "head",
            **fingers("hand{finger}{i}"),
        },
        spine="spine spine1 spine2 spine3 spine4 spine5 spine6 spine7",
        aside="root reference headtopend headend *_eye *_toeend *_handthumb3 *_handthumb4 "
        "*_handindex4 *_handmiddle4 *_handring4 *_handpinky4 *_toebaseend *_footend *_handend "
        "*_inhandindex *_inhandmiddle *_inhandring *_inhandpinky",
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
            # `lwrist` only twists: it is the lower third of the forearm. The hand bends at `lhand`.
            **limbs("femur tibia foot toes", "clavicle humerus radius hand|wrist"),
            "spine1": "upperback",
            "spine2": "thorax",
            "spine3": "lowerneck",
            "neck": "upperneck",
            "head": "head",
        },
        aside="*_hipjoint lowerback *_fingers *_thumb",
    ),
    Convention(  # also Xsens' BVH files, 100STYLE and older SlimeVR ones
        name="Biovision",
        joints={
            "pelvis": "hips hip",
            **limbs("hip knee ankle toe|foot", "collar shoulder elbow wrist"),
            "neck": "neck",
            "head": "head",
            **numbered_fingers("finger{n} finger{n}1", "finger{n} finger{n}1 finger{n}2"),
        },
        spine="waist chest chest2 chest3 chest4 lowerneck",
        aside="*_hipjoint lowerback *_hand *_fingers *_thumb",
    ),
    Convention(
        name="Biovision (limb names)",
        joints={
            "pelvis": "hips",
            **limbs("upleg lowleg foot toe", "collar uparm lowarm hand"),
            "neck": "neck",
            "head": "head",
        },
        spine="abdomen chest chest2 chest3",
    ),
    Convention(  # also Unity's humanoid, VRM, VRoid and SlimeVR: the same words in another order
        name="Bandai-Namco",
        joints={
            "pelvis": "hips hip",
            **limbs("upperleg lowerleg foot toes|toebase|toe", "shoulder upperarm lowerarm hand"),
            "neck": "neck",
            "head": "head",
            **{
                f"*_{finger}{i}": f"*_{'little' if finger == 'pinky' else finger}{part} "
                f"*_{'little' if finger == 'pinky' else finger}{i}"
                for finger in FINGERS[:4]
                for i, part in enumerate(("proximal", "intermediate", "distal"), 1)
            },
            "*_thumb1": "*_thumbmetacarpal *_thumbproximal *_thumb1",
            "*_thumb2": "*_thumbintermediate *_thumb2",
        },
        spine="waist spine spine2 chest upperchest",
        aside="jointroot root *_eye jaw *_thumbdistal *_hip *_uppershoulder",
    ),
    Convention(
        name="Unreal",
        joints={
            "pelvis": "pelvis",
            **limbs("thigh calf foot ball", "clavicle upperarm lowerarm hand"),
            "neck": "neck1 neck",
            "head": "head",
            **fingers("{finger}{i}"),
        },
        spine="spine1 spine2 spine3 spine4 spine5",
        aside="root *_thumb3 *_thightwist1 *_calftwist1 *_upperarmtwist1 *_lowerarmtwist1 neck2 "
        "ikfootroot ikhandroot ikhandgun *_ikfoot *_ikhand",
    ),
    Convention(  # also Valve's
        name="3ds Max Biped",
        joints={
            "pelvis": "pelvis",
            **limbs("thigh calf foot toe0", "clavicle upperarm forearm hand"),
            "neck": "neck neck1",
            "head": "head head1",
            **numbered_fingers("finger{n} finger{n}1", "finger{n} finger{n}1 finger{n}2"),
        },
        spine="spine spine1 spine2 spine3 spine4",
    ),
    Convention(
        name="Character Creator",
        joints={
            "pelvis": "hip pelvis",
            **limbs("thigh calf foot toebase|toe", "clavicle upperarm forearm hand"),
            "neck": "necktwist1 neck",
            "head": "head",
            **fingers("{finger}{i}", middle="mid"),
        },
        spine="waist spine1 spine2",
        aside="boneroot necktwist2 facialbone *_eye *_thightwist1 *_thightwist2 *_calftwist1 "
        "*_calftwist2 *_upperarmtwist1 *_upperarmtwist2 *_forearmtwist1 *_forearmtwist2 *_thumb3",
    ),
    Convention(  # Poser's names and those of Daz' figures up to Genesis 8
        name="Daz",
        joints={
            "pelvis": "hip pelvis",
            **limbs(
                "thighbend|thigh shin foot toe", "collar shldrbend|shldr forearmbend|forearm hand"
            ),
            "neck": "necklower neck",
            "head": "head",
            **fingers("{finger}{i}", middle="mid"),
        },
        spine="abdomen abdomenlower abdomen2 abdomenupper chestlower chest chestupper",
        aside="neckupper *_thightwist *_metatarsals *_shldrtwist *_forearmtwist *_buttock *_eye",
    ),
    Convention(  # also FreeMoCap's armature and Genesis 9
        name="Blender",
        joints={
            "pelvis": "pelvis hips hip",
            **limbs("thigh shin foot toe|toes", "shoulder upperarm forearm hand"),
            "neck": "neck neck1",
            "head": "head head1",
            **{k: f"{v} {v.replace('_', '_f')}" for k, v in fingers("{finger}{i}").items()},
        },
        spine="spine spine1 spine2 spine3 spine4 chest upperchest",
        aside="*_pelvis *_heel *_breast *_thumb3 face root",
    ),
    Convention(  # its lowest spine is the pelvis, and neck and head may go on counting
        name="Rigify",
        joints={
            "pelvis": "spine",
            **limbs("thigh shin foot toe", "shoulder upperarm forearm hand"),
            "neck": "spine4 neck",
            "head": "spine6 head",
            **{k: v.replace("_", "_f") for k, v in fingers("{finger}{i}").items()},
            "*_thumb1": "*_thumb1",
            "*_thumb2": "*_thumb2",
        },
        spine="spine1 spine2 spine3",
        aside="spine5 *_pelvis *_heel *_breast *_thumb3 *_thigh1 *_shin1 *_upperarm1 *_forearm1",
    ),
    Convention(
        name="MakeHuman",
        joints={
            "pelvis": "root",
            **limbs(
                "upperleg1 lowerleg1 foot toe11", "clavicle upperarm1|shoulder2 lowerarm1 wrist"
            ),
            "neck": "neck1",
            "head": "head",
            **numbered_fingers("finger{m}1 finger{m}2", "finger{m}1 finger{m}2 finger{m}3"),
        },
        spine="spine5 spine4 spine3 spine2 spine1",
        aside="*_pelvis *_upperleg2 *_lowerleg2 *_shoulder1 *_upperarm2 *_lowerarm2 neck2 neck3",
    ),
    Convention(
        name="Rokoko",
        joints={
            "pelvis": "hips hip",
            **limbs("thigh shin foot toe", "shoulder arm forearm hand"),
            "neck": "neck",
            "head": "head",
            **numbered_fingers(
                "finger{m}metacarpal finger{m}proximal",
                "finger{m}proximal finger{m}medial finger{m}distal",
            ),
        },
        spine="spine spine1 spine2 spine3 spine4",
        aside="root *_toetip headtip *_finger1distal *_finger1tip",
    ),
    Convention(
        name="SOMA",
        joints={
            "pelvis": "hips",
            **limbs("leg shin foot toebase", "shoulder arm forearm hand"),
            "spine1": "spine1",
            "spine2": "spine2",
            "spine3": "chest",
            "neck": "neck1",
            "head": "head",
            **fingers("hand{finger}{i}", first=2),  # the first of a finger is the metacarpal
            "*_thumb1": "*_handthumb1",
            "*_thumb2": "*_handthumb2",
        },
        aside="root neck2 headend jaw *_eye *_toeend *_handthumb3 *_handthumbend *_handmiddleend "
        "*_handindex1 *_handmiddle1 *_handring1 *_handpinky1",
    ),
    Convention(
        name="Cascadeur",
        joints={
            "pelvis": "pelvis hips",
            **limbs("thigh calf foot toe", "clavicle arm forearm hand"),
            "neck": "neck",
            "head": "head",
            **fingers("{finger}{i}"),
        },
        spine="stomach chest",
    ),
    Convention(
        name="Auto-Rig Pro",
        joints={
            "pelvis": "rootx",
            **limbs(
                "thighstretch legstretch foot toes1", "shoulder armstretch forearmstretch hand"
            ),
            "neck": "neckx",
            "head": "headx",
        },
        spine="spine1x spine2x spine3x spine4x",
    ),
    Convention(
        name="mocopi",
        joints={
            "pelvis": "root",
            **limbs("upleg lowleg foot toes", "shoulder uparm lowarm hand"),
            "neck": "neck1",
            "head": "head",
        },
        spine="torso1 torso2 torso3 torso4 torso5 torso6 torso7",
        aside="neck2",
    ),
    Convention(
        name="Xsens MVN",
        joints={
            "pelvis": "pelvis",
            **limbs("upperleg lowerleg foot toe|toes", "shoulder upperarm forearm hand"),
            "neck": "neck",
            "head": "head",
        },
        spine="l5 l3 t12 t8",
    ),
    Convention(
        name="Kinect",
        joints={
            "pelvis": "pelvis spinebase hip",
            **limbs("hip knee ankle foot", "clavicle shoulder elbow wrist"),
            "neck": "neck",
            "head": "head",
        },
        spine="spinemid spinenavel spinechest spineshoulder",
        aside="*_hand *_handtip *_thumb nose *_eye *_ear",
    ),
    Convention(
        name="MMD",
        joints={
            "pelvis": "下半身 腰 センター",
            **limbs("足 ひざ 足首 つま先", "肩 腕 ひじ 手首"),
            "neck": "首",
            "head": "頭",
            **{
                f"*_{finger}{i}": f"*_{name}{i - (finger == 'thumb')}"
                for finger, name in zip(FINGERS, ("人指", "中指", "小指", "薬指", "親指"))
                for i in range(1, 3 if finger == "thumb" else 4)
            },
        },
        spine="上半身 上半身2 上半身3",
        aside="全ての親 グルーブ *_足ik *_つま先ik *_腕捩 *_手捩 両目 *_目",
    ),
    Convention(
        name="MMD (English)",
        joints={
            "pelvis": "lowerbody waist center",
            **limbs("leg knee ankle toe", "shoulder arm elbow wrist"),
            "neck": "neck",
            "head": "head",
        },
        spine="upperbody upperbody2 upperbody3",
        aside="groove motherbone *_legik *_toeik",
    ),
    Convention(
        name="Human3.6M",
        joints={
            "pelvis": "hip pelvis hips",
            **limbs("hip knee ankle|foot toebase|toe", "- shoulder elbow wrist"),
            "spine2": "spine",
            "neck": "thorax",  # it lies between the shoulders
            "head": "head",
        },
        aside="nose neck necknose site",
    ),
    Convention(  # 17 or 25 keypoints, or MediaPipe's 33; FreeMoCap adds middles to these
        name="COCO (AIST++)",
        joints={
            "pelvis": "midhip hips",
            **limbs("hip knee ankle bigtoe|footindex", "- shoulder elbow wrist"),
            "spine2": "trunk",
            "neck": "neck",
            "head": "head",
        },
        aside="nose *_eye *_eyeinner *_eyeouter *_mouth *_heel *_smalltoe *_pinky *_index *_thumb",
        midpoints={
            "pelvis": ("left_hip", "right_hip"),
            "neck": ("left_shoulder", "right_shoulder"),
            "head": ("left_ear", "right_ear"),
        },
    ),
)
"""Every known convention; where two fit a skeleton equally well the earlier one is taken."""


@cache
def unambiguous() -> dict[str, tuple[str, ...]]:
    """Canonical joint -> the names that mean it in every table that has them; without the spine.

    `neck` is taken for one of them: only CMU's BVH files mean another joint by it.
    """
    meanings: dict[str, set[str]] = {}
    for table in (Convention(name="words", joints=GENERIC), *CONVENTIONS):
        for joint, names in table.alternatives.items():
            for name in names:
                meanings.setdefault(name, set()).add(joint)
        for name in (*table.spine.split(), *GENERIC_SPINE):
            meanings.setdefault(name, set()).add("spine")
    meanings["neck"] = {"neck"}
    out: dict[str, tuple[str, ...]] = {}
    for name, joints in meanings.items():
        if len(joints) == 1 and not (joint := next(iter(joints))).startswith("spine"):
            out[joint] = (*out.get(joint, ()), name)
    return out
