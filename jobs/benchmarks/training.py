"""Training through Ray Data and Ray Train against loops without Ray.

Two of them: a bare PyTorch loop over batches in memory, and raydance's own loop (`--local`), which
reads, shuffles, averages weights and validates as the one through Ray does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

EPOCHS = 6
BATCH = 64


def training(folder: Path, num_windows: int) -> dict[str, Any]:
    """Windows per second of the VAE: one Ray worker against a bare loop with as many threads."""
    return _of_dance_language(folder, num_windows, "motion_vae")


def training_flow(folder: Path, num_windows: int) -> dict[str, Any]:
    """As `training`, of the motion flow."""
    return _of_dance_language(folder, num_windows, "motion_flow")


def training_basis(folder: Path, num_windows: int) -> dict[str, Any]:
    """Seconds of fitting the motion basis through Ray and in one process.

    It is no loop: the windows are read and drawn through Ray Data, and solved in the driver.
    """
    from raydance.cluster.train import RayRunner
    from raydance.systems.base import LocalRunner
    from raydance.systems.dance_language.system import SYSTEM

    data = corpus(folder, num_windows)
    seconds = {}
    for name, runner in (("local", LocalRunner()), ("ray", RayRunner(1))):
        for step in ("statistics", "motion_basis"):
            config = SYSTEM.resolve("quick")
            run = SYSTEM.train(folder / name, data, config, runner, only=step)
        seconds[name] = float(run.facts["steps"]["motion_basis"]["seconds"])
    ratio = seconds["local"] / seconds["ray"]
    return {f"{name}_s": value for name, value in seconds.items()} | {"ratio": ratio}


def training_tracks(folder: Path, num_windows: int) -> dict[str, Any]:
    """As `training`, of the flow over tracks, on embedded scenes."""
    from raydance.systems.lang2motion.system import SYSTEM, batch_spec, build_stage

    changes = [f"track_flow.train.epochs={EPOCHS}", f"track_flow.train.batch_size={BATCH}"]
    return through_ray(
        folder,
        SYSTEM,
        scenes(folder, num_windows),
        SYSTEM.resolve("default", changes),
        "track_flow",
        build_stage,
        batch_spec,
    )


def training_dances(folder: Path, num_windows: int) -> dict[str, Any]:
    """As `training`, of the sequence flow, on a twentieth as many embedded dances.

    A row is a dance of 15 s, so their batches are of 8.
    """
    from raydance.systems.everything2motion.system import SYSTEM, batch_spec, build_stage

    changes = ["sequence_flow.train.epochs=4", "sequence_flow.train.batch_size=8"]
    return through_ray(
        folder,
        SYSTEM,
        dances(folder, num_windows),
        SYSTEM.resolve("quick", changes),
        "sequence_flow",
        build_stage,
        lambda run, stage: batch_spec(run, stage, "data"),
    )


def _of_dance_language(folder: Path, num_windows: int, stage: str) -> dict[str, Any]:
    from raydance.systems.dance_language.stages import batch_spec, build_stage
    from raydance.systems.dance_language.system import SYSTEM

    own = [f"{stage}.train.epochs={EPOCHS}", f"{stage}.train.batch_size={BATCH}"]
    before = [] if stage == "motion_vae" else ["motion_vae.train.epochs=1"]
    small = ["clusters.max_k=3", "clusters.num_seeds=2"]
    config = SYSTEM.resolve("quick", [*own, *before, *small])
    data = corpus(folder, num_windows)
    return through_ray(folder, SYSTEM, data, config, stage, build_stage, batch_spec)


# What is trained on ---------------------------------------------------------------------------


def corpus(folder: Path, num_windows: int) -> Path:
    """A dataset of the procedural dancer with about so many windows."""
    from raydance.cluster.data import ingest
    from raydance.motion import synthetic

    per_movement = max(3, num_windows // (3 * len(synthetic.MOVEMENTS)))
    synthetic.write_corpus(folder / "corpus", per_movement)
    ingest([folder / "corpus"], folder / "dataset", captions=[folder / "corpus/captions.jsonl"])
    return folder / "dataset"


def scenes(folder: Path, num_scenes: int) -> Path:
    """A dataset of embedded scenes with a sentence each."""
    from dataclasses import replace

    from raydance.cluster.data import ingest
    from raydance.data.track_ingest import TrackSettings
    from raydance.tracks.export import write_track
    from raydance.tracks.synthetic import make_scenes

    (folder / "scenes").mkdir(parents=True)
    for number, scene in enumerate(make_scenes(num_scenes)):
        track = scene.track()
        track = replace(track, captions=track.captions[:1])  # encoding takes longest
        write_track(folder / "scenes" / f"{number:05d}.npz", track)
    ingest([folder / "scenes"], folder / "dataset", settings=TrackSettings())
    return folder / "dataset"


def dances(folder: Path, num_windows: int) -> Path:
    """A dataset of embedded songs with dances of 15 s, a twentieth as many, at least 24."""
    from raydance.cluster.data import ingest
    from raydance.data.ingest import Settings
    from raydance.music.dance_corpus import write_dances

    write_dances(folder / "dances", max(24, num_windows // 20), 15.0)
    ingest(
        [folder / "dances"],
        folder / "dataset",
        captions=[folder / "dances" / "captions.jsonl"],
        settings=Settings(whole_clips=True, window=300, music=str(folder / "dances")),
    )
    return folder / "dataset"


# How it is compared ---------------------------------------------------------------------------


def through_ray(
    folder: Path,
    system: Any,
    data: Path,
    config: Any,
    stage: str,
    build: Callable[[Any, str], Any],
    batch_spec: Callable[[Any, str], Any],
) -> dict[str, Any]:
    """Rows per second of a stage by one Ray worker, by the loop of `--local`, and by a bare one.

    All compute with one thread; of the epochs the first is not counted.
    """
    import torch

    from raydance.cluster.train import RayRunner
    from raydance.systems.base import LocalRunner
    from raydance.systems.shared_steps import copy_steps
    from raydance.training.batches import Batches

    needed = [name for name in system.step_names if name in _needed(system, stage)]
    for name in needed:
        run = system.train(folder / "ray", data, config, LocalRunner(), only=name)
    copy_steps(system, run.path, folder / "local", config, needed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = system.train(folder / "local", data, config, LocalRunner(), only=stage)
    local = _rate_of(run, stage)
    run = system.train(folder / "ray", data, config, RayRunner(1), only=stage)
    ray = _rate_of(run, stage)

    own = getattr(config, stage).train
    network = build(run, stage).train()
    batches = list(Batches(batch_spec(run, stage)).train(0))
    memory = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    count, rates = len(next(iter(memory.values()))), []
    for _ in range(own.epochs):
        started = time.perf_counter()
        for rows in torch.randperm(count).split(own.batch_size):
            batch: Mapping[str, Any] = {name: values[rows] for name, values in memory.items()}
            loss = network.loss(network(batch, 0.5), batch, 0.5)["total"]
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        rates.append(count / (time.perf_counter() - started))
    torch.set_num_threads(threads)
    bare = statistics.median(rates[1:])
    return {
        "windows": count,
        "ray_windows_per_s": ray,
        "local_windows_per_s": local,
        "bare_windows_per_s": bare,
        "local_ratio": ray / local,
        "ratio": ray / bare,
        "target": 0.95,
    }


def _needed(system: Any, name: str) -> set[str]:
    direct = set(system.step(name).needs)
    return direct.union(*(_needed(system, other) for other in direct))


def _rate_of(run: Any, stage: str) -> float:
    from raydance.training.run_folder import read_metrics

    lines = read_metrics(run.metrics(stage))
    return statistics.median(line["windows_per_s"] for line in lines[1:])
