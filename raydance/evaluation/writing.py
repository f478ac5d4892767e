"""Written captions of test windows: whether they name the movement, and whether they are new.

Retrieval is the baseline: the caption found first is a person's own sentence about another window,
so writing can hardly name movements better; it can only say something new. What a sentence names is
the movement of the training caption nearest to it among sentence embeddings; the same judge on the
test windows' own captions is the ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydance.evaluation.view import View
from raydance.index import unit
from raydance.measure import Measure
from raydance.metrics.retrieval import chance_r_at_k

_GROUP = "captions written"


def writing_measures(view: View) -> list[Measure]:
    """One sentence for every test window that has a caption and a name."""
    system = view.system
    points = view.motion[system.writer.reads][view.rows]
    written = [sentences[0] for sentences in system.writer.write(points, 1) if sentences]
    if len(written) < len(view.rows):
        view.notes.append(f"{len(view.rows) - len(written)} windows were given no words at all")
        return []
    texts = [sentence.text for sentence in written]
    found = [view.found_captions(row, 1)[0].text for row in view.rows]
    known = [system.captions.texts[i] for i in system.caption_base.ids]
    judge = _Names(view, known)

    def share(sentences: Sequence[str]) -> float:
        return 100.0 * float(np.mean([a == b for a, b in zip(judge(sentences), view.names)]))

    return [
        Measure(
            group=_GROUP,
            name="the likeliest sentence names the movement",
            value=share(texts),
            baseline=share(found),
            chance=chance_r_at_k(view.names, [view.caption_names[t] for t in known], (1,))["R01"],
            target=share(view.captions),
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
            target=100.0 * len(set(view.captions)) / len(view.captions),
            better="target",
            is_main=False,
        ),
    ]


class _Names:
    """The movement that a sentence names: that of the nearest known caption."""

    def __init__(self, view: View, known: Sequence[str]) -> None:
        self.view, self.known = view, known
        rows = view.system.caption_base.ids
        self.base_UD = unit(view.system.captions.columns["text_embedding"].numpy()[rows])

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        unique = list(dict.fromkeys(sentences))
        own_ND = unit(self.view.system.encode_text(unique)["text_embedding"])
        nearest = np.argmax(own_ND @ self.base_UD.T, axis=1)
        names = dict(zip(unique, (self.view.caption_names[self.known[i]] for i in nearest)))
        return [names[sentence] for sentence in sentences]
