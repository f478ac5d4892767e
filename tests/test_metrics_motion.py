"""Motion metrics by hand, at their edges, and by their properties."""

from __future__ import annotations

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.metrics import motion
from raydance.motion.skeleton import INDEX, JOINTS, NUM_JOINTS


@pytest.fixture
def dance() -> np.ndarray:
    """Two clips of noise, `[2, 12, 50, 3]` metres."""
    return np.random.default_rng(0).normal(size=(2, 12, NUM_JOINTS, 3))


def only(*names: str) -> np.ndarray:
    return np.isin(JOINTS, names)


def test_mpjpe_by_hand_in_centimetres(dance):
    moved = dance.copy()
    moved[..., INDEX["head"], :] += [0.03, 0.0, 0.04]  # 5 cm on one joint of 50
    assert motion.mpjpe(moved, dance) == pytest.approx(0.1)
    assert motion.mpjpe(moved, dance, joint_mask=only("head")) == pytest.approx(5.0)
    assert motion.mpjpe(moved, dance, joint_mask=~only("head")) == pytest.approx(0.0)


def test_root_alignment_forgives_where_the_dancer_stands(dance):
    moved = dance + np.array([1.0, 0.0, 0.0])
    assert motion.mpjpe(moved, dance) == pytest.approx(100.0)
    assert motion.mpjpe(moved, dance, root_aligned=True) == pytest.approx(0.0, abs=1e-9)


def test_a_mask_of_one_row_per_clip(dance):
    moved = dance.copy()
    moved[1] += [0.0, 0.02, 0.0]
    mask = np.zeros((2, NUM_JOINTS), dtype=bool)
    mask[0, :10] = mask[1, :30] = True
    # 10 joints without error, 30 with 2 cm.
    assert motion.mpjpe(moved, dance, joint_mask=mask) == pytest.approx(1.5)


def test_masked_joints_change_nothing(dance):
    mask = ~only("head", "left_foot")
    other = dance.copy()
    other[..., ~mask, :] = 123.0
    for figure in (
        lambda x: motion.jitter(x, fps=20, joint_mask=mask),
        lambda x: motion.bone_length_variation(x, joint_mask=mask),
        lambda x: motion.foot_skate_ratio(x, joint_mask=mask),
        lambda x: motion.velocity_error(x, dance, fps=20, joint_mask=mask),
    ):
        assert figure(other) == figure(dance)


def test_jitter_by_hand():
    """x = t^3 has a jerk of 6 m/s^3, whatever the rate; uniform acceleration has none."""
    for fps in (20.0, 120.0):
        t = np.arange(30) / fps
        clip = np.zeros((30, 1, 3))
        clip[:, 0, 0] = t**3
        assert motion.jitter(clip, fps=fps) == pytest.approx(6.0, rel=1e-6)
        clip[:, 0, 0] = 4 * t**2 - t
        assert motion.jitter(clip, fps=fps) == pytest.approx(0.0, abs=1e-6)


def test_velocity_error_by_hand():
    """One dancer stands, the other walks at 1.5 m/s; a constant offset costs nothing."""
    still = np.zeros((10, 2, 3))
    walk = still.copy()
    walk[..., 2] = 1.5 * np.arange(10)[:, None] / 20
    assert motion.velocity_error(walk, still, fps=20) == pytest.approx(1.5)
    assert motion.velocity_error(walk + 3.0, walk, fps=20) == pytest.approx(0.0, abs=1e-9)


def sliding_clip(speed_m_s: float, height_m: float, num_frames: int = 21) -> np.ndarray:
    clip = np.zeros((num_frames, NUM_JOINTS, 3))
    clip[:, list(motion.FEET), 1] = height_m
    clip[:, INDEX["left_foot"], 0] = np.arange(num_frames) * speed_m_s / 20
    return clip


def test_foot_skate_by_hand():
    """At 1 m/s the 5-step mean passes 0.5 m/s everywhere; at 0.6 it does not at the two ends."""
    assert motion.foot_skate_ratio(sliding_clip(1.0, 0.0)) == 1.0
    # Zeros beyond the ends: a first step's mean is 3/5 of 0.6 = 0.36, a second's 0.48.
    assert motion.foot_skate_ratio(sliding_clip(0.6, 0.0)) == pytest.approx(16 / 20)
    assert motion.foot_skate_ratio(sliding_clip(0.4, 0.0)) == 0.0  # too slow
    assert motion.foot_skate_ratio(sliding_clip(1.0, 0.06)) == 0.0  # in the air
    assert motion.foot_skate_ratio(sliding_clip(1.0, 0.06), floor_m=0.03) == 1.0


def test_foot_skate_ignores_a_masked_foot_and_reports_clips_without_feet():
    clip = sliding_clip(1.0, 0.0)
    assert motion.foot_skate_ratio(clip, joint_mask=~only("left_foot")) == 0.0
    assert motion.foot_skate_ratio(clip, joint_mask=~only("right_foot")) == 1.0
    footless = ~only("left_foot", "right_foot")
    assert np.isnan(motion.foot_skate_ratio(clip, joint_mask=footless))
    both = np.stack([clip, clip])
    mask = np.stack([footless, np.ones(NUM_JOINTS, dtype=bool)])
    ratios = motion.foot_skate_ratios(both, joint_mask=mask)
    assert np.isnan(ratios[0]) and ratios[1] == 1.0
    assert motion.foot_skate_ratio(both, joint_mask=mask) == 1.0


def test_bone_length_variation_by_hand():
    """A bone of 1 m and 3 m in turn has mean 2 and deviation 1; a rigid one of 2 m halves it."""
    clip = np.zeros((10, 3, 3))
    clip[:, 1, 1] = np.where(np.arange(10) % 2, 3.0, 1.0)
    clip[:, 2, 0] = 2.0
    assert motion.bone_length_variation(clip, parents=(-1, 0, 0)) == pytest.approx(0.25)
    one = motion.bone_length_variation(
        clip, parents=(-1, 0, 0), joint_mask=np.array([True, True, False])
    )
    assert one == pytest.approx(0.5)
    # A second root has no bone.
    assert motion.bone_length_variation(clip, parents=(-1, 0, -1)) == pytest.approx(0.5)


def test_rigid_motion_has_constant_bones(dance):
    pose = dance[0, 0]
    angle = np.linspace(0, 3, 15)
    turn = np.zeros((15, 3, 3))
    turn[:, 0, 0] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 0, 2], turn[:, 2, 0] = np.sin(angle), -np.sin(angle)
    turn[:, 1, 1] = 1.0
    clip = np.einsum("tij,nj->tni", turn, pose) + angle[:, None, None]
    assert motion.bone_length_variation(clip) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: motion.mpjpe(d, d[:, :5]), "predicted has shape"),
        (lambda d: motion.mpjpe(d, d, joint_mask=np.zeros(50, bool)), "no joint is left"),
        (lambda d: motion.mpjpe(d, d, joint_mask=np.ones(22, bool)), "joint_mask has shape"),
        (lambda d: motion.jitter(d[:, :3], fps=20), "3 frames, at least 4"),
        (lambda d: motion.jitter(d * np.nan, fps=20), "not finite"),
        (lambda d: motion.foot_skate_ratio(d[:, :, :5]), "5 joints; the feet are joints"),
        (lambda d: motion.bone_length_variation(d[:, :, :5]), "parents names 50"),
        (lambda d: motion.bone_length_variation(d * 0), "no bone of any length"),
        (lambda d: motion.mpjpe(d[0, 0], d[0, 0]), "frames, joints, 3"),
    ],
)
def test_wrong_input_is_refused(dance, call, message):
    with pytest.raises(InputError, match=message):
        call(dance)
