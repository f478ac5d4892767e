"""Training through Ray: the same losses as the plain loop, and a lost worker."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import EPOCHS
from small_training import assert_same, losses, train_vae, training_workers, wait_until

from raydance.config import from_dict
from raydance.systems.dance_language import system as dance_language
from raydance.systems.dance_language.system import SYSTEM
from raydance.training.run_folder import Run, load_bundle

pytestmark = pytest.mark.ray


def test_a_killed_worker_changes_nothing(
    ray_cluster: None, tiny_dataset: Path, out: Path, plain_training: dict[str, Any]
) -> None:
    from raydance.cluster.train import RayRunner

    runner = RayRunner(1, checkpoint_every_s=0.0)
    killed: list[int] = []

    def kill_after_epochs() -> None:
        wait_until(lambda: len(losses(out)) >= 3)
        killed.extend(training_workers(os.getpid()))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    watcher = threading.Thread(target=kill_after_epochs)
    watcher.start()
    weights = train_vae(out, tiny_dataset, runner, EPOCHS)
    watcher.join()
    assert killed
    assert_same(weights, plain_training["weights"])
    assert losses(out) == plain_training["losses"]


def test_one_worker_trains_all_stages_as_the_plain_loop_does(
    ray_cluster: None,
    tiny_dataset: Path,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from raydance.cluster import train

    started: list[train.WorkerGroup] = []
    start = train.WorkerGroup

    def counted(*arguments: Any) -> train.WorkerGroup:
        started.append(start(*arguments))
        return started[-1]

    assert torch.get_num_threads() == 1  # as a Ray worker has: other sums differ in bits
    monkeypatch.setattr(train, "WorkerGroup", counted)
    workers: dict[str, list[int]] = {}
    told: list[tuple[str, int]] = []

    def look(metrics: dict[str, Any]) -> None:
        workers.setdefault(metrics["stage"], training_workers(os.getpid()))
        told.append((metrics["stage"], metrics["epoch"]))

    config = from_dict(dance_language.DanceLanguageConfig, Run.open(tiny_run).config)
    runner = train.RayRunner(1, report=look)
    run = SYSTEM.train(tmp_path / "run", tiny_dataset, config, runner)
    assert len(started) == 1 and not started[0].is_sound()  # gone with the training
    assert len(workers) == 6 and len({tuple(pids) for pids in workers.values()}) == 1
    assert told == [(stage, epoch) for stage in workers for epoch in range(2)]
    assert not (run.path / "ray").exists() and not list(run.path.rglob("*.pkl"))
    for stage in workers:
        assert losses(run.path, stage) == losses(tiny_run, stage)
        expected = load_bundle(tiny_run / "stages" / f"{stage}.safetensors")[0]
        assert_same(load_bundle(run.bundle(stage))[0], expected)
