"""The toy system's dataset, which several tests share."""

from __future__ import annotations

import json
from pathlib import Path

from small_dataset import ingest_here

from raydance.data.ingest import Settings
from raydance.motion import synthetic


def ingest_clips(folder: Path, per_movement: int = 3) -> Path:
    """Whole clips of the procedural dancer, of different lengths, in all three splits."""
    synthetic.write_corpus(folder / "clips", per_movement)
    captions = folder / "clips" / "captions.jsonl"
    rows = [json.loads(line) for line in captions.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["split"] = ("train", "val", "test")[number % 3]
    captions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = Settings(whole_clips=True, window=160)
    return ingest_here([folder / "clips"], [captions], folder / "dataset", settings)
