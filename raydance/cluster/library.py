"""A task of a run over a whole library on Ray Data: each file exactly once, resumably.

A pool of actors reads files, answers, and commits unit by unit, as captioning does, so a kill of
any of them or of the driver loses only what was under way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import ray
import ray.data
from ray.data import ActorPoolStrategy

from raydance.data.sources import FileJob
from raydance.errors import InputError, StorageError
from raydance.library import units
from raydance.library.task_store import TaskStore
from raydance.library.task_worker import READERS, Order, TaskWorker
from raydance.library.unit_store import UnitStore, run_identity
from raydance.plain_text import well_formed

Progress = Callable[[Mapping[str, Any]], None]
Groups = list[list[units.Item]]

_GROUPS_AHEAD: Final = 2  # that wait at an actor, so that it never does


class _Answer:
    """A Ray Data actor: numbers of groups in, the records of their files out, once committed."""

    def __init__(self, groups: ray.ObjectRef, order: Order, session: int, salt: str) -> None:
        import torch

        torch.set_num_threads(1)
        self.groups = ray.get(groups)
        self.worker = TaskWorker(order)
        if torch.cuda.is_available():
            self.worker.loaded.to(torch.device("cuda"))
        self.store = TaskStore.open(order.out)
        self.session, self.salt = session, salt

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for number in rows["id"]:
            group = self.groups[int(number)]
            name = units.unit_name(group, self.salt)
            record: Any
            try:
                if not self.store.is_committed(name):  # by a task that was lost afterwards
                    files, table = self.worker(group)
                    self.store.commit_tables(name, self.session, files, {"answers": table})
                record = self.store.files_of(name)
            except StorageError as error:  # raised here, Ray Data would print its stack
                record = {"failed": str(error)}
            yield {"record": np.array([json.dumps(record)], dtype=object)}


def pool_of(low: int, high: int) -> ActorPoolStrategy:
    """Actors that grow with the work and always have some at hand."""
    return ActorPoolStrategy(
        min_size=low, max_size=high, max_tasks_in_flight_per_actor=_GROUPS_AHEAD
    )


def records_of(done: ray.data.Dataset) -> Iterator[list[dict[str, Any]]]:
    """Records of the files of each unit, once it is committed.

    Raises:
        StorageError: there is no room or the storage fails.
    """
    for row in done.iter_rows():
        record = json.loads(row["record"])
        if "failed" in record:
            raise StorageError(record["failed"])
        yield record


def actors_of(actors: tuple[int, int] | None) -> tuple[int, int]:
    """Fewest and most actors; one to as many as the cluster has GPUs or else processors.

    Raises:
        InputError: the wrong way round, or none.
    """
    resources = ray.cluster_resources()
    most = max(1, int(resources.get("GPU", 0)) or int(resources.get("CPU", 1)))
    low, high = actors or (1, most)
    if not 1 <= low <= high:
        raise InputError(f"actors {low}:{high}; allowed: 1 <= MIN <= MAX")
    return low, high


def go_through(
    store: UnitStore,
    items: Sequence[units.Item],
    carry_out: Callable[[Groups, int], Iterator[list[dict[str, Any]]]],
    progress: Progress,
) -> dict[str, Any]:
    """Do what of a library is not done yet: one session of a store.

    Args:
        carry_out: from groups of items and the session's number to records of files, by unit.
        progress: told `{"files", "of", "windows", "skipped", "seconds"}` after each unit.

    Returns:
        Counts of the library and of this session: `done` files, `done_windows`, `gone` files,
        `kept` files, `seconds`.
    """
    started = time.monotonic()
    with store.locked():
        live = store.live
        groups = units.group_items(items, lambda item: _is_done(item, live))
        names = {item.name for item in items}
        gone = sorted(n for n, (_, f) in live.items() if n not in names and f["status"] != "gone")
        session = store.next_session
        if gone:
            store.forget(gone, session)
        state = {"files": 0, "of": sum(map(len, groups)), "windows": 0, "skipped": 0}
        for files in carry_out(groups, session) if groups else ():
            state["files"] += len(files)
            state["windows"] += sum(file["windows"] for file in files)
            state["skipped"] += sum(file["status"] == "skipped" for file in files)
            progress(state | {"seconds": time.monotonic() - started})
        store.refresh()
        store.sweep_up()
        store.write_skipped()
    return store.counts() | {
        "done": state["files"],
        "done_windows": state["windows"],
        "kept": len(items) - state["of"],
        "gone": len(gone),
        "seconds": time.monotonic() - started,
    }


def _is_done(item: units.Item, live: Mapping[str, tuple[str, dict[str, Any]]]) -> bool:
    return item.name in live and live[item.name][1]["version"] == item.version


def find_items(library: Sequence[str | Path], kind: str) -> list[units.Item]:
    """The files of a kind of input in folders, named by their place in them.

    Raises:
        InputError: a place that is not there, or no file.
    """
    found: dict[str, units.Item] = {}
    for place in map(Path, library):
        if not place.exists():
            raise InputError(f"{place}: no such file or folder")
        for path in READERS[kind][0](place):
            name = well_formed(
                f"{place.name}/{path.relative_to(place)}" if path != place else path.name
            )
            parts = [path, *path.rglob("*")] if path.is_dir() else [path]
            stats = [part.stat() for part in parts]
            size = sum(stat.st_size for stat in stats)
            job = FileJob(path=str(path), clip_id=name, recording=name, split="", size=size)
            version = f"{size}-{max(stat.st_mtime_ns for stat in stats)}"
            if name in found:
                raise InputError(f"{path}: a second {name}; folders of one name are done apart")
            found[name] = units.Item(name=name, version=version, size=size, job=job)
    if not found:
        raise InputError(f"no {kind} in {', '.join(map(str, library))}")
    return list(found.values())


def answer_library(
    library: Sequence[str | Path],
    order: Order,
    *,
    actors: tuple[int, int] | None = None,
    progress: Progress = lambda state: None,
) -> dict[str, Any]:
    """Carry out an order on what of a library is not done yet; needs a Ray session.

    On several machines the library, the run and the output must be on storage that all share.

    Returns:
        As `go_through`.

    Raises:
        InputError: nothing to read, or the output's folder holds something else.
        StorageError: there is no room or the storage fails.
    """
    low, high = actors_of(actors)
    items = find_items([Path(place).resolve() for place in library], order.kind)
    facts = {
        "run": {"path": order.run, "identity": run_identity(Path(order.run))},
        "task": order.task,
        "options": {"each": order.each, "suffix": order.suffix}
        | dict(order.inputs)
        | dict(order.options),
    }
    store = TaskStore.create(order.out, facts)

    def carry_out(groups: Groups, session: int) -> Iterator[list[dict[str, Any]]]:
        ray.data.DataContext.get_current().enable_progress_bars = False
        salt = json.dumps([session, facts["task"], facts["options"]], sort_keys=True)
        rows = ray.data.range(len(groups), override_num_blocks=len(groups))
        done = rows.map_batches(
            _Answer,
            fn_constructor_args=(ray.put(groups), order, session, salt),
            batch_size=None,
            compute=pool_of(low, high),
            num_gpus=1 if ray.cluster_resources().get("GPU", 0) else 0,
        )
        yield from records_of(done)

    return go_through(store, items, carry_out, progress)
