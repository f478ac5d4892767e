"""What a sentence's words say of whether a run understands it, on captions of the corpus."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

from raydance.metrics.calibration import auroc
from raydance.motion import synthetic
from raydance.systems.dance_language import understanding
from raydance.systems.dance_language.foreign_sentences import FOR_FITTING, FOR_TESTING
from raydance.systems.dance_language.understanding import THRESHOLD, Understanding, Vocabulary
from raydance.text.encoder import load_text_encoder

IN_VOCABULARY = (
    "a slow turn",
    "sharp kicks",
    "someone jumps up high",
    "turning slowly",
    "the dancer is walking",
    "punches fast with the right arm",
    "a woman circles her hips",
    "squatting down and rising",
    "the left leg kicks",
    "she turns around quickly",
)
"""Written by hand; none is a caption of the corpus."""


@pytest.fixture(scope="module")
def captions() -> dict[str, list[str]]:
    """Of six clips of each movement of the corpus four train, one fits and one tests."""
    with tempfile.TemporaryDirectory() as folder:
        synthetic.write_corpus(Path(folder), 6)
        lines = (Path(folder) / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    parts: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number, row in enumerate(rows):
        part = ("train", "train", "train", "train", "val", "test")[number % 6]
        parts[part] += row["captions"]
    return {name: list(dict.fromkeys(texts)) for name, texts in parts.items()}


@pytest.fixture(scope="module")
def fitted(captions: dict[str, list[str]]):
    """A score fitted on the validation captions alone, the base's embeddings, the encoder."""
    encode = load_text_encoder().encode
    base = captions["train"]
    embedding = encode(base)
    found = understanding.examples(captions["val"], base, embedding, encode, most=40)
    score = understanding.fit(base, found)
    assert score is not None
    return score, embedding, encode


def test_lists_of_foreign_sentences_do_not_overlap():
    assert not set(FOR_FITTING) & set(FOR_TESTING)


def test_words_are_known_in_every_form():
    words = Vocabulary.of(["a person kicks high", "she is turning slowly", "stops and spins"])
    assert words.unknown("kicking, turns; slow stopping and spinning! HIGH") == []
    assert words.unknown("a cartwheel, 他在跳舞, kick") == ["cartwheel", "他在跳舞"]
    assert understanding.content_words("🙂 !!!") == []


def test_coverage_by_hand():
    """Of two captions: "turn" is in both, log(4 / 3); "slow" in one, log(4 / 2); unknown log(4)."""
    words = Vocabulary.of(["a turn", "a slow turn"])
    known = np.log(4 / 3) + np.log(2)
    assert words.coverage("slow turn") == 1.0
    assert words.coverage("slow banana turn") == pytest.approx(known / (known + np.log(4)))
    assert words.coverage("") == words.coverage("🙂") == 0.0
    assert words.coverage("slow", without={"slow": 1}) == 0.0


def test_notices_are_plain_words():
    say = understanding.notice
    assert say("cartwheel", "a turn", ["cartwheel"]) == (
        "'cartwheel' was not among the words that this run learned; understood as: a turn"
    )
    assert say("x y", "a turn", ["x", "y"]).startswith("'x' and 'y' were not among")
    assert say("😀", "a turn", []) == (
        "the text holds no word that this run learned; understood as: a turn"
    )


def test_score_survives_json(fitted):
    score, *_ = fitted
    again = Understanding.from_data(score.as_data())
    one = again.judge("a cartwheel", "a turn", 0.6)
    assert one == score.judge("a cartwheel", "a turn", 0.6)
    assert one.unknown_words == ("cartwheel",) and one.notice


def test_known_and_unknown_sentences_are_told_apart(fitted, captions: dict[str, list[str]]):
    """Sentences written by hand and test captions, none of which the fit has seen."""
    score, embedding, encode = fitted
    base = captions["train"]
    known = [*IN_VOCABULARY, *captions["test"][::4]]
    texts = [*known, *FOR_TESTING]
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    rows = encode(texts)
    cosine = (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ unit.T
    found = [
        score.judge(text, base[i], float(row[i]))
        for text, row, i in zip(texts, cosine, cosine.argmax(axis=1))
    ]
    is_known = np.arange(len(texts)) < len(known)
    values = np.array([one.understanding for one in found])
    assert auroc(values, is_known) > 0.97
    assert auroc(values, is_known) > auroc(cosine.max(axis=1), is_known)
    noticed = np.array([bool(one.notice) for one in found])
    assert noticed[~is_known].mean() > 0.95 and noticed[is_known].mean() < 0.1
    for one in ("asdfgh", "banana", "😀", "他在跳舞", "cartwheel", "waves goodbye"):
        assert found[texts.index(one)].understanding < THRESHOLD
