"""Written captions of test windows: whether they name the movement, and whether they are new.

Retrieval is the baseline: the caption found first is a person's own sentence about another window,
so writing can hardly name movements better; it can only say something new. What a sentence names is
the movement of the training caption nearest to it among sentence embeddings; the same judge on the
test windows' own captions is the ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydance.data.index import unit
from raydance.evaluation.data import RunOutputs
from raydance.evaluation.measure import Measure
from raydance.metrics.retrieval import chance_r_at_k

_GROUP = "captions written"


def writing_measures(outputs: RunOutputs) -> list[Measure]:
    """One sentence for every test window that has a caption and a name."""
    system = outputs.system
    points = outputs.motion[system.writer.reads][outputs.rows]
    written = [sentences[0] for sentences in system.writer.write(points, 1) if sentences]
    if len(written) < len(outputs.rows):
        outputs.notes.append(
            f"{len(outputs.rows) - len(written)} windows were given no words at all"
        )
        return []
    texts = [sentence.text for sentence in written]
    found = [outputs.found_captions(row, 1)[0].text for row in outputs.rows]
    known = [system.captions.texts[i] for i in system.caption_base.ids]
    judge = _Names(outputs, known)

    def share(sentences: Sequence[str]) -> float:
        return 100.0 * float(np.mean([a == b for a, b in zip(judge(sentences), outputs.names)]))

    return [
        Measure(
            group=_GROUP,
            name="the likeliest sentence names the movement",
            value=share(texts),
            baseline=share(found),
            chance=chance_r_at_k(outputs.names, [outputs.caption_names[t] for t in known], (1,))[
                "R01"
            ],
            target=share(outputs.captions),
            is_main=False,
        ),
        Measure(
            group=_GROUP,
            name="sentences that no training caption has",
            value=100.0 * float(np.mean([sentence.novel for sentence in written])),
            baseline=0.0,
            is_main=False,
        ),
        Measure(
            group=_GROUP,
            name="different sentences among the windows",
            value=100.0 * len(set(texts)) / len(texts),
            baseline=100.0 * len(set(found)) / len(found),
            target=100.0 * len(set(outputs.captions)) / len(outputs.captions),
            better="target",
            is_main=False,
        ),
    ]


class _Names:
    """The movement that a sentence names: that of the nearest known caption."""

    def __init__(self, outputs: RunOutputs, known: Sequence[str]) -> None:
        self.outputs, self.known = outputs, known
        rows = outputs.system.caption_base.ids
        self.base_UD = unit(outputs.system.captions.columns["text_embedding"].numpy()[rows])

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        unique = list(dict.fromkeys(sentences))
        own_ND = unit(self.outputs.system.encode_text(unique)["text_embedding"])
        nearest = np.argmax(own_ND @ self.base_UD.T, axis=1)
        names = dict(zip(unique, (self.outputs.caption_names[self.known[i]] for i in nearest)))
        return [names[sentence] for sentence in sentences]
