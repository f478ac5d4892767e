"""What the parts of the service have in common, and what they hand each other.

`sentence_encoder` takes words to points, `generator` sentences to motion, `describer` motion to
words and points, `retriever` sentences or points to clips. They know neither HTTP nor Ray; requests
that arrive together are answered together. Arguments and results are plain data and arrays, which
cross processes.

Dimensions: N windows, T frames, Z latent, D sentence embedding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from raydance.errors import RaydanceError
from raydance.serving.runs import Entry, RunCache
from raydance.systems.dance_language.run import load
from raydance.systems.dance_language.understanding import Understood

Answer = TypeVar("Answer")

Words = dict[str, np.ndarray]
"""One sentence as `DanceLanguage.encode_text` gives it: arrays `[D]` and `[Z]`."""


@dataclass(frozen=True, kw_only=True)
class GeneratedMotion:
    """Motion that was made.

    Attributes:
        entry: the run that made it.
        motion: `[n, T, 50, 3]` metres, y up.
        joint_mask: `[50]` bool.
        ms: how long the networks took, for all that were made together.
        facts: how it was made, as in `generation.GeneratedMotion`; empty between two windows.
    """

    entry: Entry
    motion: np.ndarray
    joint_mask: np.ndarray
    fps: float
    ms: float
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """A sentence in a run's spaces.

    Attributes:
        entry: the run, which every later part must use too: points of another mean nothing.
        metric: of the shared space.
        ms: how long the networks took, for all sentences that were read together.
        num_pieces: above 1, it is longer than the encoder reads at once.
        understood: how it was understood.
    """

    entry: Entry
    metric: str
    words: Words
    ms: float
    num_pieces: int
    understood: Understood

    @property
    def notices(self) -> list[str]:
        """Warnings for the caller."""
        found = [self.understood.notice] if self.understood.notice else []
        if self.num_pieces > 1:
            found.append(
                f"the text is longer than the encoder reads at once: {self.num_pieces} parts of "
                "it were encoded and averaged"
            )
        return found


@dataclass(frozen=True, kw_only=True)
class ClipPoints:
    """A clip's windows as points of a run's shared space.

    Attributes:
        entry, metric: the run and its space, as for `EncodedText`.
        points: `[N, Z]`.
        start_s: `[N]` seconds.
        notices: warnings about the clip for the caller.
    """

    entry: Entry
    metric: str
    points: np.ndarray
    start_s: np.ndarray
    notices: tuple[str, ...] = ()


class Failed:
    """Error of one request of a batch."""

    def __init__(self, error: RaydanceError) -> None:
        self.error = error


def only(answers: Sequence[Answer | Failed]) -> Answer:
    """The one answer of a batch of one, or its error."""
    (answer,) = answers
    if isinstance(answer, Failed):
        raise answer.error
    return answer


def answer_in_groups(
    answer: Callable[[Sequence[Any]], Sequence[Any]],
    asked: Sequence[Any],
    group_of: Callable[[Any], Hashable],
) -> list[Any]:
    """Answers to requests, in their order; those of one group are answered together.

    A request that is refused is `Failed`, and its group is then answered one by one.
    """
    answers: list[Any] = [None] * len(asked)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i, one in enumerate(asked):
        groups[group_of(one)].append(i)
    for places in groups.values():
        try:
            found = answer([asked[i] for i in places])
        except RaydanceError as error:
            if len(places) == 1:
                found = [Failed(error)]
            else:
                found = [answer_in_groups(answer, [asked[i]], group_of)[0] for i in places]
        for i, one in zip(places, found, strict=True):
            answers[i] = one
    return answers


class Part:
    """A part of the service.

    Args:
        run_cache: the runs that are served.
        encodes: whether it is given sentences as words, by parts that can take them encoded too;
            else it does not load the encoder.

    Class attributes:
        load: opens the folder of a run.
    """

    load: ClassVar[Callable[..., Any]] = staticmethod(load)

    def __init__(self, run_cache: RunCache, *, encodes: bool = True) -> None:
        self.run_cache = run_cache
        self.encodes = encodes

    def warm_up(self) -> None:
        """Load what the first request would wait for."""
        self.run_cache.open(None)
