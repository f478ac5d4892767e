"""Clustering metrics by hand, at their edges, and by their properties."""

from __future__ import annotations

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.metrics import clustering


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three clear groups in the plane, 30 points each, and who belongs where."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(3), 30)
    return np.array([[0, 0], [10, 0], [0, 10]])[group] + rng.normal(size=(90, 2)), group


def test_adjusted_rand_index_by_hand():
    """Pairs: the labels join 2, the clusters 3, both 1; of 10. (1 - .6) / (2.5 - .6)."""
    labels, clusters = ["a", "a", "b", "b", "c"], [0, 0, 0, 1, 2]
    assert clustering.adjusted_rand_index(labels, clusters) == pytest.approx(0.4 / 1.9)


def test_agreement_ignores_names_and_order():
    labels = ["sharp", "fluid", "fluid", "grounded"]
    assert clustering.adjusted_rand_index(labels, [7, 1, 1, 0]) == 1.0
    assert clustering.purity(labels, [7, 1, 1, 0]) == 1.0


def test_unrelated_groupings_agree_about_zero():
    rng = np.random.default_rng(0)
    value = clustering.adjusted_rand_index(rng.integers(0, 3, 3000), rng.integers(0, 3, 3000))
    assert abs(value) < 0.01


def test_purity_by_hand():
    """Cluster 0 holds a, a, b; cluster 1 holds b, c: 2 + 1 of 5."""
    assert clustering.purity(["a", "a", "b", "b", "c"], [0, 0, 0, 1, 1]) == pytest.approx(0.6)
    assert clustering.purity(["a", "b", "c"], [0, 1, 2]) == 1.0  # why it needs the index beside


def test_silhouette_by_hand():
    """Points 0, 1 | 5: (a, b) = (1, 5), (1, 4) and a lone point counts 0."""
    points = np.array([[0.0], [1.0], [5.0]])
    assert clustering.silhouette(points, [0, 0, 1]) == pytest.approx((0.8 + 0.75 + 0.0) / 3)


def test_silhouette_is_undefined_for_one_cluster_or_all_alone():
    points = np.arange(4.0)[:, None]
    assert np.isnan(clustering.silhouette(points, [0, 0, 0, 0]))
    assert np.isnan(clustering.silhouette(points, [0, 1, 2, 3]))


def test_silhouette_curve_peaks_at_the_true_number(blobs):
    points, _ = blobs
    curve = clustering.silhouette_by_k(points, num_restarts=2)
    assert list(curve) == list(range(2, 11))
    assert max(curve, key=curve.__getitem__) == 3


def test_silhouette_curve_on_too_few_points():
    curve = clustering.silhouette_by_k(np.arange(4.0)[:, None], ks=(2, 3, 4, 5), num_restarts=1)
    assert np.isfinite(curve[2]) and np.isnan(curve[4]) and np.isnan(curve[5])


def test_silhouette_of_a_sample_is_close_and_repeats(blobs):
    points, group = blobs
    full = clustering.silhouette(points, group)
    sampled = clustering.silhouette(points, group, max_points=45, seed=1)
    assert sampled == clustering.silhouette(points, group, max_points=45, seed=1)
    assert sampled != full and sampled == pytest.approx(full, abs=0.1)


def test_mean_pairwise_ari_by_hand():
    same, other = [0, 0, 1, 1], [0, 1, 0, 1]
    # Pairs: same-same 1, same-other twice -0.5.
    assert clustering.mean_pairwise_ari([same, same, other]) == pytest.approx(0.0)


def test_clear_groups_are_stable_and_noise_is_not(blobs):
    points, _ = blobs
    noise = np.random.default_rng(0).normal(size=(200, 10))
    assert clustering.seed_stability(points, 3, num_restarts=3) == pytest.approx(1.0)
    assert clustering.seed_stability(noise, 6) < 0.8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clustering.adjusted_rand_index([1, 2], [1]), "2 labels and 1 clusters"),
        (lambda: clustering.purity([], []), "0 labels"),
        (lambda: clustering.silhouette(np.zeros((3, 2)), [0, 1]), "2 clusters for 3 points"),
        (lambda: clustering.silhouette(np.full((3, 2), np.nan), [0, 1, 1]), "not finite"),
        (lambda: clustering.seed_stability(np.zeros((3, 2)), 4), "K = 4 for 3 points"),
        (lambda: clustering.mean_pairwise_ari([[0, 1]]), "1 groupings, at least 2"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
