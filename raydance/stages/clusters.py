"""Semantic clusters (Dance-Language, section II.C, eq. 9-10): latents -> a few movement qualities.

K-means against its alternatives, the silhouette for every K, stability over seeds, the exemplars
that a person describes, and the assignment of every window. The paper takes K = 3 although K = 2
scores higher and calls a silhouette of .17 clear separation; here the whole curve is kept, K is the
best from `interpretable_min_k` on, and a better smaller K or a weak silhouette is said aloud.

Dimensions: N windows, K clusters, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from raydance.errors import ConfigError, InputError
from raydance.metrics import clustering

Method = Literal["kmeans", "gmm", "hierarchical", "dbscan"]
METHODS: tuple[Method, ...] = ("kmeans", "gmm", "hierarchical", "dbscan")


@dataclass(frozen=True, kw_only=True)
class ClustersConfig:
    """How clusters are found.

    Attributes:
        method: what assigns windows; the others are fitted for comparison.
        num_clusters: K; None chooses it by silhouette among `interpretable_min_k..max_k`.
        num_seeds: K-means runs compared for stability.
        exemplars_per_cluster: windows nearest to each centroid, shown to a person.
        fit_windows: at most so many windows are used to fit and to score.
    """

    method: Literal["kmeans", "gmm", "hierarchical"] = "kmeans"
    num_clusters: int | None = None
    interpretable_min_k: int = 3
    max_k: int = 10
    num_seeds: int = 5
    exemplars_per_cluster: int = 3
    fit_windows: int = 20_000
    silhouette_windows: int = 2_000

    def __post_init__(self) -> None:
        if not 2 <= self.interpretable_min_k <= self.max_k:
            raise ConfigError(
                f"interpretable_min_k {self.interpretable_min_k}, max_k {self.max_k}: "
                "2 <= interpretable_min_k <= max_k is needed"
            )
        if self.num_seeds < 2 or self.exemplars_per_cluster < 1:
            raise ConfigError("num_seeds must be at least 2 and exemplars_per_cluster at least 1")
        if self.fit_windows <= max(self.max_k, self.num_clusters or 0):
            raise ConfigError(f"fit_windows: {self.fit_windows}; more than clusters are needed")
        if self.num_clusters is not None and self.num_clusters < 2:
            raise ConfigError(f"num_clusters: {self.num_clusters}; at least 2, or null to choose")


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Fitted clusters.

    Attributes:
        centroids: `[K, Z]`.
        pca_mean, pca_axes: `[Z]`, `[2, Z]`: the plane of the scatter plot.
        exemplars: row indices of the fitted latents, `[K][exemplars_per_cluster]`.
        report: silhouettes, stability, comparison and warnings; plain data.
    """

    centroids: np.ndarray
    pca_mean: np.ndarray
    pca_axes: np.ndarray
    exemplars: list[list[int]]
    report: dict[str, Any]

    def assign(self, latents_NZ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nearest centroid of each latent `[N]` int64 and the distance to it `[N]` float32."""
        return assign(self.centroids, latents_NZ)


def assign(centroids_KZ: np.ndarray, latents_NZ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centroid of each latent `[N]` int64 and the distance to it `[N]` float32."""
    from sklearn.metrics import pairwise_distances_argmin_min

    nearest_N, distance_N = pairwise_distances_argmin_min(
        latents_NZ.astype(np.float64), centroids_KZ.astype(np.float64)
    )
    return nearest_N.astype(np.int64), distance_N.astype(np.float32)


def partition(method: Method, latents_NZ: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Labels `[N]` of one clustering; DBSCAN ignores `k` and calls noise -1."""
    from sklearn import cluster, mixture, neighbors

    if method == "kmeans":
        return cluster.KMeans(k, n_init=10, random_state=seed).fit_predict(latents_NZ)
    if method == "gmm":
        model = mixture.GaussianMixture(
            k, covariance_type="diag", random_state=seed, reg_covar=1e-4
        )
        return model.fit_predict(latents_NZ)
    if method == "hierarchical":
        return cluster.AgglomerativeClustering(k).fit_predict(latents_NZ)
    # DBSCAN's radius: the distance within which 90 % of the windows have five neighbours.
    near = neighbors.NearestNeighbors(n_neighbors=min(6, len(latents_NZ))).fit(latents_NZ)
    radius = float(np.quantile(near.kneighbors(latents_NZ)[0][:, -1], 0.9))
    return cluster.DBSCAN(eps=max(radius, 1e-6), min_samples=5).fit_predict(latents_NZ)


def fit_clusters(config: ClustersConfig, latents_NZ: np.ndarray, seed: int) -> Clusters:
    """Fit, choose K, compare the methods and find exemplars.

    Args:
        latents_NZ: `[N, Z]` latents of training windows.

    Raises:
        InputError: fewer windows than the smallest K allowed plus one.
    """
    from sklearn.decomposition import PCA

    rng = np.random.default_rng([seed, 11])
    num_windows = len(latents_NZ)
    smallest = config.num_clusters or config.interpretable_min_k
    if num_windows <= smallest:
        raise InputError(f"{num_windows} training windows cannot make {smallest} clusters")
    rows = np.arange(num_windows)
    if num_windows > config.fit_windows:
        rows = np.sort(rng.choice(num_windows, config.fit_windows, replace=False))
    fitted_NZ = latents_NZ[rows].astype(np.float64)

    warnings: list[str] = []
    # A K given by hand is scored too, even beyond the curve.
    wanted = {*range(2, config.max_k + 1), config.num_clusters or 2}
    ks = sorted(k for k in wanted if k < len(fitted_NZ))
    curve = clustering.silhouette_by_k(
        fitted_NZ, ks, seed=seed, num_restarts=4, max_points=config.silhouette_windows
    )
    seeds = tuple(range(seed, seed + config.num_seeds))
    stability = {k: clustering.seed_stability(fitted_NZ, k, seeds=seeds) for k in ks}
    # NaN, where windows coincide, is no separation at all: the lowest value of a silhouette.
    score = {k: -1.0 if np.isnan(s) else s for k, s in curve.items()}
    allowed = [k for k in ks if k >= config.interpretable_min_k]
    chosen = config.num_clusters or max(allowed, key=lambda k: score[k])
    best = max(ks, key=lambda k: score[k])
    if score[chosen] < score[best]:
        warnings.append(
            f"K={best} has the higher silhouette ({curve[best]:.3f}) than K={chosen} "
            f"({curve[chosen]:.3f}), which was taken as the interpretable one"
        )
    if score[chosen] < 0.25:
        warnings.append(f"weak separation: silhouette {score[chosen]:.3f} < .25")

    labels = {method: partition(method, fitted_NZ, chosen, seed) for method in METHODS}
    comparison = {
        method: {
            "clusters": len(set(found[found >= 0].tolist())),
            "silhouette": clustering.silhouette(
                fitted_NZ, found, max_points=config.silhouette_windows, seed=seed
            ),
            "noise_share": float((found < 0).mean()),
            "agreement_with_kmeans": clustering.adjusted_rand_index(labels["kmeans"], found),
        }
        for method, found in labels.items()
    }
    own = labels[config.method]
    centroids = np.stack([fitted_NZ[own == c].mean(axis=0) for c in np.unique(own)])
    # Large clusters first and equal ones by place, so that the numbering does not depend on the
    # seed.
    sizes = np.bincount(assign(centroids, fitted_NZ)[0], minlength=len(centroids))
    order = np.lexsort((centroids[:, 0], -sizes))
    # A centre that is nearest to none of its own windows (only K-means rules it out) has no
    # exemplars and no words.
    centroids = centroids[order[sizes[order] > 0]]

    nearest, distance = assign(centroids, fitted_NZ)
    exemplars = []
    for c in range(len(centroids)):
        members = np.flatnonzero(nearest == c)
        order = members[np.argsort(distance[members], kind="stable")]
        exemplars.append(rows[order[: config.exemplars_per_cluster]].tolist())
    pca = PCA(2, random_state=0).fit(fitted_NZ)
    return Clusters(
        centroids=centroids.astype(np.float32),
        pca_mean=pca.mean_.astype(np.float32),
        pca_axes=pca.components_.astype(np.float32),
        exemplars=exemplars,
        report={
            "num_clusters": len(centroids),
            "silhouette": {str(k): float(v) for k, v in curve.items()},
            "stability": {str(k): float(v) for k, v in stability.items()},
            "comparison": comparison,
            "sizes": np.bincount(nearest, minlength=len(centroids)).tolist(),
            "pca_variance": np.nan_to_num(pca.explained_variance_ratio_).tolist(),
            "exemplar_share": sum(map(len, exemplars)) / num_windows,
            "warnings": warnings,
        },
    )


def caption_clusters(
    caption_ids: Sequence[Sequence[int]], cluster_N: np.ndarray, num_captions: int, k: int
) -> np.ndarray:
    """Which clusters each caption belongs to: `[U, K]` bool.

    A caption belongs to every cluster that holds at least a tenth of its windows.
    """
    count_UK = np.zeros((num_captions, k))
    for ids, cluster in zip(caption_ids, cluster_N):
        for caption_id in ids:
            count_UK[caption_id, cluster] += 1
    total_U1 = count_UK.sum(axis=1, keepdims=True)
    return count_UK >= np.maximum(0.1 * total_U1, 1.0)
