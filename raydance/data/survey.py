"""What a folder of motion files holds, before anything is made of it.

Files are read as an ingestion reads them, so what would be skipped is known and not guessed. A
large library takes long: only as many files are read as fit into the time given, in random order,
and the hours of all are estimated from them.
"""

from __future__ import annotations

import random
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from raydance.data import ingest, layouts, sources
from raydance.plain_text import well_formed

SECONDS = 30.0


def survey(
    places: Sequence[Path],
    *,
    layout: str | None = None,
    settings: ingest.Settings | None = None,
    seconds: float | None = SECONDS,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Facts about a library.

    Args:
        layout: of a public data set; found out where None, and then the files alone count where it
            is none.
        seconds: how long to read; None reads everything.
        progress: told how many files are read, and of how many.

    Returns:
        `layout` (or None), `notes`, `files`, `read` (how many of them were), `hours` (of all,
        estimated where not all were read), `rates`, `skeletons`, `splits`, `suffixes` (each a
        number of files), `captions` and `captioned`, `labels`, `music`, `padded` (windows),
        `short`, `skipped` (rows of `file`, `line`, `reason`) and `warned`.

    Raises:
        InputError: nothing to read.
    """
    settings = settings or ingest.Settings()
    name = layout or layouts.recognise(layouts.Tree(places))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jobs = sources.find_jobs(places, seed=settings.seed, layout=name)
    if name == layouts.AUTO:
        name = layouts.recognise(layouts.Tree(places))
    order = list(jobs)
    random.Random(0).shuffle(order)
    facts = _Facts()
    ends = None if seconds is None else time.monotonic() + seconds
    for number, job in enumerate(order):
        if number and ends is not None and time.monotonic() > ends:
            break
        facts.add(job, ingest.read_job(job, settings))
        progress(number + 1, len(order))
    num_bytes = sum(job.size for job in jobs)
    share = facts.num_bytes / num_bytes if num_bytes else 1.0
    rows = [row for job in jobs for row in job.rows]
    return {
        "layout": name,
        "notes": [str(warning.message) for warning in caught],
        "files": len(jobs),
        "read": facts.num_files,
        "hours": facts.seconds / 3600.0 / max(share, 1e-9),
        "rates": dict(facts.rates.most_common()),
        "skeletons": dict(facts.skeletons.most_common()),
        "splits": dict(Counter(job.split for job in jobs if job.split)),
        "suffixes": dict(Counter(Path(job.path).suffix.lower() for job in jobs)),
        "captions": len({caption for row in rows for caption in row.captions}),
        "captioned": sum(any(row.captions for row in job.rows) for job in jobs),
        "labels": sorted({key for job in jobs for key in job.labels} | _labels_of(rows)),
        "music": len({job.labels["music"] for job in jobs if "music" in job.labels}),
        "padded": facts.padded,
        "short": facts.short,
        "skipped": facts.skipped,
        "warned": facts.warned,
    }


def _labels_of(rows: Sequence[Any]) -> set[str]:
    return {key for row in rows for key in row.labels}


class _Facts:
    """Sums over the files that were read."""

    def __init__(self) -> None:
        self.num_files = self.num_bytes = self.padded = 0
        self.seconds = 0.0
        self.rates: Counter[str] = Counter()
        self.skeletons: Counter[str] = Counter()
        self.short: list[str] = []
        self.skipped: list[dict[str, Any]] = []
        self.warned: list[dict[str, Any]] = []

    def add(self, job: sources.FileJob, result: ingest.FileResult) -> None:
        self.num_files += 1
        self.num_bytes += job.size
        record = result.record
        if record["status"] == "skipped":
            self.skipped.append({key: record[key] for key in ("file", "line", "reason")})
            return
        self.padded += record.get("padded", 0)
        if record["status"] == "short":
            self.short.append(well_formed(job.path))
        if record.get("notes"):
            self.warned.append({"file": record["file"], "notes": record["notes"]})
        self.seconds += sum(clip["duration_s"] for clip in result.clips)
        self.rates[f"{result.clips[0]['fps']:g}"] += 1
        self.skeletons[result.skeleton] += 1
