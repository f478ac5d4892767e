"""Skeletons of many names onto the canonical joints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.motion import skeleton
from raydance.motion.clip import Clip
from raydance.motion.formats import read_clip
from raydance.motion.joint_conventions import CONVENTIONS
from raydance.motion.joint_matching import match_names
from raydance.motion.joint_spelling import normalise
from raydance.motion.mapping import (
    MappedMotion,
    load_mapping,
    map_to_canonical,
)

I = skeleton.INDEX  # noqa: E741 - short, for the many index look-ups below

CMU = """Hips LHipJoint LeftUpLeg LeftLeg LeftFoot LeftToeBase RHipJoint RightUpLeg RightLeg
    RightFoot RightToeBase LowerBack Spine Spine1 Neck Neck1 Head LeftShoulder LeftArm LeftForeArm
    LeftHand LeftFingerBase LeftHandIndex1 LThumb RightShoulder RightArm RightForeArm RightHand
    RightFingerBase RightHandIndex1 RThumb""".split()
CMU_131 = """Hips LHipJoint LeftHip LeftKnee LeftAnkle LeftToe RHipJoint RightHip RightKnee
    RightAnkle RightToe lowerback Chest Chest2 lowerneck Neck Head LeftCollar LeftShoulder LeftElbow
    LeftWrist lhand LFingers LThumb RightCollar RightShoulder RightElbow RightWrist rhand RFingers
    RThumb""".split()
ASF = """root lhipjoint lfemur ltibia lfoot ltoes rhipjoint rfemur rtibia rfoot rtoes lowerback
    upperback thorax lowerneck upperneck head lclavicle lhumerus lradius lwrist lhand lfingers
    lthumb rclavicle rhumerus rradius rwrist rhand rfingers rthumb""".split()
BANDAI = """joint_Root Hips Spine Chest Neck Head Shoulder_L UpperArm_L LowerArm_L Hand_L Shoulder_R
    UpperArm_R LowerArm_R Hand_R UpperLeg_L LowerLeg_L Foot_L Toes_L UpperLeg_R LowerLeg_R Foot_R
    Toes_R""".split()
BIOVISION = """Hips LeftHip LeftKnee LeftAnkle LeftToe RightHip RightKnee RightAnkle RightToe Chest
    LeftCollar LeftShoulder LeftElbow LeftWrist RightCollar RightShoulder RightElbow RightWrist Neck
    Head""".split()
LIMBS = """Hips Chest Neck Head LeftCollar LeftUpArm LeftLowArm LeftHand RightCollar RightUpArm
    RightLowArm RightHand LeftUpLeg LeftLowLeg LeftFoot RightUpLeg RightLowLeg RightFoot""".split()
HUNDRED_STYLES = """Hips Chest Chest2 Chest3 Chest4 Neck Head RightCollar RightShoulder RightElbow
    RightWrist LeftCollar LeftShoulder LeftElbow LeftWrist RightHip RightKnee RightAnkle RightToe
    LeftHip LeftKnee LeftAnkle LeftToe""".split()
LAFAN = """Hips LeftUpLeg LeftLeg LeftFoot LeftToe RightUpLeg RightLeg RightFoot RightToe Spine
    Spine1 Spine2 Neck Head LeftShoulder LeftArm LeftForeArm LeftHand RightShoulder RightArm
    RightForeArm RightHand""".split()
MIXAMO = [
    *"Hips Spine Spine1 Spine2 Neck Head HeadTop_End".split(),
    *(
        side + part
        for side in ("Left", "Right")
        for part in (
            *"UpLeg Leg Foot ToeBase Toe_End Shoulder Arm ForeArm Hand".split(),
            *(
                f"Hand{f}{i}"
                for f in ("Thumb", "Index", "Middle", "Ring", "Pinky")
                for i in (1, 2, 3, 4)
            ),
        )
    ),
]
SMPL_SHORT = """Pelvis L_Hip R_Hip Spine1 L_Knee R_Knee Spine2 L_Ankle R_Ankle Spine3 L_Foot R_Foot
    Neck L_Collar R_Collar Head L_Shoulder R_Shoulder L_Elbow R_Elbow L_Wrist R_Wrist L_Hand
    R_Hand""".split()
SMPL_TORSO = """Pelvis L_Hip L_Knee L_Ankle L_Toe R_Hip R_Knee R_Ankle R_Toe Torso Spine Chest Neck
    Head L_Thorax L_Shoulder L_Elbow L_Wrist L_Hand R_Thorax R_Shoulder R_Elbow R_Wrist
    R_Hand""".split()
UNREAL = """root pelvis spine_01 spine_02 spine_03 neck_01 head clavicle_l upperarm_l lowerarm_l
    hand_l index_01_l index_01_r clavicle_r upperarm_r lowerarm_r hand_r thigh_l calf_l foot_l
    ball_l thigh_r calf_r foot_r ball_r""".split()
BIPED = [
    "Bip01",
    *(
        f"Bip01 {part}"
        for part in (
            *"Pelvis Spine Spine1 Spine2 Neck Head".split(),
            *(
                f"{side} {part}"
                for side in "LR"
                for part in "Thigh Calf Foot Toe0 Clavicle UpperArm Forearm Hand".split()
            ),
        )
    ),
]
UNKNOWN = """COG waist torso chest neck skull left_thigh left_shin left_foot left_toes right_thigh
    right_shin right_foot right_toes l_clav l_shoulder l_forearm l_hand r_clav r_shoulder r_forearm
    r_hand""".split()

#        names, convention, number of body joints, some that tell conventions apart
TABLE = [
    (CMU, "CMU BVH", 22, {"left_collar": "LeftShoulder", "left_ankle": "LeftFoot"}),
    (CMU, "CMU BVH", 22, {"spine3": "Neck", "neck": "Neck1", "left_hip": "LeftUpLeg"}),
    (CMU_131, "Biovision", 22, {"left_shoulder": "LeftShoulder", "spine3": "lowerneck"}),
    (ASF, "CMU ASF/AMC", 22, {"left_knee": "ltibia", "neck": "upperneck", "left_foot": "ltoes"}),
    (BANDAI, "Bandai-Namco", 21, {"left_collar": "Shoulder_L", "spine3": "Chest"}),
    (BIOVISION, "Biovision", 20, {"left_shoulder": "LeftShoulder", "left_hip": "LeftHip"}),
    (LIMBS, "Biovision (limb names)", 18, {"left_knee": "LeftLowLeg", "left_ankle": "LeftFoot"}),
    (HUNDRED_STYLES, "Biovision", 22, {"spine3": "Chest4", "left_collar": "LeftCollar"}),
    (LAFAN, "Mixamo", 22, {"neck": "Neck", "spine3": "Spine2", "left_foot": "LeftToe"}),
    (MIXAMO, "Mixamo", 22, {"left_index1": "LeftHandIndex1", "right_pinky3": "RightHandPinky3"}),
    (SMPL_SHORT, "SMPL", 22, {"left_foot": "L_Foot", "left_ankle": "L_Ankle"}),
    (SMPL_TORSO, "SMPL", 22, {"left_collar": "L_Thorax", "spine2": "Spine", "left_foot": "L_Toe"}),
    (list(skeleton.JOINTS), "SMPL", 22, {"left_thumb2": "left_thumb2"}),
    (UNREAL, "Unreal", 22, {"left_index1": "index_01_l", "left_hip": "thigh_l"}),
    (BIPED, "3ds Max Biped", 22, {"left_shoulder": "Bip01 L UpperArm"}),
    (UNKNOWN, "words", 22, {"pelvis": "COG", "left_ankle": "left_foot", "head": "skull"}),
]


def _clip(names: list[str], num_frames: int = 3) -> Clip:
    rng = np.random.default_rng(0)
    return Clip(
        clip_id="x",
        source="x.bvh",
        fps=30,
        joint_names=tuple(names),
        parents=(-1,) + (0,) * (len(names) - 1),
        positions=rng.normal(size=(num_frames, len(names), 3)).astype(np.float32),
    )


@pytest.mark.parametrize(("names", "convention", "num_body", "some"), TABLE)
def test_conventions_are_recognised_as_a_whole(
    names: list[str], convention: str, num_body: int, some: dict[str, str]
) -> None:
    clip = _clip(names)
    mapped = map_to_canonical(clip)
    assert (mapped.convention, mapped.num_body_joints) == (convention, num_body)
    assert {joint: mapped.matched.get(joint) for joint in some} == some
    for joint, source in mapped.matched.items():
        column = clip.joint_names.index(source)
        np.testing.assert_array_equal(mapped.positions[:, I[joint]], clip.positions[:, column])
    assert (mapped.positions[:, ~mapped.joint_mask] == 0).all()
    assert {j for j in skeleton.JOINTS if mapped.joint_mask[I[j]]} == set(mapped.matched)
    assert set(mapped.missing) == set(skeleton.JOINTS) - set(mapped.matched)
    assert len(set(mapped.matched.values())) == len(mapped.matched)  # no joint stands for two
    assert set(mapped.unmatched_source) == set(names) - set(mapped.matched.values())


@pytest.mark.parametrize(("names", "convention", "num_body", "some"), TABLE)
@pytest.mark.parametrize(
    "spell",
    [str.upper, str.lower, "mixamorig:{}".format, "ns:char:{}".format],
    ids=["upper", "lower", "mixamorig", "namespace"],
)
def test_spelling_does_not_matter(
    names: list[str], convention: str, num_body: int, some: dict[str, str], spell
) -> None:
    mapped = map_to_canonical(_clip([spell(name) for name in names]))
    assert (mapped.convention, mapped.num_body_joints) == (convention, num_body)


@pytest.mark.parametrize(("names", "convention", "num_body", "some"), TABLE)
def test_order_does_not_matter_and_sides_swap(
    names: list[str], convention: str, num_body: int, some: dict[str, str]
) -> None:
    assert match_names(names)[0] == match_names(names[::-1])[0] == convention
    sources = match_names(names)[1]
    swapped = [names[sources[skeleton.swap_side(j)][0]] if j in sources else "" for j in sources]
    mirrored = dict(zip((names[sources[j][0]] for j in sources), swapped))
    # With the names of the sides exchanged, the sides of the joints are exchanged.
    renamed = match_names([mirrored.get(name, name) for name in names])
    assert renamed[0] == convention
    assert {skeleton.swap_side(j): index for j, index in sources.items()} == renamed[1]


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("mixamorig:LeftUpLeg", "left_upleg"),
        ("mixamorig9LeftUpLeg", "left_upleg"),
        ("UpperLeg_L", "left_upperleg"),
        ("upper_leg.R", "right_upperleg"),
        ("L_Hip", "left_hip"),
        ("LHipJoint", "left_hipjoint"),
        ("RightUpLeg", "right_upleg"),
        ("right_hip", "right_hip"),
        ("Bip01 R Toe0", "right_toe0"),
        ("spine_01", "spine1"),
        ("index_03_l", "left_index3"),
        ("lowerback", "lowerback"),
        ("Root", "root"),
        ("LowerBack", "lowerback"),
        ("lfemur", "lfemur"),
        ("RIG_Head", "head"),
        ("Armature|Hips", "hips"),
        ("左足", "left_足"),
        ("右つま先ＩＫ", "right_つま先ik"),
        ("DEF-upper_arm.L.001", "left_upperarm1"),
        ("Bip01_L_Finger01", "left_finger1"),
        ("L5", "l5"),
        ("C_Spine", "spine"),
        ("hips_center", "hips"),
        ("center", "center"),
        ("HipLeft", "left_hip"),
        ("armleft", "left_arm"),
        ("", ""),
    ],
)
def test_names_are_normalised(name: str, normal: str) -> None:
    assert normalise(name) == normal


def test_tables_name_canonical_joints_and_no_name_twice() -> None:
    assert len({c.name for c in CONVENTIONS}) == len(CONVENTIONS)
    for convention in CONVENTIONS:
        table = convention.alternatives
        assert set(table) | set(convention.midpoints) <= set(skeleton.JOINTS), convention.name
        names = [name for names in table.values() for name in names]
        assert len(names) == len(set(names)), convention.name
        assert {skeleton.swap_side(j) for j in table} == set(table), convention.name


def test_too_little_of_a_body_is_refused_by_name() -> None:
    names = [n for n in CMU if n not in ("Hips", "LeftUpLeg")]
    with pytest.raises(
        InputError, match=r"x\.bvh.*no pelvis, no left_hip.*Missing: pelvis, left_hip"
    ):
        map_to_canonical(_clip(names))
    eleven = [*BIOVISION[:9], "Chest", "Neck"]
    with pytest.raises(InputError, match="11 body joints, at least 12"):
        map_to_canonical(_clip(eleven))
    assert map_to_canonical(_clip([*eleven, "Head"])).num_body_joints == 12
    with pytest.raises(InputError, match="Give a mapping file"):
        map_to_canonical(_clip([f"joint{i}" for i in range(22)]))
    nobody = _clip(CMU)
    with pytest.raises(InputError, match="all joints lie within 0 m"):
        map_to_canonical(replace(nobody, positions=np.zeros_like(nobody.positions)))


def test_a_user_s_mapping_is_all_that_counts(tmp_path: Path) -> None:
    names = [f"j{i}" for i in range(24)]
    path = tmp_path / "map.yaml"
    lines = [f"{joint}: j{i}" for i, joint in enumerate(skeleton.JOINTS[:21])]
    path.write_text("\n".join([*lines, "right_wrist: [j21, j22]"]))
    mapping = load_mapping(path)
    clip = _clip(names)
    mapped = map_to_canonical(clip, mapping)
    assert mapped.convention == "given" and mapped.unmatched_source == ("j23",)
    np.testing.assert_allclose(
        mapped.positions[:, I["right_wrist"]], clip.positions[:, 21:23].mean(axis=1)
    )
    (tmp_path / "map.json").write_text(json.dumps(mapping))
    assert load_mapping(tmp_path / "map.json") == mapping


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("left_kne: a", r"unknown canonical joint 'left_kne' \(did you mean left_knee\?\)"),
        ("pelvis: 3", "pelvis: found 3"),
        ("pelvis: [a, b, c]", "pelvis: found"),
        ("[pelvis]", "found list"),
        ("", "found NoneType"),
        ("a: b: c", "not readable"),
        ("!!python/object/apply:os.system ['true']", "not readable"),
        ("1: a", "unknown canonical joint 1"),
    ],
)
def test_wrong_mapping_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_mapping(tmp_path / "map.yaml")


def test_a_mapping_to_joints_that_are_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"x\.bvh has no joint 'Hip' \(did you mean Hips\?\)"):
        map_to_canonical(_clip(CMU), {"pelvis": "Hip"})
    with pytest.raises(InputError, match="unknown canonical joint 'hip'"):
        map_to_canonical(_clip(CMU), {"hip": "Hips"})
    with pytest.raises(InputError, match="no left_hip"):
        map_to_canonical(_clip(CMU), {"pelvis": "Hips"})


def _check_anatomy(mapped: MappedMotion, name: str) -> None:
    """Left is left, limbs are where limbs are: medians over a clip's frames."""
    frames = mapped.positions[1::4]

    def at(joint: str) -> np.ndarray:
        return frames[:, I[joint]]

    def length(a: str, b: str) -> float:
        return float(np.median(np.linalg.norm(at(a) - at(b), axis=-1)))

    left = at("left_hip") - at("right_hip")
    forward = np.cross(left, at("neck") - at("pelvis"))
    toes = sum(at(f"{s}_foot") - at(f"{s}_ankle") for s in ("left", "right"))
    # Runners push off with the toes behind them, so only most of the time.
    assert np.mean(np.sum(forward * toes, axis=-1) > 0) > 0.3, name
    for part in ("collar", "shoulder"):
        across = at(f"left_{part}") - at(f"right_{part}")
        assert np.median(np.sum(across * left, axis=-1)) >= 0, (name, part)
    for side in ("left", "right"):
        thigh, shank = (
            length(f"{side}_hip", f"{side}_knee"),
            length(f"{side}_knee", f"{side}_ankle"),
        )
        assert 0.3 < thigh < 0.55 and 0.3 < shank < 0.55, (name, thigh, shank)
        assert length(f"{side}_hip", f"{side}_ankle") > max(thigh, shank), name
        assert 0.08 < length(f"{side}_ankle", f"{side}_foot") < 0.2, name
        assert 0.15 < length(f"{side}_shoulder", f"{side}_elbow") < 0.36, name
        assert 0.13 < length(f"{side}_elbow", f"{side}_wrist") < 0.32, name
        assert length(f"{side}_collar", "neck") < length(f"{side}_wrist", "neck"), name
    assert length("pelvis", "left_hip") < 0.2
    chain = [
        joint for joint in ("spine1", "spine2", "spine3", "neck", "head") if joint in mapped.matched
    ]
    along = [length("pelvis", joint) for joint in chain]
    assert along == sorted(along) and along[-1] < 0.7, (name, along)


@pytest.mark.parametrize(
    ("pattern", "convention", "num_body"),
    [
        ("cmu_bvh/bvh/[0-4]*_*[05].bvh", "CMU BVH", 22),
        ("cmu_bvh/bvh/131_*.bvh", "Biovision", 22),
        ("bandai_bvh/data/*_0*[1-3].bvh", "Bandai-Namco", 21),
        ("cmu_amc/*/*.amc", "CMU ASF/AMC", 22),
        ("humanml3d/*_joint*.npy", "SMPL", 22),
    ],
)
def test_real_recordings_are_anatomical(
    shared_data: Path, pattern: str, convention: str, num_body: int
) -> None:
    paths = sorted(shared_data.glob(pattern))
    assert paths, pattern
    for path in paths[:: max(1, len(paths) // 12)]:
        mapped = map_to_canonical(read_clip(path))
        assert (mapped.convention, mapped.num_body_joints) == (convention, num_body), path.name
        _check_anatomy(mapped, path.name)


def test_walkers_walk_forward(shared_data: Path) -> None:
    for name in ("cmu_bvh/bvh/02_01.bvh", "cmu_bvh/bvh/35_01.bvh"):
        mapped = map_to_canonical(read_clip(shared_data / name))
        frames = mapped.positions[1:]
        left = frames[:, I["left_hip"]] - frames[:, I["right_hip"]]
        travel = np.gradient(frames[:, 0], axis=0)
        forward = np.stack((-left[:, 2], left[:, 0]), axis=-1)  # left x up, in (x, z)
        assert np.mean(np.sum(forward * travel[:, [0, 2]], axis=-1) > 0) > 0.95, name


def test_bvh_and_amc_of_one_recording_agree(shared_data: Path) -> None:
    amc = map_to_canonical(read_clip(shared_data / "cmu_amc/05/05_02.amc")).positions
    bvh = map_to_canonical(read_clip(shared_data / "cmu_bvh/bvh/05_02.bvh")).positions[1:]
    legs = [I[f"{s}_{j}"] for s in ("left", "right") for j in ("hip", "knee", "ankle", "foot")]
    error = np.linalg.norm(amc[:, [0, *legs]] - bvh[: len(amc), [0, *legs]], axis=-1)
    assert error.mean() < 0.02 and error.max() < 0.1
