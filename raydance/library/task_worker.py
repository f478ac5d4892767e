"""One worker of a job over a library: files in, a task's answers or points for search out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from raydance.data.track_ingest import TrackSettings
from raydance.errors import InputError, RaydanceError
from raydance.library.task_store import SCHEMA
from raydance.library.units import Item
from raydance.motion.export.video import add_sound
from raydance.motion.formats import SUFFIXES as MOTION_SUFFIXES
from raydance.motion.formats import read_clip
from raydance.music.audio import SUFFIXES as MUSIC_SUFFIXES
from raydance.systems.engine import System, named
from raydance.systems.tasks import Answer, MotionAnswer, Task, TracksAnswer, task_of
from raydance.tracks.formats import iter_tracks
from raydance.tracks.track import Track

Given = tuple[str, Sequence[str], Any]
"""An input's name within its file, its captions, and its value as tasks take it."""

INDEX: Final = "index"
"""In place of a task's name: points for search."""


def _motion(path: Path) -> Iterator[Given]:
    clip = read_clip(path)
    yield clip.clip_id, clip.captions, clip


def _music(path: Path) -> Iterator[Given]:
    yield path.stem, (), path


def _tracks(path: Path) -> Iterator[Given]:
    for found in iter_tracks(path):
        if isinstance(found, Track):
            yield found.track_id, found.captions, found


def _files(suffixes: Sequence[str]) -> Callable[[Path], list[Path]]:
    def find(place: Path) -> list[Path]:
        files = [place] if place.is_file() else sorted(place.rglob("*"))
        return [f for f in files if f.suffix.lower() in suffixes and f.is_file()]

    return find


def _sources_of_tracks(place: Path) -> list[Path]:
    return [Path(job.path) for job in TrackSettings().find_jobs([place])]


READERS: Final[Mapping[str, tuple[Callable[[Path], list[Path]], Callable]]] = {
    "motion": (_files(tuple(MOTION_SUFFIXES)), _motion),
    "music": (_files(MUSIC_SUFFIXES), _music),
    "tracks": (_sources_of_tracks, _tracks),
}
"""Kind of input -> what finds its files in a folder, and what reads the inputs in one of them."""


def input_of(task: Task, each: str | None) -> str:
    """The input of a task that the files of a library are given as.

    Raises:
        InputError: it has no such input, or none that is a file.
    """
    able = [name for name, wanted in task.inputs.items() if wanted.kind in READERS]
    if each is not None and each not in able:
        raise InputError(f"{task.name} takes no files as {each}; allowed: {', '.join(able)}")
    if not able:
        raise InputError(f"{task.name} takes no files, so it cannot go over a library")
    return each or next((name for name in able if not task.inputs[name].is_optional), able[0])


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is done with every input of a library; picklable.

    Attributes:
        module: of the system; a worker imports it.
        run: its folder.
        out: the folder of the library that is written.
        task: its name, or `INDEX`.
        each: the input that files are given as, and kind: of that input.
        inputs: further inputs, the same for all.
        suffix: of files that are written, as `.bvh`.
    """

    module: str
    run: str
    out: str
    task: str
    each: str
    kind: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = ""


class TaskWorker:
    """Carries out an order on units of files; the run is loaded once."""

    def __init__(self, order: Order) -> None:
        self.order = order
        system: System = named(f"{order.module}:SYSTEM")
        self.loaded = system.load(order.run)

    def __call__(self, items: Sequence[Item]) -> tuple[list[dict[str, Any]], pa.Table]:
        """A record of each file, and rows of `SCHEMA`.

        A file that cannot be read, or whose inputs the task refuses, is skipped with the reason.
        """
        records, rows = [], []
        for item in items:
            assert item.job is not None
            record = {"name": item.name, "version": item.version, "file": item.job.path}
            found: list[dict[str, Any]] = []
            try:
                for given in READERS[self.order.kind][1](Path(item.job.path)):
                    found.append(self._row(item, given, len(found)))
            except (RaydanceError, OSError) as error:
                records.append(record | {"status": "skipped", "reason": str(error), "windows": 0})
                continue
            records.append(record | {"status": "read", "windows": len(found)})
            rows += found
        return records, pa.Table.from_pylist(rows, schema=SCHEMA)

    def _row(self, item: Item, given: Given, number: int) -> dict[str, Any]:
        name, captions, value = given
        order = self.order
        row = {"item": item.name, "name": name, "captions": list(captions), "answer": "{}"}
        inputs = {**order.inputs, order.each: value}
        if order.task == INDEX:
            return row | {"point": self.loaded.point_of(inputs).tolist()}
        task = task_of(self.loaded, order.task)
        (answer,) = task.answer([task.request(inputs, order.options)])
        return row | {"answer": json.dumps(self._plain(item, number, answer))}

    def _plain(self, item: Item, number: int, answer: Answer) -> dict[str, Any]:
        """An answer as plain data; motion and tracks are written and named."""
        if not isinstance(answer, MotionAnswer | TracksAnswer):
            return answer.to_dict()
        files = []
        for sample in range(answer.num_samples):
            parts = [str(n + 1) for n in (number, sample) if n]
            file = "-".join([item.name, *parts]) + self.order.suffix
            path = Path(self.order.out, "made", file)
            path.parent.mkdir(parents=True, exist_ok=True)
            answer.write(sample, path)
            if self.order.kind == "music" and path.suffix == ".mp4" and item.job:
                add_sound(path, Path(item.job.path))
            files.append(f"made/{file}")
        facts = {"facts": dict(answer.facts), "notices": list(answer.notices)}
        return {"kind": answer.kind, "files": files, **facts}
