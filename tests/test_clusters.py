"""Clusters of latents (eq. 9-10): known blobs are found, doubtful choices are said aloud."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from raydance.errors import ConfigError, InputError
from raydance.metrics.clustering import adjusted_rand_index
from raydance.stages.clusters import (
    METHODS,
    Clusters,
    ClustersConfig,
    assign,
    caption_clusters,
    fit_clusters,
    partition,
)

SMALL = {"max_k": 6, "num_seeds": 3}


def blobs(centres: list[list[float]], sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Points `[N, Z]` around centres with a deviation of .3, in mixed order, and their blobs."""
    rng = np.random.default_rng(5)
    label = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(label)
    points = np.asarray(centres, dtype=float)[label] + rng.normal(0, 0.3, (len(label), 3))
    return points.astype(np.float32), label


def doubts(report: dict[str, Any]) -> list[str]:
    """Warnings but that of few windows, which all of these fits are made on."""
    return [w for w in report["warnings"] if not w.startswith("the exemplars are")]


FOUR = [[0.0, 0, 0], [9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0]]


@pytest.fixture(scope="module")
def four() -> tuple[np.ndarray, np.ndarray, Clusters]:
    points, label = blobs(FOUR, [40, 30, 20, 15])
    return points, label, fit_clusters(ClustersConfig(**SMALL), points, seed=0)


def test_separate_blobs_are_found_by_their_number(four: tuple) -> None:
    points, label, clusters = four
    report = clusters.report
    assert report["num_clusters"] == 4 and report["sizes"] == [40, 30, 20, 15]
    assert adjusted_rand_index(label, clusters.assign(points)[0]) == 1.0
    np.testing.assert_allclose(clusters.centroids, FOUR, atol=0.3)
    assert report["stability"]["4"] <= 1.0 and set(report["silhouette"]) == set("23456")
    assert report["silhouette"]["4"] > 0.9 and not doubts(report)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_separate_blobs(four: tuple, method: str) -> None:
    points, label, clusters = four
    found = partition(method, points, 4, seed=0)
    clear = found >= 0  # DBSCAN leaves stragglers out
    assert clear.mean() > 0.75 and adjusted_rand_index(label[clear], found[clear]) == 1.0
    row = clusters.report["comparison"][method]
    assert row["clusters"] == 4 and row["agreement_with_kmeans"] > 0.6
    assert row["noise_share"] == pytest.approx(0.0, abs=0.25)


def test_exemplars_are_the_windows_nearest_to_each_centroid(four: tuple) -> None:
    points, _, clusters = four
    nearest, distance = clusters.assign(points)
    for cluster, rows in enumerate(clusters.exemplars):
        members = np.flatnonzero(nearest == cluster)
        expected = members[np.argsort(distance[members])][:3]
        assert rows == expected.tolist()
    assert clusters.report["exemplar_share"] == pytest.approx(12 / 105)


def test_exemplars_that_are_no_small_share_are_told(four: tuple) -> None:
    points, _, clusters = four
    told = "the exemplars are 11.4% of the 105 training windows"
    assert any(w.startswith(told) for w in clusters.report["warnings"])
    # Twelve are under 1 % of more than 1200.
    many = fit_clusters(ClustersConfig(fit_windows=200, **SMALL), np.tile(points, (12, 1)), seed=0)
    assert many.report["exemplar_share"] < 0.01 and not many.report["warnings"]


def test_exemplars_are_rows_of_what_was_given_when_only_a_part_is_fitted(four: tuple) -> None:
    points, _, _ = four
    clusters = fit_clusters(ClustersConfig(fit_windows=60, **SMALL), points, seed=0)
    for cluster, rows in enumerate(clusters.exemplars):
        assert (clusters.assign(points[rows])[0] == cluster).all()


@pytest.mark.parametrize("sizes", [[40, 30, 20], [25, 25, 25]], ids=["unequal", "equal"])
def test_the_numbering_does_not_depend_on_the_seed(sizes: list[int]) -> None:
    points, _ = blobs(FOUR[:3], sizes)
    fits = [fit_clusters(ClustersConfig(**SMALL), points, seed) for seed in range(4)]
    for other in fits[1:]:
        np.testing.assert_allclose(other.centroids, fits[0].centroids, atol=1e-4)
        assert other.exemplars == fits[0].exemplars


def test_a_better_smaller_k_is_said_aloud() -> None:
    points, _ = blobs([[0.0, 0, 0], [9.0, 0, 0]], [30, 30])
    clusters = fit_clusters(ClustersConfig(**SMALL), points, seed=0)
    assert clusters.report["num_clusters"] >= 3
    assert any(w.startswith("K=2 has the higher silhouette") for w in clusters.report["warnings"])
    free = fit_clusters(ClustersConfig(interpretable_min_k=2, **SMALL), points, seed=0)
    assert free.report["num_clusters"] == 2 and not doubts(free.report)


def test_one_cloud_is_called_weakly_separated() -> None:
    points = np.random.default_rng(0).normal(size=(120, 16)).astype(np.float32)
    report = fit_clusters(ClustersConfig(**SMALL), points, seed=0).report
    assert any(w.startswith("weak separation") for w in report["warnings"])


def test_a_k_beyond_the_curve_is_scored_all_the_same() -> None:
    points, _ = blobs(FOUR, [20, 20, 20, 20])
    config = ClustersConfig(num_clusters=8, max_k=5, num_seeds=2)
    report = fit_clusters(config, points, seed=0).report
    assert report["num_clusters"] == 8 and np.isfinite(report["silhouette"]["8"])
    assert not any("nan" in warning for warning in report["warnings"])


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "ignore:invalid value")
def test_latents_that_are_all_the_same_are_said_to_be_inseparable() -> None:
    report = fit_clusters(ClustersConfig(**SMALL), np.ones((30, 4), np.float32), seed=0).report
    assert any("separation" in warning for warning in report["warnings"])


def test_the_plane_of_the_plot_holds_the_widest_direction() -> None:
    points, _ = blobs([[0.0, 0, 0], [20.0, 0, 0], [0, 5.0, 0]], [20, 20, 20])
    clusters = fit_clusters(ClustersConfig(**SMALL), points, seed=0)
    axis = clusters.pca_axes[0]
    assert abs(axis[0]) > 0.9 and np.linalg.norm(axis) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(clusters.pca_mean, points.mean(axis=0), atol=1e-4)


def test_assignment_by_hand() -> None:
    centroids = np.array([[0.0, 0.0], [10.0, 0.0]], np.float32)
    nearest, distance = assign(centroids, np.array([[3.0, 4.0], [10.0, 1.0]], np.float32))
    assert nearest.tolist() == [0, 1] and nearest.dtype == np.int64
    np.testing.assert_allclose(distance, [5.0, 1.0])


def test_too_few_windows_and_impossible_settings_are_refused() -> None:
    with pytest.raises(InputError, match="3 training windows cannot make 3 clusters"):
        fit_clusters(ClustersConfig(), np.zeros((3, 2)), seed=0)
    with pytest.raises(ConfigError, match="interpretable_min_k 5, max_k 4"):
        ClustersConfig(interpretable_min_k=5, max_k=4)
    with pytest.raises(ConfigError, match="num_clusters: 1"):
        ClustersConfig(num_clusters=1)


def test_the_fewest_windows_allowed_are_fitted() -> None:
    points = np.array([[0.0, 0], [0.1, 0], [9, 0], [0, 9]], np.float32)
    clusters = fit_clusters(ClustersConfig(num_seeds=2), points, seed=0)
    assert clusters.report["sizes"] == [2, 1, 1]


def test_a_caption_belongs_to_the_clusters_that_hold_a_tenth_of_its_windows() -> None:
    # Caption 0: 19 windows of cluster 0 and one of cluster 2. Caption 1: one window. 2: none.
    caption_ids = [[0]] * 19 + [[0, 1]]
    cluster = np.array([0] * 19 + [2])
    expected = [[True, False, False], [False, False, True], [False, False, False]]
    assert caption_clusters(caption_ids, cluster, 3, 3).tolist() == expected
    # Two of twenty are a tenth.
    cluster[18] = 2
    assert caption_clusters(caption_ids, cluster, 3, 3)[0].tolist() == [True, False, True]
