"""The rigs that people have, by their lists of joint names."""

from __future__ import annotations

import pytest

from raydance.motion import skeleton
from raydance.motion.joint_matching import match_names

MAIN = """pelvis left_hip left_knee left_ankle left_foot spine1 spine3 neck head left_collar
    left_shoulder left_elbow left_wrist""".split()


def sides(names: str, left: str, right: str) -> list[str]:
    """Names separated by spaces, those with `*` twice, left before right."""
    found = []
    for name in names.split():
        found += [name.replace("*", left), name.replace("*", right)] if "*" in name else [name]
    return found


def spaced(names: list[str]) -> list[str]:
    return [name.replace("~", " ") for name in names]


def fingers(pattern: str, count: int = 3, **other: str) -> str:
    names = ("Thumb", "Index", "Middle", "Ring", "Pinky")
    return " ".join(
        pattern.format(finger=other.get(finger, finger), i=i)
        for finger in names
        for i in range(1, count + 1)
    )


MOTION_BUILDER = """Hips *UpLeg *Leg *Foot *ToeBase Spine Spine1 Spine2 Neck Head *Shoulder *Arm
    *ForeArm *Hand """
UNITY = """Hips *UpperLeg *LowerLeg *Foot *Toes Spine Chest UpperChest Neck Head *Shoulder *UpperArm
    *LowerArm *Hand *Eye Jaw """
UNREAL = """root pelvis spine_01 spine_02 spine_03 clavicle* upperarm* lowerarm* hand* index_01*
    index_02* index_03* thumb_01* thumb_02* thumb_03* lowerarm_twist_01* upperarm_twist_01* neck_01
    head thigh* calf* calf_twist_01* foot* ball* thigh_twist_01* ik_foot_root ik_foot* ik_hand_root
    ik_hand_gun ik_hand*"""
SMPL = """*_hip *_knee *_ankle *_foot spine1 spine2 spine3 neck head *_collar *_shoulder *_elbow
    *_wrist pelvis """
BIPED = """Pelvis Spine Spine1 Spine2 Neck Head *~Thigh *~Calf *~Foot *~Toe0 *~Clavicle *~UpperArm
    *~Forearm *~Hand *~Finger0 *~Finger01 *~Finger02 *~Finger1 *~Finger11 *~Finger12"""
COCO = "nose *_eye *_ear *_shoulder *_elbow *_wrist *_hip *_knee *_ankle"

#        name -> its joints, and what MAIN's joints are called in it ("-": it has none)
RIGS: dict[str, tuple[list[str], str]] = {
    "Mixamo": (
        [
            f"mixamorig:{name}"
            for name in sides(
                f"{MOTION_BUILDER} HeadTop_End *Toe_End {fingers('*Hand{finger}{i}', 4)}",
                "Left",
                "Right",
            )
        ],
        """mixamorig:Hips mixamorig:LeftUpLeg mixamorig:LeftLeg mixamorig:LeftFoot
        mixamorig:LeftToeBase mixamorig:Spine mixamorig:Spine2 mixamorig:Neck mixamorig:Head
        mixamorig:LeftShoulder mixamorig:LeftArm mixamorig:LeftForeArm mixamorig:LeftHand""",
    ),
    "Mixamo in Unity, the namespace without its colon": (
        [f"mixamorig7{name}" for name in sides(MOTION_BUILDER, "Left", "Right")],
        """mixamorig7Hips mixamorig7LeftUpLeg mixamorig7LeftLeg mixamorig7LeftFoot
        mixamorig7LeftToeBase mixamorig7Spine mixamorig7Spine2 mixamorig7Neck mixamorig7Head
        mixamorig7LeftShoulder mixamorig7LeftArm mixamorig7LeftForeArm mixamorig7LeftHand""",
    ),
    "Unity Humanoid": (
        sides(UNITY + fingers("*{finger}Proximal", 1, Pinky="Little"), "Left", "Right"),
        """Hips LeftUpperLeg LeftLowerLeg LeftFoot LeftToes Spine UpperChest Neck Head LeftShoulder
        LeftUpperArm LeftLowerArm LeftHand""",
    ),
    "Unreal 4": (
        sides(UNREAL, "_l", "_r"),
        """pelvis thigh_l calf_l foot_l ball_l spine_01 spine_03 neck_01 head clavicle_l upperarm_l
        lowerarm_l hand_l""",
    ),
    "Unreal 5": (
        sides(f"{UNREAL} spine_04 spine_05 neck_02 index_metacarpal*", "_l", "_r"),
        """pelvis thigh_l calf_l foot_l ball_l spine_01 spine_05 neck_01 head clavicle_l upperarm_l
        lowerarm_l hand_l""",
    ),
    "Rokoko": (
        sides(
            """Root Hips *Thigh *Shin *Foot *Toe *ToeTip Spine1 Spine2 Spine3 Spine4 Neck Head
            *Shoulder *Arm *ForeArm *Hand *Finger1Metacarpal *Finger1Proximal *Finger1Distal
            *Finger2Proximal *Finger2Medial *Finger2Distal""",
            "Left",
            "Right",
        ),
        """Hips LeftThigh LeftShin LeftFoot LeftToe Spine1 Spine4 Neck Head LeftShoulder LeftArm
        LeftForeArm LeftHand""",
    ),
    "Xsens, BVH": (
        sides(
            """Hips Chest Chest2 Chest3 Chest4 Neck Head *Collar *Shoulder *Elbow *Wrist *Hip *Knee
            *Ankle *Toe""",
            "Left",
            "Right",
        ),
        """Hips LeftHip LeftKnee LeftAnkle LeftToe Chest Chest4 Neck Head LeftCollar LeftShoulder
        LeftElbow LeftWrist""",
    ),
    "Xsens, MVN's segments": (
        spaced(
            sides(
                """Pelvis L5 L3 T12 T8 Neck Head *~Shoulder *~Upper~Arm *~Forearm *~Hand
                *~Upper~Leg *~Lower~Leg *~Foot *~Toe""",
                "Left",
                "Right",
            )
        ),
        """Pelvis Left~Upper~Leg Left~Lower~Leg Left~Foot Left~Toe L5 T8 Neck Head Left~Shoulder
        Left~Upper~Arm Left~Forearm Left~Hand""",
    ),
    "Perception Neuron": (
        [
            f"Robot_{name}"
            for name in sides(
                """Hips *UpLeg *Leg *Foot Spine Spine1 Spine2 Spine3 Neck Head *Shoulder *Arm
                *ForeArm *Hand *HandThumb1 *HandThumb2 *HandThumb3 *InHandIndex *HandIndex1
                *HandIndex2 *HandIndex3""",
                "Left",
                "Right",
            )
        ],
        """Robot_Hips Robot_LeftUpLeg Robot_LeftLeg Robot_LeftFoot - Robot_Spine Robot_Spine3
        Robot_Neck Robot_Head Robot_LeftShoulder Robot_LeftArm Robot_LeftForeArm Robot_LeftHand""",
    ),
    "Perception Neuron, Axis Studio": (
        sides(MOTION_BUILDER.replace("ToeBase", "Toe_end") + "Neck1", "Left", "Right"),
        """Hips LeftUpLeg LeftLeg LeftFoot - Spine Spine2 Neck Head LeftShoulder LeftArm LeftForeArm
        LeftHand""",
    ),
    "SlimeVR": (
        sides(
            """HEAD NECK UPPER_CHEST CHEST WAIST HIP *_HIP *_UPPER_LEG *_LOWER_LEG *_FOOT
            *_UPPER_SHOULDER *_SHOULDER *_UPPER_ARM *_LOWER_ARM *_HAND""",
            "LEFT",
            "RIGHT",
        ),
        """HIP LEFT_UPPER_LEG LEFT_LOWER_LEG LEFT_FOOT - WAIST UPPER_CHEST NECK HEAD LEFT_SHOULDER
        LEFT_UPPER_ARM LEFT_LOWER_ARM LEFT_HAND""",
    ),
    "SlimeVR, older": (
        sides(
            "Hip Waist Chest Neck Head *-Hip *-Knee *-Ankle *-Foot *-Shoulder *-Elbow *-Wrist",
            "Left",
            "Right",
        ),
        """Hip Left-Hip Left-Knee Left-Ankle Left-Foot Waist Chest Neck Head - Left-Shoulder
        Left-Elbow Left-Wrist""",
    ),
    "FreeMoCap, its armature": (
        sides(
            """pelvis pelvis.* spine spine.001 neck face shoulder.* upper_arm.* forearm.* hand.*
            thumb.01.* thumb.02.* f_index.01.* thigh.* shin.* foot.* heel.02.*""",
            "L",
            "R",
        ),
        """pelvis thigh.L shin.L foot.L - spine spine.001 neck - shoulder.L upper_arm.L forearm.L
        hand.L""",
    ),
    "FreeMoCap, its points": (
        sides(
            """nose *_eye_inner *_eye *_eye_outer *_ear mouth_* *_shoulder *_elbow *_wrist *_pinky
            *_index *_thumb *_hip *_knee *_ankle *_heel *_foot_index head_center neck_center
            trunk_center hips_center""",
            "left",
            "right",
        ),
        """hips_center left_hip left_knee left_ankle left_foot_index - - neck_center head_center -
        left_shoulder left_elbow left_wrist""",
    ),
    "Cascadeur": (
        sides(
            """pelvis stomach chest neck head clavicle_* arm_* forearm_* hand_* thumb_1_* thumb_2_*
            index_1_* index_2_* index_3_* thigh_* calf_* foot_* toe_*""",
            "l",
            "r",
        ),
        """pelvis thigh_l calf_l foot_l toe_l stomach chest neck head clavicle_l arm_l forearm_l
        hand_l""",
    ),
    "MakeHuman": (
        sides(
            """root pelvis.* upperleg01.* upperleg02.* lowerleg01.* lowerleg02.* foot.* toe1-1.*
            toe1-2.* spine05 spine04 spine03 spine02 spine01 clavicle.* shoulder01.* upperarm01.*
            upperarm02.* lowerarm01.* lowerarm02.* wrist.* finger1-1.* finger1-2.* finger2-1.*
            metacarpal1.* neck01 neck02 neck03 head jaw eye.*""",
            "L",
            "R",
        ),
        """root upperleg01.L lowerleg01.L foot.L toe1-1.L spine05 spine01 neck01 head clavicle.L
        upperarm01.L lowerarm01.L wrist.L""",
    ),
    "MakeHuman, MakeWalk's names with helpers": (
        sides(
            """Root Spine1 Spine2 Spine3 Neck Head __Jaw Jaw __Clavicle_* Clavicle_* UpArm_* LoArm_*
            Hand_* __Thumb1_* Thumb1_* Thumb2_* Middle1_* Middle2_* Hips __UpLeg_* UpLeg_* LoLeg_*
            Foot_* Toe_*""",
            "L",
            "R",
        ),
        """Hips UpLeg_L LoLeg_L Foot_L Toe_L Spine1 Spine3 Neck Head Clavicle_L UpArm_L LoArm_L
        Hand_L""",
    ),
    "MakeHuman, older": (
        sides(
            """root pelvis.* upperleg01.* upperleg02.* lowerleg01.* lowerleg02.* foot.*
            metatarsal1.* toe1-1.* spine05 spine04 spine03 spine02 spine01 clavicle.* shoulder01.*
            shoulder02.* upperarm02.* lowerarm01.* lowerarm02.* wrist.* neck01 neck02 neck03
            head""",
            "L",
            "R",
        ),
        """root upperleg01.L lowerleg01.L foot.L toe1-1.L spine05 spine01 neck01 head clavicle.L
        shoulder02.L lowerarm01.L wrist.L""",
    ),
    "Daz Genesis 8": (
        sides(
            """hip pelvis *ThighBend *ThighTwist *Shin *Foot *Metatarsals *Toe abdomenLower
            abdomenUpper chestLower chestUpper *Collar *ShldrBend *ShldrTwist *ForearmBend
            *ForearmTwist *Hand *Thumb1 *Thumb2 *Carpal1 *Index1 *Mid1 neckLower neckUpper head
            *Eye""",
            "l",
            "r",
        ),
        """hip lThighBend lShin lFoot lToe abdomenLower chestUpper neckLower head lCollar lShldrBend
        lForearmBend lHand""",
    ),
    "Daz Genesis 9": (
        sides(
            """hip pelvis *_thigh *_thightwist1 *_shin *_foot *_toes *_metatarsals spine1 spine2
            spine3 spine4 *_shoulder *_upperarm *_forearm *_hand *_index1 neck1 neck2 head *_eye""",
            "l",
            "r",
        ),
        """pelvis l_thigh l_shin l_foot l_toes spine1 spine4 neck1 head l_shoulder l_upperarm
        l_forearm l_hand""",
    ),
    "Poser": (
        sides(
            """hip abdomen chest neck head *Eye *Collar *Shldr *ForeArm *Hand *Thumb1 *Index1 *Mid1
            *Buttock *Thigh *Shin *Foot *Toe""",
            "l",
            "r",
        ),
        "hip lThigh lShin lFoot lToe abdomen chest neck head lCollar lShldr lForeArm lHand",
    ),
    "3ds Max Biped": (
        ["Bip001", *(f"Bip001 {name}" for name in spaced(sides(BIPED, "L", "R")))],
        """Bip001~Pelvis Bip001~L~Thigh Bip001~L~Calf Bip001~L~Foot Bip001~L~Toe0 Bip001~Spine
        Bip001~Spine2 Bip001~Neck Bip001~Head Bip001~L~Clavicle Bip001~L~UpperArm Bip001~L~Forearm
        Bip001~L~Hand""",
    ),
    "Valve": (
        [
            f"ValveBiped.Bip01_{name}"
            for name in sides(
                """Pelvis Spine Spine1 Spine2 Spine4 Neck1 Head1 *_Clavicle *_UpperArm *_Forearm
                *_Hand *_Thigh *_Calf *_Foot *_Toe0""",
                "L",
                "R",
            )
        ],
        " ".join(
            f"ValveBiped.Bip01_{name}"
            for name in """Pelvis L_Thigh L_Calf L_Foot L_Toe0 Spine Spine4 Neck1 Head1 L_Clavicle
            L_UpperArm L_Forearm L_Hand""".split()
        ),
    ),
    "Rigify": (
        [
            f"DEF-{name}"
            for name in sides(
                """spine spine.001 spine.002 spine.003 spine.004 spine.005 spine.006 pelvis.*
                thigh.* thigh.*.001 shin.* shin.*.001 foot.* toe.* shoulder.* upper_arm.*
                upper_arm.*.001 forearm.* forearm.*.001 hand.* f_index.01.* thumb.01.* breast.*""",
                "L",
                "R",
            )
        ],
        """DEF-spine DEF-thigh.L DEF-shin.L DEF-foot.L DEF-toe.L DEF-spine.001 DEF-spine.003
        DEF-spine.004 DEF-spine.006 DEF-shoulder.L DEF-upper_arm.L DEF-forearm.L DEF-hand.L""",
    ),
    "VRoid": (
        [
            "Root",
            *(f"J_Sec_Hair{i}_{k:02}" for i in (1, 2, 3) for k in range(1, 31)),
            *sides(
                """J_Sec_*_Bust1 J_Sec_*_Bust2 J_Adj_*_FaceEye J_Bip_C_Hips J_Bip_C_Spine
                J_Bip_C_Chest J_Bip_C_UpperChest J_Bip_C_Neck J_Bip_C_Head J_Bip_*_UpperLeg
                J_Bip_*_LowerLeg J_Bip_*_Foot J_Bip_*_ToeBase J_Bip_*_Shoulder J_Bip_*_UpperArm
                J_Bip_*_LowerArm J_Bip_*_Hand J_Bip_*_Index1 J_Bip_*_Index2 J_Bip_*_Thumb1""",
                "L",
                "R",
            ),
        ],
        """J_Bip_C_Hips J_Bip_L_UpperLeg J_Bip_L_LowerLeg J_Bip_L_Foot J_Bip_L_ToeBase
        J_Bip_C_Spine J_Bip_C_UpperChest J_Bip_C_Neck J_Bip_C_Head J_Bip_L_Shoulder
        J_Bip_L_UpperArm J_Bip_L_LowerArm J_Bip_L_Hand""",
    ),
    "iClone, Character Creator": (
        [
            "RL_BoneRoot",
            *(
                f"CC_Base_{name}"
                for name in sides(
                    """BoneRoot Hip Pelvis *_Thigh *_ThighTwist01 *_Calf *_CalfTwist01 *_Foot
                    *_ToeBase *_BigToe1 Waist Spine01 Spine02 NeckTwist01 NeckTwist02 Head
                    FacialBone *_Eye *_Clavicle *_Upperarm *_UpperarmTwist01 *_Forearm
                    *_ForearmTwist01 *_Hand *_Index1 *_Mid1 *_Thumb1""",
                    "L",
                    "R",
                )
            ),
        ],
        """CC_Base_Hip CC_Base_L_Thigh CC_Base_L_Calf CC_Base_L_Foot CC_Base_L_ToeBase CC_Base_Waist
        CC_Base_Spine02 CC_Base_NeckTwist01 CC_Base_Head CC_Base_L_Clavicle CC_Base_L_Upperarm
        CC_Base_L_Forearm CC_Base_L_Hand""",
    ),
    "DeepMotion": (
        [
            f"{name}_JNT"
            for name in sides(
                """hips *_upleg *_leg *_foot *_toebase spine spine1 spine2 neck head *_shoulder
                *_arm *_forearm *_hand *_handThumb1 *_handIndex1""",
                "l",
                "r",
            )
        ],
        """hips_JNT l_upleg_JNT l_leg_JNT l_foot_JNT l_toebase_JNT spine_JNT spine2_JNT neck_JNT
        head_JNT l_shoulder_JNT l_arm_JNT l_forearm_JNT l_hand_JNT""",
    ),
    "LAFAN1": (
        sides(MOTION_BUILDER.replace("ToeBase", "Toe"), "Left", "Right"),
        """Hips LeftUpLeg LeftLeg LeftFoot LeftToe Spine Spine2 Neck Head LeftShoulder LeftArm
        LeftForeArm LeftHand""",
    ),
    "SFU": (
        [
            *sides(
                """Hips *UpLeg *Leg *Foot *ToeBase Spine Spine1 Neck Head *Shoulder *Arm *ForeArm
                *Hand *HandThumb""",
                "Left",
                "Right",
            ),
            "L_Wrist_End",
            "R_Wrist_End",
        ],
        """Hips LeftUpLeg LeftLeg LeftFoot LeftToeBase Spine Spine1 Neck Head LeftShoulder LeftArm
        LeftForeArm LeftHand""",
    ),
    "CMU, ASF": (
        sides(
            """root *hipjoint *femur *tibia *foot *toes lowerback upperback thorax lowerneck
            upperneck head *clavicle *humerus *radius *wrist *hand *fingers *thumb""",
            "l",
            "r",
        ),
        """root lfemur ltibia lfoot ltoes upperback lowerneck upperneck head lclavicle lhumerus
        lradius lhand""",
    ),
    "Bandai-Namco": (
        sides(
            """joint_Root Hips Spine Chest Neck Head Shoulder_* UpperArm_* LowerArm_* Hand_*
            UpperLeg_* LowerLeg_* Foot_* Toes_*""",
            "L",
            "R",
        ),
        """Hips UpperLeg_L LowerLeg_L Foot_L Toes_L Spine Chest Neck Head Shoulder_L UpperArm_L
        LowerArm_L Hand_L""",
    ),
    "SMPL": (
        [f"m_avg_{name}" for name in sides(SMPL.title() + " *_Hand", "L", "R")],
        " ".join(
            f"m_avg_{name}"
            for name in """Pelvis L_Hip L_Knee L_Ankle L_Foot Spine1 Spine3 Neck Head L_Collar
            L_Shoulder L_Elbow L_Wrist""".split()
        ),
    ),
    "SMPL-X": (
        sides(
            SMPL + "jaw *_eye_smplhf " + fingers("*_{finger}{i}").lower(),
            "left",
            "right",
        ),
        """pelvis left_hip left_knee left_ankle left_foot spine1 spine3 neck head left_collar
        left_shoulder left_elbow left_wrist""",
    ),
    "SOMA": (
        sides(
            """Hips Spine1 Spine2 Chest Neck1 Neck2 Head HeadEnd Jaw *Eye *Shoulder *Arm *ForeArm
            *Hand *HandThumb1 *HandThumb2 *HandThumb3 *HandThumbEnd *HandIndex1 *HandIndex2
            *HandIndex3 *HandIndex4 *HandIndexEnd *Leg *Shin *Foot *ToeBase *ToeEnd""",
            "Left",
            "Right",
        ),
        """Hips LeftLeg LeftShin LeftFoot LeftToeBase Spine1 Chest Neck1 Head LeftShoulder LeftArm
        LeftForeArm LeftHand""",
    ),
    "COCO": (
        sides(COCO, "left", "right"),
        """left_hip+right_hip left_hip left_knee left_ankle - - - left_shoulder+right_shoulder
        left_ear+right_ear - left_shoulder left_elbow left_wrist""",
    ),
    "Human3.6M": (
        sides("Hip *Hip *Knee *Foot Spine Thorax Neck/Nose Head *Shoulder *Elbow *Wrist", "L", "R"),
        "Hip LHip LKnee LFoot - - - Thorax Head - LShoulder LElbow LWrist",
    ),
    "MikuMikuDance": (
        sides(
            """全ての親 センター グルーブ 腰 下半身 上半身 上半身２ 首 頭 両目 *肩 *腕 *腕捩 *ひじ
            *手捩 *手首 *親指０ *親指１ *人指１ *人指２ *足 *ひざ *足首 *つま先 *足ＩＫ""",
            "左",
            "右",
        ),
        "下半身 左足 左ひざ 左足首 左つま先 上半身 上半身２ 首 頭 左肩 左腕 左ひじ 左手首",
    ),
    "MikuMikuDance, in English": (
        spaced(
            sides(
                """center groove lower~body upper~body upper~body2 neck head shoulder_* arm_*
                elbow_* wrist_* leg_* knee_* ankle_* toe_* leg~IK_*""",
                "L",
                "R",
            )
        ),
        """lower~body leg_L knee_L ankle_L toe_L upper~body upper~body2 neck head shoulder_L arm_L
        elbow_L wrist_L""",
    ),
    "ARKit": (
        [
            f"{name}_joint"
            for name in sides(
                """root hips *_upLeg *_leg *_foot *_toes spine_1 spine_2 spine_3 spine_4 spine_5
                spine_6 spine_7 neck_1 neck_2 neck_3 neck_4 head *_shoulder_1 *_arm *_forearm
                *_hand""",
                "left",
                "right",
            )
        ],
        """hips_joint left_upLeg_joint left_leg_joint left_foot_joint left_toes_joint spine_1_joint
        spine_7_joint neck_1_joint head_joint left_shoulder_1_joint left_arm_joint
        left_forearm_joint left_hand_joint""",
    ),
    "Kinect": (
        sides(
            """SpineBase SpineMid SpineShoulder Neck Head Shoulder* Elbow* Wrist* Hand* HandTip*
            Thumb* Hip* Knee* Ankle* Foot*""",
            "Left",
            "Right",
        ),
        """SpineBase HipLeft KneeLeft AnkleLeft FootLeft SpineMid SpineShoulder Neck Head -
        ShoulderLeft ElbowLeft WristLeft""",
    ),
    "Second Life": (
        [
            f"m{name}"
            for name in sides(
                """Pelvis Torso Chest Neck Head Skull Eye* Collar* Shoulder* Elbow* Wrist* Hip*
                Knee* Ankle* Foot* Toe*""",
                "Left",
                "Right",
            )
        ],
        """mPelvis mHipLeft mKneeLeft mAnkleLeft mFootLeft mTorso mChest mNeck mHead mCollarLeft
        mShoulderLeft mElbowLeft mWristLeft""",
    ),
    "Advanced Skeleton": (
        sides(
            """Root_M Spine1_M Spine2_M Chest_M Neck_M Head_M Hip_* Knee_* Ankle_* Toes_* Scapula_*
            Shoulder_* Elbow_* Wrist_* IndexFinger1_* ThumbFinger1_*""",
            "L",
            "R",
        ),
        """Root_M Hip_L Knee_L Ankle_L Toes_L Spine1_M Chest_M Neck_M Head_M Scapula_L Shoulder_L
        Elbow_L Wrist_L""",
    ),
    "Auto-Rig Pro": (
        sides(
            """root.x spine_01.x spine_02.x neck.x head.x thigh_stretch.* thigh_twist.*
            leg_stretch.* leg_twist.* foot.* toes_01.* shoulder.* arm_stretch.* arm_twist.*
            forearm_stretch.* forearm_twist.* hand.*""",
            "l",
            "r",
        ),
        """root.x thigh_stretch.l leg_stretch.l foot.l toes_01.l spine_01.x spine_02.x neck.x head.x
        shoulder.l arm_stretch.l forearm_stretch.l hand.l""",
    ),
    "mocopi": (
        sides(
            """root torso_1 torso_2 torso_3 torso_4 torso_5 torso_6 torso_7 neck_1 neck_2 head
            *_shoulder *_up_arm *_low_arm *_hand *_up_leg *_low_leg *_foot *_toes""",
            "l",
            "r",
        ),
        """root l_up_leg l_low_leg l_foot l_toes torso_1 torso_7 neck_1 head l_shoulder l_up_arm
        l_low_arm l_hand""",
    ),
    "ZeroEGGS": (
        sides(
            f"{MOTION_BUILDER} Spine3 Neck1 HeadEnd *ToeBaseEnd {fingers('*Hand{finger}{i}', 4)}",
            "Left",
            "Right",
        ),
        """Hips LeftUpLeg LeftLeg LeftFoot LeftToeBase Spine Spine3 Neck Head LeftShoulder LeftArm
        LeftForeArm LeftHand""",
    ),
    "Theia": (
        sides("pelvis torso head *_thigh *_shank *_foot *_toes *_uarm *_larm *_hand", "l", "r"),
        "pelvis l_thigh l_shank l_foot l_toes torso - - head - l_uarm l_larm l_hand",
    ),
    "glTF that counts its nodes": (
        [f"{name}_{i:02}" for i, name in enumerate(sides(MOTION_BUILDER, "Left", "Right"))],
        """Hips_00 LeftUpLeg_01 LeftLeg_03 LeftFoot_05 LeftToeBase_07 Spine_09 Spine2_11 Neck_12
        Head_13 LeftShoulder_14 LeftArm_16 LeftForeArm_18 LeftHand_20""",
    ),
    "OptiTrack": (
        [
            f"Skeleton 001:{name}"
            for name in sides(
                "Hip Ab Chest Neck Head *Shoulder *UArm *FArm *Hand *Thigh *Shin *Foot *Toe",
                "L",
                "R",
            )
        ],
        " ".join(
            f"Skeleton~001:{name}"
            for name in """Hip LThigh LShin LFoot LToe Ab Chest Neck Head LShoulder LUArm LFArm
            LHand""".split()
        ),
    ),
    "an actor's prefix": (
        [f"Actor01_{name}" for name in sides(UNITY, "Left", "Right")],
        " ".join(
            f"Actor01_{name}"
            for name in """Hips LeftUpperLeg LeftLowerLeg LeftFoot LeftToes Spine UpperChest Neck
            Head LeftShoulder LeftUpperArm LeftLowerArm LeftHand""".split()
        ),
    ),
    "a prefix and a suffix": (
        [f"heroRig_{name}_bind_JNT" for name in sides(MOTION_BUILDER, "Left", "Right")],
        " ".join(
            f"heroRig_{name}_bind_JNT"
            for name in """Hips LeftUpLeg LeftLeg LeftFoot LeftToeBase Spine Spine2 Neck Head
            LeftShoulder LeftArm LeftForeArm LeftHand""".split()
        ),
    ),
    "three.js": (
        [f"bones[{name}]" for name in sides(MOTION_BUILDER, "Left", "Right")],
        " ".join(
            f"bones[{name}]"
            for name in """Hips LeftUpLeg LeftLeg LeftFoot LeftToeBase Spine Spine2 Neck Head
            LeftShoulder LeftArm LeftForeArm LeftHand""".split()
        ),
    ),
}


@pytest.mark.parametrize("rig", RIGS)
def test_the_main_joints_of_known_rigs(rig: str) -> None:
    names, expected = RIGS[rig]
    assert len(set(names)) == len(names)
    _, sources = match_names(names)
    found = {joint: "+".join(names[i] for i in indices) for joint, indices in sources.items()}
    wanted = dict(zip(MAIN, (name.replace("~", " ") for name in expected.split()), strict=True))
    assert {joint: found.get(joint, "-") for joint in MAIN} == wanted
    for joint in MAIN:
        if joint.startswith("left_") and joint in sources:  # `sides` lists left before right
            (left,), (right,) = sources[joint], sources[skeleton.swap_side(joint)]
            assert right == left + 1, joint
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("rig", RIGS)
def test_order_and_namespaces_do_not_matter(rig: str) -> None:
    names = RIGS[rig][0]
    expected = {joint: {names[i] for i in at} for joint, at in match_names(names)[1].items()}
    turned = names[::-1]
    assert {j: {turned[i] for i in at} for j, at in match_names(turned)[1].items()} == expected
    spaced_out = [f"scene|hero:{name}" for name in names]
    assert match_names(spaced_out)[1] == match_names(names)[1]


def test_common_words_fill_the_gaps_of_a_convention() -> None:
    names = [f"Bip01 {name}" for name in spaced(sides(BIPED, "L", "R"))]
    renamed = [n.replace("Calf", "Shin").replace("Clavicle", "Collarbone") for n in names]
    convention, sources = match_names(renamed)
    assert convention == "3ds Max Biped, common words"
    assert {j: renamed[i] for j, (i,) in sources.items() if j in ("left_knee", "right_collar")} == {
        "left_knee": "Bip01 L Shin",
        "right_collar": "Bip01 R Collarbone",
    }
    assert {j: at for j, at in match_names(names)[1].items()} == sources


def test_a_neck_fills_a_gap_too() -> None:
    names = [name for name in RIGS["Auto-Rig Pro"][0] if name not in ("neck.x", "head.x")]
    assert not {"neck", "head"} & set(match_names(names)[1])
    convention, sources = match_names([*names, "neck", "skull"])
    assert convention == "Auto-Rig Pro, common words"
    assert sources["neck"] == (len(names),) and sources["head"] == (len(names) + 1,)
