"""Machines that die, disks that fill up, files that rot: how a training ends all the same."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import (
    EPOCHS,
    Often,
    assert_ends_like,
    checkpoint,
    command,
    environment,
    hidden_files,
    stop_after,
)
from small_training import (
    STEP,
    metrics_of,
    train_vae,
    training_workers,
    wait_until,
)

from raydance.errors import ArtifactError, StorageError
from raydance.systems.base import LocalRunner
from raydance.training.run_folder import Checkpoints, load_bundle, save_bundle

pytestmark = pytest.mark.faults

FULL = 60_000  # bytes: room for the small files, none for a checkpoint


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
    tiny_dataset: Path, out: Path, plain_training: dict[str, Any]
) -> None:

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
    assert_ends_like(plain_training, out, tiny_dataset)


def test_metrics_that_do_not_fit_stop_the_training(
    tiny_dataset: Path, out: Path, plain_training: dict[str, Any]
) -> None:
    """Nothing hangs or goes on in silence when only small files are written."""

    def fill(metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 2:
            fill_disk((out / "metrics" / f"{STEP}.jsonl").stat().st_size + 10)

    with own_limits(), pytest.raises(StorageError, match=f"{STEP}.jsonl: could not be written"):
        train_vae(out, tiny_dataset, LocalRunner(fill), EPOCHS)
    assert [line["epoch"] for line in metrics_of(out)] == [0, 1, 2]  # the cut line is none
    assert_ends_like(plain_training, out, tiny_dataset)


@pytest.mark.ray
def test_a_full_disk_of_a_worker_is_not_tried_again(
    ray_cluster: None, tiny_dataset: Path, out: Path, plain_training: dict[str, Any]
) -> None:
    from raydance.cluster.train import RayRunner

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
    assert_ends_like(plain_training, out, tiny_dataset)


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
    out: Path,
    plain_training: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from raydance.cli import main

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
    assert_ends_like(plain_training, out, tiny_dataset)


@pytest.mark.ray
def test_a_damaged_checkpoint_starts_no_worker(
    ray_cluster: None, tiny_dataset: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raydance.cluster import train

    stop_after(4, out, tiny_dataset)
    checkpoint(out).write_bytes(b"nothing")
    monkeypatch.setattr(train, "WorkerGroup", None)  # fails where it is called
    with pytest.raises(ArtifactError, match="damaged .* delete it"):
        train_vae(out, tiny_dataset, train.RayRunner(1), EPOCHS)


def test_a_stage_whose_files_were_deleted_is_made_anew(
    tiny_dataset: Path, out: Path, plain_training: dict[str, Any]
) -> None:
    train_vae(out, tiny_dataset, LocalRunner(), EPOCHS)
    columns = sorted((out / "columns" / STEP).iterdir())
    columns[0].unlink()
    assert_ends_like(plain_training, out, tiny_dataset)
    assert columns[0].exists()
    (out / "stages" / f"{STEP}.safetensors").unlink()
    assert_ends_like(plain_training, out, tiny_dataset)


def test_half_written_files_are_swept_away_and_never_read(
    tiny_dataset: Path, out: Path, plain_training: dict[str, Any]
) -> None:
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
    assert_ends_like(plain_training, out, tiny_dataset)


def test_a_kill_while_checkpoints_are_written_leaves_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    code = (
        "import sys, itertools, torch; from pathlib import Path\n"
        "from raydance.training.run_folder import Checkpoints\n"
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
