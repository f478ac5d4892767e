"""Losses of every stage of a small run, which a change of structure must not move.

Two epochs of each trained stage on `tiny_dataset`, by one worker and by two. Renew the files only
in a commit that says why: `python -m pytest tests/test_golden_losses.py` with
`RAYDANCE_RENEW_GOLDEN=1` writes them.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from two_ranks import start_two

from raydance.nn.blocks import constant_buffers
from raydance.systems.base import FitTask, LocalRunner, mixed
from raydance.systems.dance_language.system import SYSTEM
from raydance.systems.engine import Plan
from raydance.systems.step import StepContext
from raydance.training.batches import Batches
from raydance.training.loop import Context
from raydance.training.run_folder import Run, read_metrics

FOLDER = Path(__file__).parent / "golden"


def losses_of(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Stage -> the training and validation losses of each epoch."""
    return {
        path.stem: [{part: line[part] for part in ("train", "validation")} for line in lines]
        for path in sorted((run.path / "metrics").glob("*.jsonl"))
        if (lines := read_metrics(path))
    }


def assert_stored(found: dict[str, list[dict[str, Any]]], file: Path, rel: float) -> None:
    if os.environ.get("RAYDANCE_RENEW_GOLDEN"):
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert set(found) == set(stored)
    for stage, epochs in stored.items():
        assert len(found[stage]) == len(epochs), stage
        for number, parts in enumerate(epochs):
            for part, terms in parts.items():
                # Exact on one machine; other processors round sums otherwise.
                assert found[stage][number][part] == pytest.approx(terms, rel=rel), stage


def test_losses_are_those_of_the_stored_run(tiny_run: Path) -> None:
    assert_stored(losses_of(Run.open(tiny_run)), FOLDER / "losses.json", rel=1e-4)


class Collector(LocalRunner):
    """Notes the stages to train instead of training them."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[FitTask] = []

    def fit(self, task: FitTask) -> None:
        self.tasks.append(task)


def train(rank: int, tasks: list[FitTask], folder: str) -> None:
    """One of two workers, as `raydance.cluster.group` has them, without Ray."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)

    def sum_over_ranks(values: Tensor) -> Tensor:
        dist.all_reduce(values)
        return values

    def wrap(stage: nn.Module) -> nn.Module:
        constant = constant_buffers(stage)
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(stage, constant)
        return DistributedDataParallel(stage)

    context = Context(rank=rank, world_size=2, wrap=wrap, sum_over_ranks=sum_over_ranks)
    for task in tasks:
        source = mixed([Batches(spec, rank=rank, world_size=2) for spec in task.specs])
        task.carry_out(source, context)
    dist.destroy_process_group()


@pytest.mark.slow
def test_losses_of_two_workers_are_the_stored_ones(tiny_run: Path, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(tiny_run, tmp_path / "run"))
    plan, collector = Plan.of(SYSTEM, run), Collector()
    shared = {"run": run, "config": plan.context.config, "datasets": plan.context.datasets}
    for name in SYSTEM.trained:
        step = SYSTEM.step(name)
        if step.is_on(plan.context.config):
            step.run(StepContext(**shared, runner=collector, mark="by two"))
    shutil.rmtree(run.path / "metrics")
    start_two(train, collector.tasks, str(tmp_path))
    assert {task.stage for task in collector.tasks} == set(losses_of(Run.open(tiny_run)))
    assert_stored(losses_of(run), FOLDER / "losses_of_two.json", rel=1e-3)
