"""The motion flow: its sampler, its averaged weights, and what wanted frames tell, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_stages import B, D, K, T, evaluate, motion_flow, toy_batch, train
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.stages.motion_flow import MotionFlow, MotionFlowConfig, _frame_sets, frame_grams


@pytest.fixture(scope="module")
def flow() -> MotionFlow:
    torch.manual_seed(0)
    stage = motion_flow()
    train(stage, toy_batch(), steps=60, lr=5e-3)
    return stage.eval()


def noise(size: int = B, seed: int = 3) -> torch.Tensor:
    return torch.randn(size, K, generator=torch.Generator().manual_seed(seed))


TEXT = toy_batch()["text_embedding"]


def test_samples_are_what_the_words_ask_for(flow: MotionFlow) -> None:
    found = flow.sample(noise(), TEXT, steps=8, guidance=1.0)
    assert F.mse_loss(found, toy_batch()["coefficients"]) < 0.1
    other = flow.sample(noise(), TEXT.roll(1, 0), steps=8, guidance=1.0)
    torch.testing.assert_close(other[0], found[3], atol=0.5, rtol=0.0)


def test_a_sample_follows_its_noise_and_not_its_batch(flow: MotionFlow) -> None:
    whole = flow.sample(noise(), TEXT)
    assert torch.equal(whole, flow.sample(noise(), TEXT))
    assert not torch.allclose(whole, flow.sample(noise(seed=4), TEXT), atol=1e-3)
    for rows in (slice(0, 1), slice(5, 9)):
        alone = flow.sample(noise()[rows], TEXT[rows])
        torch.testing.assert_close(alone, whole[rows], atol=1e-5, rtol=1e-5)


def predict(flow: MotionFlow, z: torch.Tensor, time: float, told: bool) -> torch.Tensor:
    wanted = torch.zeros(B, K + 2 * T)
    has_text = torch.full((B,), told)
    return flow.average(z, torch.full((B,), time), TEXT, has_text, wanted)


@torch.no_grad()
def test_guidance_leads_from_without_words_to_beyond_them(flow: MotionFlow) -> None:
    told, free = (predict(flow, noise(), 0.0, words) for words in (True, False))
    assert not torch.allclose(told, free, atol=1e-2)
    for guidance, expected in ((1.0, told), (0.0, free), (3.0, free + 3.0 * (told - free))):
        one_step = flow.sample(noise(), TEXT, steps=1, guidance=guidance)
        torch.testing.assert_close(one_step, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_two_steps_by_hand(flow: MotionFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    # Half of the way to the first prediction, then all of it to the second.
    half = noise() + 0.5 * (predict(flow, noise(), 0.0, True) - noise())
    expected = predict(flow, half, 0.5, True)
    found = flow.sample(noise(), TEXT, steps=2, guidance=1.0)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    late = flow.sample(half, TEXT, steps=1, guidance=1.0, start=0.5)
    torch.testing.assert_close(late, expected, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(flow, "config", replace(flow.config, noise_scale=0.5))
    scaled = flow.sample(2.0 * noise(), TEXT, steps=2, guidance=1.0)
    torch.testing.assert_close(scaled, expected, atol=1e-5, rtol=1e-5)


def test_a_correction_has_the_last_word(flow: MotionFlow) -> None:
    times: list[float] = []

    def pin(clean: torch.Tensor, time: float) -> torch.Tensor:
        times.append(time)
        return torch.cat([torch.full_like(clean[:, :1], 7.0), clean[:, 1:]], dim=1)

    found = flow.sample(noise(), TEXT, steps=4, correct=pin)
    assert times == [0.0, 0.25, 0.5, 0.75]
    torch.testing.assert_close(found[:, 0], torch.full((B,), 7.0))


def test_the_averaged_weights_follow_the_trained_ones_and_judge() -> None:
    torch.manual_seed(0)
    stage, batch = motion_flow(ema=0.5), toy_batch()
    own, mean = stage.network.output.weight, stage.average.output.weight
    assert not any(p.requires_grad for p in stage.average.parameters())
    with torch.no_grad():
        own.fill_(1.0)
    stage.train()(batch)
    assert mean.eq(1.0).all()  # the first time it is a copy
    with torch.no_grad():
        own.fill_(2.0)
    stage(batch)
    decay = 2 / 11  # (1 + updates) / (10 + updates), below the highest
    torch.testing.assert_close(mean, torch.full_like(mean, decay * 1.0 + (1 - decay) * 2.0))
    for _ in range(30):
        stage(batch)
    torch.testing.assert_close(mean, torch.full_like(mean, 2.0))
    assert stage.num_updates == 32
    # Validation judges the average, with the same noise in every epoch, and does not move it.
    first = evaluate(stage, batch)
    assert first == evaluate(stage, batch) and stage.num_updates == 32
    with torch.no_grad():
        own.zero_()
    assert evaluate(stage, batch) == first


def test_the_loss_weighs_errors_by_the_root_of_their_scale() -> None:
    config = MotionFlowConfig(width=8, num_blocks=1)
    flow = MotionFlow(config, torch.randn(2, 3, 1, 3), torch.tensor([9.0, 1.0]), D)
    batch = {"coefficients": torch.zeros(1, 2)}
    terms = flow.loss({"coefficients": torch.tensor([[1.0, 2.0]])}, batch, 1.0)
    # Roots 3 and 1, over their mean: 1.5 * 1 and .5 * 4.
    assert terms["total"].item() == pytest.approx((1.5 + 2.0) / 2)
    assert terms["plain"].item() == pytest.approx((1.0 + 4.0) / 2)


# Wanted frames


def test_the_products_of_frames_by_hand() -> None:
    components = torch.zeros(2, 2, 1, 3)
    components[0, 0, 0, 0], components[1, 0, 0, 0], components[1, 1, 0, 2] = 2.0, 1.0, 3.0
    expected = torch.tensor([[[4.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 9.0]]])
    torch.testing.assert_close(frame_grams(components), expected)


def test_what_frames_tell_is_the_least_norm_solution() -> None:
    torch.manual_seed(0)
    num, frames, joints = 8, 4, 2
    components = 3.0 * torch.randn(num, frames, joints, 3)
    projections, flags = _frame_sets(components)
    assert flags.shape == (len(projections), 2 * frames)
    coefficients = torch.randn(num)
    seen_kinds = set()
    for projection, flag in zip(projections, flags):
        pose, root = flag[:frames].bool(), flag[frames:].bool()
        assert bool(pose.any()) != bool(root.any())  # poses of frames, or the root's whole path
        rows = torch.cat([components[:, pose].flatten(1), components[:, root, 0].flatten(1)], dim=1)
        told = projection @ coefficients
        expected = torch.linalg.pinv(rows.T) @ (rows.T @ coefficients)
        torch.testing.assert_close(told, expected, atol=0.05, rtol=0.05)
        # It rebuilds those frames, and no shorter coefficients do.
        torch.testing.assert_close(rows.T @ told, rows.T @ coefficients, atol=0.2, rtol=0.05)
        assert told.norm() <= coefficients.norm() + 1e-4
        seen_kinds.add((int(pose.sum()), bool(root.any())))
    assert {(1, False), (0, True)} < seen_kinds  # one pose; a path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 0}, "steps: 0; allowed: 1 to 100"),
        ({"steps": 101}, "steps: 101"),
        ({"guidance": -0.1}, "guidance: -0.1; allowed: 0 to 10"),
        ({"guidance": 10.5}, "guidance: 10.5"),
        ({"ema": 1.0}, "ema: 1.0"),
        ({"candidates": 0}, "candidates: 0; at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=f"motion_flow.{said}"):
        MotionFlowConfig(**change)
