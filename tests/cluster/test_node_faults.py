"""Workers, drivers and nodes that die: what is trained, captioned and answered all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from interrupted import EPOCHS, checkpoint, command, environment, hidden_files, stop_after
from small_training import (
    STEP,
    assert_same,
    losses,
    metrics_of,
    train_vae,
    training_workers,
    wait_until,
)

from raydance.library.store import CaptionStore
from raydance.motion import synthetic
from raydance.training.run_folder import load_bundle

pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.slow]

SCRIPTS = Path(__file__).parent / "scripts"


def test_one_of_two_workers_killed_changes_nothing(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path
) -> None:
    from raydance.cluster.train import RayRunner

    undisturbed = train_vae(tmp_path / "calm", tiny_dataset, RayRunner(2), EPOCHS)
    out = tmp_path / "run"
    killed: list[int] = []

    def kill_one() -> None:
        wait_until(lambda: len(metrics_of(out)) >= 3)
        killed.append(training_workers(os.getpid())[-1])
        os.kill(killed[0], signal.SIGKILL)

    watcher = threading.Thread(target=kill_one)
    watcher.start()
    weights = train_vae(out, tiny_dataset, RayRunner(2, checkpoint_every_s=0.0), EPOCHS)
    watcher.join()
    assert killed
    assert_same(weights, undisturbed)
    assert losses(out) == losses(tmp_path / "calm")
    assert not hidden_files(out)


def test_a_killed_driver_goes_on_with_the_same_command(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path, plain_training: dict[str, Any]
) -> None:
    import ray

    out = tmp_path / "run"
    stop_after(0, out, tiny_dataset)  # leaves the statistics, and no checkpoint
    script = str(SCRIPTS / "train_often.py")
    line = [sys.executable, script, *command(out, tiny_dataset, "--quiet")]
    # For Ray's sockets, whose paths must stay short.
    with tempfile.TemporaryDirectory(prefix="rd", dir="/tmp", ignore_cleanup_errors=True) as folder:
        # A group of its own: Ray ends the driver's whole group when the driver dies.
        with subprocess.Popen(line, env=environment(folder), start_new_session=True) as driver:
            wait_until(lambda: checkpoint(out).exists() and len(metrics_of(out)) >= 3)
            os.kill(driver.pid, signal.SIGKILL)
        assert driver.returncode == -signal.SIGKILL and checkpoint(out).exists()
    # On the tests' cluster, which is there: sooner than on one of its own.
    joins = environment() | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    again = subprocess.run(line, capture_output=True, text=True, env=joins, start_new_session=True)
    assert again.returncode == 0, again.stderr
    weights, _ = load_bundle(out / "stages" / f"{STEP}.safetensors")
    assert_same(weights, plain_training["weights"])
    assert losses(out) == plain_training["losses"]
    assert not hidden_files(out) and not (out / "ray").exists() and not checkpoint(out).exists()


@pytest.fixture(scope="module")
def lost_nodes(
    tiny_dataset: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """What is done on a cluster that loses nodes: its folder, and what the driver saw."""
    folder = tmp_path_factory.mktemp("nodes")
    synthetic.write_corpus(folder / "library", 5)
    arguments = (tiny_dataset, tiny_run, folder / "library", folder)
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "lose_nodes.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        start_new_session=True,  # Ray ends the whole group of a driver that dies
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_a_replaced_node_changes_nothing(
    lost_nodes: tuple[Path, dict[str, Any]], plain_training: dict[str, Any]
) -> None:
    folder, said = lost_nodes
    out = folder / "replaced"
    weights, _ = load_bundle(out / "stages" / f"{STEP}.safetensors")
    assert_same(weights, plain_training["weights"])
    assert losses(out) == plain_training["losses"] and not hidden_files(out)
    assert said["replaced"] == [
        "motion_vae: waits, 1 CPU needed and 0 in the cluster; goes on when a node joins, or stop "
        "it and give the same command with fewer --workers"
    ]


def test_an_elastic_training_does_without_a_lost_node(
    lost_nodes: tuple[Path, dict[str, Any]],
) -> None:
    folder, said = lost_nodes
    lines = metrics_of(folder / "lost")
    assert [line["epoch"] for line in lines] == list(range(30))
    workers = [line["workers"] for line in lines]
    assert workers == sorted(workers, reverse=True) and set(workers) == {1, 2}
    first = workers.index(1)
    # The epoch that was lost may have been told by both before it is done again by one.
    (line,) = said["lost"]
    assert line in {f"motion_vae: 1 worker from epoch {first + n} on, 2 before" for n in (1, 2)}
    # The KL term of the total grows.
    assert lines[-1]["validation"]["recon"] < lines[0]["validation"]["recon"]
    assert load_bundle(folder / "lost" / "stages" / f"{STEP}.safetensors")[1]["fit"]["epochs"] == 30


def tables_of(captions: Path) -> dict[str, list[dict[str, Any]]]:
    """What the committed units of a captioned library say, in one order."""
    store = CaptionStore.open(captions)
    names = [record["unit"] for record in store.records]
    return {
        folder: sorted(
            (row for name in names for row in store.read(folder, name).to_pylist()),
            key=lambda row: (row["clip_id"], row.get("start_s", 0.0)),
        )
        for folder in ("windows", "clips")
    }


def test_a_node_that_dies_costs_no_caption(lost_nodes: tuple[Path, dict[str, Any]]) -> None:
    folder, seen = lost_nodes[0], lost_nodes[1]["captioned"]
    num_files = len(list((folder / "library").rglob("*.npz")))
    assert seen["actors"] == [1, 1] and 0 < seen["done"] < num_files
    counts = seen["counts"]
    assert counts["read"] == counts["done"] == num_files and counts["skipped"] == 0
    assert seen["again"]["done"] == 0 and seen["again"]["kept"] == num_files
    found = tables_of(folder / "disturbed")
    windows = Counter((row["clip_id"], row["start_s"]) for row in found["windows"])
    assert set(windows.values()) == {1} and windows.total() == counts["windows"]
    assert found == tables_of(folder / "calm")


def test_a_node_that_dies_costs_no_request(lost_nodes: tuple[Path, dict[str, Any]]) -> None:
    seen = lost_nodes[1]["served"]
    assert seen["before"] == seen["after"] == [[1, 1]] * 5
    assert set(seen["steady"]) == {"200"}
    # Who does not ask again may lose what the lost ingress held, or was sent to it before its death
    # was known: an error, or no answer at all.
    assert set(seen["raw"]) <= {"200", "500", "0"}, seen["raw"]
    assert sum(n for status, n in seen["raw"].items() if status != "200") <= 4, seen["raw"]
