"""A training of seconds that several test files and the scripts beside them share."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from raydance.systems.dance_language.system import SYSTEM
from raydance.training.run_folder import load_bundle, read_metrics

STEP = "motion_vae"
BEFORE = ("statistics", "motion_basis")
"""The steps that it builds on."""

CHANGES = (
    "motion_vae.hidden=16",
    "motion_vae.latent=8",
    "text_encoder.latent=8",
    "motion_vae.train.batch_size=8",
)
"""Changes to the preset `quick`."""


def train_vae(out: Path, dataset: Path, runner: Any, *changes: str) -> dict[str, torch.Tensor]:
    """Train up to the motion VAE and return its weights."""
    config = SYSTEM.resolve("quick", [*CHANGES, *changes])
    for step in (*BEFORE, STEP):
        run = SYSTEM.train(out, dataset, config, runner, only=step)
    return load_bundle(run.bundle(STEP))[0]


def metrics_of(out: Path, stage: str = STEP) -> list[dict[str, Any]]:
    return read_metrics(out / "metrics" / f"{stage}.jsonl")


def losses(out: Path, stage: str = STEP) -> list[float]:
    return [line["train"]["total"] for line in metrics_of(out, stage)]


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def wait_until(condition: Callable[[], bool], timeout_s: float = 240.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)


def descendants(ancestor: int) -> list[tuple[int, str]]:
    """Process ids and command lines of what a process started, directly or not."""
    listing = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listing.stdout.splitlines()[1:]]
    parents = {int(pid): int(parent) for pid, parent, _ in rows}

    def is_below(pid: int) -> bool:
        while pid > 1 and pid != ancestor:
            pid = parents.get(pid, 0)
        return pid == ancestor

    return [(int(pid), args) for pid, _, args in rows if is_below(int(pid))]


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # empty once it has ended
    except OSError:
        return False


def training_workers(ancestor: int) -> list[int]:
    """Process ids of the Ray Train workers among a process's descendants."""
    return [pid for pid, args in descendants(ancestor) if "RayTrainWorker" in args]
