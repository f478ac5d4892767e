"""The parts of the service that take several requests at once: each gets its own answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from serving import TURN

from raydance.errors import InputError
from raydance.serving.generator import Generator
from raydance.serving.parts import Failed
from raydance.serving.problems import Changed, NotHere
from raydance.serving.retriever import Retriever
from raydance.serving.runs import Entry, RunCache
from raydance.serving.sentence_encoder import SentenceEncoder


@pytest.fixture
def run_cache(tiny_run: Path, tiny_library: Path) -> RunCache:
    return RunCache([Entry(name="tiny", run=str(tiny_run), library=str(tiny_library))])


def test_one_that_is_refused_does_not_take_the_others_of_its_batch_with_it(run_cache: RunCache):
    generator = Generator(run_cache)
    asked = [
        (("tiny", TURN), {"seed": 3}),
        (("unknown", TURN), {}),
        (("tiny", ""), {}),
        (("tiny", TURN), {"frames": 20, "seconds": 1.0}),
        ((None, "sharp kicks"), {"seed": 4, "frames": 30}),
    ]
    answers = generator.answer_together(asked)
    errors = [type(one.error) for one in answers if isinstance(one, Failed)]
    assert [isinstance(one, Failed) for one in answers] == [False, True, True, True, False]
    assert errors == [NotHere, InputError, InputError]
    for i in (0, 4):
        (alone,) = generator.answer_together([asked[i]])
        assert not isinstance(alone, Failed) and not isinstance(answers[i], Failed)
        np.testing.assert_allclose(answers[i][1].motion, alone[1].motion, atol=2e-3)


def test_searches_together_find_what_each_finds_alone(run_cache: RunCache):
    retriever = Retriever(run_cache)
    asked = [
        ((None, TURN), 2, None),
        ((None, "sharp kicks"), 3, False),
        (("unknown", TURN), 1, None),
        (("tiny", ""), 1, None),
    ]
    answers = retriever.answer_together(asked)
    assert [isinstance(one, Failed) for one in answers] == [False, False, True, True]
    for row, answer in zip(asked[:2], answers[:2]):
        (alone,) = retriever.answer_together([row])
        assert not isinstance(alone, Failed) and not isinstance(answer, Failed)
        found, wanted = answer[1]["hits"], alone[1]["hits"]
        assert [hit["clip_id"] for hit in found] == [hit["clip_id"] for hit in wanted]
        assert len(found) == row[1]


def test_a_search_without_a_library_fails_alone(tiny_run: Path):
    retriever = Retriever(RunCache([Entry(name="tiny", run=str(tiny_run))]))
    wrong, right = retriever.answer_together([((None, TURN), 1, True), ((None, TURN), 1, None)])
    assert isinstance(wrong, Failed) and isinstance(wrong.error, NotHere)
    assert not isinstance(right, Failed)


def test_the_encoder_is_loaded_only_where_sentences_are_encoded(tiny_run: Path):
    for kind in (Generator, Retriever):
        for encodes in (False, True):
            run_cache = RunCache([Entry(name="tiny", run=str(tiny_run))])
            kind(run_cache, encodes=encodes).warm_up()
            assert ("_sentences" in vars(run_cache.open(None).system)) == encodes


def test_a_point_of_a_run_that_was_replaced_is_not_used(run_cache: RunCache):
    from dataclasses import replace

    (encoded,) = SentenceEncoder(run_cache).answer_together([(None, TURN)])
    assert not isinstance(encoded, Failed)
    gone = replace(encoded, entry=replace(encoded.entry, identity="another"))
    (answer,) = Generator(run_cache).answer_together([(gone, {})])
    assert isinstance(answer, Failed) and isinstance(answer.error, Changed)
