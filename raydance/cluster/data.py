"""Ingestion on Ray Data: groups of files in, shards of windows out.

Each task reads its files and writes its own shards, so only small rows travel and memory does not
grow with the library. The driver gathers the rows and writes the manifest last.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import ray
import ray.data
from ray.data import ActorPoolStrategy

from raydance.data import dataset, sources
from raydance.data import ingest as files
from raydance.data.dataset import Dataset, Shard
from raydance.data.schema import Modality
from raydance.data.signals.in_step import signal_counts
from raydance.errors import InputError, StorageError

Progress = Callable[[Mapping[str, Any]], None]

_FEWEST_GROUPS: Final = 16
# Not from `raydance.training.run_folder`: torch would be loaded in every task.
_PACKAGES: Final = ("raydance", "ray", "numpy", "pyarrow")


class IngestSettings(Protocol):
    """How files of one modality become rows: `ingest.Settings` for motion."""

    @property
    def modality(self) -> Modality: ...

    @property
    def arrays(self) -> Mapping[str, Sequence[int]]: ...

    def facts(self) -> dict[str, Any]: ...

    def find_jobs(
        self,
        places: Sequence[Path],
        caption_files: Sequence[Path] = (),
        layout: str | None = None,
    ) -> list[sources.FileJob]: ...

    def write_group(
        self, number: int, jobs: Iterable[sources.FileJob], folder: Path
    ) -> Iterator[dict[str, Any]]: ...


class _WriteGroups:
    """A Ray Data actor: group numbers in, one row per file out."""

    def __init__(self, groups: ray.ObjectRef, settings: IngestSettings, folder: Path) -> None:
        self.groups = ray.get(groups)
        self.settings, self.folder = settings, folder

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
        for number in rows["id"]:
            work = self.settings.write_group(int(number), self.groups[number], self.folder)
            try:
                for row in work:
                    row["shards"] = [asdict(shard) for shard in row["shards"]]
                    yield {"row": np.array([json.dumps(row)])}
            except StorageError as error:  # raised here, Ray Data would print its stack
                yield {"row": np.array([json.dumps({"failed": str(error)})])}
                return


def ingest(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    captions: Sequence[str | Path] = (),
    layout: str | None = None,
    settings: IngestSettings | None = None,
    overwrite: bool = False,
    progress: Progress = lambda state: None,
) -> dict[str, Any]:
    """Read a library of files into a dataset; needs a Ray session.

    On several machines the files and `out` must be on storage that all of them share.

    Args:
        paths: files, and folders that are searched for all known suffixes.
        captions: caption files (`raydance.motion.captions`).
        layout: of a public data set (`raydance.data.layouts`), or `auto`.
        settings: those of motion by default.
        progress: told `{"files", "of", "windows", "skipped", "seconds"}` after each file.

    Returns:
        Counts: `files`, `read`, `short`, `skipped`, `warned`, `padded`, `windows`, `recordings`,
        `seconds`, `splits`, `signals` (`signal_counts`), and of tracks
        without camera motion `camera`: `tracks` and `videos` without it, `of_videos`.

    Raises:
        InputError: nothing to read, or `out` holds something that is not to be overwritten.
        StorageError: there is no room or the storage fails.
    """
    started = time.monotonic()
    settings = settings or files.Settings()
    out = Path(out).resolve()
    _refuse_occupied(out, overwrite)
    # Absolute: workers on a cluster have working folders of their own.
    places = [Path(path).absolute() for path in paths]
    caption_files = [Path(path).absolute() for path in captions]
    jobs = settings.find_jobs(places, caption_files, layout)
    building = out.with_name(f".{out.name}.ingesting")
    shutil.rmtree(building, ignore_errors=True)  # of an ingestion that was killed
    building.mkdir(parents=True)
    try:
        _build(building, jobs, settings, progress, started)
        _swap_in(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return summary(Dataset.open(out)) | {"seconds": time.monotonic() - started}


def _build(
    folder: Path,
    jobs: Sequence[sources.FileJob],
    settings: IngestSettings,
    progress: Progress,
    started: float,
) -> None:
    """Write all of a dataset into a folder of its own."""
    # Not by the cluster's size: shards, and with them the dataset's hash, are the same everywhere.
    groups = sources.group_jobs(jobs, _FEWEST_GROUPS)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    cpus = int(ray.cluster_resources().get("CPU", 1))
    data = ray.data.range(len(groups), override_num_blocks=len(groups)).map_batches(
        _WriteGroups,
        fn_constructor_args=(ray.put(groups), settings, folder),
        batch_size=None,
        # Actors, because the next group waits at an actor: between two tasks a processor idles for
        # a fifth of a second, which was an eighth of the time.
        compute=ActorPoolStrategy(
            min_size=max(1, min(cpus, len(groups))),
            max_size=len(groups),
            max_tasks_in_flight_per_actor=2,
        ),
    )
    shards: list[Shard] = []
    clips: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    state = {"files": 0, "of": len(jobs), "windows": 0, "skipped": 0, "seconds": 0.0}
    for item in data.iter_rows():
        row = json.loads(item["row"])
        if "failed" in row:
            raise StorageError(row["failed"])
        shards += [Shard(**shard) for shard in row["shards"]]
        clips += row["clips"]
        records.append(row["record"])
        state["files"] += 1
        state["windows"] += row["record"]["windows"]
        state["skipped"] += row["record"]["status"] == "skipped"
        state["seconds"] = time.monotonic() - started
        progress(state)
    dataset.finish(
        folder,
        shards=shards,
        clips=clips,
        files=records,
        settings=settings.facts(),
        versions=_versions(),
        modality=settings.modality,
        arrays=settings.arrays,
    )


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        # A source tree that was sent to a cluster is not installed there.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def summary(made: Dataset) -> dict[str, Any]:
    """Counts of a dataset: files by what became of them, windows and recordings by split."""
    records = made.manifest["files"]
    by_status = {
        status: sum(record["status"] == status for record in records)
        for status in ("read", "short", "skipped")
    }
    counts = made.manifest["counts"]
    cameras = [record["camera"] for record in records if "camera" in record]
    counted = {key: sum(camera[key] for camera in cameras) for key in (cameras or [{}])[0]}
    return {
        "files": len(records),
        **by_status,
        "warned": len(made.warned()),
        "dropped_windows": sum(record.get("dropped_windows", 0) for record in records),
        "padded": made.num_padded,
        "windows": sum(split["windows"] for split in counts.values()),
        "recordings": sum(split["recordings"] for split in counts.values()),
        "splits": counts,
        "signals": signal_counts(records),
        **({"camera": counted} if cameras else {}),
    }


def _refuse_occupied(out: Path, overwrite: bool) -> None:
    """Refuse to write over anything but a dataset that the user wants replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not dataset.is_dataset(out):
        raise InputError(f"{out}: not empty and not a dataset of raydance; choose another --out")
    if not overwrite:
        raise InputError(f"{out}: holds a dataset; --overwrite replaces it")


def _swap_in(built: Path, out: Path) -> None:
    """Put a finished dataset in its place; the one that it replaces goes last."""
    old = out.with_name(f".{out.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.replace(old)
    built.replace(out)
    shutil.rmtree(old, ignore_errors=True)
