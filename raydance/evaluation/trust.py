"""Whether a run knows how good its own answers are, on test windows and sentences.

Dimensions: N test windows, U captions, D sentence embedding.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from raydance.evaluation.data import RunOutputs
from raydance.evaluation.measure import Measure
from raydance.metrics.calibration import auroc, brier, expected_calibration_error, reliability
from raydance.systems.dance_language.calibration import QUANTILE
from raydance.systems.dance_language.calibration_step import name_with_side, names_of_captions
from raydance.systems.dance_language.foreign_sentences import FOR_TESTING
from raydance.systems.dance_language.understanding import THRESHOLD, examples

GROUP = "trust in answers"


def trust_measures(
    outputs: RunOutputs, full: RunOutputs
) -> tuple[dict[str, Any] | None, list[Measure]]:
    """The reliability diagram's bins, and how well confidence and understanding are calibrated.

    None, and a note, where the run was trained before runs had a calibration. The baseline is the
    bare cosine: of motion and caption as if it were a probability, or of sentence and caption.

    Args:
        full: the same without clips shorter than a window, whose captions have no confidence.
    """
    if not outputs.system.judge.is_calibrated:
        outputs.notes.append("the run has no calibration of its answers: train it again for one")
        return None, []
    bins, measures = _confidence(full)
    return bins, [*measures, *_unlike(outputs), *_understanding(outputs)]


def right_captions(outputs: RunOutputs) -> tuple[np.ndarray, np.ndarray]:
    """Of test windows with words: whether the first caption is right `[N]`, and its cosine."""
    system, rows = outputs.system, outputs.rows
    names = names_of_captions(system.run, system.library, system.captions.texts)
    ids, scores = system.caption_base.rank(
        outputs.motion["text"][rows], outputs.motion["cluster"][rows], 1
    )
    true = [name_with_side(name, words) for name, words in zip(outputs.names, outputs.captions)]
    right_N = np.array([names[i] == name for i, name in zip(ids[:, 0], true)])
    return right_N, scores[:, 0]


def _confidence(outputs: RunOutputs) -> tuple[dict[str, Any] | None, list[Measure]]:
    rows = outputs.rows
    sure_N = outputs.system.judge.probability(
        outputs.motion["text"][rows], outputs.motion["cluster"][rows]
    )
    if sure_N is None:
        outputs.notes.append("no full validation window has words: captions have no confidence")
        return None, []
    right_N, cosine_N = right_captions(outputs)
    as_probability = np.clip(cosine_N, 0.0, 1.0)
    error = expected_calibration_error(sure_N, right_N)
    found: dict[str, Any] = {
        "bins": [asdict(one) for one in reliability(sure_N, right_N)],
        "windows": len(right_N),
        "right": float(right_N.mean()),
        "expected_calibration_error": error,
    }
    return found, [
        Measure(
            group=GROUP,
            name="expected calibration error of the first caption's confidence",
            unit="",
            better="lower",
            value=error,
            baseline=expected_calibration_error(as_probability, right_N),
        ),
        Measure(
            group=GROUP,
            name="Brier score of the first caption's confidence",
            unit="",
            better="lower",
            value=brier(sure_N, right_N),
            baseline=brier(as_probability, right_N),
            is_main=False,
        ),
        Measure(
            group=GROUP,
            name="AUROC of right against wrong first captions",
            unit="",
            value=auroc(sure_N, right_N),
            baseline=auroc(cosine_N, right_N),
            chance=0.5,
            is_main=False,
        ),
    ]


def _unlike(outputs: RunOutputs) -> list[Measure]:
    unlike_N = outputs.system.judge.unlike(outputs.motion["motion_embedding"])
    assert unlike_N is not None
    return [
        Measure(
            group=GROUP,
            name="test windows flagged as unlike the training data",
            better="target",
            value=100.0 * float(unlike_N.mean()),
            target=100.0 * (1.0 - QUANTILE),
            is_main=False,
        )
    ]


def _understanding(outputs: RunOutputs) -> list[Measure]:
    system = outputs.system
    judge = system.judge.understanding
    if judge is None:
        outputs.notes.append("the validation split has no captions: sentences are not judged")
        return []
    base = [system.captions.texts[i] for i in system.caption_base.ids]
    embedding_UD = system.captions.columns["text_embedding"].numpy()[system.caption_base.ids]
    found = examples(
        outputs.captions,
        base,
        embedding_UD,
        lambda texts: system.encode_text(texts)["text_embedding"],
        foreign=FOR_TESTING,
        seed=1,
    )
    if len(set(found.is_known.tolist())) < 2:
        return []
    score_N = judge.score(found.coverage, found.similarity)
    known = found.is_known
    return [
        Measure(
            group=GROUP,
            name="AUROC of sentences in and out of the vocabulary",
            unit="",
            value=auroc(score_N, known),
            baseline=auroc(found.similarity, known),
            chance=0.5,
        ),
        Measure(
            group=GROUP,
            name="known sentences with a notice",
            better="lower",
            value=100.0 * float((score_N[known] < THRESHOLD).mean()),
            is_main=False,
        ),
        Measure(
            group=GROUP,
            name="unknown sentences without a notice",
            better="lower",
            value=100.0 * float((score_N[~known] >= THRESHOLD).mean()),
            is_main=False,
        ),
    ]
