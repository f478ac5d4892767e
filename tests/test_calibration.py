"""Probabilities, their metrics, and the distance to the training data, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from raydance.metrics.calibration import auroc, brier, expected_calibration_error, reliability
from raydance.systems.dance_language import calibration
from raydance.systems.dance_language.calibration_step import names_of_windows
from raydance.systems.dance_language.caption_base import CaptionBase
from raydance.systems.dance_language.library_step import Library
from raydance.training.caption_table import CaptionTable


def test_calibration_error_by_hand():
    """Two bins: .2 stated and 1 of 2 right (gap .3), .9 stated and 2 of 2 right (gap .1)."""
    stated, right = np.array([0.2, 0.2, 0.9, 0.9]), np.array([1, 0, 1, 1], bool)
    assert expected_calibration_error(stated, right, 2) == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)
    assert brier(stated, right) == pytest.approx((0.64 + 0.04 + 0.01 + 0.01) / 4)
    first, second = reliability(stated, right, 2)
    assert (first.count, first.accuracy, second.accuracy) == (2, 0.5, 1.0)
    assert reliability(np.array([1.0]), np.array([True]), 4)[-1].count == 1  # 1 has a bin


def test_auroc_by_hand():
    """Pairs (.8, .5), (.8, .5), (.5, .5), (.5, .5): two won, two tied."""
    assert auroc(np.array([0.8, 0.5, 0.5, 0.5]), np.array([1, 1, 0, 0], bool)) == 0.75
    assert np.isnan(auroc(np.array([1.0, 2.0]), np.array([True, True])))


@pytest.mark.parametrize("wrong", [np.array([1.2]), np.array([]), np.array([0.5, 0.5])])
def test_probabilities_are_checked(wrong: np.ndarray):
    with pytest.raises(ValueError):
        brier(wrong, np.array([True]) if len(wrong) else np.array([]))


def test_platt_finds_the_curve_that_drew_the_outcomes():
    rng = np.random.default_rng(0)
    margin = rng.uniform(-1, 1, 20_000)
    right = rng.uniform(size=20_000) < 1 / (1 + np.exp(-(4 * margin + 1)))
    slope, bias = calibration.platt(margin, right)
    assert slope == pytest.approx(4, rel=0.06) and bias == pytest.approx(1, abs=0.1)


def test_all_right_gives_no_certainty():
    slope, bias = calibration.platt(np.linspace(0, 1, 8), np.ones(8, bool))
    stated = 1 / (1 + np.exp(-(slope * 0.5 + bias)))
    assert stated == pytest.approx(9 / 10, abs=0.02)  # Laplace's rule: (8 + 1) / (8 + 2)


def test_distances_by_hand():
    training = np.eye(2, dtype=np.float32)
    query = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)
    found = calibration.distances(query, training, "cosine")
    np.testing.assert_allclose(found, [0.5, 1.5], atol=1e-6)  # means of (0, 1) and of (2, 1)
    far = calibration.distances(query, training[:1], "euclidean")
    np.testing.assert_allclose(far, [0.0, 2.0], atol=1e-6)


def test_a_margin_is_over_captions_that_say_something_else():
    import torch

    rows = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    facts = {"in_train": [True, True, True], "derived": []}
    base = CaptionBase(
        CaptionTable(["a turn", "she turns", "a kick"], {"text_embedding": rows}),
        facts,
        np.ones((3, 1), bool),
        "off",
    )
    text, first = np.array([[1.0, 0.0]], np.float32), np.array([0])
    names = np.array([0, 0, 1])
    assert calibration.margins(base, names, text, first)[0] == pytest.approx(1.0)
    # Captions of unknown meaning are like no other.
    assert calibration.margins(base, np.array([-1, -1, 1]), text, first)[0] == pytest.approx(0.2)


def test_clips_shorter_than_a_window_calibrate_nothing():
    windows = {"start_s": [0.0, 0.0], "end_s": [2.5, 2.45], "caption_ids": [[0], [0]]}
    none = np.zeros((2, 1), np.float32)
    library = Library(
        windows=windows | {"labels": ["{}", "{}"]},
        cluster=np.zeros(2, np.int64), point=none, latent=none, embedding=none,
    )  # fmt: skip
    found = names_of_windows(library, np.arange(2), ("a left kick",), (50 - 0.5) / 20)
    assert found == ["a left kick, left", ""]


def test_the_calibration_survives_json():
    kept = calibration.Confidence(slope=2.0, bias=-1.0, names=np.array([0, -1]), limit=0.1)
    again = calibration.Confidence.from_data(kept.as_data())
    probability = again.probability(np.array([0.5]))
    assert probability is not None and probability[0] == pytest.approx(0.5)
    nothing = calibration.Confidence(slope=None, bias=None, names=np.array([0]), limit=0.1)
    assert nothing.probability(np.array([0.5])) is None
