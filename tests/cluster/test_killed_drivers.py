"""Drivers killed with their embedded cluster: the same command goes on from what is there."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from caption_folders import caption_actors, state_of, windows_of, write_clip
from conftest import TINY
from optuna.trial import TrialState
from small_training import is_running, wait_until

from raydance.motion import synthetic
from tuning import study as studies

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def test_a_killed_driver_repeats_nothing_that_was_committed(
    ray_cluster: None, tiny_run: Path, tmp_path: Path
) -> None:
    import ray

    library, out = tmp_path / "library", tmp_path / "captions"
    library.mkdir()
    for number in range(60):
        movement = synthetic.MOVEMENTS[number % len(synthetic.MOVEMENTS)]
        write_clip(library / f"clip_{number:02}.npz", movement, number // 12)
    # Small units, so that the kill falls between commits.
    code = (
        "from raydance.library import units\n"
        "units._GROUP_FILES = 4\n"
        "from raydance.cli import main\n"
        f"main(['caption', {str(library)!r}, '--run', {str(tiny_run)!r}, '--out', {str(out)!r},"
        " '--actors', '1', '--quiet', '--json'])\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_TMPDIR")}
    first = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 90
    while len(list((out / "units").glob("[0-9a-f]*.json"))) < 2:
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    actors = caption_actors(first.pid)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert actors
    wait_until(lambda: not any(map(is_running, actors)), 60)  # they end by themselves
    committed = state_of(out)
    assert 0 < len(committed) < 15
    # On the tests' cluster, which is there: sooner than on one of its own.
    environment["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["files"] == 60 and counts["kept"] + counts["done"] == 60
    assert counts["kept"] >= 4 * len(committed) - 4
    after = state_of(out)
    assert all(after.get(name) == when for name, when in committed.items())
    found = windows_of(out)
    assert set(found.values()) == {1} and found.total() == counts["windows"]


def test_a_killed_sweep_goes_on_and_repeats_nothing(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path
) -> None:
    import ray

    out = tmp_path / "out"
    changes = [*TINY, "motion_vae.train.epochs=8", "motion_vae.train.batch_size=8"]
    sets = [part for change in changes for part in ("--set", change)]
    command = [sys.executable, "-m", "raydance", "sweep", "beta", "--data", str(tiny_dataset)]
    command += ["--out", str(out), "--trials", "3", "--parallel", "2", "--preset", "quick", *sets]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: process.poll() is not None or len(complete_in(out)) >= 1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = {t.number: t for t in study_of(out).trials}
    finished = {n: t for n, t in before.items() if t.state == TrialState.COMPLETE}
    at_work = {n: t for n, t in before.items() if t.state == TrialState.RUNNING}
    assert 1 <= len(finished) < 3 and at_work
    weights = {number: stamp_of(out, trial) for number, trial in finished.items()}
    # On the tests' cluster, which is there: sooner than on one of its own.
    environment["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [*command, "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    after = study_of(out).trials
    for number, trial in finished.items():
        assert after[number].values == trial.values
        assert stamp_of(out, trial) == weights[number]
    keys = [t.user_attrs["key"] for t in after if t.state == TrialState.COMPLETE]
    assert len(set(keys)) == 3
    # What was at work is taken up again under its own parameters.
    assert {t.user_attrs["key"] for t in at_work.values() if "key" in t.user_attrs} <= set(keys)
    assert len(list((out / "trials").iterdir())) == 3


def study_of(out: Path) -> optuna.Study:
    return optuna.load_study(study_name=studies.NAME, storage=f"sqlite:///{out / 'study.db'}")


def stamp_of(out: Path, trial: optuna.trial.FrozenTrial) -> tuple[int, int]:
    """What changes when a trial's weights are written again."""
    found = (out / "trials" / trial.user_attrs["key"] / "stages/motion_vae.safetensors").stat()
    return found.st_ino, found.st_mtime_ns


def complete_in(out: Path) -> list[int]:
    """Numbers of complete trials, read beside the driver that writes them."""
    if not (out / "study.db").exists():
        return []
    try:
        with sqlite3.connect(f"file:{out / 'study.db'}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT number FROM trials WHERE state = 'COMPLETE'")
            return [row[0] for row in rows]
    except sqlite3.OperationalError:  # its tables are being made
        return []
