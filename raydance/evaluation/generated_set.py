"""Generated motions as a set beside real ones: Frechet distance, diversity and copying.

Each figure is a ratio to the same figure of real motion. Frechet distance and diversity are
measured in the features of the independent judge, so they do not compare with published figures,
and the Frechet distance is biased upwards where there are few windows; copying is measured in
metres.

Dimensions: N windows, Q queries, T frames, J joints, F features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from raydance.evaluation.measure import Measure
from raydance.metrics.distribution import fid

MIN_WINDOWS: Final = 50
"""Fewer windows say nothing about a distribution of features."""

Pairs = list[tuple[int, int]]


def frechet_ratio(
    features_NF: np.ndarray, test_NF: np.ndarray, training_NF: np.ndarray
) -> float | None:
    """Frechet distance to real test motion, over that of real training motion.

    0 is the test motion itself; at 1 the set is as far from it as another half of reality is.

    Returns:
        None where one of the sets has fewer than `MIN_WINDOWS`.
    """
    if min(len(features_NF), len(test_NF), len(training_NF)) < MIN_WINDOWS:
        return None
    return fid(features_NF, test_NF) / max(fid(training_NF, test_NF), 1e-12)


def pairs_within(groups: Sequence[str], clips: Sequence[str]) -> Pairs:
    """Pairs of windows of one group that come from different clips."""
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    return [
        (a, b)
        for rows in members.values()
        for i, a in enumerate(rows)
        for b in rows[i + 1 :]
        if clips[a] != clips[b]
    ]


def pairs_of_captions(
    captions: Sequence[str], names: Sequence[str], clips: Sequence[str]
) -> tuple[Pairs, str]:
    """Pairs to measure diversity within, and what the pairs share.

    Where less than half of the windows have a partner with the same caption, as in a library in
    which every clip has a sentence of its own, windows of one movement are paired instead.
    """
    pairs = pairs_within(captions, clips)
    if 2 * len({row for pair in pairs for row in pair}) >= len(captions):
        return pairs, "caption"
    return pairs_within(names, clips), "movement"


def mean_distance(features_NF: np.ndarray, pairs: Pairs) -> float:
    """Mean Euclidean distance of pairs of rows."""
    first, second = np.array(pairs).T
    return float(np.linalg.norm(features_NF[first] - features_NF[second], axis=1).mean())


def nearest_distances(
    queries_QTJ3: np.ndarray,
    joint_mask_J: np.ndarray,
    parts: Iterable[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Distance of each query to the nearest of many windows, `[Q]`, in metres.

    The distance of two windows is the root mean square, over frames and the joints that both
    have, of the distance between corresponding joints. Mirror images are different windows.

    Args:
        queries_QTJ3: metres; `joint_mask_J`: their joints, `[J]`.
        parts: motion `[n, T, J, 3]` and joint masks `[n, J]`, one part in memory at a time.
    """
    num, frames = queries_QTJ3.shape[:2]
    best_Q = np.full(num, np.inf)
    queries = np.where(joint_mask_J[:, None], queries_QTJ3, 0.0).astype(np.float32)
    squares_QJ = np.square(queries, dtype=np.float64).sum(axis=(1, 3))
    for motion, mask in parts:
        shared_nJ = mask & joint_mask_J
        windows = np.where(shared_nJ[:, None, :, None], motion, 0.0).astype(np.float32)
        product_Qn = queries.reshape(num, -1) @ windows.reshape(len(windows), -1).T
        squares_n = np.square(windows, dtype=np.float64).sum(axis=(1, 2, 3))
        count_n = np.maximum(frames * shared_nJ.sum(axis=1), 1)
        found = (squares_QJ @ shared_nJ.T - 2.0 * product_Qn + squares_n) / count_n
        found[:, ~shared_nJ.any(axis=1)] = np.inf
        # The expanded square loses digits where the distance is small: measure the winner again.
        nearest_Q = found.argmin(axis=1)
        difference = (queries - windows[nearest_Q]) * shared_nJ[nearest_Q][:, None, :, None]
        exact_Q = np.square(difference, dtype=np.float64).sum(axis=(1, 2, 3)) / count_n[nearest_Q]
        exact_Q[~shared_nJ[nearest_Q].any(axis=1)] = np.inf
        best_Q = np.minimum(best_Q, np.sqrt(exact_Q))
    return best_Q


def set_measures(
    group: str,
    *,
    frechet: tuple[float | None, float | None],
    diversity: tuple[float, float, float] | None,
    pairs_share: str,
    nearest: tuple[float, float],
    is_own: bool,
) -> list[Measure]:
    """Lines of the table; those that could not be measured are left out.

    Args:
        frechet: ratio of the generated motion, and of the copies of the baseline.
        diversity: mean distance within a caption of generated, copied and real motion.
        pairs_share: `caption` or `movement`, what the pairs of the diversity have in common.
        nearest: median distance to the nearest training window of generated and of real test
            motion.
        is_own: whether it is the run's own way of generating; only that is in the short table.
    """
    out = []
    if frechet[0] is not None:
        out.append(
            Measure(
                group=group,
                name="Frechet distance to real test motion / that of real training motion",
                unit="x",
                better="lower",
                value=frechet[0],
                baseline=frechet[1],
                is_main=is_own,
            )
        )
    if diversity is not None:
        generated, copied, real = diversity
        out.append(
            Measure(
                group=group,
                name=f"diversity within a {pairs_share} / real",
                unit="x",
                better="target",
                value=generated / max(real, 1e-12),
                baseline=copied / max(real, 1e-12),
                target=1.0,
                is_main=is_own,
            )
        )
    out.append(
        Measure(
            group=group,
            name="distance to the nearest training window / that of real test windows",
            unit="x",
            value=nearest[0] / max(nearest[1], 1e-12),
            baseline=0.0,
            target=1.0,
            is_main=is_own,
        )
    )
    return out
