"""The ASF/AMC reader, against the BVH conversion of the same recording."""

from __future__ import annotations

import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from raydance.errors import FormatError
from raydance.motion import rotations as rot
from raydance.motion.formats import amc, asf, bvh

SAME_PLACE = {
    "root": "Hips",
    "lowerback": "LowerBack",
    "upperback": "Spine",
    "thorax": "Spine1",
    "lfemur": "LeftUpLeg",
    "ltibia": "LeftLeg",
    "lfoot": "LeftFoot",
    "ltoes": "LeftToeBase",
    "ltoes_end": "LeftToeBase_end",
    "rfemur": "RightUpLeg",
    "rtibia": "RightLeg",
    "rfoot": "RightFoot",
    "rtoes": "RightToeBase",
}
ABOVE_THE_THORAX = {
    "lclavicle": "LeftShoulder",
    "lhumerus": "LeftArm",
    "lradius": "LeftForeArm",
    "lwrist": "LeftHand",
    "rhumerus": "RightArm",
    "rradius": "RightForeArm",
    "rwrist": "RightHand",
    "lowerneck": "Neck",
    "upperneck": "Neck1",
    "head": "Head",
    "head_end": "Head_end",
}
HANDS = {
    "lhand": "LeftFingerBase",
    "lfingers_end": "LeftHandIndex1_end",
    "lthumb_end": "LThumb_end",
    "rfingers_end": "RightHandIndex1_end",
}

ASF = """# a small man
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
  root begin end
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name thigh
    direction 0 -2 0
    length 8
    axis 0 0 0 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
    id 2
    name foot
    direction 0 -1 0
    length 8
    axis 0 90 0 XYZ
    dof rx
  end
  begin
    id 3
    name head
    direction 0 1 0
    length 14
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root thigh head
    thigh foot
  end
"""
AMC = """#!OML:ASF man.asf
:FULLY-SPECIFIED
:DEGREES
1
root 0 16 0 0 0 0
thigh 0 0 0
foot 0
2
root 1 16 2 0 90 0
thigh 0 0 90
foot 90
"""


def _man(folder: Path, skeleton: str = ASF, motion: str = AMC) -> Path:
    (folder / "man.asf").write_text(skeleton)
    path = folder / "man_01.amc"
    path.write_text(motion)
    return path


def test_small_man_by_hand(tmp_path: Path) -> None:
    path = _man(tmp_path)
    clip, scale = amc.read_with_scale(path, units=1.0, up="y")
    assert clip.joint_names == ("root", "thigh", "head", "foot", "head_end", "foot_end")
    assert clip.parents == (-1, 0, 0, 1, 2, 3)
    assert (clip.fps, clip.clip_id, scale.unit) == (120.0, "man_01", "given")
    assert np.allclose(clip.positions[0, :, 1], [16, 16, 16, 8, 30, 0])
    # Frame 2 by hand, before the root's turn: the thigh turned by 90 degrees about z points from
    # -y to +x, and its own axes stay the world's. The foot turns about the x axis of a frame that
    # is turned by 90 degrees about y, which is -z of the thigh: its -y goes to -x in the thigh's
    # frame, and that is -y in the root's. The root's quarter turn about y brings +x to -z.
    assert np.allclose(clip.positions[1, 3], [1, 16, 2 - 8], atol=1e-5)
    assert np.allclose(clip.positions[1, 5], [1, 16 - 8, 2 - 8], atol=1e-5)
    assert amc.read(path, fps=60).fps == 60
    assert amc.read(path).positions[0, 4, 1] == pytest.approx(30 * 0.0254 / 0.45)


def test_units_orders_and_angles(tmp_path: Path) -> None:
    expected = amc.read(_man(tmp_path), units=1.0, up="y")
    reordered = ASF.replace("TX TY TZ RX RY RZ", "RZ RY RX TZ TY TX")
    lines = AMC.replace("root 1 16 2 0 90 0", "root 0 90 0 2 16 1")
    lines = lines.replace("root 0 16 0 0 0 0", "root 0 0 0 0 16 0").replace("\n", "\r\n")
    other = amc.read(_man(tmp_path, reordered, lines), units=1.0, up="y")
    assert np.allclose(other.positions, expected.positions, atol=1e-5)
    radians = AMC.replace("DEGREES", "RADIANS").replace("90", f"{np.pi / 2:.9f}")
    other = amc.read(_man(tmp_path, motion=radians), units=1.0, up="y")
    assert np.allclose(other.positions, expected.positions, atol=1e-5)
    # The skeleton's own angles in radians; the motion says nothing and follows.
    skeleton = ASF.replace("angle deg", "angle rad").replace("0 90 0", f"0 {np.pi / 2:.9f} 0")
    other = amc.read(_man(tmp_path, skeleton, radians.replace(":RADIANS\n", "")), units=1.0, up="y")
    assert np.allclose(other.positions, expected.positions, atol=1e-5)


@pytest.mark.parametrize(
    ("head", "fps"),
    [
        (":SAMPLES-PER-SECOND 60\n", 60),
        (":samples-per-second 29.97\n", 29.97),
        (":FRAME-TIME 0.04\n", 25),
        ("# framerate: 30\n", 30),
        ("# Frame rate = 48\n", 48),
        ("# recorded at 100 Hz by 12 cameras\n", 100),
        ("# 240 frames per second\n", 240),
        ("# take 60 of the session, 2.4 m wide\n", 120),
        ("# fps 0\n", 120),
        ("# fps 30\n:SAMPLES-PER-SECOND 60\n", 60),
    ],
)
def test_a_stated_rate_is_read(tmp_path: Path, head: str, fps: float) -> None:
    assert amc.read(_man(tmp_path, motion=head + AMC)).fps == pytest.approx(fps)
    late = AMC.replace("2\nroot", f"2\n{head.replace(':', '#')}root")
    assert amc.read(_man(tmp_path, motion=late)).fps == 120.0  # only the head counts


def test_a_stated_rate_may_be_overruled_or_refused(tmp_path: Path) -> None:
    path = _man(tmp_path, motion=":SAMPLES-PER-SECOND 60\n" + AMC)
    (tmp_path / "man_01.json").write_text('{"fps": 25}')
    assert amc.read(path).fps == 60.0 and amc.read(path, fps=50).fps == 50.0
    assert amc.read(_man(tmp_path)).fps == 25.0  # a side-car, where the file is silent
    with pytest.raises(FormatError, match="frames per second; allowed") as caught:
        amc.read(_man(tmp_path, motion=":DEGREES\n:SAMPLES-PER-SECOND 0\n" + AMC))
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("old", "new", "metres"),
    [
        ("length 0.45", "length 1.0 inch", 0.0254),
        ("length 0.45", "length inches", 0.0254),
        ("length 0.45", "length 0.5 in", 0.0508),
        ("length 0.45\n", "length 1\n# all lengths are in centimetres\n", 0.01),
        ("  root begin end\n", "  Offsets were measured in cm.\n", 0.01 / 0.45),
        ("length 0.45\n", "length 1 # units: m\n", 1.0),
        ("length 0.45", "length 0.45", 0.0254 / 0.45),
        ("# a small man", "# a man of 1 cm", 0.0254 / 0.45),
    ],
)
def test_a_stated_unit_is_read(tmp_path: Path, old: str, new: str, metres: float) -> None:
    assert old in ASF
    path = _man(tmp_path, ASF.replace(old, new))
    assert asf.read(tmp_path / "man.asf").declared_unit == pytest.approx(metres)
    # The man is 30 units tall: what makes no body of him is doubted, not believed.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, scale = amc.read_with_scale(path)
    is_believed = 1.0 < 30 * metres < 2.6
    assert (scale.unit == "declared") == is_believed
    is_doubted = any("the file states a unit" in str(warning.message) for warning in caught)
    assert is_doubted != is_believed


def test_axis_order_says_which_turn_comes_first(tmp_path: Path) -> None:
    motion = AMC.replace("thigh 0 0 90", "thigh 90 0 90").replace("0 90 0", "0 0 0")
    first_x = amc.read(_man(tmp_path, motion=motion), units=1.0, up="y").positions[1, 3]
    # XYZ: -y turns about x to -z, which the turn about z leaves alone.
    assert np.allclose(first_x, [1, 16, 2 - 8], atol=1e-5)
    skeleton = ASF.replace("axis 0 0 0 XYZ\n    dof rx", "axis 0 0 0 ZYX\n    dof rx")
    first_z = amc.read(_man(tmp_path, skeleton, motion), units=1.0, up="y").positions[1, 3]
    # ZYX: -y turns about z to +x, which the turn about x leaves alone.
    assert np.allclose(first_z, [1 + 8, 16, 2], atol=1e-5)


def test_position_of_the_root_is_an_offset(tmp_path: Path) -> None:
    skeleton = ASF.replace("position 0 0 0", "position 1 2 3")
    clip = amc.read(_man(tmp_path, skeleton), units=1.0, up="y")
    assert np.allclose(clip.positions[0, 0], [1, 18, 3])


def test_cmu_recording_equals_its_bvh_conversion(shared_data: Path) -> None:
    clip, scale = amc.read_with_scale(shared_data / "cmu_amc" / "05" / "05_02.amc")
    assert (scale.unit, scale.up, scale.doubts) == ("declared", "y", ())
    converted = bvh.read(shared_data / "cmu_bvh" / "bvh" / "05_02.bvh")
    theirs = converted.positions[1:]  # the conversion puts a T-pose before the first frame
    assert clip.num_frames == len(theirs)
    here = {name: clip.positions[:, i] for i, name in enumerate(clip.joint_names)}
    there = {name: theirs[:, i] for i, name in enumerate(converted.joint_names)}
    # The conversion leaves out the thorax and the wrist bones: its arms and neck begin where the
    # thorax begins, its hands where the wrist begins.
    thorax = here["lowerneck"] - here["thorax"]
    assert np.linalg.norm(thorax, axis=-1) == pytest.approx(0.119, abs=1e-3)
    for name, other in SAME_PLACE.items():
        assert np.abs(here[name] - there[other]).max() < 1e-4, name
    for name, other in ABOVE_THE_THORAX.items():
        assert np.abs(here[name] - thorax - there[other]).max() < 1e-4, name
    for name, other in HANDS.items():
        wrist = here[f"{name[0]}hand"] - here[f"{name[0]}wrist"]
        assert np.abs(here[name] - thorax - wrist - there[other]).max() < 1e-4, name


def test_rotations_and_offsets_explain_the_positions(shared_data: Path) -> None:
    clip = amc.read(shared_data / "cmu_amc" / "05" / "05_20.amc")
    assert clip.rotations is not None and clip.offsets is not None
    places = np.broadcast_to(clip.offsets, clip.positions.shape).copy()
    places[:, 0] = clip.positions[:, 0]
    again = rot.forward_kinematics(clip.rotations, places, clip.parents)
    assert np.abs(again - clip.positions).max() < 1e-5


def test_skeleton_is_found_beside_the_motion(tmp_path: Path) -> None:
    path = _man(tmp_path)
    assert amc.find_skeleton(path).name == "man.asf"
    shutil.copy(tmp_path / "man.asf", tmp_path / "man_01.ASF")
    assert amc.find_skeleton(path).name == "man_01.ASF"
    lonely = tmp_path / "lonely.amc"
    with pytest.raises(FormatError, match="man.asf, man_01.ASF|man_01.ASF, man.asf"):
        amc.find_skeleton(lonely)
    (tmp_path / "man_01.ASF").unlink()
    assert amc.find_skeleton(lonely).name == "man.asf"
    (tmp_path / "man.asf").unlink()
    with pytest.raises(FormatError, match="beside it: none"):
        amc.read(path)


MOTIONS = {
    "empty": ("", None, "empty"),
    "no-frames": (AMC[: AMC.index("1\n")], None, "no frames"),
    "no-frame-number": (AMC.replace("1\nroot", "root", 1), 4, "frame number"),
    "unknown-bone": (AMC.replace("thigh 0 0 90", "tail 0 0 90"), 10, "'tail'"),
    "bone-without-dof": (AMC.replace("foot 90", "head 90"), 11, "'head'"),
    "value-count": (AMC.replace("thigh 0 0 90", "thigh 0 0"), 10, "2 values for 'thigh'"),
    "missing-bone": (AMC.replace("thigh 0 0 0\n", ""), 7, "no values for 'thigh'"),
    "cut-off": (AMC.replace("foot 90\n", ""), 11, "no values for 'foot'"),
    "twice": (AMC + "foot 1\n", 12, "twice"),
    "nan": (AMC.replace("foot 90", "foot nan"), 11, "finite"),
    "inf": (AMC.replace("foot 90", "foot -inf"), 11, "finite"),
    "huge": (AMC.replace("foot 90", "foot 1e30"), 11, "at most"),
    "word": (AMC.replace("foot 90", "foot many"), 11, "'many'"),
}
SKELETONS = {
    "no-sections": ("hello\n", None, ":root"),
    "angle": (ASF.replace("angle deg", "angle grad"), 6, "grad"),
    "length": (ASF.replace("length 0.45", "length 0"), 5, "above 0"),
    "dof": (ASF.replace("dof rx ry rz", "dof rx l"), 21, "allowed: rx ry rz"),
    "order": (ASF.replace("TX TY", "TX TX"), 10, "allowed: tx ty"),
    "axis": (ASF.replace("0 90 0 XYZ", "0 90 0 XYY"), 31, "xyy"),
    "direction": (ASF.replace("0 -2 0", "0 -2"), 18, "3 needed"),
    "direction-nan": (ASF.replace("0 -2 0", "0 nan 0"), 18, "finite"),
    "unknown-child": (ASF.replace("thigh foot", "thigh fin"), 44, "'fin'"),
    "two-parents": (ASF.replace("thigh foot", "thigh foot head"), 44, "two parents"),
    "orphan": (ASF.replace("    thigh foot\n", ""), 26, "'foot' does not hang"),
    "circle": (ASF.replace("root thigh head", "root head\nfoot thigh"), 26, "does not hang"),
    "same-name": (ASF.replace("name foot", "name thigh"), 26, "'thigh'"),
    "no-end": (ASF.replace("  end\n:hierarchy", ":hierarchy"), 34, "without end"),
}


@pytest.mark.parametrize("case", MOTIONS)
def test_broken_motions_are_refused_with_the_line(tmp_path: Path, case: str) -> None:
    text, line, words = MOTIONS[case]
    with pytest.raises(FormatError) as caught:
        amc.read(_man(tmp_path, motion=text))
    assert (caught.value.line, words in str(caught.value)) == (line, True), str(caught.value)
    assert caught.value.path.endswith(".amc")


@pytest.mark.parametrize("case", SKELETONS)
def test_broken_skeletons_are_refused_with_the_line(tmp_path: Path, case: str) -> None:
    text, line, words = SKELETONS[case]
    with pytest.raises(FormatError) as caught:
        amc.read(_man(tmp_path, text))
    assert (caught.value.line, words in str(caught.value)) == (line, True), str(caught.value)
    assert caught.value.path.endswith(".asf")


def test_a_body_that_nothing_moves_is_refused(tmp_path: Path) -> None:
    text = ":root\norder\n:bonedata\n:hierarchy\nbegin\nend\n"
    with pytest.raises(FormatError, match="no bone of .*man.asf has degrees of freedom"):
        amc.read(_man(tmp_path, text, "1\n2\n"))


def test_a_tip_gets_a_name_of_its_own(tmp_path: Path) -> None:
    skeleton = ASF.replace("name foot", "name head_end").replace("thigh foot", "thigh head_end")
    motion = AMC.replace("foot", "head_end")
    clip = amc.read(_man(tmp_path, skeleton, motion), units=1.0, up="y")
    assert clip.joint_names[-2:] == ("head_end_", "head_end_end")
    assert len(set(clip.joint_names)) == len(clip.joint_names)


def test_too_many_frames(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="more than the 1 frames allowed"):
        amc.read(_man(tmp_path), max_frames=1)


def test_mutated_files_raise_nothing_but_format_errors(tmp_path: Path) -> None:
    rng = random.Random(0)
    pieces = ["begin", "end", "nan", "1e999", ":root", ":hierarchy", "root", "dof", "#", "\n", "-"]
    read = 0
    for i in range(300):
        texts = [ASF, AMC]
        text = texts[i % 2]
        if i % 5 == 0:
            text = text[: rng.randrange(len(text))]
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(text) + 1)
            gap = rng.randrange(12)
            text = text[:at] + rng.choice(["", f" {rng.choice(pieces)} "]) + text[at + gap :]
        texts[i % 2] = text
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a mutated body may have a doubtful unit
                clip = amc.read(_man(tmp_path, *texts))
        except FormatError:
            continue
        read += 1
        assert np.isfinite(clip.positions).all()
    assert 0 < read < 200
