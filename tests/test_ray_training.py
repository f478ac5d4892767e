"""Training through Ray: the same losses as the plain loop, several workers, and lost workers."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from small_training import assert_same, losses, train_vae, training_workers, wait_until

from raydance.artifacts import Run, load_bundle
from raydance.config import from_dict
from raydance.systems import dance_language
from raydance.systems.base import LocalRunner

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def plain(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The plain loop's weights and losses."""
    assert torch.get_num_threads() == 1  # as a Ray worker has: other sums differ in bits
    out = tmp_path_factory.mktemp("plain") / "run"
    weights = train_vae(out, tiny_dataset, LocalRunner(), "motion_vae.train.epochs=12")
    return {"weights": weights, "losses": losses(out)}


def test_one_worker_gives_the_losses_of_the_plain_loop(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path, plain: dict[str, Any]
) -> None:
    from raydance.cluster.train import RayRunner

    told: list[dict[str, Any]] = []
    runner = RayRunner(1, report=told.append)
    weights = train_vae(tmp_path / "run", tiny_dataset, runner, "motion_vae.train.epochs=12")
    assert losses(tmp_path / "run") == plain["losses"]
    assert_same(weights, plain["weights"])
    assert [metrics["epoch"] for metrics in told] == list(range(12))
    assert not (tmp_path / "run" / "ray").exists()
    assert not list((tmp_path / "run").rglob("*.pkl"))


def test_two_workers_share_the_windows(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path, plain: dict[str, Any]
) -> None:
    from raydance.cluster.train import RayRunner

    train_vae(tmp_path / "run", tiny_dataset, RayRunner(2), "motion_vae.train.epochs=3")
    found = losses(tmp_path / "run")
    assert len(found) == 3 and found[-1] < found[0]


def test_a_killed_worker_changes_nothing(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path, plain: dict[str, Any]
) -> None:
    from raydance.cluster.train import RayRunner

    out = tmp_path / "run"
    runner = RayRunner(1, checkpoint_every_s=0.0)
    killed: list[int] = []

    def kill_after_epochs() -> None:
        wait_until(lambda: len(losses(out)) >= 3)
        killed.extend(training_workers(os.getpid()))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    watcher = threading.Thread(target=kill_after_epochs)
    watcher.start()
    # Slower epochs, so that the kill falls into the middle.
    weights = train_vae(out, tiny_dataset, runner, "motion_vae.train.epochs=12")
    watcher.join()
    assert killed
    assert_same(weights, plain["weights"])
    assert losses(out) == plain["losses"]


def test_one_group_of_workers_trains_all_stages(
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

    monkeypatch.setattr(train, "WorkerGroup", counted)
    workers: dict[str, list[int]] = {}

    def look(metrics: dict[str, Any]) -> None:
        workers.setdefault(metrics["stage"], training_workers(os.getpid()))

    config = from_dict(dance_language.DanceLanguageConfig, Run.open(tiny_run).config)
    runner = train.RayRunner(1, report=look)
    run = dance_language.train(tmp_path / "run", tiny_dataset, config, runner)
    assert len(started) == 1 and not started[0].is_sound()  # gone with the training
    assert len(workers) == 5 and len({tuple(pids) for pids in workers.values()}) == 1
    assert not (run.path / "ray").exists()
    for stage in workers:
        expected = load_bundle(tiny_run / "stages" / f"{stage}.safetensors")[0]
        assert_same(load_bundle(run.bundle(stage))[0], expected)


def test_workers_that_wait_make_room_where_they_hold_all_processors(ray_cluster: None) -> None:
    from raydance.cluster.train import RayRunner

    assert RayRunner(3)._leaves_room()
    assert RayRunner(6)._leaves_room()  # six halves of four
    assert not RayRunner(7)._leaves_room()
    assert not RayRunner((1, 4))._leaves_room()
