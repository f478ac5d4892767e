"""The loop: it learns, follows its schedule, stops, and says what went wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from line_training import QUICK, Memory, line, same, scripted
from torch import Tensor

from raydance.stages.base import Batch
from raydance.training import loop as training
from raydance.training.loop import Context, derive_seed, fit

# Learning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["onecycle", "restarts", "step", "plateau", "constant"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_loss_falls_under_every_schedule(schedule: str, optimizer: str) -> None:
    seen: list[dict[str, Any]] = []
    source = Memory()
    config = replace(QUICK, epochs=15, schedule=schedule, optimizer=optimizer)
    result = fit(line(), config, source, seed=0, context=Context(report=seen.append))
    assert len(seen) == result.epochs == 15 and source.epochs == list(range(15))
    assert seen[-1]["train"]["error"] < 0.6 * seen[0]["train"]["error"]
    assert result.best_loss == min(m["validation"]["total"] for m in seen)
    assert result.best_epoch == min(seen, key=lambda m: m["validation"]["total"])["epoch"]
    assert source.closed == 1 and not result.stopped_early


def test_progress_runs_from_start_to_end_and_validation_stands_at_the_end() -> None:
    seen: list[dict[str, Any]] = []
    fit(line(), replace(QUICK, epochs=5), Memory(), seed=0, context=Context(report=seen.append))
    found = [m["train"]["progress"] for m in seen]
    assert found == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    assert {m["validation"]["progress"] for m in seen} == {1.0}


def test_the_mean_of_an_epoch_weighs_a_short_last_batch_by_its_size() -> None:
    seen: list[dict[str, Any]] = []
    stage = line(noise=0.0)
    config = replace(QUICK, epochs=1, lr=1e-12)
    source = Memory(size=24)  # batches of 24 and 8
    with torch.no_grad():
        whole = stage.loss(stage({"x": source.x}), {"y": source.y}, 1.0)["error"].item()
    fit(stage, config, source, seed=0, context=Context(report=seen.append))
    assert seen[0]["train"]["error"] == pytest.approx(whole, rel=1e-5)
    assert seen[0]["validation"]["error"] == pytest.approx(whole, rel=1e-5)


def test_learning_rates_are_those_of_the_paper() -> None:
    def rates(**changes: Any) -> list[float]:
        seen: list[dict[str, Any]] = []
        config = replace(QUICK, **changes)
        fit(line(), config, Memory(), seed=0, context=Context(report=seen.append))
        return [m["lr"] for m in seen]

    assert rates(schedule="step", lr=1e-3, period=2) == pytest.approx(
        [1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4, 1.25e-4]
    )
    warm = rates(schedule="restarts", lr=1.0, period=3)
    assert warm[2] == pytest.approx(1.0) and warm[5] == pytest.approx(1.0)
    assert warm[0] == pytest.approx(0.75) and warm[1] == pytest.approx(0.25)
    cycle = rates(schedule="onecycle", lr=5e-4, epochs=10)
    assert 4e-4 < max(cycle) <= 5e-4 and cycle[-1] < 1e-6 and cycle.index(max(cycle)) in (2, 3)
    flat = rates(schedule="plateau", lr=1e-6, period=1, factor=0.5)
    assert flat == pytest.approx([1e-6, 1e-6, 5e-7, 5e-7, 2.5e-7, 2.5e-7])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    stages = [line() for _ in range(3)]
    for stage, seed in zip(stages, (0, 0, 1)):
        fit(stage, QUICK, Memory(), seed=seed)
    assert same(stages[0], stages[1]) and not same(stages[0], stages[2])


def test_noise_is_fresh_in_every_epoch_and_rank_and_the_same_again() -> None:
    class Listening(Memory):
        def train(self, epoch: int) -> Iterator[Batch]:
            self.seeds = [*getattr(self, "seeds", []), torch.initial_seed()]
            return super().train(epoch)

    def seeds(**context: int) -> list[int]:
        source = Listening()
        fit(line(), QUICK, source, seed=0, context=Context(**context))
        return source.seeds

    first, second = seeds(), seeds(rank=1)
    assert len(set(first + second)) == 2 * QUICK.epochs and first == seeds()


def test_seeds_differ_by_every_part_and_not_by_the_process() -> None:
    # The figure itself: an exact resume on another machine hangs on it.
    assert derive_seed(1, "vae", 0, 0) == 4045833404916161311
    seeds = {derive_seed(*parts) for parts in ((1, 2), (2, 1), (12,), ("a", 1), ("a", 2))}
    assert len(seeds) == 5 and all(0 <= seed < 2**63 for seed in seeds)


# Early stopping --------------------------------------------------------------------------------


def test_patience_counts_checks_and_not_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Checks fall on epochs 2, 5, 8, 11: the dip in epoch 3 is not looked at.
    told = [9.0, 9.0, 5.0, 0.1, 9.0, 4.0, 9.0, 9.0, 4.5, 9.0, 9.0, 4.2, 9.0]
    monkeypatch.setattr(training, "validate", scripted(told))
    config = replace(QUICK, epochs=40, patience=2, check_every=3)
    result = fit(line(), config, Memory(), seed=0)
    assert result.stopped_early and result.epochs == 12
    assert (result.best_epoch, result.best_loss) == (5, 4.0)


def test_the_last_epoch_is_always_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "validate", scripted([3.0, 2.0, 1.0, 0.5]))
    result = fit(line(), replace(QUICK, epochs=4, check_every=3), Memory(), seed=0)
    assert (result.best_epoch, result.best_loss) == (3, 0.5)


def test_the_best_weights_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [3.0, 1.0, 2.0, 4.0, 5.0, 6.0]
    monkeypatch.setattr(training, "validate", scripted(told))
    stage, at_end = line(), {}
    weights: list[Tensor] = []
    context = Context(report=lambda metrics: weights.append(stage.layer.weight.detach().clone()))
    result = fit(stage, QUICK, Memory(), seed=0, context=context)
    at_end = stage.layer.weight
    assert result.best_epoch == 1
    assert torch.equal(at_end, weights[1]) and not torch.equal(at_end, weights[-1])


def test_without_patience_nothing_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "validate", scripted([1.0] * 6))
    assert fit(line(), QUICK, Memory(), seed=0).epochs == 6


def test_nothing_is_judged_before_a_stage_sees_all_that_it_learns_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Epoch 5 is the first of the second phase: patience, plateau and best weights begin there.
    told = [0.1, 0.2, 0.3, 0.4, 0.5, 9.0, 8.0, 8.5, 8.6, 8.7, 8.8]
    monkeypatch.setattr(training, "validate", scripted(told))
    config = replace(QUICK, epochs=11, patience=2, schedule="plateau", period=1, lr=0.1)
    stage = line(judged_from=0.5)
    stage.told = ["deaf"]
    seen: list[dict[str, Any]] = []
    weights: list[Tensor] = []

    def tell(metrics: dict[str, Any]) -> None:
        seen.append(metrics)
        weights.append(stage.layer.weight.detach().clone())

    result = fit(stage, config, Memory(), seed=0, context=Context(report=tell))
    assert result.stopped_early and result.epochs == 9
    assert (result.best_epoch, result.best_loss) == (6, 8.0)
    assert torch.equal(stage.layer.weight, weights[6])
    assert [m["lr"] for m in seen] == pytest.approx([0.1] * 8 + [0.05])
    assert [m["epoch"] for m in seen if m["warnings"]] == [5]
    assert [m["epoch"] for m in seen if m["checked"]] == [5, 6, 7, 8]


def test_the_last_epoch_is_judged_whatever_the_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "validate", scripted([1.0, 2.0, 3.0]))
    result = fit(line(judged_from=2.0), replace(QUICK, epochs=3), Memory(), seed=0)
    assert (result.best_epoch, result.best_loss) == (2, 3.0)


# Warnings --------------------------------------------------------------------------------------


def test_a_warning_is_told_once_whatever_its_figures() -> None:
    stage = line()
    seen: list[list[str]] = []

    def tell(metrics: dict[str, Any]) -> None:
        seen.append(metrics["warnings"])
        stage.told = [f"latents have collapsed (spread {len(seen)})"] + ["other"] * (len(seen) > 2)

    result = fit(stage, QUICK, Memory(), seed=0, context=Context(report=tell))
    assert seen == [[], ["latents have collapsed (spread 1)"], [], ["other"], [], []]
    assert result.warnings == ("latents have collapsed (spread 1)", "other")


def test_a_loss_that_is_not_a_number_is_told() -> None:
    stage = line(factor=math.nan)
    before = stage.layer.weight.detach().clone()
    result = fit(stage, QUICK, Memory(), seed=0)
    assert result.best_epoch == -1 and torch.equal(stage.layer.weight, before)
    assert any("not finite" in warning for warning in result.warnings)
