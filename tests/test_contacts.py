"""Foot contacts, standing feet, legs that follow, bones of one length."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydance.data.ingest import windows_of_clip
from raydance.errors import InputError
from raydance.metrics.motion import bone_length_variation, foot_skate_ratio, jitter
from raydance.motion import contacts, legs, synthetic
from raydance.motion.bones import fix_bone_lengths
from raydance.motion.contacts import FEET, Report, clean_feet, foot_contacts
from raydance.motion.formats import read_clip
from raydance.motion.skeleton import INDEX, NUM_JOINTS
from raydance.systems.dance_language.run import load

MOVEMENTS = {m.name: m for m in synthetic.MOVEMENTS}
LEG_JOINTS = [
    INDEX[f"{s}_{j}"] for s in ("left", "right") for j in ("hip", "knee", "ankle", "foot")
]
LEG_MASK = np.isin(np.arange(NUM_JOINTS), LEG_JOINTS)


def motion_of(name: str, index: int = 0, fps: float = 20.0) -> np.ndarray:
    return synthetic.make_clip(MOVEMENTS[name], index, fps=fps).positions.astype(np.float64)


def wavering(motion: np.ndarray, size_m: float = 0.06, seed: int = 0) -> np.ndarray:
    """Motion whose joints each stray smoothly, as generated ones do."""
    kernel = np.hanning(9) / np.hanning(9).sum()
    noise = np.random.default_rng(seed).normal(size=motion.shape) * size_m
    return motion + np.apply_along_axis(np.convolve, 0, noise, kernel, "same")


def leg_lengths(motion: np.ndarray) -> np.ndarray:
    """Thigh, shin and foot of each side: `[T, 6]`."""
    chain = motion[:, LEG_JOINTS].reshape(len(motion), 2, 4, 3)
    return np.linalg.norm(np.diff(chain, axis=2), axis=-1).reshape(len(motion), 6)


# Contacts


def test_a_squat_stands_all_the_time_and_a_jump_does_not():
    assert foot_contacts(motion_of("squat"), 20.0).all()
    jump = motion_of("jump")
    found = foot_contacts(jump, 20.0)
    flies = jump[:, LEG_JOINTS, 1].min(axis=1) > 0.12
    assert flies.any() and not found[flies].any() and 0.4 < found.mean() < 0.95


def test_a_walk_stands_on_one_foot_or_both_in_turns():
    found = foot_contacts(motion_of("walk"), 20.0).any(axis=2)
    assert found.any(axis=1).mean() > 0.9  # never in the air for long
    assert 0.5 < found[:, 0].mean() < 0.95 and 0.5 < found[:, 1].mean() < 0.95
    assert (found[:, 0] != found[:, 1]).mean() > 0.2


@pytest.mark.parametrize("name", ["walk", "squat", "low_sweep"])
def test_contacts_do_not_depend_on_the_rate_or_the_floor(name: str):
    slow, fast = (foot_contacts(motion_of(name, fps=fps), fps) for fps in (20.0, 60.0))
    same = min(len(slow), len(fast[::3]))
    assert (slow[:same] == fast[::3][:same]).mean() > 0.93
    motion = motion_of(name)
    np.testing.assert_array_equal(foot_contacts(motion + (2.0, -0.7, 1.0), 20.0), slow)


def test_hysteresis_bridges_what_a_single_limit_would_cut():
    """A foot that rests and for one step moves at 0.6 m/s: over the first limit, not the second."""
    motion = np.repeat(motion_of("squat")[:1], 40, axis=0)
    motion[20:, FEET[0]] += (0.03, 0.0, 0.0)
    assert foot_contacts(motion, 20.0).all()
    motion[20:, FEET[0]] += (0.10, 0.0, 0.0)  # 2.6 m/s: a step
    assert not foot_contacts(motion, 20.0)[19:21, 0].any()


def test_an_absent_toe_never_stands():
    mask = np.ones(NUM_JOINTS, dtype=bool)
    mask[INDEX["left_foot"]] = False
    motion = motion_of("walk")
    motion[:, ~mask] = np.nan
    found = foot_contacts(motion, 20.0, mask)
    assert not found[:, 0, 1].any() and found[:, 0, 0].any() and found[:, 1, 1].any()


# Cleaning


def test_a_body_that_slides_stands_still():
    """A squat on a floor that moves at 0.1 m/s for 2 s: every bit of it is skating."""
    motion = motion_of("squat")[:40]
    sliding = motion + np.arange(40)[:, None, None] * (0.005, 0.0, 0.0)
    cleaned, report = clean_feet(sliding, 20.0)
    assert report.contact_share == 1.0 and report.skate_before_m_s == pytest.approx(0.1, abs=1e-3)
    assert report.skate_after_m_s < 0.03 * report.skate_before_m_s
    middle = sliding[:, FEET].mean(axis=0)
    np.testing.assert_allclose(cleaned[20, FEET], middle, atol=0.01)
    upper = INDEX["head"]
    np.testing.assert_allclose(cleaned[:, upper, 0], sliding[:, upper, 0], atol=1e-9)


def test_what_stands_well_is_left_alone():
    motion = motion_of("squat")
    cleaned, report = clean_feet(motion, 20.0)
    np.testing.assert_allclose(cleaned, motion, atol=2e-3)
    assert report.skate_after_m_s < 1e-3 and report.pelvis_lowered_m < 1e-3


@pytest.mark.parametrize("name", ["walk", "waltz_sway", "lunge", "spiral_turn", "jump"])
def test_wavering_feet_come_to_rest_without_jolts(name: str):
    rough = wavering(motion_of(name))
    cleaned, report = clean_feet(rough, 20.0)
    assert report.skate_after_m_s < 0.45 * report.skate_before_m_s
    assert foot_skate_ratio(cleaned) <= foot_skate_ratio(rough) + 0.02
    rigid = fix_bone_lengths(rough)
    assert jitter(cleaned, fps=20.0, joint_mask=LEG_MASK) < 1.25 * jitter(
        rigid, fps=20.0, joint_mask=LEG_MASK
    )
    assert report.max_correction_m < 0.25 and report.pelvis_lowered_m < 0.1


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(MOVEMENTS)), st.integers(0, 20), st.integers(0, 5))
def test_legs_keep_their_lengths_and_stay_over_the_floor(name: str, index: int, seed: int):
    rough = wavering(motion_of(name, index), seed=seed)
    cleaned, report = clean_feet(rough, 20.0)
    if report.note:
        assert cleaned is rough
        return
    assert np.isfinite(cleaned).all()
    assert leg_lengths(cleaned).std(axis=0).max() < 1e-6
    assert bone_length_variation(cleaned) < 1e-6
    everything = np.ones(NUM_JOINTS, dtype=bool)
    rigid = contacts._points(fix_bone_lengths(rough), everything)
    floor = contacts._floor_levels(rigid, 20.0) - 0.01
    assert (contacts._points(cleaned, everything)[..., 1] > floor - 1e-6).all()


def test_real_recordings_skate_less_and_hardly_change(shared_data: Path):
    before, after, ratios = [], [], []
    for name in ("05_10", "07_05", "02_04", "49_07"):
        clip = read_clip(shared_data / "cmu_bvh" / "bvh" / f"{name}.bvh", fps=120.0)
        windows, masks, _ = windows_of_clip(clip, fps=20.0, length=50, stride=20)
        for window in windows:
            cleaned, report = clean_feet(window, 20.0, masks[0])
            if report.note:
                continue
            before.append(report.skate_before_m_s)
            after.append(report.skate_after_m_s)
            ratios.append(
                jitter(cleaned, fps=20.0, joint_mask=masks[0])
                / jitter(window, fps=20.0, joint_mask=masks[0])
            )
            assert cleaned.dtype == np.float32 and not cleaned[:, ~masks[0]].any()
    assert len(before) >= 10 and np.mean(after) < 0.4 * np.mean(before)
    assert np.median(ratios) < 1.08 and max(ratios) < 1.3


def test_generated_motion_skates_less(tiny_run: Path):
    system = load(tiny_run)
    made = system.generate("a dancer walks forward", num_samples=4, frames=120, source="prior")
    reports = []
    for motion in made:
        cleaned, report = clean_feet(motion, system.fps, system.joint_mask)
        assert cleaned.shape == motion.shape and cleaned.dtype == motion.dtype
        if not report.note:
            reports.append(report)
            assert bone_length_variation(cleaned, joint_mask=system.joint_mask) < 1e-5
    assert reports
    assert sum(r.skate_after_m_s for r in reports) < 0.7 * sum(r.skate_before_m_s for r in reports)


@pytest.mark.parametrize("missing", ["left_knee", "right_ankle", "left_hip"])
def test_without_a_leg_nothing_changes(missing: str):
    mask = np.ones(NUM_JOINTS, dtype=bool)
    mask[INDEX[missing]] = False
    motion = motion_of("walk")
    cleaned, report = clean_feet(motion, 20.0, mask)
    assert cleaned is motion and report == Report(note="hips, knees or ankles are not there")


def test_without_contact_only_bones_change():
    """A squat carried away at 2 m/s: no foot is slow enough to stand."""
    motion = motion_of("squat")[:40]
    motion = motion + np.arange(40)[:, None, None] * (0.1, 0.0, 0.0)
    cleaned, report = clean_feet(motion, 20.0)
    assert report.note == "no foot stands on the floor" and report.bones_changed_m < 1e-5
    np.testing.assert_allclose(cleaned, motion, atol=1e-5)
    rigid, report = clean_feet(wavering(motion), 20.0)
    assert bone_length_variation(rigid) < 1e-6 and report.bones_changed_m > 0.01
    assert clean_feet(motion[:3], 20.0)[1].note == "3 frames; at least 4 are needed"


def test_absent_joints_are_never_looked_at():
    mask = np.ones(NUM_JOINTS, dtype=bool)
    mask[[INDEX["left_foot"], INDEX["spine2"], *range(22, NUM_JOINTS)]] = False
    rough = wavering(motion_of("walk"))
    some = rough.copy()
    some[:, ~mask] = np.nan
    cleaned, report = clean_feet(some, 20.0, mask)
    assert np.isfinite(cleaned[:, mask]).all() and np.isnan(cleaned[:, ~mask]).all()
    assert report.skate_after_m_s < report.skate_before_m_s
    assert bone_length_variation(np.nan_to_num(cleaned), joint_mask=mask) < 0.2


@pytest.mark.parametrize("shape", [(50, 22, 3), (50, 50), (2, 50, 50, 3)])
def test_a_wrong_shape_is_refused(shape: tuple[int, ...]):
    with pytest.raises(InputError, match=r"\[T, 50, 3\] and \[50\] are needed"):
        clean_feet(np.zeros(shape), 20.0)


def test_values_that_are_not_finite_are_refused():
    motion = motion_of("walk")
    motion[3, 4, 1] = np.inf
    with pytest.raises(InputError, match="not finite"):
        foot_contacts(motion, 20.0)


def test_a_window_takes_milliseconds():
    motion = wavering(motion_of("walk"))[:50]
    best = np.inf
    for _ in range(10):
        start = time.process_time()
        clean_feet(motion, 20.0)
        best = min(best, time.process_time() - start)
    assert best < 0.03  # 12 ms on a quiet machine


# Legs


def leg(*points: tuple[float, float, float]) -> list[np.ndarray]:
    return [np.array([point]) for point in points]


ACROSS = np.array([[0.2, 0.0, 0.0]])


def test_a_knee_by_hand():
    """Thigh 0.3 and shin 0.4 with the ankle 0.5 below the hip: a right angle at the knee."""
    hip, ankle = leg((0, 1.0, 0), (0, 0.5, 0))
    knee = np.array([[0.0, 1.0 - 0.18, 0.24]])  # 0.3^2 / 0.5 along, 0.3 * 0.4 / 0.5 across
    new_knee, new_ankle = legs.solve_knee(hip, knee, ankle, hip, ankle, ACROSS)
    np.testing.assert_allclose(new_knee, knee, atol=1e-12)
    target = np.array([[0.0, 1.0 - 0.6, 0.0]])
    new_knee, new_ankle = legs.solve_knee(hip, knee, ankle, hip, target, ACROSS)
    np.testing.assert_allclose(new_ankle, target, atol=1e-12)
    along = (0.3**2 - 0.4**2 + 0.6**2) / 1.2
    expected = [[0.0, 1.0 - along, np.sqrt(0.09 - along**2)]]
    np.testing.assert_allclose(new_knee, expected, atol=1e-12)


def test_a_straight_leg_bends_forwards():
    hip, knee, ankle, target = leg((0, 0.9, 0), (0, 0.5, 0), (0, 0.1, 0), (0, 0.2, 0))
    new_knee, _ = legs.solve_knee(hip, knee, ankle, hip, target, ACROSS)
    assert new_knee[0, 2] > 0.1 and abs(new_knee[0, 0]) < 1e-9


def test_out_of_reach_is_approached_with_whole_bones():
    hip, knee, ankle, target = leg((0, 0.9, 0), (0, 0.5, 0.05), (0, 0.1, 0), (1.0, 0.1, 0))
    new_knee, new_ankle = legs.solve_knee(hip, knee, ankle, hip, target, ACROSS)
    for a, b, c, d in ((hip, knee, hip, new_knee), (knee, ankle, new_knee, new_ankle)):
        assert np.linalg.norm(b - a) == pytest.approx(np.linalg.norm(d - c))
    way, wanted = (new_ankle - hip)[0], (target - hip)[0]
    assert way @ wanted == pytest.approx(np.linalg.norm(way) * np.linalg.norm(wanted))
    assert legs.too_far(hip, knee, ankle, ankle - (0, 0.1, 0))[0] == pytest.approx(0.1, abs=0.01)
    assert legs.too_far(hip, knee, ankle, ankle + (0, 0.1, 0))[0] == 0.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 4))
def test_a_cover_is_nowhere_below_and_nowhere_higher(values: list[float], reach: int):
    needed = np.array(values)
    cover = legs.cover(needed, reach)
    assert cover.shape == needed.shape and (cover >= needed - 1e-12).all()
    assert cover.max() <= needed.max() + 1e-12
    assert np.abs(np.diff(cover)).max(initial=0) <= 1 / (2 * reach + 1) + 1e-12


# Bones


def test_bones_get_their_mean_lengths():
    rough = wavering(motion_of("walk"))
    rigid = fix_bone_lengths(rough)
    assert bone_length_variation(rough) > 0.1 and bone_length_variation(rigid) < 1e-9
    thigh = [INDEX["left_hip"], INDEX["left_knee"]]
    before, after = (np.linalg.norm(np.diff(m[:, thigh], axis=1), axis=-1) for m in (rough, rigid))
    assert after[0, 0] == pytest.approx(before.mean())


def test_bones_that_leave_one_joint_keep_their_angles():
    rigid = fix_bone_lengths(wavering(motion_of("spiral_turn")))
    for joints in (
        ("left_hip", "right_hip", "spine1"),
        ("neck", "left_collar", "right_collar"),
        ("left_index1", "left_pinky1", "left_thumb1"),
    ):
        one, two, three = (rigid[:, INDEX[joint]] for joint in joints)
        for a, b in ((one, two), (two, three), (three, one)):
            assert np.ptp(np.linalg.norm(a - b, axis=-1)) < 1e-9, joints


def test_what_hangs_past_an_absent_joint_moves_by_itself():
    mask = np.ones(NUM_JOINTS, dtype=bool)
    mask[[INDEX["left_hip"], INDEX["right_hip"]]] = False
    motion = motion_of("walk")
    knee, spine = INDEX["left_knee"], INDEX["spine1"]
    rigid = fix_bone_lengths(motion, mask)
    before, after = (np.linalg.norm(m[:, knee] - m[:, spine], axis=-1) for m in (motion, rigid))
    assert np.ptp(before) > 0.03 and np.ptp(after) > 0.5 * np.ptp(before)


def test_rigid_bones_stay_and_noise_does_not_add_up():
    motion = motion_of("walk")
    np.testing.assert_allclose(fix_bone_lengths(motion), motion, atol=1e-5)
    rough = wavering(motion)
    rigid = fix_bone_lengths(rough)
    strayed = np.linalg.norm(rough - motion, axis=-1)[:, :22].mean()
    # A mere walk of the tree strays further from the truth than the noise did.
    assert np.linalg.norm(rigid - motion, axis=-1)[:, :22].mean() < 1.2 * strayed
    body = np.arange(NUM_JOINTS) < 22
    assert jitter(rigid, fps=20.0, joint_mask=body) < 1.5 * jitter(rough, fps=20.0, joint_mask=body)


def test_a_bone_without_direction_takes_its_usual_one():
    motion = np.repeat(motion_of("squat")[:1], 10, axis=0)
    motion[4, INDEX["head"]] = motion[4, INDEX["neck"]]
    rigid = fix_bone_lengths(motion)
    assert np.isfinite(rigid).all() and bone_length_variation(rigid) < 1e-9
    up = rigid[4, INDEX["head"]] - rigid[4, INDEX["neck"]]
    usual = motion[0, INDEX["head"]] - motion[0, INDEX["neck"]]
    assert up @ usual > 0.9 * np.linalg.norm(up) * np.linalg.norm(usual)


def test_absent_joints_stay_and_bones_lead_past_them():
    mask = np.ones(NUM_JOINTS, dtype=bool)
    mask[INDEX["left_knee"]] = False
    rough = wavering(motion_of("walk")).astype(np.float32)
    rough[:, ~mask] = np.nan
    rigid = fix_bone_lengths(rough, mask)
    assert np.isnan(rigid[:, ~mask]).all() and rigid.dtype == np.float32
    line = [INDEX["left_hip"], INDEX["left_ankle"]]
    assert np.linalg.norm(np.diff(rigid[:, line], axis=1), axis=-1).std() < 1e-6
