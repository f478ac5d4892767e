"""Losses of every stage trained by two workers, which a change of structure must not move."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TINY
from test_golden_losses import FILE, check

from raydance.systems.dance_language.system import SYSTEM

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_losses_of_two_workers_are_the_stored_ones(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path
) -> None:
    from raydance.cluster.train import RayRunner

    config = SYSTEM.resolve("quick", list(TINY))
    run = SYSTEM.train(tmp_path / "run", tiny_dataset, config, RayRunner(2))
    check(run.path, FILE.with_name("losses_two_workers.json"))
