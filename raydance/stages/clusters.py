"""Semantic clusters (Dance-Language, section II.C, eq. 9-10): latents -> a few movement qualities.

K-means against its alternatives, the silhouette for every K, stability over seeds, the exemplars
that a person describes, and the assignment of every window. The paper takes K = 3 although K = 2
scores higher and calls a silhouette of .17 clear separation; here the whole curve is kept, K is the
best from `interpretable_min_k` on, and a better smaller K or a weak silhouette causes a warning.

If some clips have a label, clusters can start from it (the paper's future work):
`method=seeded_kmeans label=quality`. Its values then name the clusters.

Dimensions: N windows, K clusters, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from raydance.errors import ConfigError, InputError
from raydance.metrics import clustering
from raydance.nn.seeded_kmeans import UNKNOWN, choose_known, seeded_kmeans

Method = Literal["kmeans", "gmm", "hierarchical", "dbscan"]
Space = Literal["descriptors", "coefficients", "latent"]
METHODS: tuple[Method, ...] = ("kmeans", "gmm", "hierarchical", "dbscan")
LABELLED_METHODS = ("seeded_kmeans", "constrained_kmeans")
"""Methods that start from windows whose label is known."""


@dataclass(frozen=True, kw_only=True)
class ClustersConfig:
    """How clusters are found.

    Attributes:
        space: features by which windows are compared: kinematic `descriptors`, `coefficients` of
            the motion
            basis weighted by the square root of their effect in metres, or the motion VAE's
            `latent` (paper).
        method: the clustering that is used; the others are fitted for comparison. `seeded_kmeans`
            starts from windows with a `label`, `constrained_kmeans` also fixes their assignment.
        num_clusters: K; None chooses it by silhouette among `interpretable_min_k..max_k`, or takes
            the number of label values.
        label: key of the clips' labels, such as `quality`.
        labelled_share: share of each value's clips whose label is used; below 1 for experiments.
        num_seeds: K-means runs compared for stability.
        exemplars_per_cluster: windows nearest to each centroid, shown to a person.
        fit_windows: maximum number of windows used for fitting and scoring.
    """

    space: Space = "descriptors"
    method: Literal["kmeans", "gmm", "hierarchical", "seeded_kmeans", "constrained_kmeans"] = (
        "kmeans"
    )
    num_clusters: int | None = None
    label: str | None = None
    labelled_share: float = 1.0
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
        if self.uses_labels != bool(self.label):
            raise ConfigError(
                f"method {self.method}, label {self.label!r}: {' and '.join(LABELLED_METHODS)} "
                "need a label (such as quality), the others take none"
            )
        if not 0.0 < self.labelled_share <= 1.0:
            raise ConfigError(f"labelled_share: {self.labelled_share}; above 0, at most 1")

    @property
    def uses_labels(self) -> bool:
        """Whether clusters start from labelled windows."""
        return self.method in LABELLED_METHODS


@dataclass(frozen=True, kw_only=True)
class WindowLabels:
    """The label and the clip of each of N windows; the label is empty where a clip has none."""

    names: Sequence[str]
    clips: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Fitted clusters.

    Attributes:
        centroids: `[K, Z]`.
        names: name of each cluster, `[K]`; empty without a label.
        kept: fixed cluster of each fitted window, else -1, `[N]`; None if every window belongs to
            its nearest centroid.
        pca_mean, pca_axes: `[Z]`, `[2, Z]`: the plane of the scatter plot.
        exemplars: row indices of the fitted latents, `[K][exemplars_per_cluster]`.
        report: silhouettes, stability, comparison and warnings; plain data.
    """

    centroids: np.ndarray
    names: tuple[str, ...]
    kept: np.ndarray | None
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


def fit_clusters(
    config: ClustersConfig,
    latents_NZ: np.ndarray,
    seed: int,
    labels: WindowLabels | None = None,
) -> Clusters:
    """Fit, choose K, compare the methods and find exemplars.

    Args:
        latents_NZ: `[N, Z]` latents of training windows.
        labels: of these windows; needed by the methods that use labels.

    Raises:
        InputError: fewer windows than the smallest K allowed plus one, no window with the label,
            or fewer clusters than label values.
    """
    from sklearn.decomposition import PCA

    rng = np.random.default_rng([seed, 11])
    num_windows = len(latents_NZ)
    values, known_N = _known(config, labels, num_windows, seed)
    num_clusters = config.num_clusters or (max(2, len(values)) if values else None)
    smallest = num_clusters or config.interpretable_min_k
    if num_windows <= smallest:
        raise InputError(f"{num_windows} training windows cannot make {smallest} clusters")
    rows = _fitted_rows(config.fit_windows, known_N, rng)
    fitted_NZ = latents_NZ[rows].astype(np.float64)

    warnings: list[str] = []
    # A K given by hand is scored too, even beyond the curve.
    wanted = {*range(2, config.max_k + 1), num_clusters or 2}
    ks = sorted(k for k in wanted if k < len(fitted_NZ))
    curve = clustering.silhouette_by_k(
        fitted_NZ, ks, seed=seed, num_restarts=4, max_points=config.silhouette_windows
    )
    seeds = tuple(range(seed, seed + config.num_seeds))
    stability = {k: clustering.seed_stability(fitted_NZ, k, seeds=seeds) for k in ks}
    # NaN, where windows coincide, is no separation at all: the lowest value of a silhouette.
    score = {k: -1.0 if np.isnan(s) else s for k, s in curve.items()}
    allowed = [k for k in ks if k >= config.interpretable_min_k]
    chosen = num_clusters or max(allowed, key=lambda k: score[k])
    best = max(ks, key=lambda k: score[k])
    if score[chosen] < score[best]:
        warnings.append(
            f"K={best} has the higher silhouette ({curve[best]:.3f}) than K={chosen} "
            f"({curve[chosen]:.3f}), which was taken as "
            + ("the labels' number" if values else "the interpretable one")
        )
    if score[chosen] < 0.25:
        warnings.append(f"weak separation: silhouette {score[chosen]:.3f} < .25")

    found_by: dict[str, np.ndarray] = {
        method: partition(method, fitted_NZ, chosen, seed) for method in METHODS
    }
    if values:
        found_by[config.method] = seeded_kmeans(
            fitted_NZ,
            known_N[rows],
            chosen,
            constrained=config.method == "constrained_kmeans",
            seed=seed,
        )
    comparison = {
        method: {
            "clusters": len(set(found[found >= 0].tolist())),
            "silhouette": clustering.silhouette(
                fitted_NZ, found, max_points=config.silhouette_windows, seed=seed
            ),
            "noise_share": float((found < 0).mean()),
            "agreement_with_kmeans": clustering.adjusted_rand_index(found_by["kmeans"], found),
        }
        for method, found in found_by.items()
    }
    own = found_by[config.method]
    numbers = np.unique(own)
    centroids = np.stack([fitted_NZ[own == c].mean(axis=0) for c in numbers])
    # Large clusters first and equal ones by place, so that the numbering does not depend on the
    # seed.
    sizes = np.bincount(assign(centroids, fitted_NZ)[0], minlength=len(centroids))
    order = np.lexsort((centroids[:, 0], -sizes))
    # A centre that is nearest to none of its own windows (only K-means rules it out) has no
    # exemplars and no words.
    order = order[sizes[order] > 0]
    centroids = centroids[order]
    numbers = numbers[order]
    names = tuple(values[c] if c < len(values) else "" for c in numbers)
    if lost := sorted(set(values) - set(names)):
        warnings.append(f"no cluster is left for {config.label} {', '.join(lost)}")
    kept_N = _kept(known_N, numbers) if config.method == "constrained_kmeans" else None

    nearest, distance = assign(centroids, fitted_NZ)
    if kept_N is not None:
        nearest = np.where(kept_N[rows] == UNKNOWN, nearest, kept_N[rows])
        distance = np.linalg.norm(fitted_NZ - centroids[nearest], axis=1)
    exemplars = []
    for c in range(len(centroids)):
        members = np.flatnonzero(nearest == c)
        order = members[np.argsort(distance[members], kind="stable")]
        exemplars.append(rows[order[: config.exemplars_per_cluster]].tolist())
    share = sum(map(len, exemplars)) / num_windows
    if share >= 0.01:
        warnings.append(
            f"the exemplars are {share:.1%} of the {num_windows} training windows, not under 1 % "
            "as the paper says: the clusters stand on few windows"
        )
    pca = PCA(2, random_state=0).fit(fitted_NZ)
    return Clusters(
        centroids=centroids.astype(np.float32),
        names=names,
        kept=kept_N,
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
            "exemplar_share": share,
            "warnings": warnings,
        }
        | (
            {
                "label": config.label,
                "names": list(names),
                "labelled_windows": int((known_N != UNKNOWN).sum()),
            }
            if values
            else {}
        ),
    )


def _known(
    config: ClustersConfig, labels: WindowLabels | None, num_windows: int, seed: int
) -> tuple[list[str], np.ndarray]:
    """Label values, and the number of each window's value or `UNKNOWN`, `[N]`."""
    if not config.uses_labels:
        return [], np.full(num_windows, UNKNOWN)
    if labels is None or not any(labels.names):
        raise InputError(f"clusters.label: no training clip has the label {config.label!r}")
    values, known_N = choose_known(labels.names, labels.clips, config.labelled_share, seed)
    if config.num_clusters is not None and config.num_clusters < len(values):
        raise InputError(
            f"clusters.num_clusters: {config.num_clusters}; the label {config.label!r} has "
            f"{len(values)} values ({', '.join(values[:8])}{', ...' if len(values) > 8 else ''}), "
            "at least as many clusters are needed"
        )
    return values, known_N


def _fitted_rows(limit: int, known_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At most `limit` rows; of every label value some, however rare it is."""
    if len(known_N) <= limit:
        return np.arange(len(known_N))
    values = np.unique(known_N[known_N != UNKNOWN])
    first = [
        rng.permutation(np.flatnonzero(known_N == c))[: max(1, limit // (2 * len(values)))]
        for c in values
    ]
    sure = np.concatenate(first)[:limit] if first else np.zeros(0, dtype=np.int64)
    others = np.setdiff1d(np.arange(len(known_N)), sure)
    return np.sort(
        np.concatenate([sure, others[rng.choice(len(others), limit - len(sure), replace=False)]])
    )


def _kept(known_N: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The new number of the cluster that each known window stays in, else `UNKNOWN`, `[N]`."""
    kept_N = np.full(len(known_N), UNKNOWN)
    for new, old in enumerate(numbers.tolist()):
        kept_N[known_N == old] = new
    return kept_N


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
