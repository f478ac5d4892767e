"""Training on a cluster that others use as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_training import losses, train_vae

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_two_workers_share_the_windows_and_make_room_for_tasks(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path
) -> None:
    """Others take so much of the cluster that a task does not fit in beside the workers."""
    import ray

    from raydance.cluster.train import RayRunner

    class Other:
        def hold(self) -> bool:
            return True

    others: list[Any] = []

    def take_last(metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 2:
            others.append(ray.remote(Other).options(num_cpus=0.5).remote())
            assert ray.get(others[0].hold.remote(), timeout=60)

    runner = RayRunner(2, report=take_last)
    try:
        # Without a KL term that grows, the losses of epochs compare.
        changes = ("motion_vae.train.epochs=3", "motion_vae.beta_end=0.0")
        train_vae(tmp_path / "run", tiny_dataset, runner, *changes)
    finally:
        for other in others:
            ray.kill(other)
    found = losses(tmp_path / "run")
    assert len(found) == 3 and found[-1] < found[0]
    # The columns of the trained stage are written by tasks.
    assert others and list((tmp_path / "run" / "columns" / "motion_vae").iterdir())
