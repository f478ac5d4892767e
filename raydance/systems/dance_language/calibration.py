"""How likely a caption found for motion is right, and whether the motion is like any trained on.

The cosine between motion and caption says little of that, the margin over captions that say
something else says much (on the embedded corpus, wrong and right ones are told apart with an AUROC
of .51 and .98). A logistic function of the margin, fitted on validation windows, makes it a
probability (Platt 1999). It holds for motion like that of the training clips; other motion is
flagged by its distance to the nearest training windows in the shared space, against the distances
of validation windows.

Dimensions: N windows, U captions that may describe motion, Z shared space, D space of captions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from raydance.data import index
from raydance.systems.dance_language.caption_base import CaptionBase

NEIGHBOURS: Final = 5
"""Training windows whose mean distance counts."""

QUANTILE: Final = 0.95
"""Share of validation windows that are like the training data by definition."""

_BLOCK: Final = 512


def distances(query_NZ: np.ndarray, training_MZ: np.ndarray, metric: index.Metric) -> np.ndarray:
    """Mean distance `[N]` to the nearest training windows: 1 - cosine, or Euclidean."""
    count = min(NEIGHBOURS, len(training_MZ))
    offset = 1.0 if metric == "cosine" else 0.0
    found = []
    for first in range(0, len(query_NZ), _BLOCK):
        scores = index.scores(query_NZ[first : first + _BLOCK], training_MZ, metric)
        nearest = -np.partition(-scores, count - 1, axis=1)[:, :count]
        found.append(offset - nearest.mean(axis=1))
    return np.concatenate(found) if found else np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """The calibration of a run, as it is kept in the run folder.

    Attributes:
        slope, bias: of the logistic function of the margin; None where no validation window has
            a name, so that nothing says which captions are right.
        names: `[U]`, a number for what each caption of the base stands for; alike captions share
            theirs, -1 where it is not known.
        limit: the distance beyond which motion is unlike the training data.
    """

    slope: float | None
    bias: float | None
    names: np.ndarray
    limit: float

    def probability(self, margin_N: np.ndarray) -> np.ndarray | None:
        """`[N]` in [0, 1], that the first caption is right."""
        if self.slope is None or self.bias is None:
            return None
        sums = self.slope * np.asarray(margin_N, float) + self.bias
        return 1.0 / (1.0 + np.exp(-np.clip(sums, -50, 50)))

    def as_data(self) -> dict[str, Any]:
        """JSON numbers."""
        names = [int(name) for name in self.names]
        return {"slope": self.slope, "bias": self.bias, "names": names, "limit": self.limit}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Confidence:
        """What `as_data` gave."""
        return cls(
            slope=data["slope"],
            bias=data["bias"],
            names=np.array(data["names"], dtype=np.int64),
            limit=data["limit"],
        )


def margins(
    base: CaptionBase, names_U: np.ndarray, text_ND: np.ndarray, first_N: np.ndarray
) -> np.ndarray:
    """How much nearer captions that say what the first one says are than all others, `[N]`.

    Args:
        names_U: see `Confidence`.
        text_ND: motion in the space of the captions.
        first_N: ids of the first caption of each, as `CaptionBase.rank` gives them.
    """
    place = {int(caption): number for number, caption in enumerate(base.ids)}
    found = []
    for first in range(0, len(text_ND), _BLOCK):
        score_NU = base.scores(text_ND[first : first + _BLOCK])
        row_N = np.array([place[int(i)] for i in first_N[first : first + _BLOCK]], dtype=np.int64)
        alike_NU = names_U[None] == names_U[row_N][:, None]
        alike_NU[names_U[row_N] < 0] = False
        alike_NU[np.arange(len(row_N)), row_N] = True
        own = np.where(alike_NU, score_NU, -1.0).max(axis=1)
        other = np.where(alike_NU, -1.0, score_NU).max(axis=1)
        found.append(own - other)
    return np.concatenate(found) if found else np.zeros(0)


def fit(
    base: CaptionBase,
    names: Sequence[str],
    text_ND: np.ndarray,
    cluster_N: np.ndarray,
    true_N: Sequence[str],
    distance_N: np.ndarray,
) -> Confidence:
    """The calibration of a run.

    Args:
        names: `[U]`, what each caption of the base stands for; empty where it is not known.
        text_ND, cluster_N: validation windows in the space of the captions, and their clusters.
        true_N: what each of them shows, in the same names; empty where it is not known.
        distance_N: their `distances` to the training windows.
    """
    known = {name: number for number, name in enumerate(sorted(set(names) - {""}))}
    names_U = np.array([known.get(name, -1) for name in names], dtype=np.int64)
    slope = bias = None
    rows = [i for i, name in enumerate(true_N) if name]
    if rows:
        first_N = base.rank(text_ND[rows], cluster_N[rows], 1)[0][:, 0]
        by_caption = dict(zip(base.ids.tolist(), names))
        right = np.array([by_caption[int(c)] == true_N[i] for c, i in zip(first_N, rows)])
        slope, bias = platt(margins(base, names_U, text_ND[rows], first_N), right)
    limit = float(np.quantile(distance_N, QUANTILE)) if len(distance_N) else float("inf")
    return Confidence(slope=slope, bias=bias, names=names_U, limit=min(limit, 1e30))


def platt(score_N: np.ndarray, is_right_N: np.ndarray) -> tuple[float, float]:
    """Slope and bias of the probability `1 / (1 + exp(-(slope * score + bias)))`.

    Platt 1999, section 2.2: outcomes are softened by Laplace's rule, so that a split in which all
    are right gives no certainty.
    """
    from sklearn.linear_model import LogisticRegression

    score, right = np.asarray(score_N, float), np.asarray(is_right_N, bool)
    num, others = right.sum(), (~right).sum()
    target = np.where(right, (num + 1) / (num + 2), 1 / (others + 2))
    scale = max(float(score.std()), 1e-9)
    inputs = np.concatenate([score, score])[:, None] / scale
    outcomes = np.repeat([1, 0], len(score))
    model = LogisticRegression(C=100.0)
    model.fit(inputs, outcomes, sample_weight=np.concatenate([target, 1 - target]))
    return float(model.coef_[0, 0]) / scale, float(model.intercept_[0])
