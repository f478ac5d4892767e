"""Machines that die, disks that fill up, files that rot: how a training ends all the same."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_training import (
    CHANGES,
    STEP,
    assert_same,
    losses,
    metrics_of,
    train_vae,
    training_workers,
    wait_until,
)

from raydance.artifacts import Checkpoints, load_bundle, save_bundle
from raydance.captioning.store import CaptionStore
from raydance.errors import ArtifactError, StorageError
from raydance.motion import synthetic
from raydance.systems.base import FitTask, LocalRunner

pytestmark = pytest.mark.faults

TESTS = Path(__file__).parent
EPOCHS = "motion_vae.train.epochs=10"
FULL = 60_000  # bytes: room for the small files, none for a checkpoint


class Often(LocalRunner):
    """The plain loop with a checkpoint after every epoch."""

    def fit(self, task: FitTask) -> None:
        super().fit(replace(task, checkpoint_every_s=0.0))


@pytest.fixture(scope="module")
def plain(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an undisturbed training of one worker gives."""
    out = tmp_path_factory.mktemp("plain") / "run"
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


def assert_ends_like(plain: dict[str, Any], out: Path, dataset: Path) -> None:
    """The same training given again ends with the weights and metrics of an undisturbed one.

    In the plain loop, which gives the bits of a Ray worker sooner than Ray.
    """
    assert_same(train_vae(out, dataset, LocalRunner(), EPOCHS), plain["weights"])
    assert losses(out) == plain["losses"]
    assert not checkpoint(out).exists() and not hidden_files(out)


def command(out: Path, dataset: Path, *more: str) -> list[str]:
    """The arguments that train as `train_vae` does."""
    sets = [word for change in (*CHANGES, EPOCHS) for word in ("--set", change)]
    places = ["--data", str(dataset), "--out", str(out), "--preset", "quick", "--stage", STEP]
    return ["train", "dance-language", *places, *sets, *more]


def environment(ray_folder: str = "/tmp") -> dict[str, str]:
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "RAY_TMPDIR": ray_folder}


@contextmanager
def short_folder() -> Iterator[str]:
    """For Ray's sockets, whose paths must stay short."""
    with tempfile.TemporaryDirectory(prefix="rd", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield name


@contextmanager
def own_limits() -> Iterator[None]:
    """Undo what the block does to the size that this process's files may reach."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill_disk(size: int, pid: int = 0) -> None:
    """Let no file of a process grow beyond `size` bytes: its writes fail as on a full disk."""
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


# The disk is full ------------------------------------------------------------------------------


def test_a_full_disk_keeps_the_last_checkpoint_and_says_so(
    tiny_dataset: Path, tmp_path: Path, plain: dict[str, Any]
) -> None:
    out = tmp_path / "run"

    def fill(metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 4:
            fill_disk(FULL)

    with own_limits(), pytest.raises(StorageError, match="could not be written"):
        train_vae(out, tiny_dataset, Often(fill), EPOCHS)
    assert load_bundle(checkpoint(out))[1]["state"]["epoch"] == 3
    assert not hidden_files(out)

    before = checkpoint(out).read_bytes()
    told = subprocess.run(
        [sys.executable, "-m", "raydance", *command(out, tiny_dataset, "--local", "--quiet")],
        capture_output=True,
        text=True,
        env=environment(),
        preexec_fn=lambda: fill_disk(FULL),
    )
    assert told.returncode == 1, told.stderr
    assert re.fullmatch(
        r"raydance: \S+/checkpoints/motion_vae.safetensors: could not be written \(File too "
        r"large\); what was saved before is whole, and the same command goes on from there when "
        r"there is room\n",
        told.stderr,
    ), told.stderr
    assert checkpoint(out).read_bytes() == before and not hidden_files(out)
    assert_ends_like(plain, out, tiny_dataset)


def test_metrics_that_do_not_fit_stop_the_training(
    tiny_dataset: Path, tmp_path: Path, plain: dict[str, Any]
) -> None:
    """Nothing hangs or goes on in silence when only small files are written."""
    out = tmp_path / "run"

    def fill(metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 2:
            fill_disk((out / "metrics" / f"{STEP}.jsonl").stat().st_size + 10)

    with own_limits(), pytest.raises(StorageError, match=f"{STEP}.jsonl: could not be written"):
        train_vae(out, tiny_dataset, LocalRunner(fill), EPOCHS)
    assert [line["epoch"] for line in metrics_of(out)] == [0, 1, 2]  # the cut line is none
    assert_ends_like(plain, out, tiny_dataset)


@pytest.mark.ray
def test_a_full_disk_of_a_worker_is_not_tried_again(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path, plain: dict[str, Any]
) -> None:
    from raydance.cluster.train import RayRunner

    out = tmp_path / "run"
    workers: set[int] = set()
    is_over = threading.Event()

    def fill() -> None:
        wait_until(lambda: len(metrics_of(out)) >= 3)
        workers.update(training_workers(os.getpid()))
        for pid in workers:
            fill_disk(FULL, pid)
        while not is_over.wait(0.2):
            workers.update(training_workers(os.getpid()))

    watcher = threading.Thread(target=fill)
    watcher.start()
    try:
        with pytest.raises(StorageError, match=f"{STEP}.*could not be written"):
            train_vae(out, tiny_dataset, RayRunner(1, checkpoint_every_s=0.0), EPOCHS)
    finally:
        is_over.set()
        watcher.join()
    assert len(workers) == 1
    assert load_bundle(checkpoint(out))[1]["state"]["epoch"] >= 1
    assert not hidden_files(out) and not (out / "ray").exists()
    assert_ends_like(plain, out, tiny_dataset)


# Files that rot --------------------------------------------------------------------------------


def test_no_damage_to_a_bundle_goes_unseen(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save_bundle(path, {"weight": torch.arange(12.0)}, {"epoch": 3})
    whole = path.read_bytes()
    for size in range(0, len(whole), 5):
        path.write_bytes(whole[:size])
        with pytest.raises(ArtifactError, match="one.safetensors: .* delete it"):
            load_bundle(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(ArtifactError, match="one.safetensors: "):
            load_bundle(path)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_named(
    damage: str,
    tiny_dataset: Path,
    tmp_path: Path,
    plain: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from raydance.cli import main

    out = tmp_path / "run"
    stop_after(4, out, tiny_dataset)
    file = checkpoint(out)
    whole = file.read_bytes()
    middle = len(whole) // 2
    rest = b"" if damage == "cut" else bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    file.write_bytes(whole[:middle] + rest)
    capsys.readouterr()
    with pytest.raises(SystemExit) as leaving:
        main(command(out, tiny_dataset, "--local", "--quiet"))
    told = capsys.readouterr().err
    assert leaving.value.code == 2
    assert told.count("\n") == 1 and f"{file}: damaged" in told
    assert "delete it to train this stage from its start" in told
    file.unlink()
    assert_ends_like(plain, out, tiny_dataset)


@pytest.mark.ray
def test_a_damaged_checkpoint_starts_no_worker(
    ray_cluster: None, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raydance.cluster import train

    out = tmp_path / "run"
    stop_after(4, out, tiny_dataset)
    checkpoint(out).write_bytes(b"nothing")
    monkeypatch.setattr(train, "TorchTrainer", None)  # fails where it is called
    with pytest.raises(ArtifactError, match="damaged .* delete it"):
        train_vae(out, tiny_dataset, train.RayRunner(1), EPOCHS)


def test_a_stage_whose_files_were_deleted_is_made_anew(
    tiny_dataset: Path, tmp_path: Path, plain: dict[str, Any]
) -> None:
    out = tmp_path / "run"
    train_vae(out, tiny_dataset, LocalRunner(), EPOCHS)
    columns = sorted((out / "columns" / STEP).iterdir())
    columns[0].unlink()
    assert_ends_like(plain, out, tiny_dataset)
    assert columns[0].exists()
    (out / "stages" / f"{STEP}.safetensors").unlink()
    assert_ends_like(plain, out, tiny_dataset)


def test_half_written_files_are_swept_away_and_never_read(
    tiny_dataset: Path, tmp_path: Path, plain: dict[str, Any]
) -> None:
    out = tmp_path / "run"
    stop_after(4, out, tiny_dataset)
    code = (
        "import os, sys; from pathlib import Path; from raydance.files import replacing\n"
        "for path in sys.argv[1:]:\n"
        "    if os.fork() == 0:\n"
        "        with replacing(Path(path)) as file:\n"
        "            file.write_bytes(b'half'); os.kill(os.getpid(), 9)\n"
        "    os.wait()\n"
    )
    files = [checkpoint(out), out / "stages" / f"{STEP}.safetensors", out / "run.json"]
    subprocess.run([sys.executable, "-c", code, *map(str, files)], env=environment(), check=True)
    with (out / "metrics" / f"{STEP}.jsonl").open("a") as file:
        file.write('{"stage": "motion_v')
    assert len(hidden_files(out)) == 3
    assert_ends_like(plain, out, tiny_dataset)


def test_a_kill_while_checkpoints_are_written_leaves_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    code = (
        "import sys, itertools, torch; from pathlib import Path\n"
        "from raydance.artifacts import Checkpoints\n"
        "kept = Checkpoints(Path(sys.argv[1]), 'print')\n"
        "for n in itertools.count():\n"
        "    kept.save({'x': torch.full((200_000,), float(n))}, {'epoch': n})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], env=environment())
    wait_until(path.exists)
    wait_until(lambda: bool(hidden_files(tmp_path)))
    process.kill()
    process.wait()
    found = Checkpoints(path, "print").load()
    assert found is not None
    assert torch.equal(found[0]["x"], torch.full((200_000,), float(found[1]["epoch"])))


# Processes and nodes that die ------------------------------------------------------------------


@pytest.mark.ray
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


@pytest.mark.ray
def test_a_killed_driver_goes_on_with_the_same_command(
    tiny_dataset: Path, tmp_path: Path, plain: dict[str, Any]
) -> None:
    out = tmp_path / "run"
    stop_after(0, out, tiny_dataset)  # leaves the statistics, and no checkpoint
    script = str(TESTS / "cluster_scripts" / "train_often.py")
    line = [sys.executable, script, *command(out, tiny_dataset, "--quiet")]
    with short_folder() as folder:
        # A group of its own: Ray ends the driver's whole group when the driver dies.
        options: dict[str, Any] = {"env": environment(folder), "start_new_session": True}
        with subprocess.Popen(line, **options) as driver:
            wait_until(lambda: checkpoint(out).exists() and len(metrics_of(out)) >= 3)
            os.kill(driver.pid, signal.SIGKILL)
        assert driver.returncode == -signal.SIGKILL and checkpoint(out).exists()
        again = subprocess.run(line, capture_output=True, text=True, **options)
    assert again.returncode == 0, again.stderr
    weights, _ = load_bundle(out / "stages" / f"{STEP}.safetensors")
    assert_same(weights, plain["weights"])
    assert losses(out) == plain["losses"]
    assert not hidden_files(out) and not (out / "ray").exists() and not checkpoint(out).exists()


@pytest.fixture(scope="module")
def lost_nodes(
    tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, list[str]]]:
    """Two trainings on a cluster that loses nodes: their folder, and what the driver was told."""
    folder = tmp_path_factory.mktemp("nodes")
    script = str(TESTS / "cluster_scripts" / "lose_nodes.py")
    with short_folder() as ray_folder:
        done = subprocess.run(
            [sys.executable, script, str(tiny_dataset), str(folder)],
            capture_output=True,
            text=True,
            env=environment(ray_folder),
            start_new_session=True,
            timeout=600,
        )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.ray
def test_a_replaced_node_changes_nothing(
    lost_nodes: tuple[Path, dict[str, list[str]]], plain: dict[str, Any]
) -> None:
    folder, said = lost_nodes
    out = folder / "replaced"
    weights, _ = load_bundle(out / "stages" / f"{STEP}.safetensors")
    assert_same(weights, plain["weights"])
    assert losses(out) == plain["losses"] and not hidden_files(out)
    assert said["replaced"] == [
        "motion_vae: waits, 1 CPU needed and 0 in the cluster; goes on when a node joins, or stop "
        "it and give the same command with fewer --workers"
    ]


@pytest.mark.ray
def test_an_elastic_training_does_without_a_lost_node(
    lost_nodes: tuple[Path, dict[str, list[str]]],
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
    assert lines[-1]["validation"]["total"] < lines[0]["validation"]["total"]
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


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_that_dies_costs_no_caption(tiny_run: Path, tmp_path: Path) -> None:
    synthetic.write_corpus(tmp_path / "library", 5)
    script = str(TESTS / "cluster_scripts" / "lose_a_captioning_node.py")
    done = subprocess.run(
        [sys.executable, script, str(tmp_path / "library"), str(tiny_run), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(),
        start_new_session=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    num_files = len(list((tmp_path / "library").rglob("*.npz")))
    assert seen["actors"] == [1, 1] and 0 < seen["done"] < num_files
    counts = seen["counts"]
    assert counts["read"] == counts["done"] == num_files and counts["skipped"] == 0
    assert seen["again"]["done"] == 0 and seen["again"]["kept"] == num_files
    found = tables_of(tmp_path / "disturbed")
    windows = Counter((row["clip_id"], row["start_s"]) for row in found["windows"])
    assert set(windows.values()) == {1} and windows.total() == counts["windows"]
    assert found == tables_of(tmp_path / "calm")


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_that_dies_costs_no_request(tiny_run: Path) -> None:
    script = str(TESTS / "cluster_scripts" / "lose_a_serving_node.py")
    done = subprocess.run(
        [sys.executable, script, str(tiny_run)],
        capture_output=True,
        text=True,
        env=environment(),
        start_new_session=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["before"] == seen["after"] == [[1, 1]] * 5
    assert set(seen["steady"]) == {"200"}
    # Who does not ask again may lose what the lost ingress held, or was sent to it before its death
    # was known: an error, or no answer at all.
    assert set(seen["raw"]) <= {"200", "500", "0"}, seen["raw"]
    assert sum(n for status, n in seen["raw"].items() if status != "200") <= 4, seen["raw"]
