"""The runs that a service has, by name, loaded when they are first asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from raydance.errors import InputError
from raydance.library.finder import Finder
from raydance.library.store import CaptionStore, run_identity
from raydance.serving.motions import DatasetMotions, LibraryMotions
from raydance.serving.problems import Changed, NotHere
from raydance.systems.dance_language.generation import sources
from raydance.systems.dance_language.run import DanceLanguage, load
from raydance.training.run_folder import load_bundle

Served = TypeVar("Served")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A run to be served.

    Attributes:
        name: what callers call it.
        run: its folder.
        library: captions that it made, to search in.
        data: its dataset, where it is no longer where it was trained from.
        identity: of its weights, where it must be this very run and no later one in its place.
    """

    name: str
    run: str
    library: str | None = None
    data: str | None = None
    identity: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For a Serve configuration."""
        return asdict(self)


class OpenRun:
    """A run with its libraries.

    Args:
        entry: where they lie.
        load: opens its folder.

    Raises:
        ArtifactError: damaged, unfinished, or not what it says.
        InputError: a run of another system than `load` is for, or a library that another run
            captioned.
        Changed: another run lies there by now.
    """

    def __init__(self, entry: Entry, load: Callable[[str], Any] = load) -> None:
        identity = run_identity(Path(entry.run))
        if entry.identity not in ("", identity):
            raise Changed(f"{entry.name} was replaced; try again")
        self.entry = replace(entry, identity=identity)
        self.system: DanceLanguage = load(entry.run)
        if entry.data is not None:
            _ = self.own_motions  # a mistake is told here
        self.store: CaptionStore | None = None
        if entry.library is not None:
            self.store = CaptionStore.open(entry.library)
            self.store.check_run(identity, entry.run)

    @cached_property
    def own_motions(self) -> DatasetMotions:
        """Motion of its own library."""
        return DatasetMotions(self.system, Path(self.entry.data) if self.entry.data else None)

    @cached_property
    def finder(self) -> Finder | None:
        """The search in the captioned library."""
        return Finder(self.store) if self.store is not None else None

    @cached_property
    def library_motions(self) -> LibraryMotions | None:
        """Motion of the captioned library."""
        return LibraryMotions(self.store) if self.store is not None else None

    def motions(self, in_library: bool) -> DatasetMotions | LibraryMotions:
        """Where the clips of a library are shown from.

        Raises:
            NotHere: there is no captioned library.
        """
        if not in_library:
            return self.own_motions
        if self.library_motions is None:
            raise NotHere(f"{self.entry.name} is served without a captioned library")
        return self.library_motions

    @property
    def sources(self) -> list[str]:
        """Where motion can come from; a clip is not sent to a service."""
        return [source for source in sources(self.system) if source != "clip"]

    @property
    def default_source(self) -> str:
        """Where motion comes from where nothing else is asked for."""
        return self.system.config.text_to_motion.source

    @cached_property
    def cluster_words(self) -> dict[int, str]:
        """Cluster -> the words that stand for it; empty where none were written or derived."""
        _, facts = load_bundle(self.system.run.bundle("captions"))
        texts = facts["texts"]
        return {
            int(cluster): "; ".join(texts[i] for i in ids)
            for cluster, ids in facts["of_cluster"].items()
        }


def named_run(runs: Mapping[str, Served], model: str | None) -> Served:
    """The run that a caller means; the first by default.

    Raises:
        NotHere: no such run.
    """
    name = next(iter(runs)) if model is None else model
    if name not in runs:
        raise NotHere(f"model {name[:100]!r} is not served; served: {', '.join(runs)}")
    return runs[name]


class RunCache:
    """Runs by name; the ones not asked for longest are put away when there are too many.

    Args:
        most: loaded at once.
        load: as of `OpenRun`.
    """

    def __init__(
        self, entries: Sequence[Entry], most: int = 4, load: Callable[[str], Any] = load
    ) -> None:
        names = [entry.name for entry in entries]
        if not entries or len(set(names)) < len(names):
            raise InputError(f"runs are served by different names; found {', '.join(names)}")
        self.entries = {entry.name: entry for entry in entries}
        self.default = names[0]
        self._most = most
        self._load = load
        self._opened: OrderedDict[tuple[str, str | None, str | None], OpenRun] = OrderedDict()
        self._lock = threading.Lock()

    def entry_of(self, model: str | None) -> Entry:
        """The run that a caller means.

        Raises:
            NotHere: no such run.
        """
        return named_run(self.entries, model)

    def open(self, which: str | Entry | None) -> OpenRun:
        """A run, loaded now if it was not before.

        Args:
            which: a name, or what another part answered with: that very run then, also if its name
                stands for a newer one by now.

        Raises:
            NotHere: no such run.
            Changed: another run lies in its place by now.
        """
        entry = which if isinstance(which, Entry) else self.entry_of(which)
        key = (entry.run, entry.library, entry.data)
        with self._lock:
            if key not in self._opened:
                self._opened[key] = OpenRun(entry, self._load)
                while len(self._opened) > self._most:
                    self._opened.popitem(last=False)
            self._opened.move_to_end(key)
            opened = self._opened[key]
        if entry.identity not in ("", opened.entry.identity):
            raise Changed(f"{entry.name} was replaced; try again")
        return opened


def entries_of(runs: Sequence[str], library: str | None, data: str | None) -> list[Entry]:
    """`RUN` or `NAME=RUN` of a command line; the library and the dataset are the first one's.

    Raises:
        InputError: two runs of one name, or one without name or place.
    """
    entries = []
    for number, text in enumerate(runs):
        name, mark, path = text.partition("=")
        if not mark or "/" in name:
            name, path = Path(text).resolve().name, text
        if not name or not path:
            raise InputError(f"{text}: RUN or NAME=RUN is needed")
        first = number == 0
        entries.append(
            Entry(
                name=name,
                run=str(Path(path).resolve()),
                library=str(Path(library).resolve()) if library and first else None,
                data=str(Path(data).resolve()) if data and first else None,
            )
        )
    RunCache(entries)  # names are checked here
    return entries
