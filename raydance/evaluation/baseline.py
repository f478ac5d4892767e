"""What is reached without learning: nearest neighbours on kinematic features.

Not from the paper, which compares with nothing. Motion is described by what it measures
(`motion.kinematics`), z-scored with training statistics; a sentence by the frozen sentence encoder.
Every figure of the learned system stands beside what these two give.

Dimensions: N windows, D descriptors, U training captions, E sentence embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from raydance.data.index import scores
from raydance.errors import InputError
from raydance.motion.descriptor_space import Scaler as Scaler
from raydance.motion.descriptor_space import describe as describe

_CHUNK = 128


class Neighbours:
    """Labelled training windows in a feature space: finds the nearest, and lets them vote.

    Args:
        features_ND: `[N, D]`.
        labels: N names.
        clips: N clip names; windows of one clip count as one where neighbours must differ.
        metric: `euclidean` for descriptors, or that of a learned space.
    """

    def __init__(
        self,
        features_ND: np.ndarray,
        labels: Sequence[str],
        clips: Sequence[str],
        metric: str = "euclidean",
    ) -> None:
        if not len(features_ND) == len(labels) == len(clips) or not len(labels):
            raise InputError(
                f"{len(features_ND)} windows, {len(labels)} labels and {len(clips)} clips: "
                "as many of each, and at least one, are needed"
            )
        self.features_ND = np.asarray(features_ND, dtype=np.float32)
        self.labels = np.array(labels, dtype=object)
        self.clips = np.array(clips, dtype=object)
        self.metric = metric

    def nearest(
        self, query_MD: np.ndarray, k: int = 1, *, not_of: Sequence[str] | None = None
    ) -> list[list[int]]:
        """Row numbers of the nearest window of each of the k nearest clips, for each query.

        Args:
            not_of: for each query a clip that does not count: its own, where it is in the library.
        """
        found = []
        for start in range(0, len(query_MD), _CHUNK):
            score = scores(query_MD[start : start + _CHUNK], self.features_ND, self.metric)  # type: ignore[arg-type]
            for i, row in enumerate(np.argsort(-score, axis=1, kind="stable")):
                own = None if not_of is None else not_of[start + i]
                found.append(self._first_clips(row, k, own))
        return found

    def _first_clips(self, order: np.ndarray, k: int, own: str | None) -> list[int]:
        chosen: dict[str, int] = {}
        for index in order:
            clip = self.clips[index]
            if clip != own and clip not in chosen:
                chosen[clip] = int(index)
                if len(chosen) == k:
                    break
        return list(chosen.values())

    def vote(
        self, query_MD: np.ndarray, k: int = 5, *, not_of: Sequence[str] | None = None
    ) -> list[str]:
        """The most frequent label among the k nearest clips; the nearest decides a tie."""
        return [
            Counter(self.labels[rows]).most_common(1)[0][0]
            for rows in self.nearest(query_MD, k, not_of=not_of)
        ]


class CaptionMeans:
    """A sentence as motion: the mean descriptors of the windows of the nearest training caption.

    Args:
        embedding_UE: `[U, E]` of the training captions, by the frozen sentence encoder.
        members: U lists of training rows.
        features_ND: `[N, D]` descriptors of the training windows.
    """

    def __init__(
        self, embedding_UE: np.ndarray, members: Sequence[Sequence[int]], features_ND: np.ndarray
    ) -> None:
        used = [u for u, rows in enumerate(members) if len(rows)]
        if not used:
            raise InputError("no training caption has a window")
        self.embedding_UE = embedding_UE[used]
        self.members = [list(members[u]) for u in used]
        self.mean_UD = np.stack([features_ND[rows].mean(axis=0) for rows in self.members])

    def nearest(self, query_ME: np.ndarray) -> np.ndarray:
        """Which training caption is nearest to each sentence: `[M]`, an index of `members`."""
        return scores(query_ME, self.embedding_UE, "cosine").argmax(axis=1)

    def __call__(self, query_ME: np.ndarray) -> np.ndarray:
        """`[M, D]` descriptors that sentences `[M, E]` stand for."""
        return self.mean_UD[self.nearest(query_ME)]
