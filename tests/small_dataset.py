"""A dataset read in this process, without Ray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raydance import dataset, ingest, sources


def ingest_here(folders: Sequence[Path], captions: Sequence[Path], out: Path) -> Path:
    """What `raydance ingest` makes of these files with its usual settings; returns `out`."""
    settings = ingest.Settings()
    done = [
        row
        for number, group in enumerate(sources.group_jobs(sources.find_jobs(folders, captions), 2))
        for row in ingest.write_group(number, group, settings, out)
    ]
    dataset.finish(
        out,
        shards=[shard for row in done for shard in row["shards"]],
        clips=[clip for row in done for clip in row["clips"]],
        files=[row["record"] for row in done],
        settings={
            "fps": settings.fps,
            "window": settings.window,
            "stride": settings.stride,
            "split_seed": settings.seed,
        },
        versions={},
    )
    return out
