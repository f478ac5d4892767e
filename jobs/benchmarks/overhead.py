"""What a job costs before it works: from submission to the first step of a small stage."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from walkthrough import ROOT, LocalCluster

from raydance.cluster.session import ray_session

_STAGE = "motion_vae"


def job_overhead(folder: Path, num_windows: int) -> dict[str, Any]:
    """Seconds until a stage has done its first epoch, as a job, embedded, and without Ray.

    The epoch itself is a few steps of a small network. `ratio` is to the plain loop.
    """
    from raydance.cluster.data import ingest
    from raydance.motion import synthetic

    synthetic.write_corpus(folder / "corpus", 3)
    captions = [folder / "corpus" / "captions.jsonl"]
    with ray_session():
        ingest([folder / "corpus"], folder / "dataset", captions=captions)
    seconds = {}
    with LocalCluster(num_workers=0, num_cpus=2) as cluster:
        for name, arguments in _commands(folder / "dataset", folder / "as_job"):
            if name == "statistics":
                assert cluster.submit("train.py", arguments).returncode == 0
            else:
                seconds["job"] = _until_first_epoch(
                    folder / "as_job", lambda a=arguments: cluster.submit("train.py", a)
                )
    for way, extra in (("embedded", []), ("plain", ["--local"])):
        out = folder / way
        for name, arguments in _commands(folder / "dataset", out):
            if name == "statistics":
                _directly([*arguments, "--local"])
            else:
                seconds[way] = _until_first_epoch(
                    out, lambda a=arguments, e=extra: _directly([*a, *e])
                )
    return {f"{way}_s": value for way, value in seconds.items()} | {
        "ratio": seconds["job"] / seconds["plain"]
    }


def _commands(dataset: Path, out: Path) -> list[tuple[str, list[object]]]:
    changes = [f"{_STAGE}.hidden=32", f"{_STAGE}.train.epochs=2"]
    own = [part for change in changes for part in ("--set", change)]
    common = ["dance-language", "--data", dataset, "--out", out, "--preset", "quick", *own]
    return [(stage, [*common, "--stage", stage]) for stage in ("statistics", _STAGE)]


def _directly(arguments: list[object]) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_JOB_ID")}
    subprocess.run(
        [sys.executable, "jobs/train.py", *map(str, arguments), "--quiet"],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _until_first_epoch(out: Path, start: Any) -> float:
    """Seconds from the start of a command to the first line of its metrics."""
    metrics = out / "metrics" / f"{_STAGE}.jsonl"
    worker = threading.Thread(target=start)
    begun = time.perf_counter()
    worker.start()
    while not (metrics.exists() and metrics.stat().st_size):
        assert worker.is_alive() or metrics.exists(), "the command ended without an epoch"
        time.sleep(0.02)
    found = time.perf_counter() - begun
    worker.join()
    return found
