"""The mean motion of a sentence, predicted from its embedding."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from raydance.nn.sentence_mean import SentenceMean, fit_reading, fit_sentence_mean
from raydance.stages.motion_flow import MotionFlow, MotionFlowConfig

MOVEMENTS, MANNERS, K = 6, 5, 8


def words(movement: int, manner: int) -> np.ndarray:
    """A sentence embedding `[D]` to which each word adds its part."""
    row = np.zeros(MOVEMENTS + MANNERS)
    row[movement] = row[MOVEMENTS + manner] = 1.0
    return row


def batches(held_out: set[tuple[int, int]], noise: float = 0.3) -> list[dict[str, Tensor]]:
    """Motions whose coefficients are the sum of what a movement and a manner give."""
    rng = np.random.default_rng(0)
    line = 2.0 * rng.standard_normal((MOVEMENTS + MANNERS, K))
    found = []
    for movement in range(MOVEMENTS):
        for manner in range(MANNERS):
            if (movement, manner) not in held_out:
                text = np.repeat(words(movement, manner)[None], 12, axis=0)
                motion = text @ line + noise * rng.standard_normal((12, K))
                found.append({"text_embedding": text, "coefficients": motion})
    return [{name: torch.from_numpy(value) for name, value in one.items()} for one in found]


def test_a_combination_never_seen_has_the_sum_of_its_words() -> None:
    held_out = (2, 3)
    (asked,) = [
        batch
        for batch in batches(set(), noise=0.0)
        if batch["text_embedding"][0].equal(torch.from_numpy(words(*held_out)))
    ]
    tensors, facts = fit_sentence_mean(batches({held_out}), np.ones(K))
    mean = SentenceMean(**tensors)(asked["text_embedding"].float())
    assert facts["is_used"] and facts["explained"] > 0.9
    off = (mean - asked["coefficients"]).norm(dim=1).mean()
    assert off < 0.15 * asked["coefficients"].norm(dim=1).mean()
    torch.testing.assert_close(tensors["spread"], torch.full((K,), 0.3), rtol=0.15, atol=0.0)


def test_sentences_that_predict_nothing_have_one_mean() -> None:
    rng = np.random.default_rng(1)
    shuffled = batches(set())
    everything = torch.cat([batch["coefficients"] for batch in shuffled])
    order = torch.from_numpy(rng.permutation(len(everything)))
    for batch, rows in zip(shuffled, order.split(12)):
        batch["coefficients"] = everything[rows]
    tensors, facts = fit_sentence_mean(shuffled, np.ones(K))
    assert not facts["is_used"] and facts["explained"] < 0.2
    assert not tensors["weight"].any() and tensors["spread"].eq(1.0).all()


def test_one_caption_has_no_line() -> None:
    tensors, facts = fit_sentence_mean(batches(set())[:1], np.ones(K))
    assert not facts["is_used"] and not tensors["weight"].any()


def test_the_order_of_rows_changes_nothing() -> None:
    found = batches(set())
    one, _ = fit_sentence_mean(found, np.ones(K))
    other, _ = fit_sentence_mean(reversed(found), np.ones(K))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name])


def test_a_flow_learns_what_the_mean_leaves() -> None:
    """With the mean of all sentences, an untrained flow gives just that, at any guidance."""
    tensors, _ = fit_sentence_mean(batches(set()), np.ones(K))
    mean = SentenceMean(**tensors)
    config = MotionFlowConfig(width=8, num_blocks=1)
    flow = MotionFlow(config, torch.randn(K, 3, 1, 3), torch.ones(K), MOVEMENTS + MANNERS, mean)
    text = torch.from_numpy(np.stack([words(0, 0), words(4, 2)])).float()
    noise = torch.randn(2, K)
    torch.testing.assert_close(flow.eval().sample(noise, text, guidance=3.0), mean(text))
    wanted = torch.randn(2, K)
    led = flow.sample(noise, text, correct=lambda clean, now: wanted)
    torch.testing.assert_close(led, wanted)


def test_a_changed_clip_is_where_the_path_begins() -> None:
    tensors, _ = fit_sentence_mean(batches(set()), np.ones(K))
    config = MotionFlowConfig(width=8, num_blocks=1, steps=1)
    flow = MotionFlow(
        config,
        torch.randn(K, 3, 1, 3),
        torch.ones(K),
        MOVEMENTS + MANNERS,
        SentenceMean(**tensors),
    ).eval()
    seen = []
    clip = torch.randn(K)
    flow.network.input.register_forward_hook(lambda *found: seen.append(found[1][0]))
    flow.average.input.register_forward_hook(lambda *found: seen.append(found[1][0]))
    text = torch.from_numpy(words(1, 1)[None]).float()
    flow.sample(torch.zeros(1, K), text, changed_K=clip, start=0.999)
    expected = 0.999 * (clip - flow.mean(text)) / flow.mean.spread
    torch.testing.assert_close(seen[0][:1], expected)


def test_words_of_a_new_combination_are_read_from_motion() -> None:
    """Of motions of all combinations, those of the held-out sentence say it best."""
    held_out, frames = (2, 3), 6
    known = [one | {"length": torch.full((12,), frames)} for one in batches({held_out})]
    short = {"text_embedding": known[0]["text_embedding"], "coefficients": torch.full((12, K), 9.0)}
    known.append(short | {"length": torch.full((12,), frames - 1)})
    tensors, _ = fit_sentence_mean(batches({held_out}), np.ones(K))
    assert SentenceMean.of(tensors).reading is None
    reading = SentenceMean.of(tensors | fit_reading(known, frames)).reading
    assert reading is not None
    everything = batches(set(), noise=0.0)
    found = torch.stack([one["coefficients"][0] for one in everything]).float()
    said = torch.from_numpy(words(*held_out)).float()
    best = int(reading.agreement(found, said).argmax())
    assert everything[best]["text_embedding"][0].equal(said.double())
    assert not fit_reading(known[-1:], frames)
    assert not fit_reading(known[:1], frames)
