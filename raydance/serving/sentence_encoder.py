"""The part of the service that takes sentences into a run's spaces."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from raydance.errors import RaydanceError
from raydance.serving.parts import EncodedText, Failed, Part

InWords = tuple[str | None, str]
"""The model that is asked, None for the default, and a sentence."""

TextInput = InWords | EncodedText
"""A sentence, encoded or not."""


class SentenceEncoder(Part):
    """Sentences into a run's spaces."""

    def warm_up(self) -> None:
        self.encode_together([(None, "a step")])

    def hear_together(self, said: Sequence[TextInput]) -> list[EncodedText | Failed]:
        """All sentences encoded, those that were not yet in one batch."""
        in_words = [one for one in said if not isinstance(one, EncodedText)]
        encoded = iter(self.encode_together(in_words))
        return [one if isinstance(one, EncodedText) else next(encoded) for one in said]

    def encode_together(self, asked: Sequence[InWords]) -> list[EncodedText | Failed]:
        """Sentences into points, those of one model in one batch."""
        answers: list[EncodedText | Failed | None] = [None] * len(asked)
        by_model: dict[str | None, list[int]] = defaultdict(list)
        for i, (model, _) in enumerate(asked):
            by_model[model].append(i)
        for model, places in by_model.items():
            started = time.perf_counter()
            try:
                opened = self.run_cache.open(model)
                system = opened.system
                texts = [asked[i][1] for i in places]
                found = system.encode_text(texts)
                understood = system.judge.understand(texts, found["text_embedding"])
            except RaydanceError as error:
                if len(places) == 1:
                    answers[places[0]] = Failed(error)
                else:  # one that is refused must not take the others with it
                    for i in places:
                        answers[i] = self.encode_together([asked[i]])[0]
                continue
            ms = 1000.0 * (time.perf_counter() - started)
            for row, i in enumerate(places):
                words = {name: values[row] for name, values in found.items()}
                pieces = system.num_pieces(asked[i][1])
                answers[i] = EncodedText(
                    entry=opened.entry,
                    metric=system.metric,
                    words=words,
                    ms=ms,
                    num_pieces=pieces,
                    understood=understood[row],
                )
        return [answer for answer in answers if answer is not None]
