"""Trainings that are interrupted, and how one sees that it changed nothing.

`conftest.py` names this file as a plugin, so its fixture is there for every test.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_training import BEFORE, CHANGES, STEP, assert_same, losses, train_vae

from raydance.systems.base import FitTask, LocalRunner
from raydance.systems.dance_language.system import SYSTEM

TESTS = Path(__file__).parent
EPOCHS = "motion_vae.train.epochs=10"


class Often(LocalRunner):
    """The plain loop with a checkpoint after every epoch."""

    def fit(self, task: FitTask) -> None:
        super().fit(replace(task, checkpoint_every_s=0.0))


@pytest.fixture(scope="session")
def begun(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose motion VAE is still to be trained. Do not change it: copy it."""
    out = tmp_path_factory.mktemp("begun") / "run"
    config = SYSTEM.resolve("quick", [*CHANGES, EPOCHS])
    for step in BEFORE:
        SYSTEM.train(out, tiny_dataset, config, LocalRunner(), only=step)
    return out


@pytest.fixture
def out(begun: Path, tmp_path: Path) -> Path:
    """A copy of `begun`."""
    return Path(shutil.copytree(begun, tmp_path / "run"))


@pytest.fixture(scope="session")
def plain_training(
    begun: Path, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What an undisturbed training of one worker gives."""
    out = shutil.copytree(begun, tmp_path_factory.mktemp("plain") / "run")
    weights = train_vae(out, tiny_dataset, LocalRunner(), EPOCHS)
    return {"weights": weights, "losses": losses(out)}


def checkpoint(out: Path) -> Path:
    return out / "checkpoints" / f"{STEP}.safetensors"


def hidden_files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def stop_after(epochs: int, out: Path, dataset: Path) -> None:
    """Begin a training and stop it in the report of an epoch."""

    def stop(metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == epochs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_vae(out, dataset, Often(stop), EPOCHS)


def assert_ends_like(plain_training: dict[str, Any], out: Path, dataset: Path) -> None:
    """The same training given again ends with the weights and metrics of an undisturbed one.

    In the plain loop, which gives the bits of a Ray worker sooner than Ray.
    """
    assert_same(train_vae(out, dataset, LocalRunner(), EPOCHS), plain_training["weights"])
    assert losses(out) == plain_training["losses"]
    assert not checkpoint(out).exists() and not hidden_files(out)


def command(out: Path, dataset: Path, *more: str) -> list[str]:
    """The arguments that train as `train_vae` does."""
    sets = [word for change in (*CHANGES, EPOCHS) for word in ("--set", change)]
    places = ["--data", str(dataset), "--out", str(out), "--preset", "quick", "--stage", STEP]
    return ["train", "dance-language", *places, *sets, *more]


def environment(ray_folder: str = "/tmp") -> dict[str, str]:
    """For processes that import what tests import."""
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "RAY_TMPDIR": ray_folder}
