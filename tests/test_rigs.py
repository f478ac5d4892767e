"""The rigs that people have, by their lists of joint names.

`rigs.json` has for each rig its joints, left before right, and what `MAIN`'s joints are called in
it: `-` where it has none. A space within a name is written `~`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raydance.motion import skeleton
from raydance.motion.joint_matching import match_names

MAIN = """pelvis left_hip left_knee left_ankle left_foot spine1 spine3 neck head left_collar
    left_shoulder left_elbow left_wrist""".split()


def names_of(text: str) -> list[str]:
    """Names separated by spaces."""
    return [name.replace("~", " ") for name in text.split()]


RIGS = {
    name: (names_of(rig["joints"]), names_of(rig["main"]))
    for name, rig in json.loads(Path(__file__).with_name("rigs.json").read_text("utf-8")).items()
}


@pytest.mark.parametrize("rig", RIGS)
def test_the_main_joints_of_known_rigs(rig: str) -> None:
    names, expected = RIGS[rig]
    assert len(set(names)) == len(names)
    _, sources = match_names(names)
    found = {joint: "+".join(names[i] for i in indices) for joint, indices in sources.items()}
    wanted = dict(zip(MAIN, expected, strict=True))
    assert {joint: found.get(joint, "-") for joint in MAIN} == wanted
    for joint in MAIN:
        if joint.startswith("left_") and joint in sources:
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
    names = RIGS["3ds Max Biped"][0]
    renamed = [n.replace("Calf", "Shin").replace("Clavicle", "Collarbone") for n in names]
    convention, sources = match_names(renamed)
    assert convention == "3ds Max Biped, common words"
    assert {j: renamed[i] for j, (i,) in sources.items() if j in ("left_knee", "right_collar")} == {
        "left_knee": "Bip001 L Shin",
        "right_collar": "Bip001 R Collarbone",
    }
    assert {j: at for j, at in match_names(names)[1].items()} == sources


def test_a_neck_fills_a_gap_too() -> None:
    names = [name for name in RIGS["Auto-Rig Pro"][0] if name not in ("neck.x", "head.x")]
    assert not {"neck", "head"} & set(match_names(names)[1])
    convention, sources = match_names([*names, "neck", "skull"])
    assert convention == "Auto-Rig Pro, common words"
    assert sources["neck"] == (len(names),) and sources["head"] == (len(names) + 1,)
