"""The expected path: its distance by hand, and that it is the middle of what is possible."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_stages import evaluate, train
from small_track_batches import B, N, T, Z, track_basis, track_batch

from raydance.errors import ConfigError
from raydance.stages.track_path import TrackPath, TrackPathConfig

BATCH = track_batch()


def small(**changes: object) -> TrackPath:
    torch.manual_seed(0)
    sizes = {"width": 32, "dropout": 0.0, "text_noise": 0.0}
    config = TrackPathConfig(**{**sizes, **changes})  # type: ignore[arg-type]
    basis = track_basis()
    return TrackPath(config, torch.from_numpy(basis.mean), torch.from_numpy(basis.components), Z)


def test_the_loss_by_hand() -> None:
    stage = small()
    moved = BATCH["tracks"] + torch.tensor([0.03, -0.04])
    moved[:, 0] = BATCH["tracks"][:, 0]
    still = BATCH["tracks"][:, :1].expand(-1, T, -1, -1)
    far = moved + (moved - BATCH["tracks"])
    far[:, 0] = BATCH["tracks"][:, 0]
    logits = torch.tensor([[0.0], [math.log(3.0)]]).expand(2, B)
    output = {"expected": still, "alternatives": torch.stack([far, moved]), "logits": logits}
    terms = stage.loss(output, BATCH, 1.0)
    near = 0.05 * (T - 1) / T
    assert float(terms["nearest"]) == pytest.approx(near, rel=1e-4)
    assert float(terms["expected"]) == pytest.approx(float(terms["stays"]), rel=1e-5)
    assert float(terms["likely"]) == pytest.approx(math.log(4.0 / 3.0), rel=1e-4)
    chosen = 0.98 * near + 0.02 * 1.5 * near
    total = float(terms["stays"]) + chosen + 0.02 * math.log(4.0 / 3.0)
    assert float(terms["total"]) == pytest.approx(total, rel=1e-4)


def test_it_begins_with_the_mean_movement_from_the_given_frame() -> None:
    stage = small().eval()
    found = stage(BATCH)["expected"]
    expected = BATCH["tracks"][:, :1] + stage.basis.mean
    torch.testing.assert_close(found, expected)


def test_it_learns_and_moves_as_other_clips_words_say() -> None:
    stage = small()
    train(stage, track_batch(64), steps=150, lr=5e-3)
    other = track_batch(seed=5)
    terms = evaluate(stage, other)
    assert terms["expected"] < 0.25 * terms["stays"]


def test_of_two_ways_it_takes_the_more_frequent_one() -> None:
    # The same words and place: three clips go right, one goes left; the mean would go half-way.
    batch = {name: value[:4].clone() for name, value in track_batch().items()}
    for name in ("text_embedding", "text_path"):
        batch[name][:] = batch[name][0]
    step = torch.linspace(0.0, 0.5, T)[:, None, None] * torch.tensor([1.0, 0.0])
    sign = torch.tensor([1.0, 1.0, 1.0, -1.0])[:, None, None, None]
    batch["tracks"] = (batch["tracks"][:1, :1] + sign * step).expand(4, T, N, 2)
    stage = small()
    train(stage, batch, steps=200, lr=5e-3)
    stage.eval()
    moved = stage(batch)["expected"][0, -1, :, 0] - batch["tracks"][0, 0, :, 0]
    assert float(moved.detach().mean()) > 0.4
    # Both ways are alternatives, the more frequent one comes first.
    inputs = (batch["text_embedding"], batch["text_path"], batch["tracks"][:, 0])
    with torch.no_grad():
        ways = stage.likely_first(*inputs)[:, 0, -1, :, 0] - batch["tracks"][0, 0, :, 0]
    assert float(ways[0].mean()) > 0.4
    assert min(abs(float(way.mean()) + 0.5) for way in ways) < 0.1


def test_it_reloads_identically_and_every_weight_learns() -> None:
    stage = small().train()
    for member in stage.members:
        torch.nn.init.normal_(member.output.weight)
    stage.loss(stage(BATCH), BATCH, 0.0)["total"].backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in stage.parameters())
    other = small()
    other.load_state_dict(copy.deepcopy(stage.state_dict()))
    found = stage.eval()(BATCH)["expected"]
    assert torch.equal(other.eval()(BATCH)["expected"], found) and found.shape == (B, T, N, 2)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="track_path.dropout: 1.0"):
        TrackPathConfig(dropout=1.0)
