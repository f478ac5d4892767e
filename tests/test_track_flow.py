"""The flow of tracks: sampler, guidance, given points."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_stages import evaluate, train
from small_track_batches import SENTENCES, B, N, T, track_batch, track_flow
from torch.nn import functional as F

from raydance.errors import ConfigError, InputError
from raydance.nn.attention import TokenPooling
from raydance.stages.track_flow import TrackFlow, TrackFlowConfig, TrackPrompt
from raydance.systems.lang2motion.constraints import TrackEquations

BATCH = track_batch()
TRACKS = BATCH["tracks"]


def prompt_of(batch: dict[str, torch.Tensor]) -> TrackPrompt:
    mirrored = torch.tensor([1, 0, 2, 3])[batch["caption_id"]]
    return TrackPrompt(
        batch["text_embedding"],
        batch["text_path"],
        batch["tracks"][:, 0],
        batch["text_tokens"],
        batch["text_mask"],
        batch["text_embedding"][mirrored],
        batch["text_path"][mirrored],
        batch["text_tokens"][mirrored],
        batch["text_mask"][mirrored],
    )


PROMPT = prompt_of(BATCH)


@pytest.fixture(scope="module")
def flow() -> TrackFlow:
    stage = track_flow(given_dropout=0.4)
    train(stage, track_batch(64), steps=300, lr=5e-3)
    return stage.eval()


def noise(stage: TrackFlow, size: int = B, seed: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, stage.num_components, generator=generator)


def test_it_learns_one_batch() -> None:
    stage = track_flow(text_dropout=0.0, text_noise=0.0)
    before = evaluate(stage, BATCH)
    train(stage, BATCH, steps=200, lr=5e-3)
    after = evaluate(stage, BATCH)
    assert after["total"] < 0.3 * before["total"]


def test_samples_move_as_the_words_say_from_the_given_frame(flow: TrackFlow) -> None:
    found = flow.tracks(flow.sample(noise(flow), PROMPT), PROMPT.start)
    assert torch.equal(found[:, 0], PROMPT.start) or torch.allclose(found[:, 0], PROMPT.start)
    moved = (found[:, -1] - found[:, 0]).mean(dim=1)
    expected = (TRACKS[:, -1] - TRACKS[:, 0]).mean(dim=1)
    assert float((moved - expected).norm(dim=1).mean()) < 0.15


def test_a_sample_follows_its_noise_and_not_its_batch(flow: TrackFlow) -> None:
    whole = flow.sample(noise(flow), PROMPT, guidance=1.5, emphasis=0.5)
    assert not torch.allclose(whole, flow.sample(noise(flow, seed=4), PROMPT), atol=1e-3)
    rows = slice(5, 9)
    part = TrackPrompt(*(value[rows] for value in vars(PROMPT).values()))
    alone = flow.sample(noise(flow)[rows], part, guidance=1.5, emphasis=0.5)
    torch.testing.assert_close(alone, whole[rows], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_guidance_and_emphasis_by_hand(flow: TrackFlow) -> None:
    def one(**settings: float) -> torch.Tensor:
        return flow.sample(noise(flow), PROMPT, **{"steps": 1, **settings})  # type: ignore[arg-type]

    told, free = one(guidance=1.0), one(guidance=0.0)
    mirrored = flow.sample(
        noise(flow),
        TrackPrompt(
            PROMPT.mirrored_text,  # type: ignore[arg-type]
            PROMPT.mirrored_path,  # type: ignore[arg-type]
            PROMPT.start,
            PROMPT.mirrored_tokens,
            PROMPT.mirrored_mask,
        ),
        steps=1,
        guidance=1.0,
    )
    expected = free + 3.0 * (told - free)
    torch.testing.assert_close(one(guidance=3.0), expected, atol=1e-4, rtol=1e-4)
    expected = told + 2.0 * (told - mirrored)
    torch.testing.assert_close(one(guidance=1.0, emphasis=2.0), expected, atol=1e-4, rtol=1e-4)
    # Sentences that name no side are their own mirror images.
    sideless = BATCH["caption_id"] >= 2
    emphasised = one(emphasis=2.0)
    torch.testing.assert_close(emphasised[sideless], told[sideless], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(emphasised[~sideless], told[~sideless], atol=1e-2)


def test_words_that_the_embedding_lacks_reach_the_flow_through_tokens() -> None:
    batch = track_batch(64)
    batch["text_embedding"] = torch.ones_like(batch["text_embedding"])
    batch["text_path"] = torch.zeros_like(batch["text_path"])
    stage = track_flow(token_queries=2)
    train(stage, batch, steps=120, lr=5e-3)
    found = stage.eval().sample(noise(stage, 64), prompt_of(batch))
    end = stage.tracks(found, batch["tracks"][:, 0])[:, -1]
    assert float((end - batch["tracks"][:, -1]).norm(dim=2).mean()) < 0.2  # moves by .5


@pytest.mark.parametrize("queries", [0, 2])
def test_every_weight_learns(queries: int) -> None:
    """Several workers wait for the gradient of each parameter."""
    stage = track_flow(token_queries=queries, text_dropout=0.5)
    train(stage, BATCH, steps=2, lr=1e-3)  # the output begins at zero
    stage.loss(stage(BATCH), BATCH, 0.0)["total"].backward()
    assert not [name for name, one in stage.network.named_parameters() if one.grad is None]


def test_pooled_tokens_by_hand() -> None:
    pooling = TokenPooling(1, 2)
    pooling.query.data[:] = torch.tensor([[1.0, 0.0]])
    tokens = torch.tensor([[[9.0, 9.0], [3.0, 0.0], [0.0, 2.0], [5.0, 5.0]]])
    mask = torch.tensor([[True, True, True, False]])
    size = 0.4 * 2**0.5  # of a token that is read; the first and the last one are not
    share = math.exp(size) / (math.exp(size) + 1.0)
    expected = torch.tensor([[[size * share, size * (1.0 - share)]]])
    torch.testing.assert_close(pooling(tokens, mask), expected)
    longer = torch.cat([tokens, torch.randn(1, 3, 2)], dim=1)
    torch.testing.assert_close(pooling(longer, F.pad(mask, (0, 3))), expected)


@torch.no_grad()
def test_two_steps_by_hand(flow: TrackFlow) -> None:
    network = flow.average
    words = network.text(PROMPT.text, PROMPT.path, PROMPT.tokens, PROMPT.mask)

    def predict(z: torch.Tensor, time: float) -> torch.Tensor:
        given = torch.zeros(B, flow.num_components + T)
        times = torch.full((B,), time)
        return network(z, times, network.prompt(words, PROMPT.start), given)

    start = flow.config.noise_scale * noise(flow)
    half = start + 0.5 * (predict(start, 0.0) - start)
    found = flow.sample(noise(flow), PROMPT, steps=2, guidance=1.0)
    torch.testing.assert_close(found, predict(half, 0.5), atol=1e-5, rtol=1e-5)


def equations(flow: TrackFlow, given: torch.Tensor, **settings: float) -> TrackEquations:
    return TrackEquations(
        flow.basis.mean, flow.basis.components, PROMPT.start, TRACKS, given, **settings
    )


def test_a_track_passes_through_given_points(flow: TrackFlow) -> None:
    given = torch.zeros(T, N, dtype=torch.bool)
    given[2], given[-1, 1] = True, True
    # Words of another movement than that of the points.
    other = BATCH | {name: BATCH[name].roll(1, 0) for name in ("text_embedding", "text_tokens")}
    asked = equations(flow, given, noise=0.002)
    free = flow.sample(noise(flow), prompt_of(other))
    led = flow.sample(
        noise(flow), prompt_of(other), given_BX=asked.given(), correct=asked.correction
    )
    assert float(asked.miss(free).mean()) > 0.1
    assert float(asked.miss(led).max()) < 0.03
    told = flow.sample(noise(flow), prompt_of(other), given_BX=asked.given())
    assert float(asked.miss(told).mean()) < 0.7 * float(asked.miss(free).mean())


def test_what_training_shows_of_given_points_is_what_equations_say(flow: TrackFlow) -> None:
    z1 = flow.coefficients(TRACKS)
    number = next(i for i, row in enumerate(flow.set_flags) if row[-1] == 1 and row.sum() == 1)
    given = torch.zeros(T, N, dtype=torch.bool)
    given[-1] = True
    rebuilt = flow.tracks(z1, PROMPT.start)
    found = TrackEquations(
        flow.basis.mean, flow.basis.components, PROMPT.start, rebuilt, given
    ).given()
    seen = z1 @ flow.set_projection[number].T
    torch.testing.assert_close(found[:, : flow.num_components], seen, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found[0, flow.num_components :], flow.set_flags[number])


def test_nothing_given_asks_for_nothing(flow: TrackFlow) -> None:
    asked = equations(flow, torch.zeros(T, N, dtype=torch.bool))
    assert not bool(asked.given().any()) and not bool(asked.miss(noise(flow)).any())
    torch.testing.assert_close(asked.correction(noise(flow), 0.0), noise(flow))
    broken = TRACKS.clone()
    broken[0, -1] = float("nan")
    given = torch.ones(T, N, dtype=torch.bool)
    with pytest.raises(InputError, match="not all are finite"):
        TrackEquations(flow.basis.mean, flow.basis.components, PROMPT.start, broken, given)


def test_coefficients_and_tracks_are_inverse(flow: TrackFlow) -> None:
    z = noise(flow)
    torch.testing.assert_close(
        flow.coefficients(flow.tracks(z, PROMPT.start)), z, atol=1e-4, rtol=1e-4
    )


def test_the_average_follows_and_reloads_identically(flow: TrackFlow) -> None:
    other = track_flow(given_dropout=0.4)
    other.load_state_dict(copy.deepcopy(flow.state_dict()))
    assert torch.equal(other.eval().sample(noise(flow), PROMPT), flow.sample(noise(flow), PROMPT))
    first = track_flow(ema=0.5).train()
    first(BATCH)
    pairs = zip(first.average.parameters(), first.network.parameters())
    assert all(torch.equal(a, b) for a, b in pairs)  # the first step starts from the weights
    with torch.no_grad():
        first.network.no_text.add_(1.0)
    first(BATCH)
    # The decay of the second step is 2 / 11.
    torch.testing.assert_close(
        first.average.no_text, torch.full_like(first.network.no_text, 9 / 11)
    )


def test_every_trained_weight_learns() -> None:
    stage = track_flow(given_dropout=0.0).train()
    torch.nn.init.normal_(stage.network.output.weight)  # zero at first: nothing else would learn
    stage.loss(stage(BATCH), BATCH, 0.0)["total"].backward()
    trained = {name: p for name, p in stage.named_parameters() if p.requires_grad}
    assert not [name for name, p in trained.items() if p.grad is None]
    assert len(set(BATCH["caption_id"].tolist())) == SENTENCES


def test_settings_that_cannot_be_are_refused(flow: TrackFlow) -> None:
    with pytest.raises(ConfigError, match="track_flow.steps: 0; allowed: 1 to 100"):
        TrackFlowConfig(steps=0)
    with pytest.raises(ConfigError, match="track_flow.emphasis: -1"):
        TrackFlowConfig(emphasis=-1.0)
    bare = TrackPrompt(PROMPT.text, PROMPT.path, PROMPT.start, PROMPT.tokens, PROMPT.mask)
    with pytest.raises(ConfigError, match="emphasis needs the mirrored sentences"):
        flow.sample(noise(flow), bare, emphasis=1.0)
