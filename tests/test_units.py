"""Units and up axes found from the body."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from standing_body import INDEX, NAMES, PARENTS, stand, to_z_up

from raydance.motion import rotations as rot
from raydance.motion import skeleton, units
from raydance.motion.formats import bvh

CLIPS = ("cmu_bvh/bvh/49_08", "cmu_bvh/bvh/05_02", "cmu_bvh/bvh/16_21")
BANDAI = "bandai_bvh/data/dataset-1_dash_giant_001"


@pytest.mark.parametrize("metres_per_unit", sorted(units.UNITS.values()))
@pytest.mark.parametrize("up", ["y", "z", "x"])
@pytest.mark.parametrize("name", [*CLIPS, BANDAI])
def test_every_unit_and_axis_is_found(
    shared_data: Path, name: str, up: str, metres_per_unit: float
) -> None:
    clip = bvh.read(shared_data / f"{name}.bvh")
    assert clip.offsets is not None
    rest = units.rest_positions(clip.offsets, clip.parents)
    back = rot.conjugate(units.detect(clip.positions[:1], units=1.0, up=up).turn)
    found = units.detect(
        rot.rotate(back, clip.positions[::5]) / metres_per_unit,
        parents=clip.parents,
        joint_names=clip.joint_names,
        rest=rot.rotate(back, rest) / metres_per_unit,
    )
    assert (found.metres_per_unit, found.up, found.doubts) == (metres_per_unit, up, ())
    assert found.unit not in ("given", "declared")
    source = rot.rotate(back, clip.positions[0]) / metres_per_unit
    assert np.allclose(found.vectors(source), clip.positions[0], atol=1e-4)


def test_positions_without_a_skeleton(shared_data: Path) -> None:
    positions = np.load(shared_data / "humanml3d" / "012314_new_joints.npy")
    for kwargs in ({}, {"joint_names": skeleton.JOINTS[:22], "parents": skeleton.PARENTS[:22]}):
        found = units.detect(positions, **kwargs)
        assert (found.unit, found.up) == ("m", "y")
        z_up = units.detect(1000.0 * positions[..., [0, 2, 1]] * [1, -1, 1], **kwargs)
        assert (z_up.unit, z_up.up) == ("mm", "z")


def test_lying_bodies_keep_the_axis_of_their_rest_pose(shared_data: Path) -> None:
    clip = bvh.read(shared_data / f"{CLIPS[1]}.bvh")
    assert clip.offsets is not None
    hips = clip.positions[:, :1]
    prone = rot.from_euler(np.array([90.0]), "x", degrees=True)
    for travel in (0.0, 1.0):
        lying = rot.rotate(prone, clip.positions - hips) + travel * hips * [1, 0, 1]
        lying[..., 1] -= lying[..., 1].min(axis=1, keepdims=True)
        found = units.detect(
            lying,
            parents=clip.parents,
            joint_names=clip.joint_names,
            rest=units.rest_positions(clip.offsets, clip.parents),
        )
        assert found.up == "y"


def test_doubts_are_told() -> None:
    # A point cloud as deep as it is high, of a size that no unit makes human.
    rng = np.random.default_rng(0)
    cloud = rng.uniform(-1, 1, size=(20, 10, 3)) * 4e4
    found = units.detect(cloud)
    assert any("measures" in doubt for doubt in found.doubts)
    assert any("up axis" in doubt for doubt in found.doubts)
    with pytest.warns(UserWarning, match="cloud.npy: .* measures"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*up axis")
        found.warn("cloud.npy")
    point = units.detect(np.zeros((3, 2, 3)), parents=(-1, 0))
    assert point.unit == "m" and any("no size" in doubt for doubt in point.doubts)


def test_a_declared_unit_is_believed_only_if_it_makes_a_body() -> None:
    positions = np.zeros((2, 3, 3))
    positions[:, :, 1] = [90.0, 170.0, 0.0]
    parents = (-1, 0, 0)
    assert units.detect(positions, parents=parents, declared=0.012).unit == "declared"
    assert units.detect(positions, parents=parents, declared=0.0254 / 0.45).unit == "cm"


def test_the_way_from_the_origin_to_the_hips_is_no_bone() -> None:
    # marker -> hips (3 m away, still) -> head and foot, 1.7 m apart.
    positions = np.zeros((4, 4, 3))
    positions[:, 1:, 0] = 3.0
    positions[:, 1:, 1] = [0.9, 1.7, 0.0]
    found = units.detect(positions, parents=(-1, 0, 1, 1), up="y")
    assert (found.unit, found.doubts) == ("m", ())


@pytest.mark.parametrize("unit", ["dm", "foot", "cmu", "inch", "cm"])
@pytest.mark.parametrize("height", [0.9, 1.0, 1.1])
def test_the_legs_tell_units_that_lie_close_together(unit: str, height: float) -> None:
    found = units.detect(height * stand() / units.UNITS[unit], joint_names=NAMES, up="y")
    assert (found.unit, found.doubts) == (unit, ())


def test_hands_and_hair_do_not_change_the_unit() -> None:
    # A path from fingertip to the tip of the hair would make a giant; the legs are as they were.
    parents = (*PARENTS, INDEX["left_wrist"], INDEX["head"])
    extra = np.array([[1.5, 1.4, 0.0], [0.0, 2.6, 0.0]])
    motion = np.concatenate((stand(), np.repeat(extra[None], 20, axis=0)), axis=1)
    names = (*NAMES, "ribbon", "plume")
    found = units.detect(10.0 * motion, parents=parents, joint_names=names, up="y")
    assert (found.unit, found.doubts) == ("dm", ())


@pytest.mark.parametrize(
    ("metres", "is_doubted"), [(0.9, True), (1.1, False), (1.7, False), (2.3, False), (2.7, True)]
)
def test_a_height_that_nobody_has_is_doubted(metres: float, is_doubted: bool) -> None:
    motion = stand() * (metres / 1.67)  # by its legs the generic body is 1.67 m tall
    found = units.detect(motion, joint_names=NAMES, up="y")
    assert found.unit == "m"
    assert any("tall, judged by its legs" in doubt for doubt in found.doubts) == is_doubted


@pytest.mark.parametrize("unit", ["m", "cm", "mm"])
def test_a_child_is_not_measured_in_a_rarer_unit(unit: str) -> None:
    # 1 m tall: in inches, instead of centimetres, that would be an adult, if a large one.
    found = units.detect(0.6 * stand() / units.UNITS[unit], joint_names=NAMES, up="y")
    assert found.unit == unit


def test_a_rest_pose_of_another_world_does_not_lay_the_dancer_down() -> None:
    rest = stand(1)[0] - stand(1)[0, 0]  # y up, as many exporters leave it
    for turn in range(4):  # whichever way the dancer faces
        motion = stand()
        for _ in range(turn):
            motion = motion[..., [2, 1, 0]] * [1, 1, -1]
        for place in ([0.0, 0.0, 0.0], [0.0, -0.9, 0.0], [2.0, 0.0, 3.0]):
            found = units.detect(to_z_up(motion + place), joint_names=NAMES, rest=rest)
            assert found.up == "z", (turn, place)
            kept = units.detect(motion + place, joint_names=NAMES, rest=rest)
            assert (kept.up, kept.doubts) == ("y", ())


def test_noise_in_the_rest_pose_says_nothing_about_the_up_axis() -> None:
    # Files that write all positions into channels leave their OFFSETs zero, or nearly so.
    rest = 1e-6 * (stand(1)[0] - stand(1)[0, 0])
    found = units.detect(to_z_up(stand()), joint_names=NAMES, rest=rest)
    assert found == units.detect(to_z_up(stand()), joint_names=NAMES) and found.up == "z"


def test_names_of_other_alphabets_tell_head_and_feet() -> None:
    names = """下半身 左足 右足 上半身 左ひざ 右ひざ 上半身2 左足首 右足首 上半身3
        左つま先 右つま先 首 左肩 右肩 頭 左腕 右腕 左ひじ 右ひじ 左手首 右手首""".split()
    found = units.detect(to_z_up(stand()) * 10, joint_names=names)
    assert (found.unit, found.up, found.doubts) == ("dm", "z", ())
