"""K-means that starts from points whose group is known (Basu, Banerjee and Mooney, 2002).

"Semi-supervised clustering by seeding": the known points' means are the first centres. Seeded
K-means then forgets who they were; constrained K-means never moves them to another cluster. Centres
that no known point stands for are drawn far from the others, as K-means++ draws them; the paper
draws them at random.

Dimensions: N points, K clusters, Z features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydance.errors import InputError

UNKNOWN = -1
"""Cluster number of points without a known cluster."""


def seeded_kmeans(
    points_NZ: np.ndarray,
    known_N: np.ndarray,
    k: int,
    *,
    constrained: bool,
    seed: int = 0,
    max_iterations: int = 300,
) -> np.ndarray:
    """The cluster of each point, `[N]` int64; a known group c is cluster c.

    Args:
        points_NZ: `[N, Z]`.
        known_N: `[N]` int64, the cluster of each known point, else `UNKNOWN`.
        k: clusters, at least as many as are known.
        constrained: known points stay where they are; otherwise they only initialise.

    Raises:
        InputError: nothing is known, a known cluster has no point, or too few points are unknown
            for the clusters that nobody named.
    """
    from sklearn.metrics import pairwise_distances_argmin

    points_NZ = np.asarray(points_NZ, dtype=np.float64)
    is_known_N = known_N != UNKNOWN
    num_known = int(known_N.max(initial=UNKNOWN)) + 1
    missing = [c for c in range(num_known) if not (known_N == c).any()]
    if num_known == 0 or missing or k < num_known:
        raise InputError(
            f"{num_known} known clusters (without a point: {missing}) of {k}; "
            "allowed: 1 to all of them, each with a point"
        )
    centres_KZ = _first_centres(points_NZ, known_N, num_known, k, seed)
    cluster_N = np.full(len(points_NZ), UNKNOWN)
    for _ in range(max_iterations):
        nearest_N = pairwise_distances_argmin(points_NZ, centres_KZ).astype(np.int64)
        if constrained:
            nearest_N[is_known_N] = known_N[is_known_N]
        if np.array_equal(nearest_N, cluster_N):
            break
        cluster_N = nearest_N
        for c in np.unique(cluster_N):  # an emptied cluster keeps its centre
            centres_KZ[c] = points_NZ[cluster_N == c].mean(axis=0)
    return cluster_N


def _first_centres(
    points_NZ: np.ndarray, known_N: np.ndarray, num_known: int, k: int, seed: int
) -> np.ndarray:
    """Means of the known points, then unknown points drawn by their squared distance to those."""
    centres = [points_NZ[known_N == c].mean(axis=0) for c in range(num_known)]
    unknown_MZ = points_NZ[known_N == UNKNOWN]
    if len(unknown_MZ) < k - num_known:
        raise InputError(
            f"{k} clusters, {num_known} of them known, and {len(unknown_MZ)} points of which "
            "nothing is known; the other clusters need some"
        )
    rng = np.random.default_rng([seed, 23])
    while len(centres) < k:
        gap_MK = ((unknown_MZ[:, None] - np.stack(centres)[None]) ** 2).sum(axis=2)
        weight_M = gap_MK.min(axis=1)
        total = weight_M.sum()
        chances = weight_M / total if total > 0.0 else None
        centres.append(unknown_MZ[rng.choice(len(unknown_MZ), p=chances)])
    return np.stack(centres)


def choose_known(
    names: Sequence[str], clips: Sequence[str], share: float, seed: int
) -> tuple[list[str], np.ndarray]:
    """Which points count as known: those of a share of the clips of every name, at least one clip.

    By clip, because windows of one clip resemble each other: a share of the windows would let
    nearly every clip be known.

    Args:
        names: of each point, empty where it has none.
        clips: the clip of each point.
        share: in (0, 1].

    Returns:
        The names in alphabetical order, and for each point its name's number or `UNKNOWN`, `[N]`.
    """
    by_name: dict[str, dict[str, None]] = {}
    for name, clip in zip(names, clips):
        if name:
            by_name.setdefault(name, {})[clip] = None
    values = sorted(by_name)
    rng = np.random.default_rng([seed, 29])
    chosen: set[tuple[str, str]] = set()
    for name in values:
        own = list(by_name[name])
        count = max(1, round(share * len(own)))
        chosen |= {(name, own[i]) for i in rng.permutation(len(own))[:count]}
    number = {name: i for i, name in enumerate(values)}
    known = [
        number[pair[0]] if pair in chosen else UNKNOWN for pair in zip(names, clips, strict=True)
    ]
    return values, np.array(known, dtype=np.int64)
