"""Resampling, cutting, jumps, normalising and splitting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydance.errors import InputError
from raydance.motion import windows
from raydance.motion.skeleton import INDEX, NUM_JOINTS


def standing(num_frames: int = 60, yaw: float = 0.0, x: float = 0.0, z: float = 0.0) -> np.ndarray:
    """A rigid body with hips and shoulders, turned by `yaw` and put at (x, z): `[T, 50, 3]`."""
    body = np.zeros((NUM_JOINTS, 3), np.float32)
    body[:, 1] = np.linspace(0.1, 1.7, NUM_JOINTS)
    for part, half in (("hip", 0.1), ("shoulder", 0.2)):
        body[INDEX[f"left_{part}"], 0] = half
        body[INDEX[f"right_{part}"], 0] = -half
    motion = windows.rotate_y(np.repeat(body[None], num_frames, axis=0), np.full(num_frames, yaw))
    return motion + np.array([x, 0, z], np.float32)


def sway(times_s: np.ndarray, frequency: float) -> np.ndarray:
    """One joint that sways along x: `[T, 1, 3]`."""
    motion = np.zeros((len(times_s), 1, 3))
    motion[:, 0, 0] = np.sin(2 * np.pi * frequency * times_s)
    return motion


@pytest.mark.parametrize("fps_in", [24.0, 25.0, 30.0, 60.0, 119.88, 120.0, 10.0])
def test_resampling_keeps_slow_motion_and_its_times(fps_in: float):
    motion = sway(np.arange(int(4 * fps_in)) / fps_in, 0.5)
    out = windows.resample(motion, fps_in, 20.0)
    assert len(out) == windows.num_resampled(len(motion), fps_in, 20.0)
    assert (len(out) - 1) / 20.0 <= (len(motion) - 1) / fps_in + 1e-6 < len(out) / 20.0
    np.testing.assert_allclose(out, sway(np.arange(len(out)) / 20.0, 0.5), atol=0.02)
    steady = np.arange(len(motion)).reshape(-1, 1, 1) * np.ones((1, 1, 3)) / fps_in
    resampled = windows.resample(steady, fps_in, 20.0)[:, 0, 0]
    np.testing.assert_allclose(resampled, np.arange(len(out)) / 20.0, atol=1e-9)


def test_jitter_above_the_new_rate_does_not_become_slow_motion():
    jitter = sway(np.arange(480) / 120.0, 19.0)  # every sixth sample of it is a sway of 1 Hz
    every_sixth = jitter[::6]
    assert np.abs(every_sixth).max() > 0.9
    assert np.abs(windows.resample(jitter, 120.0, 20.0)[1:-1]).max() < 0.2


def test_the_same_rate_changes_nothing_and_doubling_puts_frames_between():
    motion = np.arange(12, dtype=np.float32).reshape(4, 1, 3)
    assert windows.resample(motion, 20.0, 20.0) is motion
    doubled = windows.resample(motion, 10.0, 20.0)
    np.testing.assert_allclose(doubled[:, 0, 0], [0, 1.5, 3, 4.5, 6, 7.5, 9])
    assert doubled.dtype == np.float32


def test_cut_by_hand():
    motion = np.arange(95 * 3).reshape(95, 1, 3)
    cut, starts = windows.cut(motion, length=50, stride=20)
    assert starts.tolist() == [0, 20, 40]
    assert cut.shape == (3, 50, 1, 3)
    np.testing.assert_array_equal(cut[2], motion[40:90])
    assert windows.cut(motion[:49])[0].shape == (0, 50, 1, 3)
    assert len(windows.cut(motion[:50])[0]) == 1


@given(st.integers(0, 200), st.integers(4, 60), st.integers(1, 70))
def test_windows_lie_within_and_no_further_one_fits(frames: int, length: int, stride: int):
    starts = windows.window_starts(frames, length, stride)
    assert all(0 <= s and s + length <= frames for s in starts)
    assert len(starts) * stride + length > frames


def test_a_glitch_and_a_t_pose_are_pieces_of_their_own():
    motion = standing(100)
    motion[0, :, 0] += 2.0  # two metres in 1/120 s
    motion[60, 7] += 1.0
    pieces = windows.unbroken_pieces(motion, 120.0, 60.0)
    assert pieces == [(0, 1), (1, 60), (60, 61), (61, 100)]
    assert windows.unbroken_pieces(motion, 20.0, 60.0) == [(0, 100)]  # 40 m/s at 20 fps
    motion[80, 3] = np.nan
    assert (61, 80) in windows.unbroken_pieces(motion, 120.0, 60.0)


@pytest.mark.parametrize("yaw", [0.0, 0.7, 1.6, 3.0, -2.2])
def test_heading_is_the_angle_that_the_body_was_turned_by(yaw: float):
    np.testing.assert_allclose(windows.heading(standing(3, yaw)), yaw, atol=1e-6)


def test_a_turned_body_faces_where_its_turn_says():
    # A quarter turn takes +z to +x, so the left hip (+x) comes to -z.
    motion = standing(1, np.pi / 2)[0]
    np.testing.assert_allclose(motion[INDEX["left_hip"], [0, 2]], [0, -0.1], atol=1e-6)


def test_heading_leaves_out_joints_that_are_not_there():
    motion = standing(2, 0.5)
    mask = np.ones((2, NUM_JOINTS), bool)
    motion[:, INDEX["left_shoulder"]] = (9.0, 0.0, -9.0)
    mask[:, INDEX["left_shoulder"]] = False
    np.testing.assert_allclose(windows.heading(motion, mask), 0.5, atol=1e-6)
    assert abs(windows.heading(motion)[0] - 0.5) > 0.1


def test_a_window_starts_at_the_origin_facing_z_wherever_it_was():
    here = standing(50, 0.4, x=3.0, z=-2.0)
    here[:, :, 2] += np.linspace(0, 1, 50, dtype=np.float32)[:, None]  # it walks a metre
    there = windows.rotate_y(here, np.full(50, 1.1)) + np.array([5, 0, 7], np.float32)
    a, b = (windows.normalise_window(m[None]) for m in (here, there))
    np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(a[0, 0, 0, [0, 2]], 0.0, atol=1e-6)
    np.testing.assert_allclose(windows.heading(a[0, :1]), 0.0, atol=1e-5)
    np.testing.assert_allclose(a[..., 1], here[None, ..., 1], atol=1e-6)  # heights stay
    walked = np.linalg.norm(a[0, -1, 0, [0, 2]] - a[0, 0, 0, [0, 2]])
    assert walked == pytest.approx(1.0, abs=1e-5)


def test_the_literal_way_removes_place_and_heading_from_every_frame():
    motion = standing(50)
    motion = windows.rotate_y(motion, np.linspace(0, 3, 50))
    motion[:, :, 0] += np.linspace(0, 2, 50, dtype=np.float32)[:, None]
    out = windows.normalise_frames(motion[None])
    np.testing.assert_allclose(out[0], np.repeat(out[0, :1], 50, axis=0), atol=1e-5)
    assert np.abs(out[:, :, 0]).max() == 0.0


@pytest.mark.parametrize("normalise", [windows.normalise_window, windows.normalise_frames])
def test_absent_joints_stay_zero(normalise):
    motion = standing(50, x=3.0)[None]
    mask = np.ones((1, NUM_JOINTS), bool)
    mask[:, 22:] = False
    out = normalise(motion, mask)
    assert not out[:, :, 22:].any()
    np.testing.assert_allclose(out[:, :, :22], normalise(motion)[:, :, :22])


def test_splits_are_stable_and_about_70_15_15():
    names = [f"library/clip_{i}" for i in range(4000)]
    found = [windows.split_of(name) for name in names]
    for split, share in (("train", 0.70), ("val", 0.15), ("test", 0.15)):
        assert found.count(split) / 4000 == pytest.approx(share, abs=0.025)
    # Stored: these must never change, or old runs would test on what they were trained on.
    stored = {"a": "val", "b": "val", "c": "train", "cmu/02_01": "train", "walk": "train"}
    assert {name: windows.split_of(name) for name in stored} == stored
    assert [windows.split_of(n, seed=1) for n in names] != found


@pytest.mark.parametrize(("length", "stride"), [(3, 20), (1001, 20), (50, 0)])
def test_windows_that_make_no_sense_are_refused(length: int, stride: int):
    with pytest.raises(InputError, match="4 to 1000"):
        windows.check_window(length, stride)
