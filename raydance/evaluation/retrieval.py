"""Finding motion by words and words by motion, on test windows.

The paper's section III.E breaks off before its retrieval figures; TMR's protocol "all" and Guo's
pools of 32 stand in, and whether what is found carries the right name.

Dimensions: N windows, U captions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydance.data.index import Metric, scores, unit
from raydance.evaluation.measure import Measure
from raydance.metrics import retrieval

_POOL = 32
_TEXT = "text to motion"
_MOTION = "motion to text"


def _similarity(text: np.ndarray, motion: np.ndarray, metric: Metric) -> np.ndarray:
    return scores(text.astype(np.float32), motion.astype(np.float32), metric).astype(np.float64)


def text_to_motion(
    learned: tuple[np.ndarray, np.ndarray, Metric],
    base: tuple[np.ndarray, np.ndarray],
    captions: Sequence[str],
    names: Sequence[str],
    clusters: Sequence[int] | np.ndarray,
    *,
    seed: int = 0,
) -> list[Measure]:
    """Rank the test windows for each window's caption, in the learned space and by the baseline.

    Args:
        learned: `[N, Z]` of the captions, `[N, Z]` of the windows, and how they compare.
        base: `[N, D]` descriptors that the captions stand for, and those of the windows.
        captions: one per window.
        names: movement of each window.
        clusters: the run's cluster of each window.
    """
    own = _similarity(learned[0], learned[1], learned[2])
    plain = _similarity(base[0], base[1], "euclidean")
    found, other = retrieval.tmr(own), retrieval.tmr(plain)
    num = len(captions)
    measures = []
    for way, title in (("t2m", _TEXT), ("m2t", _MOTION)):
        for k in retrieval.KS:
            measures.append(
                Measure(
                    group=title,
                    name=f"R@{k}, the very pair among all",
                    value=found[f"{way}/R{k:02d}"],
                    baseline=other[f"{way}/R{k:02d}"],
                    chance=100.0 * min(k, num) / num,
                    is_main=k in (1, 10),
                )
            )
        measures.append(
            Measure(
                group=title,
                name="median rank of the very pair",
                unit="rank",
                better="lower",
                value=found[f"{way}/MedR"],
                baseline=other[f"{way}/MedR"],
                chance=(num + 1) / 2,
            )
        )
    measures += _pools(learned, base, seed)
    for what, labels in (
        ("the same caption", captions),
        ("the same movement", names),
        ("the same cluster", clusters),
    ):
        measures += _by_label(own, plain, labels, what)
    return measures


def _pools(
    learned: tuple[np.ndarray, np.ndarray, Metric], base: tuple[np.ndarray, np.ndarray], seed: int
) -> list[Measure]:
    """R-precision. Euclidean distance, as Guo defines it; on unit vectors for a cosine space."""
    num = len(learned[0])
    if num < _POOL:
        return []
    order = np.random.default_rng([seed, 31]).permutation(num)
    text, motion = learned[0][order], learned[1][order]
    if learned[2] == "cosine":
        text, motion = unit(text), unit(motion)
    own = retrieval.r_precision(text, motion)
    other = retrieval.r_precision(base[0][order], base[1][order])
    return [
        Measure(
            group=_TEXT,
            name=f"R-precision top {k} in pools of {_POOL}",
            value=100.0 * own[k - 1],
            baseline=100.0 * other[k - 1],
            chance=100.0 * k / _POOL,
            is_main=k in (1, 3),
        )
        for k in (1, 2, 3)
    ]


def _by_label(
    own: np.ndarray, plain: np.ndarray, labels: retrieval.Labels, what: str
) -> list[Measure]:
    found = retrieval.r_at_k(own, labels, labels)
    other = retrieval.r_at_k(plain, labels, labels)
    chance = retrieval.chance_r_at_k(labels, labels)
    return [
        Measure(
            group=_TEXT,
            name=f"{what} among the first {k}" if k > 1 else f"{what} found first",
            value=found[f"R{k:02d}"],
            baseline=other[f"R{k:02d}"],
            chance=chance[f"R{k:02d}"],
            is_main=k == 1,
        )
        for k in (1, 5)
    ]


def motion_to_text(
    found: Sequence[Sequence[str]],
    base: Sequence[Sequence[str]],
    names: Sequence[str],
    caption_names: Sequence[str],
) -> list[Measure]:
    """Whether the captions found for a window name its movement.

    Args:
        found: for each window the movement names of the captions found, best first.
        base: the same of the nearest training clips by descriptors.
        names: the true ones.
        caption_names: of every caption that could be found; chance draws from them.
    """
    chance = _chance(names, caption_names, (1, 3))
    return [
        Measure(
            group=_MOTION,
            name="the first caption names the movement"
            if k == 1
            else "one of the first three does",
            value=_share(found, names, k),
            baseline=_share(base, names, k),
            chance=chance[k],
        )
        for k in (1, 3)
    ]


def caption_cluster(
    caption_N: np.ndarray, cluster_N: np.ndarray, clusters_UK: np.ndarray, gallery: np.ndarray
) -> Measure:
    """Whether the first caption found for a window, before it is verified, is of its cluster.

    Args:
        caption_N, cluster_N: the caption found for each window, and its cluster.
        clusters_UK: whether a caption occurs in a cluster.
        gallery: every caption that could be found; chance draws from them.
    """
    return Measure(
        group=_MOTION,
        name="the first caption is of the window's cluster, unverified",
        value=100.0 * float(clusters_UK[caption_N, cluster_N].mean()),
        chance=100.0 * float(clusters_UK[gallery][:, cluster_N].mean()),
        is_main=False,
    )


def _share(found: Sequence[Sequence[str]], names: Sequence[str], k: int) -> float:
    return 100.0 * float(np.mean([name in row[:k] for row, name in zip(found, names)]))


def _chance(names: Sequence[str], gallery: Sequence[str], ks: Sequence[int]) -> dict[int, float]:
    found = retrieval.chance_r_at_k(names, gallery, ks)
    return {k: found[f"R{k:02d}"] for k in ks}
