"""Training through Ray Data and Ray Train against a bare PyTorch loop."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

EPOCHS = 6


def training(folder: Path, num_windows: int) -> dict[str, Any]:
    """Windows per second of the VAE: one Ray worker against a bare loop with as many threads."""
    import torch

    from raydance.cluster.data import ingest
    from raydance.cluster.train import RayRunner
    from raydance.motion import synthetic
    from raydance.systems.dance_language.stages import batch_spec, build_stage
    from raydance.systems.dance_language.system import SYSTEM
    from raydance.training.batches import Batches
    from raydance.training.run_folder import read_metrics

    per_movement = max(3, num_windows // (3 * len(synthetic.MOVEMENTS)))
    synthetic.write_corpus(folder / "corpus", per_movement)
    ingest([folder / "corpus"], folder / "dataset", captions=[folder / "corpus/captions.jsonl"])
    config = SYSTEM.resolve(
        "quick", [f"motion_vae.train.epochs={EPOCHS}", "motion_vae.train.batch_size=64"]
    )
    runner = RayRunner(1)
    for step in ("statistics", "motion_vae"):
        run = SYSTEM.train(folder / "run", folder / "dataset", config, runner, only=step)
    lines = read_metrics(run.metrics("motion_vae"))
    through_ray = statistics.median(line["windows_per_s"] for line in lines[1:])

    torch.set_num_threads(1)
    stage = build_stage(run, "motion_vae").train()
    source = Batches(batch_spec(run, "motion_vae"))
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
