"""The metrics of dances beside the public references' figures, and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.metrics import dance, dance_features
from raydance.metrics.catalogue import METRICS


@pytest.fixture(scope="module")
def golden(shared_golden: Path) -> dict[str, Any]:
    return json.loads((shared_golden / "metrics_golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def inputs(shared_golden: Path) -> dict[str, np.ndarray]:
    with np.load(shared_golden / "metrics_inputs.npz") as arrays:
        return dict(arrays)


def test_kinetic_features_are_the_published_ones(golden, inputs):
    found = dance_features.kinetic_features(inputs["dance_joints"]).astype(np.float32)
    np.testing.assert_allclose(found, golden["aist_kinetic"], rtol=1e-7)


def test_geometric_features_are_the_published_ones(golden, inputs):
    found = dance_features.geometric_features(inputs["dance_joints"]).astype(np.float32)
    np.testing.assert_allclose(found, golden["aist_manual"], atol=1e-7)


def test_beats_are_bailandos(golden, inputs):
    joints, beats_s = inputs["beat_joints"], inputs["music_beats"] / 60
    frames = np.round(dance.dance_beats(joints) * 60).astype(int)
    assert frames.tolist() == golden["bailando_dance_beats"]
    assert dance.beat_alignment(beats_s, joints) == pytest.approx(golden["bailando_ba"], abs=1e-9)


def test_foot_contact_is_edges(golden, inputs):
    found = dance.physical_foot_contact(inputs["dance_joints"], up="z")
    assert found == pytest.approx(golden["edge_pfc_original_code"], abs=1e-9)


def test_spread_is_the_published_one(golden, inputs):
    real, generated = inputs["dance_features_real"], inputs["dance_features_generated"]
    distance = golden["bailando_avg_distance_pred"]
    assert dance.dance_diversity(generated, real) == pytest.approx(distance, abs=1e-9)
    found = dance.dance_fid(generated, real)
    assert found == pytest.approx(golden["mint_fid_feature_distance"], rel=1e-6)


def test_dance_metrics_have_names():
    names = {"kinetic_features", "geometric_features", "beat_alignment", "physical_foot_contact"}
    assert names | {"dance_fid", "dance_diversity"} <= set(METRICS)


def test_kinetic_features_of_steady_motion_by_hand():
    joints = np.zeros((20, 2, 3))
    joints[:, 1] = np.arange(20)[:, None] * np.array([0.3, 0.1, 0.4]) / 10
    found = dance_features.kinetic_features(joints + (0, 1, 5), fps=10, exact="fixed")
    # 0.5 m/s along the floor and 0.1 m/s upward, wherever it happens and without acceleration.
    np.testing.assert_allclose(found, [0, 0, 0, 0.25, 0.01, 0], atol=1e-9)
    published = dance_features.kinetic_features(joints + (0, 1, 5), fps=10)
    np.testing.assert_allclose(published[[0, 1, 3, 4]], found[[0, 1, 3, 4]])
    assert published[2] > 100  # the slip makes standing still look like acceleration


def test_the_protocol_starts_at_the_first_pelvis():
    joints = np.random.default_rng(0).normal(size=(100, 24, 3))
    cropped = dance_features.protocol_crop(joints, fps=4)
    assert len(cropped) == 80 and not cropped[0, 0].any()
    np.testing.assert_allclose(cropped[7] - cropped[0, 0], joints[7] - joints[0, 0])
    assert len(dance_features.protocol_crop(joints, fps=4, seconds=None)) == 100
    np.testing.assert_allclose(
        dance_features.kinetic_features(cropped),
        dance_features.kinetic_features(dance_features.protocol_crop(joints + 5, fps=4)),
    )


def test_geometric_conditions_of_a_pose_by_hand():
    joints = np.random.default_rng(0).normal(size=(22, 3)) * 0.01
    joints[[0, 12]] = (0, 1.0, 0), (0, 1.5, 0)  # upright: neck above root
    joints[[16, 18, 20]] = (0.2, 1.4, 0), (0.5, 1.4, 0), (0.5, 1.7, 0)  # left elbow at 90 degrees
    joints[[17, 19, 21]] = (-0.2, 1.4, 0), (-0.5, 1.4, 0), (-0.8, 1.4, 0)  # right arm straight
    still = np.repeat(joints[None], 5, axis=0)
    found = dance_features.geometric_features(still)
    assert (found[7], found[6]) == (1, 0)
    assert found[[0, 1, 4, 5, 9, 10, 11, 12, 13, 21, 22, 31]].max() == 0  # nothing moves
    assert found[28] == 0  # not level: the spine is vertical


def test_fixed_geometric_speeds_know_the_rate():
    joints = np.zeros((10, 22, 3))
    joints[:, 21, 0] = np.arange(10) * 0.5 / 30  # right wrist at 0.5 m/s, below 2.5 humeri
    assert dance_features.geometric_features(joints, fps=30, exact="fixed")[12] == 0
    assert dance_features.geometric_features(joints, fps=30)[12] == 1  # taken for 2 m/s


def _bouncing(beats_s: np.ndarray, duration_s: float, fps: float) -> np.ndarray:
    """One joint of 24 that stands still exactly at the beats and moves between them."""
    times = np.arange(int(duration_s * fps)) / fps
    phase = np.interp(times, beats_s, np.arange(len(beats_s)))
    joints = np.zeros((len(times), 24, 3))
    joints[..., 0] = np.cos(np.pi * phase)[:, None]
    return joints


@pytest.mark.parametrize("fps", [20.0, 60.0])
def test_beats_are_found_between_frames(fps):
    beats = np.arange(0, 40) * 0.5237  # no whole number of frames at either rate
    found = dance.dance_beats(_bouncing(beats, 17.0, fps), fps=fps, exact="fixed")
    np.testing.assert_allclose(found, beats[1 : 1 + len(found)], atol=0.2 / fps)
    published = dance.dance_beats(_bouncing(beats, 17.0, fps), fps=fps)
    assert np.mean(published - found) == pytest.approx(-0.5 / fps, abs=0.15 / fps)


def test_alignment_prefers_its_own_beats():
    beats = np.arange(0, 20) * 0.517
    joints = _bouncing(beats, 9.0, 60)
    own = dance.beat_alignment(beats[1:17], joints, exact="fixed")
    other = dance.beat_alignment(beats[1:17] + 0.25, joints, exact="fixed")
    assert own > 0.99 and other < 0.01
    # Every other beat: the music's are all met, half of the dance's are not.
    assert dance.beat_alignment(beats[1:17:2], joints, exact="fixed") > 0.99
    assert 0.4 < dance.beat_alignment(beats[1:17:2], joints, over="dance", exact="fixed") < 0.6


def test_alignment_without_beats():
    still = np.zeros((60, 24, 3))
    assert dance.beat_alignment(np.array([0.5]), still) == 0
    assert np.isnan(dance.beat_alignment(np.array([]), still))
    assert np.isnan(dance.beat_alignment(np.array([0.5]), still, over="dance"))


def test_foot_contact_by_hand():
    joints = np.zeros((4, 24, 3))
    assert dance.physical_foot_contact(joints) == 0
    joints[:, 0, 0] = (0, 0, 1, 2)  # accelerates once: sizes 1 and 0 of the largest
    joints[:, [7, 8, 10, 11], 2] = np.arange(4)[:, None] * 0.1
    assert dance.physical_foot_contact(joints) == pytest.approx(1e4 * 0.5 * 0.1 * 0.1)
    joints[:, 7] = 0  # a planted left ankle
    assert dance.physical_foot_contact(joints) == 0


def test_spread_of_a_set_with_itself():
    features = np.random.default_rng(1).normal(size=(50, 6)) * 100
    assert dance.dance_fid(features, features) == pytest.approx(0, abs=1e-9)
    assert dance.dance_fid(features + 100, features) > 1
    two = np.array([[0.0, 0.0], [2.0, 2.0]])  # z-scored: (-1, -1) and (1, 1)
    assert dance.dance_diversity(two, two) == pytest.approx(8**0.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: dance_features.kinetic_features(np.zeros((5, 24, 2))), "shape"),
        (lambda: dance_features.kinetic_features(np.full((5, 24, 3), np.nan)), "not finite"),
        (lambda: dance_features.kinetic_features(np.zeros((5, 2, 3)), exact="x"), "allowed"),  # type: ignore[arg-type]
        (lambda: dance_features.geometric_features(np.zeros((5, 21, 3))), "21 joints"),
        (lambda: dance.beat_alignment(np.zeros((2, 2)), np.zeros((9, 2, 3))), "music_beats"),
        (lambda: dance.beat_alignment(np.zeros(2), np.zeros((2, 2, 3))), "2 frames"),
        (lambda: dance.physical_foot_contact(np.zeros((9, 5, 3))), "5 joints"),
        (lambda: dance.dance_fid(np.zeros((9, 5)), np.zeros((9, 4))), "5 values a row, real 4"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(InputError, match=words):
        call()
