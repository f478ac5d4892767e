"""Whether the clusters of the latent space are what people would call alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydance.evaluation.measure import Measure
from raydance.metrics import clustering

_GROUP = "clusters"


def agreement(
    cluster_N: np.ndarray,
    train_features: np.ndarray,
    test_features: np.ndarray,
    names: Sequence[str],
    what: str,
    *,
    seed: int = 0,
) -> list[Measure]:
    """Agreement of clusters with names, beside K-means of the same K on kinematic descriptors.

    Args:
        cluster_N: of the test windows.
        train_features, test_features: z-scored descriptors; the baseline is fitted on training.
        names: the quality (or movement) of each test window.
        what: how the names are called.
    """
    from sklearn.cluster import KMeans

    k = len(np.unique(cluster_N))
    usual = KMeans(max(2, k), n_init=10, random_state=seed).fit(train_features.astype(np.float64))
    plain = usual.predict(test_features.astype(np.float64))
    shuffled = np.random.default_rng([seed, 41]).permutation(cluster_N)
    return [
        Measure(
            group=_GROUP,
            name=f"agreement with {what} (ARI)",
            unit="",
            value=clustering.adjusted_rand_index(names, cluster_N),
            baseline=clustering.adjusted_rand_index(names, plain),
            chance=0.0,
        ),
        Measure(
            group=_GROUP,
            name=f"purity for {what}",
            value=100.0 * clustering.purity(names, cluster_N),
            baseline=100.0 * clustering.purity(names, plain),
            chance=100.0 * clustering.purity(names, shuffled),
            is_main=False,
        ),
    ]
