"""Retrieval between words and motion: the TMR and Guo protocols, and retrieval by group.

TMR (Petrovich et al. 2023) ranks the whole gallery by cosine similarity; Guo et al. (2022) rank
32 pairs at a time by Euclidean distance. Both hold pair i of one side to be the answer for pair i
of the other. Where several items of a gallery are right (the same caption, the same movement)
`r_at_k` takes the labels instead.

Differences: the reference code finds a rank by searching the sorted row for the exact value; here
it is counted directly, with the same result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydance.errors import InputError

Labels = Sequence[object] | np.ndarray
"""One name or number per item."""

KS = (1, 2, 3, 5, 10)
"""Depths at which recall is reported."""


def cosine_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of every row of `a` `[n, d]` with every row of `b` `[m, d]`: `[n, m]` in [-1, 1].

    A row of zeros has similarity 0 with everything.

    Raises:
        InputError: the shapes do not fit or a value is not finite.
    """
    a, b = _vectors("a", a), _vectors("b", b)
    if a.shape[1] != b.shape[1]:
        raise InputError(f"embeddings of {a.shape[1]} and {b.shape[1]} values cannot be compared")
    return _unit(a) @ _unit(b).T


def ranks(similarity: np.ndarray, relevant: np.ndarray | None = None) -> np.ndarray:
    """How many gallery items stand before the best right one, for each query.

    Args:
        similarity: `[n, m]`, higher is nearer.
        relevant: `[n, m]` bool, the right items of each query; the diagonal by default.

    Returns:
        `[n]` float, 0 is best. Items that tie with the best right one share their places, so a
        rank may be a half; a collapsed space scores the middle rank, not the first.

    Raises:
        InputError: a query without a right item, a value that is not finite, or shapes that
            do not fit.
    """
    similarity = np.asarray(similarity)
    if similarity.ndim != 2 or 0 in similarity.shape:
        raise InputError(f"similarity has shape {similarity.shape}, [queries, gallery] is needed")
    if not np.isfinite(similarity).all():
        raise InputError("similarity holds values that are not finite")
    if relevant is None:
        if similarity.shape[0] != similarity.shape[1]:
            raise InputError(
                f"similarity has shape {similarity.shape}; pairs need as many queries as items"
            )
        relevant = np.eye(len(similarity), dtype=bool)
    if relevant.shape != similarity.shape:
        raise InputError(f"relevant has shape {relevant.shape}, similarity {similarity.shape}")
    lonely = np.flatnonzero(~relevant.any(axis=1))
    if len(lonely):
        raise InputError(f"{len(lonely)} queries (first: {lonely[0]}) have no right gallery item")
    best = np.where(relevant, similarity, -np.inf).max(axis=1, keepdims=True)
    num_before = (similarity > best).sum(axis=1)
    num_tied = (similarity == best).sum(axis=1)
    return num_before + (num_tied - 1) / 2


def summarise(rank: np.ndarray, ks: Sequence[int] = KS) -> dict[str, float]:
    """Recall and median rank of 0-based `rank` `[n]`: `R01`... in percent, `MedR` from 1, `len`."""
    result = {f"R{k:02d}": 100.0 * float((rank < k).sum()) / len(rank) for k in ks}
    return {**result, "MedR": float(np.median(rank)) + 1.0, "len": float(len(rank))}


def mean_reciprocal_rank(similarity: np.ndarray, relevant: np.ndarray | None = None) -> float:
    """Mean of one over the place (from 1) of the best right item, in (0, 1]; 1 is perfect.

    Args and errors as for `ranks`.
    """
    return float(np.mean(1.0 / (ranks(similarity, relevant) + 1.0)))


def tmr(
    similarity: np.ndarray,
    *,
    sentences: np.ndarray | None = None,
    threshold: float = 0.95,
) -> dict[str, float]:
    """TMR's retrieval over the whole gallery, protocols (a) all and (b) threshold.

    Args:
        similarity: `[n, n]`, texts by motions, pair i on the diagonal; higher is nearer.
        sentences: `[n, d]` embeddings of the texts by a sentence encoder; where given, texts
            whose cosine exceeds `2 * threshold - 1` count as the same (protocol b).
        threshold: on the scale (cosine + 1) / 2, as the paper states it.

    Returns:
        `t2m/R01`... and `m2t/R01`... in percent, `MedR` from 1, `len`; unrounded.

    Raises:
        InputError: shapes that do not fit, or values that are not finite.
    """
    relevant = None
    if sentences is not None:
        relevant = cosine_similarity(sentences, sentences) > 2 * threshold - 1
        np.fill_diagonal(relevant, True)
    return _both_directions(similarity, relevant)


def tmr_small_batches(
    similarity: np.ndarray, *, batch_size: int = 32, seed: int = 0
) -> dict[str, float]:
    """TMR's protocol (d), "guo": batches of 32 shuffled pairs, the rest dropped, averaged.

    Args and returns as for `tmr`; the pairs are taken in the order given (sort them by name).

    Raises:
        InputError: fewer pairs than one batch, or shapes that do not fit.
    """
    order = np.arange(len(similarity))
    # The legacy generator is what the published figures were drawn with.
    np.random.RandomState(seed).shuffle(order)
    results = []
    for batch in _whole_batches(order, batch_size):
        results.append(_both_directions(similarity[np.ix_(batch, batch)], None))
    return {name: float(np.mean([r[name] for r in results])) for name in results[0]}


def r_precision(
    text: np.ndarray, motion: np.ndarray, *, batch_size: int = 32, top: int = 3
) -> tuple[float, ...]:
    """Guo's R-precision: the share of texts whose motion is among the k nearest of its batch.

    Args:
        text, motion: `[n, d]`, pair i in row i, in the order of the (shuffled) loader.
        batch_size: pairs ranked together; a last incomplete batch is dropped.
        top: the largest k.

    Returns:
        For k = 1..top a share in [0, 1].

    Raises:
        InputError: fewer pairs than one batch, or shapes that do not fit.
    """
    text, motion = _pairs(text, motion)
    hits = np.zeros(top)
    batches = _whole_batches(np.arange(len(text)), batch_size)
    for batch in batches:
        distance = _euclidean(text[batch], motion[batch])
        nearest = np.argsort(distance, axis=1, kind="stable")
        position = np.argmax(nearest == np.arange(batch_size)[:, None], axis=1)
        hits += (position[:, None] < np.arange(1, top + 1)).sum(axis=0)
    return tuple(float(h) for h in hits / (len(batches) * batch_size))


def mm_dist(text: np.ndarray, motion: np.ndarray) -> float:
    """Guo's MM-Dist ("matching score"): the mean Euclidean distance of the pairs.

    Args:
        text, motion: `[n, d]`, pair i in row i.

    Raises:
        InputError: shapes that do not fit.
    """
    text, motion = _pairs(text, motion)
    return float(np.linalg.norm(text - motion, axis=1).mean())


def r_at_k(
    similarity: np.ndarray,
    query_labels: Labels,
    gallery_labels: Labels,
    ks: Sequence[int] = KS,
) -> dict[str, float]:
    """Retrieval where every gallery item with the query's label is right.

    Args:
        similarity: `[n, m]`, higher is nearer.
        query_labels, gallery_labels: n and m labels (captions, movement names, clusters).
        ks: depths.

    Returns:
        `R01`... in percent, `MedR` from 1 (of the nearest right item), `len`.

    Raises:
        InputError: a query whose label the gallery lacks, or shapes that do not fit.
    """
    return summarise(ranks(similarity, _same(query_labels, gallery_labels)), ks)


def chance_r_at_k(
    query_labels: Labels, gallery_labels: Labels, ks: Sequence[int] = KS
) -> dict[str, float]:
    """What `r_at_k` gives on average for a random order: `R01`... in percent.

    With g right items among m the chance that the first k hold none is C(m-g, k) / C(m, k).
    """
    relevant = _same(query_labels, gallery_labels)
    num_items, num_right = relevant.shape[1], relevant.sum(axis=1)
    result = {}
    for k in ks:
        drawn = np.arange(min(k, num_items))
        left = np.clip(num_items - num_right[:, None] - drawn, 0, None) / (num_items - drawn)
        result[f"R{k:02d}"] = 100.0 * float(np.mean(1.0 - left.prod(axis=1)))
    return result


def _both_directions(similarity: np.ndarray, relevant: np.ndarray | None) -> dict[str, float]:
    # The relation between texts is symmetric, so the same mask serves both directions.
    t2m = summarise(ranks(similarity, relevant))
    m2t = summarise(ranks(similarity.T, relevant))
    return {
        **{f"t2m/{name}": value for name, value in t2m.items()},
        **{f"m2t/{name}": value for name, value in m2t.items()},
    }


def _same(query_labels: Labels, gallery_labels: Labels) -> np.ndarray:
    numbers: dict[object, int] = {}
    query = np.array([numbers.setdefault(label, len(numbers)) for label in query_labels])
    gallery = np.array([numbers.setdefault(label, len(numbers)) for label in gallery_labels])
    return query[:, None] == gallery[None, :]


def _whole_batches(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    if len(order) < batch_size:
        raise InputError(f"{len(order)} pairs, at least one batch of {batch_size} is needed")
    num_batches = len(order) // batch_size
    return [order[i * batch_size : (i + 1) * batch_size] for i in range(num_batches)]


def _euclidean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a[:, None, :] - b[None, :, :], axis=-1)


def _pairs(text: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    text, motion = _vectors("text", text), _vectors("motion", motion)
    if text.shape != motion.shape:
        raise InputError(f"text has shape {text.shape}, motion {motion.shape}; pairs are needed")
    return text, motion


def _vectors(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(f"{name} has shape {values.shape}, [items, dimensions] is needed")
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds values that are not finite")
    return values


def _unit(x: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norm > 0, norm, 1.0)
