"""One trial: what a Ray task trains and measures. Knows no Optuna.

A trial's folder is named by its parameters, so a trial that was interrupted goes on in it from its
last checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydance.systems.base import LocalRunner, Runner
from raydance.systems.engine import System, named
from raydance.systems.search import Objective, measure
from raydance.systems.shared_steps import copy_steps
from raydance.training.run_folder import Run, read_metrics


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one task does; picklable.

    Attributes:
        module: of the system; a worker imports it.
        out: the run folder.
        datasets: folders by role.
        config: of the run.
        steps: to be trained, those of them that the configuration wants.
        objectives: to be measured afterwards.
        shared: a run that has steps which this one would repeat.
        shared_steps: those steps.
        workers: DDP workers of each stage; 0 trains in the task's own process.
    """

    module: str
    out: Path
    datasets: Mapping[str, Path]
    config: Any
    steps: tuple[str, ...]
    objectives: tuple[Objective, ...] = ()
    shared: Path | None = None
    shared_steps: tuple[str, ...] = ()
    workers: int = 0


def carry_out(work: Work) -> dict[str, float]:
    """Train and measure; returns the objectives and the `seconds` that it took.

    Raises:
        InputError: the dataset or the configuration does not allow it.
        RaydanceError: the training failed or diverged.
    """
    started = time.monotonic()
    system: System = named(f"{work.module}:SYSTEM")
    if work.shared is not None:
        copy_steps(system, work.shared, work.out, work.config, work.shared_steps)
    runner: Runner
    if work.workers:
        from raydance.cluster.train import RayRunner

        runner = RayRunner(work.workers)
    else:
        runner = LocalRunner()
    for step in work.steps:
        if system.step(step).is_on(work.config):
            system.train(work.out, work.datasets, work.config, runner, only=step)
    found = measure(work.out, work.objectives) if work.objectives else {}
    return found | {"seconds": time.monotonic() - started}


def key_of(values: Mapping[str, Any]) -> str:
    """A name for a trial's parameters: the same for the same values."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def validation_metrics(folder: Path, stage: str) -> list[dict[str, Any]]:
    """The lines that a stage in training has written so far, one for each epoch."""
    return read_metrics(Run(folder, {}, {}).metrics(stage))


def place_in_training(folder: Path, steps: tuple[str, ...]) -> str:
    """Where a trial is, such as `motion_vae 12/22`; empty before its first epoch."""
    for step in reversed(steps):
        lines = validation_metrics(folder, step)
        if lines:
            return f"{step} {lines[-1]['epoch'] + 1}/{lines[-1]['epochs']}"
    return ""
