"""Features and eq. 1 of Dance-Language."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raydance.errors import InputError
from raydance.motion import normalise
from raydance.motion.normalise import Statistics, Sums, fit_statistics
from raydance.motion.skeleton import NUM_JOINTS


@pytest.fixture
def motion() -> np.ndarray:
    rng = np.random.default_rng(0)
    walk = np.linspace(0, 3, 50)[None, :, None, None] * np.array([0.2, 0, 1])
    return (rng.normal(0, 0.5, (6, 50, NUM_JOINTS, 3)) + walk).astype(np.float32)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.ones((6, NUM_JOINTS), bool)
    mask[:3, 22:] = False
    return mask


def test_the_root_keeps_its_path_and_the_rest_is_relative(motion, mask):
    features = normalise.to_features(motion, mask)
    np.testing.assert_array_equal(features[:, :, 0], motion[:, :, 0])
    np.testing.assert_allclose(features[:, :, 5], motion[:, :, 5] - motion[:, :, 0])
    assert not features[:3, :, 22:].any()
    assert features.dtype == np.float32


@pytest.mark.parametrize("as_tensor", [False, True])
def test_features_and_statistics_invert(motion, mask, as_tensor: bool):
    features = normalise.to_features(motion, mask)
    statistics = fit_statistics([Sums.of(features, mask)], "axis")
    if as_tensor:
        features = torch.from_numpy(features)
        statistics = Statistics(
            mean=torch.from_numpy(statistics.mean), std=torch.from_numpy(statistics.std)
        )
    back = statistics.invert(statistics.apply(features))
    back = np.asarray(normalise.from_features(back))
    weight = mask[:, None, :, None]
    np.testing.assert_allclose(back * weight, motion * weight, atol=1e-5)


def test_per_frame_leaves_no_locomotion(motion, mask):
    features = normalise.to_features(motion, mask, "per_frame")
    assert np.abs(features[:, :, 0]).max() == 0.0
    walking = motion + np.linspace(0, 9, 50, dtype=np.float32)[None, :, None, None] * [1, 0, 0]
    moved = normalise.to_features(walking.astype(np.float32), mask, "per_frame")
    np.testing.assert_allclose(moved, features, atol=1e-5)
    np.testing.assert_array_equal(normalise.from_features(features, "per_frame"), features)


def test_statistics_by_hand():
    features = np.zeros((1, 2, 3, 3), np.float32)
    features[0, :, 0] = [[1, 10, 0], [3, 10, 0]]
    features[0, :, 1] = [[5, 30, 0], [7, 30, 0]]
    features[0, :, 2] = 1e6  # masked: must not count
    mask = np.array([[True, True, False]])
    sums = Sums.of(features, mask)

    whole = fit_statistics([sums], "global")
    values = np.array([1, 3, 5, 7, 10, 10, 30, 30, 0, 0, 0, 0])
    assert whole.mean.shape == (1, 1) and whole.mean.item() == pytest.approx(values.mean())
    assert whole.std.item() == pytest.approx(values.std())

    axis = fit_statistics([sums], "axis")
    np.testing.assert_allclose(axis.mean, [[4, 20, 0]])
    np.testing.assert_allclose(axis.std, [[np.sqrt(5), 10, 1]], rtol=1e-6)  # a constant: 1

    feature = fit_statistics([sums], "feature")
    np.testing.assert_allclose(feature.mean, [[2, 10, 0], [6, 30, 0], [0, 0, 0]])
    np.testing.assert_allclose(feature.std, [[1, 1, 1]] * 3)
    assert np.isfinite(feature.std).all()


@pytest.mark.parametrize("granularity", ["global", "axis", "feature"])
def test_sums_of_parts_are_the_sum_of_the_whole(motion, mask, granularity):
    features = normalise.to_features(motion, mask)
    whole = fit_statistics([Sums.of(features, mask)], granularity)
    parts = [Sums.of(features[i : i + 2], mask[i : i + 2]) for i in (4, 0, 2)]
    merged = fit_statistics(parts, granularity)
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(merged.std, whole.std, rtol=1e-6)


def test_normalised_training_data_has_mean_0_and_deviation_1(motion):
    mask = np.ones((6, NUM_JOINTS), bool)
    features = normalise.to_features(motion + 5.0, mask)
    z = fit_statistics([Sums.of(features, mask)]).apply(features)
    assert z.mean() == pytest.approx(0, abs=1e-4) and z.std() == pytest.approx(1, abs=1e-4)


def test_mistakes_are_told(motion, mask):
    with pytest.raises(InputError, match="no training windows"):
        fit_statistics([])
    with pytest.raises(InputError, match="global, axis, feature"):
        fit_statistics([Sums.of(motion, mask)], "joint")  # type: ignore[arg-type]
