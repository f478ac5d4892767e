"""How a set of generated motions spreads: FID, Diversity and MultiModality.

Definitions of Guo et al., "Generating Diverse and Natural 3D Human Motions from Text" (2022), on
embeddings of any encoder; figures of different encoders are not comparable. Differences: FID
takes the trace of the matrix root from eigenvalues, which needs no general `sqrtm` and cannot
turn complex.
"""

from __future__ import annotations

import numpy as np

from raydance.errors import InputError


def fid(generated: np.ndarray, real: np.ndarray) -> float:
    """Frechet distance between Gaussians fitted to two sets of embeddings; lower is better.

    |mu1 - mu2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)), with the root's trace as the sum of the square
    roots of the eigenvalues of S1^(1/2) S2 S1^(1/2), which is symmetric.

    Args:
        generated, real: `[n, d]` and `[m, d]`, not L2-normalised. With n or m not far above d the
            value is biased upwards.

    Raises:
        InputError: fewer than two rows, different widths, or values that are not finite.
    """
    generated, real = _sample("generated", generated), _sample("real", real)
    if generated.shape[1] != real.shape[1]:
        raise InputError(f"generated has {generated.shape[1]} values a row, real {real.shape[1]}")
    cov_generated = np.atleast_2d(np.cov(generated, rowvar=False))
    cov_real = np.atleast_2d(np.cov(real, rowvar=False))
    root = _symmetric_root(cov_generated)
    # Rounding leaves eigenvalues of a rank-deficient covariance slightly below zero.
    eigenvalues = np.clip(np.linalg.eigvalsh(root @ cov_real @ root), 0.0, None)
    shift = generated.mean(axis=0) - real.mean(axis=0)
    trace = np.trace(cov_generated) + np.trace(cov_real) - 2.0 * np.sqrt(eigenvalues).sum()
    return float(shift @ shift + trace)


def diversity(embeddings: np.ndarray, *, num_pairs: int = 300, seed: int = 0) -> float:
    """Mean Euclidean distance of random pairs; to be read as "close to that of real motion".

    Two independent draws of `num_pairs` rows without replacement are matched in order, so a row
    may meet itself.

    Args:
        embeddings: `[n, d]`.
        num_pairs: at most n.
        seed: of the draw.

    Raises:
        InputError: fewer rows than pairs, or values that are not finite.
    """
    embeddings = _sample("embeddings", embeddings)
    if not 0 < num_pairs <= len(embeddings):
        raise InputError(f"{num_pairs} pairs of {len(embeddings)} rows; allowed: 1 to the rows")
    first, second = _two_draws(len(embeddings), num_pairs, seed)
    return float(np.linalg.norm(embeddings[first] - embeddings[second], axis=1).mean())


def multimodality(embeddings: np.ndarray, *, num_pairs: int = 10, seed: int = 0) -> float:
    """Mean distance between motions generated from one text, over texts.

    Args:
        embeddings: `[texts, repeats, d]`.
        num_pairs: pairs of repeats, the same for every text; at most the repeats.
        seed: of the draw.

    Raises:
        InputError: a wrong shape, fewer repeats than pairs, or values that are not finite.
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if embeddings.ndim != 3 or 0 in embeddings.shape:
        raise InputError(f"embeddings have shape {embeddings.shape}, [texts, repeats, d] is needed")
    if not np.isfinite(embeddings).all():
        raise InputError("embeddings hold values that are not finite")
    num_repeats = embeddings.shape[1]
    if not 0 < num_pairs <= num_repeats:
        raise InputError(f"{num_pairs} pairs of {num_repeats} repeats; allowed: 1 to the repeats")
    first, second = _two_draws(num_repeats, num_pairs, seed)
    return float(np.linalg.norm(embeddings[:, first] - embeddings[:, second], axis=2).mean())


def _two_draws(num_rows: int, num_pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    # The legacy generator is what the published figures were drawn with.
    rng = np.random.RandomState(seed)
    first = rng.choice(num_rows, num_pairs, replace=False)
    return first, rng.choice(num_rows, num_pairs, replace=False)


def _symmetric_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T


def _sample(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 1:
        raise InputError(f"{name} has shape {values.shape}, [at least 2 rows, d] is needed")
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds values that are not finite")
    return values
