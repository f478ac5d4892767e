"""Training through Ray: the same losses as the plain loop, several workers, and lost workers."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raydance.artifacts import load_bundle, read_metrics
from raydance.systems import dance_language
from raydance.systems.base import LocalRunner

pytestmark = pytest.mark.ray

STEP = "motion_vae"


def train_vae(out: Path, dataset: Path, runner: Any, *overrides: str) -> dict[str, torch.Tensor]:
    """Train the first two steps and return the weights."""
    config = dance_language.resolve(
        "quick",
        [
            "motion_vae.hidden=16",
            "motion_vae.latent=8",
            "text_encoder.latent=8",
            "motion_vae.train.batch_size=8",
            *overrides,
        ],
    )
    for step in ("statistics", STEP):
        run = dance_language.train(out, dataset, config, runner, only=step)
    return load_bundle(run.bundle(STEP))[0]


def losses(out: Path) -> list[float]:
    return [line["train"]["total"] for line in read_metrics(out / "metrics" / f"{STEP}.jsonl")]


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.fixture(scope="module")
def plain(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The plain loop's weights and losses."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as Ray gives each worker: sums in another order differ in bits
    out = tmp_path_factory.mktemp("plain") / "run"
    weights = train_vae(out, tiny_dataset, LocalRunner(), "motion_vae.train.epochs=12")
    torch.set_num_threads(threads)
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
        killed.extend(training_workers())
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


def wait_until(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)


def training_workers() -> list[int]:
    """Process ids of this machine's Ray Train workers."""
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    return [
        int(line.split()[0]) for line in listing.stdout.splitlines() if "RayTrainWorker" in line
    ]
