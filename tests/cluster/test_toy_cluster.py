"""The toy system with workers: trained by two, one of them killed; swept; over a whole library."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import toy_system
from small_toy import ingest_clips
from small_training import metrics_of, training_workers, wait_until

from raydance.library.task_store import TaskStore
from raydance.training.run_folder import Run
from tuning.sweep import sweep

pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ingest_clips(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def run(ray_cluster: None, dataset: Path) -> Path:
    """Trained by two workers, of which one is killed on the way."""
    from raydance.cluster.train import RayRunner

    out = dataset.parent / "run"
    killed: list[int] = []

    def kill_one() -> None:
        wait_until(lambda: len(metrics_of(out, "namer")) >= 3)
        killed.append(training_workers(os.getpid())[-1])
        os.kill(killed[0], signal.SIGKILL)

    watcher = threading.Thread(target=kill_one)
    watcher.start()
    changes = ["namer.train.epochs=40", "namer.train.patience=0"]
    config = toy_system.SYSTEM.resolve("default", changes)
    toy_system.SYSTEM.train(out, dataset, config, RayRunner(2, checkpoint_every_s=0.0))
    watcher.join()
    assert killed
    return out


def test_two_workers_train_it_to_its_end_though_one_is_killed(run: Path) -> None:
    lines = metrics_of(run, "namer")
    assert [line["epoch"] for line in lines] == list(range(40))
    assert lines[-1]["validation"]["total"] < lines[0]["validation"]["total"]
    assert set(Run.open(run).facts["steps"]) == {"names", "namer"}


def test_it_is_swept(ray_cluster: None, dataset: Path, tmp_path: Path) -> None:
    found = sweep("rate", dataset, tmp_path / "sweep", system="toy", num_trials=2, parallel=2)
    assert found["trials"] == {"complete": 2, "pruned": 0, "failed": 0}
    best = found["best"]
    assert best["values"]["right"] == max(row["values"]["right"] for row in found["front"])
    resolved = toy_system.SYSTEM.resolve("default", None, str(tmp_path / "sweep" / "best.yaml"))
    assert resolved.namer.train.lr == best["params"]["namer.train.lr"]


def test_a_library_is_answered_once_and_followed(
    run: Path, dataset: Path, tmp_path: Path, call: Any
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    clips = sorted(p for p in (dataset.parent / "clips").rglob("*") if p.suffix in (".bvh", ".npz"))
    for clip in clips[:4]:
        (library / clip.name).write_bytes(clip.read_bytes())
    (library / "broken.npz").write_bytes(b"PK no zip")
    out, index = tmp_path / "named", tmp_path / "index"
    words = ("task", "search", "--run", run, "--library", library, "--out", out, "--json")
    code, printed, _ = call(*words)
    counts = json.loads(printed)
    assert code == 0 and (counts["read"], counts["skipped"], counts["done"]) == (4, 1, 5)
    rows = {row["item"]: row["answer"]["rows"] for row in TaskStore.open(out).answers()}
    expected = json.loads(
        call("task", "search", "--run", run, "--motion", library / clips[0].name, "--json")[1]
    )
    assert len(rows) == 4 and rows[f"library/{clips[0].name}"] == expected["rows"]
    (library / clips[0].name).unlink()
    (library / clips[1].name).write_bytes(clips[4].read_bytes())
    counts = json.loads(call(*words)[1])
    assert (counts["done"], counts["kept"], counts["gone"]) == (1, 3, 1)
    now = {row["item"]: row["answer"]["rows"] for row in TaskStore.open(out).answers()}
    assert len(now) == 3 and now[f"library/{clips[2].name}"] == rows[f"library/{clips[2].name}"]
    # The same library as an index.
    assert call("index", library, "--run", run, "--out", index, "--quiet")[0] == 0
    example = library / clips[2].name
    code, printed, _ = call("search", "--library", index, "--motion", example, "-k", "2", "--json")
    hits = json.loads(printed)["hits"]
    assert code == 0 and hits[0]["item"] == f"library/{clips[2].name}"
    assert hits[0]["score"] == pytest.approx(1.0, abs=1e-5) and len(hits) == 2
