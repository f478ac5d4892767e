"""What reaches the optimiser: gradients clipped to their true norm, and parameters held back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from line_training import QUICK, Line, Memory, line

from raydance.stages.base import TrainConfig
from raydance.training import loop as training
from raydance.training.loop import Context, fit


def gradients_seen(stage: Line, config: TrainConfig, scaler: torch.amp.GradScaler) -> list[float]:
    """Norms of the gradients that the optimiser gets in one epoch."""
    norms: list[float] = []
    optimizer = torch.optim.SGD(stage.parameters(), 1e-9)

    def look(*arguments: object) -> None:
        parts = [p.grad.norm() for p in stage.parameters() if p.grad is not None]
        norms.append(torch.stack(parts).norm().item())

    optimizer.register_step_pre_hook(look)
    scheduler = training._scheduler(config, optimizer, 4)
    batches = Memory().train(0)
    training._train_epoch(stage, stage, config, batches, optimizer, scheduler, scaler, 1.0)
    return norms


def test_gradients_are_clipped_to_their_true_norm_under_loss_scaling() -> None:
    plain = torch.amp.GradScaler("cpu", enabled=False)
    free = gradients_seen(line(noise=0.0, factor=5.0), replace(QUICK, clip_norm=0.0), plain)
    limit = 0.5 * min(free)
    scaled = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    clipped = gradients_seen(line(noise=0.0, factor=5.0), replace(QUICK, clip_norm=limit), scaled)
    assert clipped == pytest.approx([limit] * 4, rel=1e-3)
    # A limit between the true and the scaled norm changes nothing.
    scaled = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    high = replace(QUICK, clip_norm=10 * max(free))
    assert gradients_seen(line(noise=0.0, factor=5.0), high, scaled) == pytest.approx(
        free, rel=0.02
    )


def test_a_step_with_gradients_beyond_half_precision_is_left_out() -> None:
    stage = line(noise=0.0)
    before = stage.layer.weight.detach().clone()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126)
    stage.factor = 1e6
    assert gradients_seen(stage, QUICK, scaler) == []
    assert torch.equal(stage.layer.weight, before) and scaler.get_scale() < 2.0**126


def test_parameters_held_back_do_not_move_and_then_do() -> None:
    stage = line(held_until=0.5)
    moved: list[bool] = []
    last = stage.bend.weight.detach().clone()

    def look(metrics: dict[str, Any]) -> None:
        nonlocal last
        moved.append(not torch.equal(stage.bend.weight, last))
        last = stage.bend.weight.detach().clone()

    config = replace(QUICK, epochs=5, weight_decay=0.1)
    fit(stage, config, Memory(), seed=0, context=Context(report=look))
    assert moved == [False, False, True, True, True]
