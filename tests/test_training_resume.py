"""A killed training ends as if it had not been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from line_training import QUICK, Memory, line, same, scripted
from torch import Tensor

from raydance.training import loop as training
from raydance.training.loop import Context, fit
from raydance.training.run_folder import Checkpoints


def test_a_training_goes_on_with_other_numbers_of_steps(tmp_path: Path) -> None:
    config = replace(QUICK, schedule="onecycle")
    kept = Checkpoints(tmp_path / "line.safetensors", "print")
    few, many = Memory(size=16), Memory(size=4)
    reports: list[dict[str, Any]] = []

    def stop_after_three(metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 3:  # told before its checkpoint is written
            raise KeyboardInterrupt

    context = Context(report=stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        fit(line(), config, few, seed=5, context=context, checkpoints=kept, checkpoint_every_s=0)
    context = Context(report=reports.append)
    fit(line(), config, many, seed=5, context=context, checkpoints=kept)
    assert many.epochs == [3, 4, 5]
    assert reports[-1]["lr"] < reports[0]["lr"] < config.lr


@pytest.mark.parametrize("schedule", ["onecycle", "restarts", "step", "plateau"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_killed_training_ends_with_the_same_bits(
    schedule: str, optimizer: str, tmp_path: Path
) -> None:
    config = replace(QUICK, epochs=7, schedule=schedule, optimizer=optimizer, period=2)
    whole: list[dict[str, Any]] = []
    straight = line()
    expected = fit(straight, config, Memory(), seed=5, context=Context(report=whole.append))

    kept = Checkpoints(tmp_path / "line.safetensors", "print")
    parts: list[dict[str, Any]] = []
    context = Context(report=parts.append)
    broken = Memory(fails_in=3)
    with pytest.raises(KeyboardInterrupt):
        fit(line(), config, broken, seed=5, context=context, checkpoints=kept, checkpoint_every_s=0)
    assert broken.closed == 1
    resumed, source = line(seed=77), Memory()  # nothing may come from the new stage's weights
    torch.rand(13)
    found = fit(
        resumed, config, source, seed=5, context=context, checkpoints=kept, checkpoint_every_s=0
    )
    assert source.epochs == [3, 4, 5, 6]
    assert same(straight, resumed)
    assert replace(found, seconds=0.0) == replace(expected, seconds=0.0)
    timeless = [
        [{k: v for k, v in m.items() if k not in ("seconds", "windows_per_s")} for m in run]
        for run in (whole, parts)
    ]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize("killed_in", [2, 4, 5])
def test_a_training_killed_in_either_phase_ends_with_the_same_bits(
    killed_in: int, tmp_path: Path
) -> None:
    config = replace(QUICK, epochs=9, schedule="plateau", period=1, patience=2, lr=0.5)
    straight = line(judged_from=0.5)  # from epoch 4 on
    expected = fit(straight, config, Memory(), seed=5)
    assert expected.best_epoch >= 4

    kept = Checkpoints(tmp_path / "line.safetensors", "print")
    broken = Memory(fails_in=killed_in)
    with pytest.raises(KeyboardInterrupt):
        stage = line(judged_from=0.5)
        fit(stage, config, broken, seed=5, checkpoints=kept, checkpoint_every_s=0)
    resumed, source = line(seed=77, judged_from=0.5), Memory()
    found = fit(resumed, config, source, seed=5, checkpoints=kept, checkpoint_every_s=0)
    assert source.epochs[0] == killed_in and same(straight, resumed)
    assert replace(found, seconds=0.0) == replace(expected, seconds=0.0)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "line.safetensors", "print")
    first, second = line(), line(seed=77)
    one = fit(first, QUICK, Memory(), seed=0, checkpoints=kept, checkpoint_every_s=1e9)
    source = Memory()
    two = fit(second, QUICK, source, seed=0, checkpoints=kept)
    assert source.epochs == [] and same(first, second)
    assert replace(one, seconds=0.0) == replace(two, seconds=0.0)


def test_checkpoints_are_not_written_more_often_than_asked() -> None:
    class Counting:
        saves = 0

        def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
            self.saves += 1

        def load(self) -> None:
            return None

    rare, often = Counting(), Counting()
    fit(line(), QUICK, Memory(), seed=0, checkpoints=rare, checkpoint_every_s=1e9)
    fit(line(), QUICK, Memory(), seed=0, checkpoints=often, checkpoint_every_s=0)
    assert (rare.saves, often.saves) == (1, 6)  # the end is always kept
    second = Counting()
    context = Context(rank=1)
    fit(line(), QUICK, Memory(), seed=0, context=context, checkpoints=second, checkpoint_every_s=0)
    assert second.saves == 0


def test_a_stopped_training_stays_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Checkpoints(tmp_path / "line.safetensors", "print")
    config = replace(QUICK, epochs=50, patience=2)
    monkeypatch.setattr(training, "validate", scripted([3.0, 1.0, 2.0, 2.0]))
    first = fit(line(), config, Memory(), seed=0, checkpoints=kept)
    assert first.stopped_early and first.epochs == 4
    again = fit(line(), config, source := Memory(), seed=0, checkpoints=kept)
    assert again.stopped_early and again.epochs == 4 and source.epochs == []
