"""The captions that may describe new motion, and which of them describe it best (eq. 16).

Only captions of training clips may. A caption that does not occur in the motion's own cluster can
be told apart (`cluster_verified`) or come later, which the paper leaves open.

Dimensions: N motions, U captions, K clusters, D sentence embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np

from raydance.data import index
from raydance.systems.dance_language.answers import Description
from raydance.training.caption_table import CaptionTable


class CaptionBase:
    """The captions of a run as answers.

    Args:
        table: all captions, with their `text_embedding`.
        facts: of the captions' bundle: `in_train` and `derived`.
        clusters_UK: whether a caption occurs in a cluster, bool.
        column: of the table, which motion is compared with.
        verification: what a caption of another cluster means, as in `MotionToTextConfig`.

    Attributes:
        ids: captions that may describe new motion.
        derived: captions that no person wrote.
    """

    def __init__(
        self,
        table: CaptionTable,
        facts: Mapping[str, Any],
        clusters_UK: np.ndarray,
        verification: Literal["rerank", "flag", "off"],
        column: str = "text_embedding",
    ) -> None:
        self.table = table
        self.column = column
        self.clusters_UK = clusters_UK
        self.verification = verification
        self.ids = np.flatnonzero(np.array(facts["in_train"]))
        self.derived = set(facts["derived"])

    @cached_property
    def _embedding(self) -> np.ndarray:
        return index.unit(self.table.columns[self.column].numpy()[self.ids])

    @cached_property
    def _sentences(self) -> np.ndarray:
        if self.column == "text_embedding":
            return self._embedding
        return index.unit(self.table.columns["text_embedding"].numpy()[self.ids])

    def nearest_sentences(self, embedding_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The captions that sentences resemble most: ids `[N]` and cosines `[N]`.

        Args:
            embedding_ND: `text_embedding` of the sentences, whatever space motion is ranked in.
        """
        cosine_NU = index.unit(embedding_ND) @ self._sentences.T
        best = cosine_NU.argmax(axis=1)
        return self.ids[best], cosine_NU[np.arange(len(best)), best]

    def scores(self, text_ND: np.ndarray) -> np.ndarray:
        """Cosines `[N, U]` of motion in the space of the captions and those of `ids`."""
        return index.unit(text_ND) @ self._embedding.T

    def rank(
        self, text_ND: np.ndarray, cluster_N: np.ndarray, k: int, *, by_words_alone: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Eq. 16: the k most similar captions, checked against each motion's cluster.

        Args:
            text_ND: motion in the space of the captions.
            by_words_alone: leave the clusters out, whatever the base's `verification` says.

        Returns:
            Caption ids `[N, k]` int64 and cosines `[N, k]` float32, the best first.
        """
        score_NU = self.scores(text_ND)
        reranks = self.verification == "rerank" and not by_words_alone
        # Only near candidates: a verified caption that is far off describes nothing.
        count = min(len(self.ids), max(5 * k, 10) if reranks else k)
        near = np.argpartition(-score_NU, count - 1, axis=1)[:, :count]
        near.sort(axis=1)  # so that equal scores stay in the order of the base
        found = np.take_along_axis(score_NU, near, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        if reranks:
            verified = self.clusters_UK[self.ids[near], cluster_N[:, None]]
            sorted_flags = np.take_along_axis(~verified, order, axis=1)
            again = np.argsort(sorted_flags, axis=1, kind="stable")
            order = np.take_along_axis(order, again, axis=1)
        order = order[:, :k]
        best = np.take_along_axis(near, order, axis=1)
        return self.ids[best], np.take_along_axis(found, order, axis=1).astype(np.float32)

    def describe(self, text_D: np.ndarray, cluster: int, k: int) -> tuple[Description, ...]:
        """`rank` for one motion, in words."""
        ids, scores = self.rank(text_D[None], np.array([cluster]), k)
        checks = self.verification != "off"
        return tuple(
            Description(
                text=self.table.texts[i],
                score=float(score),
                cluster_verified=checks and bool(self.clusters_UK[i, cluster]),
                derived=int(i) in self.derived,
            )
            for i, score in zip(ids[0], scores[0])
        )
