"""How far stated probabilities can be trusted, and how well a score tells two kinds apart.

Dimensions: N predictions, B bins of equal width over [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Predictions of similar confidence.

    Attributes:
        low, high: the bin's bounds; `high` belongs to the next bin, except 1.
        count: predictions in it.
        confidence: their mean stated probability; the bin's middle where it is empty.
        accuracy: the share of them that is right; 0 where it is empty.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(
    probability: np.ndarray, is_right: np.ndarray, num_bins: int = 10
) -> list[ReliabilityBin]:
    """The bins of a reliability diagram (Niculescu-Mizil and Caruana 2005).

    Args:
        probability: `[N]` in [0, 1], stated for each prediction.
        is_right: `[N]` bool.
    """
    probability, is_right = _checked(probability, is_right)
    if num_bins < 1:
        raise ValueError(f"num_bins: {num_bins}; at least 1")
    place_N = np.minimum((probability * num_bins).astype(int), num_bins - 1)
    bins = []
    for number in range(num_bins):
        here = place_N == number
        low, high = number / num_bins, (number + 1) / num_bins
        bins.append(
            ReliabilityBin(
                low=low,
                high=high,
                count=int(here.sum()),
                confidence=float(probability[here].mean()) if here.any() else (low + high) / 2,
                accuracy=float(is_right[here].mean()) if here.any() else 0.0,
            )
        )
    return bins


def expected_calibration_error(
    probability: np.ndarray, is_right: np.ndarray, num_bins: int = 10
) -> float:
    """Guo et al. 2017, eq. 3: mean gap of confidence and accuracy over bins, weighted by count.

    Args:
        probability: `[N]` in [0, 1].
        is_right: `[N]` bool.
    """
    bins = reliability(probability, is_right, num_bins)
    return sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / len(is_right)


def brier(probability: np.ndarray, is_right: np.ndarray) -> float:
    """Brier 1950: mean squared gap of `probability` `[N]` and outcome `[N]`, in [0, 1]."""
    probability, is_right = _checked(probability, is_right)
    return float(np.square(probability - is_right).mean())


def auroc(score: np.ndarray, is_positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counted half; NaN without both.

    Args:
        score: `[N]`, larger for positives.
        is_positive: `[N]` bool.
    """
    score, positive = np.asarray(score, float), np.asarray(is_positive, bool)
    if score.shape != positive.shape:
        raise ValueError(f"score {score.shape} and is_positive {positive.shape}: not alike")
    num, others = int(positive.sum()), int((~positive).sum())
    if num == 0 or others == 0:
        return float("nan")
    ranks = rankdata(score)[positive].sum()
    return float((ranks - num * (num + 1) / 2) / (num * others))


def _checked(probability: np.ndarray, is_right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probability, right = np.asarray(probability, float), np.asarray(is_right, bool)
    if probability.shape != right.shape or probability.ndim != 1 or len(right) == 0:
        raise ValueError(f"probability {probability.shape}, is_right {right.shape}: [N], N > 0")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("probability: some are not in [0, 1]")
    return probability, right
