"""How good clusters are: agreement with known labels, silhouette over K, stability over seeds.

Dance-Language chooses K from the silhouette of K-means on latents (its fig. 3); the curve, the
stability and the agreement are all reported, because one figure alone misleads.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from raydance.errors import InputError

Labels = Sequence[object] | np.ndarray
"""One name or number per item."""


def adjusted_rand_index(labels: Labels, clusters: Labels) -> float:
    """Agreement of two groupings, corrected for chance: 1 the same, about 0 unrelated.

    Args:
        labels, clusters: n names or numbers each; only who shares a group matters.

    Raises:
        InputError: different lengths, or nothing to compare.
    """
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(*_groups(labels, clusters)))


def purity(labels: Labels, clusters: Labels) -> float:
    """Share of items that bear their cluster's most frequent label, in (0, 1].

    Grows with the number of clusters by itself; read it beside the adjusted Rand index.

    Raises:
        InputError: different lengths, or nothing to compare.
    """
    label, cluster = _groups(labels, clusters)
    table = np.zeros((cluster.max() + 1, label.max() + 1), dtype=np.int64)
    np.add.at(table, (cluster, label), 1)
    return float(table.max(axis=1).sum() / len(label))


def silhouette(
    points: np.ndarray, clusters: Labels, *, max_points: int = 5000, seed: int = 0
) -> float:
    """Mean silhouette, in [-1, 1], by Euclidean distance; NaN for fewer than two clusters.

    NaN too where every point is a cluster of its own: the figure is not defined there.

    Args:
        points: `[n, d]`.
        clusters: n cluster names or numbers.
        max_points: a larger set is sampled, since time and memory grow with its square.
        seed: of that sample.

    Raises:
        InputError: shapes that do not fit, or values that are not finite.
    """
    from sklearn.metrics import silhouette_score

    points = _points(points)
    if len(clusters) != len(points):
        raise InputError(f"{len(clusters)} clusters for {len(points)} points")
    cluster = _numbers(clusters)
    if len(points) > max_points:
        chosen = np.random.default_rng(seed).choice(len(points), max_points, replace=False)
        points, cluster = points[chosen], cluster[chosen]
    if not 2 <= len(np.unique(cluster)) < len(points):
        return float("nan")
    return float(silhouette_score(points, cluster))


def silhouette_by_k(
    points: np.ndarray,
    ks: Sequence[int] = tuple(range(2, 11)),
    *,
    seed: int = 0,
    num_restarts: int = 10,
    max_points: int = 5000,
) -> dict[int, float]:
    """Silhouette of K-means for each K: K -> value in [-1, 1].

    A K that is not below the number of points is given NaN. Args and errors as for `silhouette`.
    """
    points = _points(points)
    curve = {}
    for k in ks:
        if k >= len(points):
            curve[k] = float("nan")
            continue
        clusters = _kmeans(points, k, seed, num_restarts)
        curve[k] = silhouette(points, clusters, max_points=max_points, seed=seed)
    return curve


def mean_pairwise_ari(groupings: Sequence[Labels]) -> float:
    """Mean adjusted Rand index over all pairs of groupings of the same items.

    Raises:
        InputError: fewer than two groupings, or different lengths.
    """
    if len(groupings) < 2:
        raise InputError(f"{len(groupings)} groupings, at least 2 are needed")
    return float(np.mean([adjusted_rand_index(a, b) for a, b in combinations(groupings, 2)]))


def seed_stability(
    points: np.ndarray, k: int, *, seeds: Sequence[int] = (0, 1, 2, 3, 4), num_restarts: int = 1
) -> float:
    """How alike K-means comes out from different seeds: mean pairwise adjusted Rand index.

    Args:
        points: `[n, d]`.
        k: clusters, at most n.
        seeds: at least 2.
        num_restarts: per seed; 1 shows the instability that restarts hide.

    Raises:
        InputError: K out of range, fewer than two seeds, or values that are not finite.
    """
    points = _points(points)
    if not 1 <= k <= len(points):
        raise InputError(f"K = {k} for {len(points)} points; allowed: 1 to the points")
    return mean_pairwise_ari([_kmeans(points, k, seed, num_restarts) for seed in seeds])


def _kmeans(points: np.ndarray, k: int, seed: int, num_restarts: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=k, n_init=num_restarts, random_state=seed).fit_predict(points)


def _points(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or 0 in points.shape:
        raise InputError(f"points have shape {points.shape}, [items, dimensions] is needed")
    if not np.isfinite(points).all():
        raise InputError("points hold values that are not finite")
    return points


def _groups(labels: Labels, clusters: Labels) -> tuple[np.ndarray, np.ndarray]:
    if len(labels) != len(clusters) or len(labels) == 0:
        raise InputError(f"{len(labels)} labels and {len(clusters)} clusters; as many are needed")
    return _numbers(labels), _numbers(clusters)


def _numbers(names: Labels) -> np.ndarray:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names])
