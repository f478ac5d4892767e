"""What a run says of its own answers: how sure a caption is, and whether a sentence was understood.

Dimensions: N motions or sentences, D space of captions, Z shared space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raydance.data import index
from raydance.systems.dance_language import calibration
from raydance.systems.dance_language.calibration import Confidence
from raydance.systems.dance_language.caption_base import CaptionBase
from raydance.systems.dance_language.understanding import Understanding, Understood


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Of N motions: see `answers.Segment`."""

    confidence: list[float | None]
    is_unlike_training: list[bool | None]


class AnswerJudge:
    """The calibration of a run at work.

    Args:
        data: what `calibration_step.calibrate` gave; None for runs trained before there was one,
            of whose answers nothing is known.
        base: the captions that describe motion.
        training: gives the training windows' points of the shared space `[M, Z]`.
        metric: of the shared space.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None,
        base: CaptionBase,
        training: Callable[[], np.ndarray],
        metric: index.Metric,
    ) -> None:
        self._base, self._training, self._metric = base, training, metric
        self.confidence: Confidence | None = None
        self.understanding: Understanding | None = None
        if data is not None:
            self.confidence = Confidence.from_data(data["confidence"])
            if data["understanding"] is not None:
                self.understanding = Understanding.from_data(data["understanding"])

    @property
    def is_calibrated(self) -> bool:
        """Whether the run was trained with a calibration; else train it again for one."""
        return self.confidence is not None

    def distance(self, embedding_NZ: np.ndarray) -> np.ndarray:
        """How far windows are from the training windows, `[N]`, in the shared space."""
        return calibration.distances(embedding_NZ, self._training(), self._metric)

    def unlike(self, embedding_NZ: np.ndarray) -> np.ndarray | None:
        """Whether windows are unlike anything trained on, `[N]` bool."""
        if self.confidence is None:
            return None
        return self.distance(embedding_NZ) > self.confidence.limit

    def judge(
        self, text_ND: np.ndarray, cluster_N: np.ndarray, unlike_N: np.ndarray | None
    ) -> Judgement:
        """Of each motion, how sure its first caption is.

        Args:
            text_ND, cluster_N: what `encode_motion` calls `text` and `cluster`.
            unlike_N: what `unlike` says of them.
        """
        nothing: list[Any] = [None] * len(text_ND)
        if self.confidence is None or unlike_N is None or len(text_ND) == 0:
            return Judgement(confidence=nothing, is_unlike_training=nothing)
        sure_N = self.probability(text_ND, cluster_N)
        flags: list[bool | None] = [bool(far) for far in unlike_N]
        if sure_N is None:
            return Judgement(confidence=nothing, is_unlike_training=flags)
        sure = [None if far else float(p) for p, far in zip(sure_N, flags, strict=True)]
        return Judgement(confidence=sure, is_unlike_training=flags)

    def probability(self, text_ND: np.ndarray, cluster_N: np.ndarray) -> np.ndarray | None:
        """Probability `[N]` that the first caption is right, for motion like that of training."""
        if self.confidence is None:
            return None
        first_N = self._base.rank(text_ND, cluster_N, 1)[0][:, 0]
        names_U = self.confidence.names
        return self.confidence.probability(
            calibration.margins(self._base, names_U, text_ND, first_N)
        )

    def judge_clip(
        self, text_ND: np.ndarray, cluster_N: np.ndarray, points_NZ: np.ndarray
    ) -> Judgement:
        """As `judge`, for the whole of a clip first (row 0) and then for its windows.

        Args:
            text_ND, cluster_N: of the whole and of its windows, one row more than `points_NZ`.
            points_NZ: `motion_embedding` of the windows; the whole is unlike the training data
                where most of them are.
        """
        unlike = self.unlike(points_NZ)
        if unlike is not None:
            unlike = np.concatenate([[unlike.mean() > 0.5], unlike])
        return self.judge(text_ND, cluster_N, unlike)

    def understand(self, texts: Sequence[str], text_embedding_ND: np.ndarray) -> list[Understood]:
        """How sentences are understood: the nearest training caption, and whether that says much.

        Args:
            text_embedding_ND: of the sentences.
        """
        ids, cosines = self._base.nearest_sentences(text_embedding_ND)
        found = []
        for text, number, cosine in zip(texts, ids, cosines, strict=True):
            caption, similarity = self._base.table.texts[int(number)], float(cosine)
            if self.understanding is None:
                found.append(Understood(caption=caption, similarity=similarity))
            else:
                found.append(self.understanding.judge(text, caption, similarity))
        return found
