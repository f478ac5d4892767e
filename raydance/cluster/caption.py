"""Captioning a library on Ray Data: a pool of actors reads, describes and commits.

Every unit is committed by the actor that describes it, so the driver holds nothing but counts, and
a kill of any of them loses only what was under way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data

from raydance.cluster.library import (
    Groups,
    Progress,
    actors_of,
    go_through,
    pool_of,
    records_of,
)
from raydance.data.dataset import Dataset
from raydance.data.ingest import Settings
from raydance.errors import InputError, StorageError
from raydance.library import units
from raydance.library.store import CaptionStore, run_identity
from raydance.systems.dance_language.run import load
from raydance.training.run_folder import Run


class _Read:
    """Numbers of groups in, a row per unit out: a Ray Data task before actors on GPUs."""

    def __init__(
        self, groups: ray.ObjectRef, settings: Settings, dataset: str | None, salt: str
    ) -> None:
        self.groups, self.settings, self.dataset, self.salt = groups, settings, dataset, salt

    def units(self, numbers: Iterable[Any]) -> Iterator[units.Unit]:
        """The units of some groups."""
        groups = ray.get(self.groups)
        dataset = Dataset.open(self.dataset) if self.dataset else None
        for number in numbers:
            yield from units.read_units(groups[number], self.settings, dataset, self.salt)

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[pa.Table]:
        for unit in self.units(rows["id"]):
            row = unit.to_row()
            arrays = {
                "facts": pa.array([row["facts"]], pa.large_string()),
                "motion": pa.array([row["motion"]], pa.large_binary()),
                "joint_mask": pa.array([row["joint_mask"]], pa.large_binary()),
            }
            yield pa.table(arrays)


class _Describe:
    """A Ray Data actor: units in, described and committed, their records out."""

    def __init__(self, run: str, out: str, session: int, k: int, threads: int) -> None:
        import torch

        from raydance.library.describer import Describer

        torch.set_num_threads(threads)
        self.describer = Describer(load(run), k)
        if torch.cuda.is_available():
            self.describer.system.to(torch.device("cuda"))
        self.store = CaptionStore.open(out)
        self.session = session

    def commit(self, unit: units.Unit) -> dict[str, np.ndarray]:
        """Describe a unit and write it, unless it is there."""
        record: Any = unit.files
        if not self.store.is_committed(unit.name):
            windows, clips = self.describer(unit)
            try:
                self.store.commit(unit.name, self.session, unit.files, windows, clips)
            except StorageError as error:  # raised here, Ray Data would print its stack
                record = {"failed": str(error)}
        return {"record": np.array([json.dumps(record)], dtype=object)}

    def __call__(self, table: pa.Table) -> Iterator[dict[str, np.ndarray]]:
        for i in range(len(table)):
            unit = units.Unit.from_row(
                table["facts"][i].as_py(),
                table["motion"][i].as_buffer(),
                table["joint_mask"][i].as_buffer(),
            )
            yield self.commit(unit)


class _ReadAndDescribe:
    """Both in one actor, on processors: windows then never leave the process."""

    def __init__(self, read: _Read, *args: Any) -> None:
        self.read, self.describe = read, _Describe(*args)

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for unit in self.read.units(rows["id"]):
            yield self.describe.commit(unit)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What is left to caption, and with what.

    Attributes:
        groups: items that are read together.
        dataset: its folder, where the items are shards.
        salt: of the units' names.
        describe: arguments of `_Describe`.
        actors: fewest and most.
    """

    groups: list[list[units.Item]]
    settings: Settings
    dataset: str | None
    salt: str
    describe: tuple[str, str, int, int, int]
    actors: tuple[int, int]

    def carry_out(self) -> Iterator[list[dict[str, Any]]]:
        """Records of the files of each unit, once it is committed."""
        ray.data.DataContext.get_current().enable_progress_bars = False
        read = _Read(ray.put(self.groups), self.settings, self.dataset, self.salt)
        pool = pool_of(*self.actors)
        rows = ray.data.range(len(self.groups), override_num_blocks=len(self.groups))
        if ray.cluster_resources().get("GPU", 0):
            done = rows.map_batches(read, batch_size=None).map_batches(
                _Describe,
                fn_constructor_args=self.describe,
                batch_size=None,
                batch_format="pyarrow",
                compute=pool,
                num_gpus=1,
            )
        else:
            done = rows.map_batches(
                _ReadAndDescribe,
                fn_constructor_args=(read, *self.describe),
                batch_size=None,
                compute=pool,
            )
        yield from records_of(done)


def caption(
    library: Sequence[str | Path],
    run: str | Path,
    out: str | Path,
    *,
    clips: Sequence[str | Path] = (),
    k: int = 3,
    actors: tuple[int, int] | None = None,
    threads: int | None = None,
    reading: Mapping[str, Any] | None = None,
    progress: Progress = lambda state: None,
) -> dict[str, Any]:
    """Caption what of a library is not captioned yet; needs a Ray session.

    On several machines the library, the run and `out` must be on storage that all of them share.

    Args:
        library: folders and files of motion, or one dataset.
        run: a finished run.
        out: the folder of the captioned library, new or to be gone on with.
        clips: caption files that cut files into clips or mend their frame rates; their words are
            not read.
        k: captions of each window, clip and segment.
        actors: fewest and most that describe; one to as many as the cluster has GPUs or else
            processors by default.
        threads: of torch in each actor; the processors of a node, shared out, by default.
        reading: further fields of `Settings`: `units`, `up`, `mapping`.
        progress: told `{"files", "of", "windows", "skipped", "seconds"}` after each unit.

    Returns:
        Counts of the library (`files`, `read`, `short`, `skipped`, `windows`) and of this session:
        `done` files, `done_windows`, `gone` files, `kept` files, `seconds`.

    Raises:
        InputError: nothing to read, or `out` holds something else.
        StorageError: there is no room or the storage fails.
    """
    run, out = Path(run).resolve(), Path(out).resolve()
    low, high = actors_of(actors)
    if k < 1:
        raise InputError(f"k: {k}; at least 1")
    places = [Path(path).absolute() for path in library]
    dataset, items = units.find_items(places, [Path(path).absolute() for path in clips])
    facts = _facts(run, dataset, k, reading or {})
    settings = units.settings_of(facts["fps"], facts["window"], facts["stride"], reading or {})
    store = CaptionStore.create(out, facts)
    threads = threads or max(1, _node_cpus() // high)

    def carry_out(groups: Groups, session: int) -> Iterator[list[dict[str, Any]]]:
        return _Work(
            groups=groups,
            settings=settings,
            dataset=str(dataset.path) if dataset else None,
            salt=_salt(facts, session),
            describe=(str(run), str(out), session, k, threads),
            actors=(low, high),
        ).carry_out()

    return go_through(store, items, carry_out, progress)


def _node_cpus() -> int:
    """Processors of a node, on average over those that have any and are there."""
    found = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    cpus = [count for count in found if count > 0]  # a head often has none, so as to run no tasks
    return int(sum(cpus) / len(cpus)) if cpus else 1


def _salt(facts: Mapping[str, Any], session: int) -> str:
    """Of the units' names: a file that went and came back must not count as done before."""
    kept = {key: value for key, value in facts.items() if key != "run"}
    return json.dumps([session, kept], sort_keys=True)


def _facts(
    run: Path, dataset: Dataset | None, k: int, reading: Mapping[str, Any]
) -> dict[str, Any]:
    """What captions depend on besides the library; kept with them."""
    opened = Run.open(run)
    data = opened.facts["dataset"]
    if dataset is not None and (dataset.fps, dataset.manifest["window"]) != (
        data["fps"],
        data["window"],
    ):
        raise InputError(
            f"{dataset.path}: {dataset.manifest['window']} frames at {dataset.fps:g} fps, the run "
            f"was trained on {data['window']} at {data['fps']:g}; give the motion files instead"
        )
    system = load(run)
    return {
        "run": {"path": str(run), "identity": run_identity(run)},
        "fps": data["fps"],
        "window": data["window"],
        "stride": dataset.manifest["stride"] if dataset else data["stride"],
        "k": k,
        "metric": system.metric,
        "width": system.width,
        "reading": {key: value for key, value in reading.items() if value is not None},
    }
