"""Trains on a cluster of several nodes and takes nodes away. Prints what happened as JSON.

    lose_nodes.py DATASET FOLDER

In a process of its own: it has a Ray of its own.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import raydance.cluster  # noqa: F401, before Ray: it sets what Ray reads when it is imported

os.environ["RAY_AUTH_MODE"] = "disabled"

import ray
from ray.cluster_utils import Cluster
from small_training import BEFORE, CHANGES, metrics_of, train_vae, wait_until

from raydance.cluster.train import RayRunner
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language.system import SYSTEM


@contextmanager
def in_thread(train: Callable[[], Any]) -> Iterator[None]:
    """Nodes are added and removed in the main thread only, so the training has another."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            train()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(timeout=240)
    assert not thread.is_alive(), "the training stands still"
    if failed:
        raise failed[0]


def replace_the_node(cluster: Cluster, dataset: Path, out: Path) -> list[str]:
    """One worker; its node goes and, once the driver has said so, another comes."""
    said: list[str] = []
    node = cluster.add_node(num_cpus=2)
    runner = RayRunner(1, checkpoint_every_s=0.0, warn=said.append)
    with in_thread(lambda: train_vae(out, dataset, runner, "motion_vae.train.epochs=10")):
        wait_until(lambda: len(metrics_of(out)) >= 3)
        cluster.remove_node(node, allow_graceful=False)
        wait_until(lambda: bool(said))
        node = cluster.add_node(num_cpus=2)
    cluster.remove_node(node, allow_graceful=False)
    return said


def lose_a_node(cluster: Cluster, dataset: Path, out: Path) -> list[str]:
    """One to two workers on a node each; one node goes for good."""
    said: list[str] = []
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    wait_until(lambda: ray.cluster_resources().get("CPU") == 2.0)
    runner = RayRunner((1, 2), checkpoint_every_s=0.0, resize_every_s=2.0, warn=said.append)
    changes = ("motion_vae.train.epochs=30", "motion_vae.train.patience=0")
    with in_thread(lambda: train_vae(out, dataset, runner, *changes)):
        wait_until(lambda: len(metrics_of(out)) >= 3)
        cluster.remove_node(nodes[1], allow_graceful=False)
    return said


def main(dataset: Path, folder: Path) -> None:
    config = SYSTEM.resolve("quick", list(CHANGES))
    for name in ("replaced", "lost"):  # what comes before needs no cluster
        for step in BEFORE:
            SYSTEM.train(folder / name, dataset, config, LocalRunner(), only=step)
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    said = {
        "replaced": replace_the_node(cluster, dataset, folder / "replaced"),
        "lost": lose_a_node(cluster, dataset, folder / "lost"),
    }
    ray.shutdown()
    cluster.shutdown()
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
