"""Metrics of tracks beside what the public references return, and beside values made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.metrics import tracks
from raydance.metrics.catalogue import METRICS


@pytest.fixture(scope="module")
def golden(shared_golden: Path) -> dict[str, Any]:
    return json.loads((shared_golden / "metrics_golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def inputs(shared_golden: Path) -> dict[str, np.ndarray]:
    with np.load(shared_golden / "metrics_inputs.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("mode", ["first", "strided"])
def test_tapvid(golden, inputs, mode):
    """The reference keeps tracks as [videos, points, frames]; all points are given in frame 0."""
    predicted, true = (
        inputs[f"tracks_{name}_xy"].transpose(0, 2, 1, 3) for name in ("pred", "true")
    )
    visible = {
        f"{word}_visible": ~inputs[f"tracks_{name}_occluded"].transpose(0, 2, 1)
        for word, name in (("predicted", "pred"), ("true", "true"))
    }
    wanted = golden[f"tapvid_{mode}"]
    values = tracks.tapvid(predicted, true, **visible, query_mode=mode)
    assert set(values) == set(wanted)
    for name, value in wanted.items():
        assert values[name] == pytest.approx(value, abs=1e-9), name
    jaccard = METRICS["average_jaccard"](predicted, true, **visible, query_mode=mode)
    assert jaccard == pytest.approx(np.mean(wanted["average_jaccard"]), abs=1e-9)
    accuracy = METRICS["occlusion_accuracy"](**visible, query_mode=mode)
    assert accuracy == pytest.approx(np.mean(wanted["occlusion_accuracy"]), abs=1e-9)


def test_displacement_of_a_frame_as_one_vector(golden, inputs):
    samples = inputs["ade_samples"].reshape(5, 30, 36, 2)
    true = inputs["ade_truth"].reshape(30, 36, 2)
    options = {"best_of": True, "norm": "frame"}
    assert METRICS["ade"](samples, true, **options) == pytest.approx(golden["dlow_ade"], abs=1e-9)
    assert METRICS["fde"](samples, true, **options) == pytest.approx(golden["dlow_fde"], abs=1e-9)


def test_displacement_by_hand():
    true = np.zeros((2, 2, 2))  # T, N
    predicted = true.copy()
    predicted[0, 0] = (3, 4)
    predicted[1, 1] = (0, 1)
    assert tracks.ade(predicted, true) == pytest.approx((5 + 0 + 0 + 1) / 4)
    assert tracks.fde(predicted, true) == pytest.approx(0.5)
    visible = np.array([[False, True], [True, True]])
    assert tracks.ade(predicted, true, visible=visible) == pytest.approx(1 / 3)
    assert tracks.ade(predicted, true, norm="frame") == pytest.approx((5 + 1) / 2)


def test_the_best_sample_counts_for_each_track():
    true = np.zeros((2, 3, 1, 2))  # tracks, T, N
    samples = np.ones((2, 2, 3, 1, 2)) * np.array([[1, 7], [9, 2]])[..., None, None, None]
    best = tracks.ade(samples, true, best_of=True)
    assert best == pytest.approx(np.sqrt(2) * (1 + 2) / 2)
    single = np.mean([tracks.ade(samples[:, k], true) for k in range(2)])
    assert best < single


def test_tracks_without_a_visible_point_do_not_count():
    true = np.zeros((2, 3, 1, 2))
    predicted = true + np.array([1.0, 100.0])[:, None, None, None]
    visible = np.array([True, False])[:, None, None] & np.ones((2, 3, 1), bool)
    assert tracks.ade(predicted, true, visible=visible) == pytest.approx(np.sqrt(2))
    with pytest.raises(InputError, match="visible"):
        tracks.ade(predicted, true, visible=np.zeros((2, 3, 1), bool))


def test_jaccard_by_hand():
    """Four frames of one point; the first is the query's. Thresholds are strict."""
    true = np.zeros((4, 1, 2))
    predicted = true.copy()
    predicted[1, 0, 0] = 1.0  # not within 1, but within all others
    true_visible = np.array([[1], [1], [0], [1]], bool)
    called = np.array([[1], [1], [1], [1]], bool)  # a false positive in frame 2
    # threshold 1: one hit, two visible, two false; the others: two hits, two visible, one false
    expected = np.mean([1 / 4, 2 / 3, 2 / 3, 2 / 3, 2 / 3])
    options = {"predicted_visible": called, "true_visible": true_visible}
    assert tracks.average_jaccard(predicted, true, **options) == pytest.approx(expected)
    assert tracks.occlusion_accuracy(called, true_visible) == pytest.approx(2 / 3)
    # Asked for in the last frame, `first` has nothing to count and `strided` all but that frame.
    strided = tracks.occlusion_accuracy(
        called, true_visible, query_frame=np.array([3]), query_mode="strided"
    )
    assert strided == pytest.approx(2 / 3)


def test_smoothness():
    even = np.linspace(-1, 1, 30)[:, None, None] * np.ones((30, 36, 2))
    assert tracks.smoothness(even) == pytest.approx(1.0)
    turned = even.copy()
    turned[20:, :, 0] = turned[19, 0, 0] - 2 / 29 * np.arange(1, 11)[:, None]
    assert tracks.smoothness(turned) == pytest.approx(1 - (4 / 29) / 28)
    rough = np.random.default_rng(0).uniform(-1, 1, (30, 36, 2))
    assert tracks.smoothness(rough) < 0  # there is no lower bound


@pytest.mark.parametrize(
    ("predicted", "true", "words"),
    [
        (np.zeros((3, 2, 2)), np.zeros((4, 2, 2)), "shape"),
        (np.zeros((3, 2, 3)), np.zeros((3, 2, 3)), "T, N, 2"),
        (np.full((3, 2, 2), np.nan), np.zeros((3, 2, 2)), "finite"),
    ],
)
def test_mistakes_are_told(predicted, true, words):
    with pytest.raises(InputError, match=words):
        tracks.ade(predicted, true)
