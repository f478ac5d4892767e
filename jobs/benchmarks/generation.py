"""Text to motion in process, without HTTP: what the flow costs beside the sentence encoder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.captioning import make_run
from raydance.cluster.session import ray_session

_TEXT = "a dancer turns slowly"
_STEPS = 8
_BATCH = 32


def generation(folder: Path, num_windows: int) -> dict[str, Any]:
    """p50 in ms from a sentence to one window of motion, by the flow in 8 steps on one thread.

    `encoder_p50_ms` is the sentence encoder alone, asked in turns with it, and `ratio` the one by
    the other. `batch_p50_ms` is for 32 sentences that are encoded already and made together.

    Args:
        num_windows: stands for the number of sentences: a fifth of it.
    """
    import torch

    import raydance
    from raydance.systems.dance_language.generation import Request, generate

    with ray_session():
        run = make_run(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        system = raydance.load(run)
        words = system.encode_text([f"{_TEXT} {i}" for i in range(_BATCH)])
        requests = [
            Request(
                words={name: values[i] for name, values in words.items()},
                seed=i,
                source="flow",
                steps=_STEPS,
            )
            for i in range(_BATCH)
        ]
        times = _in_turns(
            {
                "text_to_motion": lambda i: system.make(
                    f"{_TEXT} {i}", seed=i, source="flow", steps=_STEPS
                ),
                "encoder": lambda i: system.encode_text([f"{_TEXT} {i}"]),
            },
            max(20, num_windows // 5),
        )
        times |= _in_turns({"batch": lambda i: generate(system, requests)}, 20)
    finally:
        torch.set_num_threads(threads)
    found = {f"{name}_p50_ms": float(np.median(taken)) for name, taken in times.items()}
    found["ratio"] = found["text_to_motion_p50_ms"] / found["encoder_p50_ms"]
    found["batch_motions_per_s"] = 1000.0 * _BATCH / found["batch_p50_ms"]
    return found | {"frames": system.window, "text_to_motion_target_ms": 25.0}


def _in_turns(work: dict[str, Callable[[int], Any]], count: int) -> dict[str, list[float]]:
    """Milliseconds of each call, after a few that load what all others find."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for i in range(-3, count):
        for name, do in work.items():
            started = time.perf_counter()
            do(abs(i))
            if i >= 0:
                times[name].append(1000.0 * (time.perf_counter() - started))
    return times
