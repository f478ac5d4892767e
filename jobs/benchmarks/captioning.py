"""Captioning against the bare encoders, its memory, and what a kill costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.data import PeakMemory

_SHARD = 256


def make_run(folder: Path) -> Path:
    """A run with networks of the default size; its weights do not matter here."""
    from raydance.cluster.data import ingest
    from raydance.motion import synthetic
    from raydance.systems.base import LocalRunner
    from raydance.systems.dance_language.system import SYSTEM

    synthetic.write_corpus(folder / "corpus", 4)
    ingest([folder / "corpus"], folder / "small", captions=[folder / "corpus/captions.jsonl"])
    changes = [f"{stage}.train.epochs=1" for stage in SYSTEM.trained]
    config = SYSTEM.resolve("default", [*changes, "clusters.max_k=3", "clusters.num_seeds=2"])
    return SYSTEM.train(folder / "run", folder / "small", config, LocalRunner()).path


def make_library(small: Path, out: Path, num_windows: int) -> Path:
    """A dataset of any size: the windows of a small one again and again, as other clips."""
    import numpy as np

    from raydance.data import dataset

    source = dataset.Dataset.open(small)
    rows = [source.read_shard(s) for split in dataset.SPLITS for s in source.shards(split)]
    whole = {
        name: np.concatenate([r[name] for r in rows])
        if isinstance(rows[0][name], np.ndarray)
        else [value for r in rows for value in r[name]]
        for name in rows[0]
    }
    count = len(whole["motion"])
    shards = []
    for number, first in enumerate(range(0, num_windows, _SHARD)):
        take = [i % count for i in range(first, min(first + _SHARD, num_windows))]
        part = {
            name: values[take] if isinstance(values, np.ndarray) else [values[i] for i in take]
            for name, values in whole.items()
        }
        part["split"] = ["train"] * len(take)
        part["clip_id"] = [f"copy_{number}_{i // 5}" for i in range(len(take))]
        part["start_s"] = [float(i % 5) for i in range(len(take))]
        part["end_s"] = [start + 2.5 for start in part["start_s"]]
        part["window_id"] = [f"{c}@{s:g}" for c, s in zip(part["clip_id"], part["start_s"])]
        shards.append(dataset.write_shard(out, f"train-{number:05d}-000", "train", part))
    settings = {k: source.manifest[k] for k in ("fps", "window", "stride", "split_seed")}
    dataset.finish(out, shards=shards, clips=[], files=[], settings=settings, versions={})
    return out


def _rate(library: Path, run: Path, out: Path, **options: Any) -> float:
    """Windows per second between the first unit done and the last."""
    from raydance.cluster.caption import caption

    told: list[tuple[int, float]] = []
    caption(
        [library],
        run,
        out,
        progress=lambda state: told.append((state["windows"], time.perf_counter())),
        **options,
    )
    (first, begun), (last, ended) = told[0], told[-1]
    return (last - first) / (ended - begun)


def captioning(folder: Path, num_windows: int) -> dict[str, Any]:
    """Windows per second of one actor against the bare encoders over windows in memory.

    `two_actors_ratio` compares two actors with one that has both processors. Starting the actors
    is not counted; `start_s` says how long that takes.
    """
    import numpy as np
    import torch

    import raydance
    from raydance.data.dataset import Dataset

    run = make_run(folder)
    library = make_library(folder / "small", folder / "library", num_windows)
    system = raydance.load(run)
    dataset = Dataset.open(library)
    rows = [dataset.read_shard(s, ["motion", "joint_mask"]) for s in dataset.shards("train")]
    bare = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        system.encode_motion(rows[0]["motion"], rows[0]["joint_mask"])
        started = time.perf_counter()
        for row in rows:
            system.encode_motion(row["motion"], row["joint_mask"])
        bare[threads] = num_windows / (time.perf_counter() - started)
    del rows
    torch.set_num_threads(1)
    started = time.perf_counter()
    one = _rate(library, run, folder / "one", actors=(1, 1), threads=1)
    whole = time.perf_counter() - started
    both = _rate(library, run, folder / "both", actors=(1, 1), threads=2)
    two = _rate(library, run, folder / "two", actors=(2, 2), threads=1)
    assert np.isfinite(one)
    return {
        "windows": num_windows,
        "one_actor_windows_per_s": one,
        "bare_windows_per_s": bare[1],
        "bare_two_threads_windows_per_s": bare[2],
        "ratio": one / bare[1],
        "target": 0.85,
        "two_actors_windows_per_s": two,
        "one_actor_both_processors_windows_per_s": both,
        "two_actors_ratio": two / both,
        "two_actors_target": 1.0,
        "start_s": whole - num_windows / one,
    }


def caption_memory(folder: Path, num_windows: int) -> dict[str, Any]:
    """Peak private memory of captioning a library, and of one ten times larger."""
    from raydance.cluster.caption import caption

    run = make_run(folder)
    peaks = []
    for factor in (1, 10):
        library = make_library(folder / "small", folder / f"library{factor}", num_windows * factor)
        with PeakMemory() as watch:
            caption([library], run, folder / f"captions{factor}", actors=(1, 1))
        peaks.append(watch.peak)
    return {"mib": peaks[0], "mib_ten_times": peaks[1], "ratio": peaks[1] / peaks[0], "target": 1.2}


def restart(folder: Path, num_windows: int) -> dict[str, Any]:
    """Seconds that a killed captioning costs: killed half-way and started again, against once."""
    run = make_run(folder)
    library = make_library(folder / "small", folder / "library", num_windows)
    once = _caption_process(library, run, folder / "once")[0]
    started = time.perf_counter()
    process = _start(library, run, folder / "killed")
    units = -(-num_windows // _SHARD)
    while len(list((folder / "killed" / "units").glob("*.json"))) < units // 2:
        assert process.poll() is None, "captioning ended before it was killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = time.perf_counter() - started
    again, counts = _caption_process(library, run, folder / "killed")
    return {
        "windows": num_windows,
        "once_s": once,
        "killed_and_again_s": first + again,
        "cost_s": first + again - once,
        "ratio": (first + again) / once,
        "kept_share": counts["kept"] / counts["files"],
    }


def _start(library: Path, run: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "raydance", "caption", str(library), "--run", str(run)]
    command += ["--out", str(out), "--actors", "1", "--json", "--quiet"]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


def _caption_process(library: Path, run: Path, out: Path) -> tuple[float, dict[str, Any]]:
    started = time.perf_counter()
    process = _start(library, run, out)
    output, _ = process.communicate()
    assert process.returncode == 0
    return time.perf_counter() - started, json.loads(output)
