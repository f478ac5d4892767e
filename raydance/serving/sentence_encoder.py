"""The part of the service that takes sentences into a run's spaces, and what others share of it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from raydance.serving.parts import EncodedText, Failed, Part, answer_in_groups
from raydance.serving.runs import RunCache

InWords = tuple[str | None, str]
"""The model that is asked, None for the default, and a sentence."""

TextInput = InWords | EncodedText
"""A sentence, encoded or not."""


class SentenceEncoder(Part):
    """Sentences into a run's spaces."""

    def warm_up(self) -> None:
        self.answer_together([(None, "a step")])

    def answer_together(self, asked: Sequence[InWords]) -> list[EncodedText | Failed]:
        """Sentences into points, those of one model in one batch."""
        return answer_in_groups(self._encode, asked, lambda one: one[0])

    def _encode(self, asked: Sequence[InWords]) -> list[EncodedText]:
        """Sentences of one model."""
        started = time.perf_counter()
        opened = self.run_cache.open(asked[0][0])
        system = opened.system
        texts = [text for _, text in asked]
        found = system.encode_text(texts)
        understood = system.judge.understand(texts, found["text_embedding"])
        ms = 1000.0 * (time.perf_counter() - started)
        return [
            EncodedText(
                entry=opened.entry,
                metric=system.metric,
                words={name: values[row] for name, values in found.items()},
                ms=ms,
                num_pieces=system.num_pieces(text),
                understood=understood[row],
            )
            for row, text in enumerate(texts)
        ]


class TextPart(Part, ABC):
    """A part that is asked with sentences; it encodes those that are not encoded yet."""

    def __init__(self, run_cache: RunCache, *, encodes: bool = True) -> None:
        super().__init__(run_cache, encodes=encodes)
        self._encoder = SentenceEncoder(run_cache)

    def warm_up(self) -> None:
        if self.encodes:
            self._encoder.warm_up()

    def answer_together(
        self, asked: Sequence[tuple[TextInput, *tuple[Any, ...]]]
    ) -> list[tuple[EncodedText, Any] | Failed]:
        """Answers to sentences, each with the sentence as it was encoded.

        Args:
            asked: each with what else `answer` takes.
        """
        in_words = [said for said, *_ in asked if not isinstance(said, EncodedText)]
        encoded = iter(self._encoder.answer_together(in_words))
        heard = [said if isinstance(said, EncodedText) else next(encoded) for said, *_ in asked]
        rows = [
            (said, *more) for said, (_, *more) in zip(heard, asked) if isinstance(said, EncodedText)
        ]
        found = iter(answer_in_groups(self._answer_pairs, rows, lambda row: row[0].entry))
        return [next(found) if isinstance(said, EncodedText) else said for said in heard]

    def _answer_pairs(self, rows: Sequence[Any]) -> list[tuple[EncodedText, Any]]:
        return [(said, answer) for (said, *_), answer in zip(rows, self.answer(rows))]

    @abstractmethod
    def answer(self, asked: Sequence[tuple[EncodedText, *tuple[Any, ...]]]) -> list[Any]:
        """Answers to encoded sentences of one run."""
