"""A dataset read in this process, without Ray."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raydance.data import dataset, ingest, sources


def ingest_here(
    folders: Sequence[Path],
    captions: Sequence[Path],
    out: Path,
    settings: Any = None,
    layout: str | None = None,
) -> Path:
    """What `raydance ingest` makes of these files; returns `out`."""
    settings = settings or ingest.Settings()
    jobs = settings.find_jobs(folders, captions, layout)
    done = [
        row
        for number, group in enumerate(sources.group_jobs(jobs, 2))
        for row in settings.write_group(number, group, out)
    ]
    dataset.finish(
        out,
        shards=[shard for row in done for shard in row["shards"]],
        clips=[clip for row in done for clip in row["clips"]],
        files=[row["record"] for row in done],
        settings=settings.facts(),
        versions={},
        modality=settings.modality,
        arrays=settings.arrays,
    )
    return out


def cut_clips(tiny_dataset: Path, folder: Path, frames: int) -> Path:
    """A dataset of the clips of `tiny_dataset`, every fifth of them cut to so many frames."""
    clips = tiny_dataset.parent / "clips"
    rows = map(json.loads, (clips / "captions.jsonl").read_text(encoding="utf-8").splitlines())
    captions = folder / "captions.jsonl"
    captions.write_text(
        "".join(
            json.dumps(
                row
                | {"file": str(clips / row["file"])}
                | ({} if number % 5 else {"end_frame": frames})
            )
            + "\n"
            for number, row in enumerate(rows)
        ),
        encoding="utf-8",
    )
    return ingest_here([clips], [captions], folder / "dataset")
