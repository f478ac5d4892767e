"""What a trained system answers: descriptions of motion and hits of a search. Plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Description:
    """A caption found for motion.

    Attributes:
        score: cosine between the motion's projection and the caption, in [-1, 1]. It ranks
            captions; how far to trust them says `Segment.confidence`.
        cluster_verified: whether the caption occurs in the motion's own cluster.
        derived: whether no person wrote these words.
    """

    text: str
    score: float
    cluster_verified: bool
    derived: bool


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Descriptions of a part of a clip, in seconds.

    Attributes:
        confidence: the probability that the first caption is right, in [0, 1], from validation
            data; None where the motion is unlike the training data, so that nothing is known of
            it, or where the run has no calibration.
        is_unlike_training: whether the motion is unlike anything that the run was trained on;
            None where the run has no calibration.
    """

    start_s: float
    end_s: float
    cluster: int
    captions: tuple[Description, ...]
    confidence: float | None = None
    is_unlike_training: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A window found in a library.

    Attributes:
        score: larger is nearer; the cosine, or the negative distance.
        derived: of each caption, whether no person wrote it.
        source: the motion file, where the library knows it.
    """

    clip_id: str
    start_s: float
    end_s: float
    score: float
    captions: tuple[str, ...]
    derived: tuple[bool, ...]
    labels: dict[str, str]
    split: str
    source: str = ""

    @property
    def line(self) -> str:
        """As people read it."""
        marked = zip(self.captions, self.derived)
        said = [f"{words} (derived)" if derived else words for words, derived in marked]
        words = "; ".join(said) or ", ".join(map(str, self.labels.values())) or "no words"
        return f"{self.score:7.3f}  {self.clip_id}  {self.start_s:.1f}-{self.end_s:.1f} s  {words}"
