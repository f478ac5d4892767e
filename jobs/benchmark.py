"""How fast raydance is, as ratios to plain code in the same run.

python jobs/benchmark.py [NAME...] [--json] [--windows N]

A figure from another machine or another minute means little; a ratio within one run means
something. `--help` lists the benchmarks; each says in `jobs/benchmarks/` what it compares.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks import captioning, generation, ingestion, overhead, serving, training

from raydance.cluster.session import ray_session

BENCHMARKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "training": training.training,
    "training_flow": training.training_flow,
    "training_basis": training.training_basis,
    "training_tracks": training.training_tracks,
    "training_dances": training.training_dances,
    "ingestion": ingestion.ingestion,
    "memory": ingestion.memory,
    "captioning": captioning.captioning,
    "caption_memory": captioning.caption_memory,
    "restart": captioning.restart,
    "job_overhead": overhead.job_overhead,
    "generation": generation.generation,
    "generation_tracks": generation.generation_tracks,
    "generation_dances": generation.generation_dances,
    "serving": serving.serving,
    "service_start": serving.service_start,
    "library_search": serving.library_search,
}
WITH_CLUSTERS_OF_THEIR_OWN = (
    "generation",
    "generation_tracks",
    "generation_dances",
    "serving",
    "service_start",
    "job_overhead",
    "library_search",
)


def main(arguments: list[str]) -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="all by default")
    parser.add_argument("--windows", type=int, default=1000, help="size of the data, roughly")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    given = parser.parse_args(arguments)
    results = {}
    with tempfile.TemporaryDirectory() as place:
        for name in given.names or BENCHMARKS:
            # A cluster that nobody needs takes its share of the processors all the same.
            with nullcontext() if name in WITH_CLUSTERS_OF_THEIR_OWN else ray_session():
                results[name] = BENCHMARKS[name](Path(place) / name, given.windows)
            if not given.json:
                figures = ", ".join(f"{key} {value:.4g}" for key, value in results[name].items())
                print(f"{name}: {figures}", flush=True)
    if given.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
