"""How fast raydance is, as ratios to plain code in the same run.

python jobs/benchmark.py [training] [ingestion] [memory] [--json] [--windows N]

A figure from another machine or another minute means little; a ratio within one run means
something. `training` compares Ray Data and Ray Train with a bare PyTorch loop over windows held in
memory, `ingestion` compares with two processes that read the same files (a plain NumPy script, and
raydance's own readers) and write nothing, and
`memory` compares the peak memory of ingesting a library and one ten times larger.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raydance.cluster.session import ray_session

EPOCHS = 6


def write_library(folder: Path, num_clips: int, seconds: float = 20.0) -> Path:
    """BVH files of the procedural dancer, several of its clips in a row at 60 fps."""
    import numpy as np

    from raydance.motion import synthetic, windows
    from raydance.motion.clip import Clip
    from raydance.motion.export import bvh

    folder.mkdir(parents=True)
    clips = [synthetic.make_clip(m, i) for i in range(2) for m in synthetic.MOVEMENTS]
    for number in range(num_clips):
        own = clips[number % len(clips)]
        repeats = int(seconds / own.duration_s) + 1
        positions = np.tile(windows.resample(own.positions, own.fps, 60.0), (repeats, 1, 1))
        clip = Clip(
            clip_id=f"clip_{number:04d}",
            source="benchmark",
            fps=60.0,
            joint_names=own.joint_names,
            parents=own.parents,
            positions=positions,
        )
        bvh.write(folder / f"clip_{number:04d}.bvh", clip)
    return folder


def training(folder: Path, num_windows: int) -> dict[str, Any]:
    """Windows per second of the VAE: one Ray worker against a bare loop with as many threads."""
    import torch

    from raydance.artifacts import read_metrics
    from raydance.batches import Batches
    from raydance.cluster.data import ingest
    from raydance.cluster.train import RayRunner
    from raydance.motion import synthetic
    from raydance.systems import dance_language as system

    per_movement = max(3, num_windows // (3 * len(synthetic.MOVEMENTS)))
    synthetic.write_corpus(folder / "corpus", per_movement)
    ingest([folder / "corpus"], folder / "dataset", captions=[folder / "corpus/captions.jsonl"])
    config = system.resolve(
        "quick", [f"motion_vae.train.epochs={EPOCHS}", "motion_vae.train.batch_size=64"]
    )
    runner = RayRunner(1)
    for step in ("statistics", "motion_vae"):
        run = system.train(folder / "run", folder / "dataset", config, runner, only=step)
    lines = read_metrics(run.metrics("motion_vae"))
    through_ray = statistics.median(line["windows_per_s"] for line in lines[1:])

    torch.set_num_threads(1)
    stage = system.build_stage(run, "motion_vae").train()
    source = Batches(system.batch_spec(run, stage))
    kept = list(source.train(0))
    memory = {name: torch.cat([batch[name] for batch in kept]) for name in kept[0]}
    optimizer = torch.optim.AdamW(stage.parameters(), 1e-3)
    count, rates = len(memory["motion"]), []
    for _ in range(EPOCHS):
        started = time.perf_counter()
        for rows in torch.randperm(count).split(64):
            batch = {name: values[rows] for name, values in memory.items()}
            loss = stage.loss(stage(batch, 0.5), batch, 0.5)["total"]
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(stage.parameters(), 1.0)
            optimizer.step()
        rates.append(count / (time.perf_counter() - started))
    bare = statistics.median(rates[1:])
    return {
        "windows": count,
        "ray_windows_per_s": through_ray,
        "bare_windows_per_s": bare,
        "ratio": through_ray / bare,
        "target": 0.9,
    }


def plain_windows(path: str) -> int:
    """Windows of a BVH file by a plain NumPy script: no checks, no units, no mapping of joints."""
    import numpy as np

    lines = Path(path).read_text().split("\n")
    parents, offsets, channels, open_joints = [], [], [], []
    for number, line in enumerate(lines):  # noqa: B007 - used after the loop
        words = line.split()
        if words[0] in ("ROOT", "JOINT", "End"):
            parents.append(open_joints[-1] if open_joints else -1)
            offsets.append(None)
            channels.append([])
        elif words[0] == "{":
            open_joints.append(len(parents) - 1)
        elif words[0] == "}":
            open_joints.pop()
        elif words[0] == "OFFSET":
            offsets[open_joints[-1]] = np.array(words[1:], dtype=float)
        elif words[0] == "CHANNELS":
            channels[open_joints[-1]] = words[2:]
        elif words[0] == "MOTION":
            break
    fps = 1.0 / float(lines[number + 2].split()[-1])
    values = np.array([[float(x) for x in row.split()] for row in lines[number + 3 :] if row])
    positions = np.zeros((len(values), len(parents), 3))
    turns = np.zeros((len(values), len(parents), 3, 3))
    column = 0
    for joint, parent in enumerate(parents):
        place = np.tile(offsets[joint], (len(values), 1))
        turn = np.tile(np.eye(3), (len(values), 1, 1))
        for channel in channels[joint]:
            axis = "XYZ".index(channel[0])
            if channel.endswith("position"):
                place[:, axis] = values[:, column]
            else:
                angle = np.radians(values[:, column])
                about = np.zeros((len(values), 3, 3))
                one, two = (axis + 1) % 3, (axis + 2) % 3
                about[:, axis, axis] = 1.0
                about[:, one, one] = about[:, two, two] = np.cos(angle)
                about[:, two, one] = np.sin(angle)
                about[:, one, two] = -about[:, two, one]
                turn = turn @ about
            column += 1
        if parent >= 0:
            place = positions[:, parent] + np.einsum("tij,tj->ti", turns[:, parent], place)
            turn = turns[:, parent] @ turn
        positions[:, joint], turns[:, joint] = place, turn
    times = np.arange(0.0, (len(values) - 1) / fps, 1.0 / 20.0) * fps
    before = np.minimum(times.astype(int), len(values) - 2)
    share = (times - before)[:, None, None]
    slow = positions[before] * (1.0 - share) + positions[before + 1] * share
    starts = range(0, len(slow) - 49, 20)
    return len(np.stack([slow[s : s + 50] - slow[s, 0] for s in starts]).astype(np.float32))


def own_windows(path: str) -> int:
    """Windows of a motion file by raydance's own readers, without Ray."""
    from raydance.ingest import Settings, windows_of_clip
    from raydance.motion.formats import read_clip

    settings = Settings()
    clip = read_clip(path)
    found = windows_of_clip(clip, fps=settings.fps, length=settings.window, stride=settings.stride)
    return len(found[0])


def ingestion(folder: Path, num_windows: int) -> dict[str, Any]:
    """Windows per second from BVH to a dataset, against two processes that only read.

    `ratio` is to a plain NumPy script, `own_reader_ratio` to raydance's readers without Ray.
    """
    from raydance.cluster.data import ingest

    library = write_library(folder / "library", max(8, num_windows // 18))
    small = write_library(folder / "warm", 4, seconds=6.0)
    ingest([small], folder / "warm_dataset")  # Ray's own start is not what is measured
    started = time.perf_counter()
    result = ingest([library], folder / "dataset")
    through_ray = result["windows"] / (time.perf_counter() - started)

    files = sorted(map(str, library.glob("*.bvh")))
    bare = {}
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for name, read in (("plain", plain_windows), ("own_reader", own_windows)):
            pool.map(read, files[:2], chunksize=1)
            started = time.perf_counter()
            total = sum(pool.imap_unordered(read, files, chunksize=2))
            bare[name] = total / (time.perf_counter() - started)
    return {
        "windows": result["windows"],
        "ray_windows_per_s": through_ray,
        "plain_windows_per_s": bare["plain"],
        "ratio": through_ray / bare["plain"],
        "own_reader_ratio": through_ray / bare["own_reader"],
        "target": 1.0,
    }


class PeakMemory:
    """Peak of the private memory of this process and all that it started, in MiB."""

    def __enter__(self) -> PeakMemory:
        self.peak = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.3):
            self.peak = max(self.peak, sum(map(_private_mib, _family(os.getpid()))))


def _family(root: int) -> list[int]:
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    parents = dict(tuple(map(int, row.split())) for row in listing.stdout.splitlines()[1:])
    family, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return sorted(family)


def _private_mib(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    rows = (line.split() for line in text.splitlines())
    return sum(int(row[1]) for row in rows if row[0].startswith("Private_")) / 1024


def memory(folder: Path, num_windows: int) -> dict[str, Any]:
    """Peak private memory of an ingestion, and of one ten times larger."""
    from raydance.cluster.data import ingest

    clips = max(4, num_windows // 180)
    peaks = []
    for factor in (1, 10):
        library = write_library(folder / f"library{factor}", clips * factor)
        with PeakMemory() as watch:
            ingest([library], folder / f"dataset{factor}")
        peaks.append(watch.peak)
    return {"mib": peaks[0], "mib_ten_times": peaks[1], "ratio": peaks[1] / peaks[0], "target": 1.2}


BENCHMARKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "training": training,
    "ingestion": ingestion,
    "memory": memory,
}


def main(arguments: list[str]) -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="all by default")
    parser.add_argument("--windows", type=int, default=1000, help="size of the data, roughly")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    given = parser.parse_args(arguments)
    results = {}
    with tempfile.TemporaryDirectory() as place, ray_session():
        for name in given.names or BENCHMARKS:
            results[name] = BENCHMARKS[name](Path(place) / name, given.windows)
            if not given.json:
                figures = ", ".join(f"{key} {value:.4g}" for key, value in results[name].items())
                print(f"{name}: {figures}", flush=True)
    if given.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
