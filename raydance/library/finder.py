"""Search in a library on disk by a point of the run's space, on a FAISS index that grows with it.

Exact up to `EXACT_WINDOWS`: all windows are looked at in half precision, which is half the memory
to read, and the nearest of them in full; only what rounding can't have misplaced counts. Then a
graph (HNSW), which answers in milliseconds over millions and misses a neighbour now and then. The
index is a file beside the captions and holds units in the order in which they were added; what no
longer counts is passed over.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
import pyarrow as pa

from raydance.data import index
from raydance.errors import ArtifactError, InputError
from raydance.files import replacing, write_json
from raydance.library.unit_store import UnitStore

EXACT_WINDOWS: Final = 300_000
"""More windows than this are searched approximately."""

_HNSW_NEIGHBOURS: Final = 32
_HNSW_BUILD: Final = 128
_HNSW_SEARCH: Final = 256
_KEPT_TABLES: Final = 512
_HALF_LARGEST: Final = 65504.0
_HALF_ERROR: Final = 1.25 * 2.0**-11  # of a vector's length; the quarter is for sums in float32
_HALF_STEP: Final = 2.0**-24  # between numbers too small for all of their digits
_BLOCK: Final = 16_384


class Finder:
    """Searches a library that has points.

    Args:
        store: the library.
        exact_windows: largest library that is searched exactly.
        keep: write the index into the library's folder, so that the next search need not build it.

    Raises:
        ArtifactError: the library is damaged.
    """

    def __init__(
        self, store: UnitStore, *, exact_windows: int = EXACT_WINDOWS, keep: bool = True
    ) -> None:
        self.store = store
        self._units = dict(store.units())
        self._table, self._column = store.POINTS
        here = [record for record in store.records if record["unit"] in self._units]
        self._num_owners = sum(record[store.TABLES[-1]] for record in here)
        self._is_cosine = store.facts.get("metric", "cosine") == "cosine"
        self._width = int(store.facts.get("width") or self._first_width())
        total = sum(record[self._table] for record in here)
        self.is_exact = total <= exact_windows
        self._kind = "half-then-exact" if self.is_exact else "hnsw"
        self._index, self._order = self._load()
        known = {unit for unit, _ in self._order}
        fresh = [unit for unit in self._units if unit not in known]
        for unit in fresh:
            self._add(unit)
        if fresh and keep:
            self._save()
        self._slack = self._misplaced_by() if self.is_exact else 0.0
        self._tables: OrderedDict[str, tuple[list[tuple[Any, ...]], list[str], pa.Table]] = (
            OrderedDict()
        )
        self._ends = np.cumsum([count for _, count in self._order], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, point_Z: np.ndarray, k: int) -> list[Any]:
        """The k owners of rows (clips, or inputs) nearest to a point, each by its best row.

        They are what the store's `hit` makes of them.

        Raises:
            InputError: k below 1.
        """
        if k < 1:
            raise InputError(f"k: {k}; at least 1")
        query = np.ascontiguousarray(point_Z, dtype=np.float32)
        if self._is_cosine:
            query = index.unit(query[None])[0]
        found = index.best_of_each(
            lambda count: self._nearest(query, count),
            self._owner_of,
            min(k, self._num_owners),
            len(self),
        )
        return [self._hit(row, score) for row, score in found]

    def _place(self, row: int) -> tuple[str, int]:
        """The unit that a row is in, and its number there."""
        place = int(np.searchsorted(self._ends, row, side="right"))
        unit, size = self._order[place]
        return unit, row - (int(self._ends[place]) - size)

    def _owner_of(self, row: int) -> tuple[Any, ...] | None:
        """The owner of a row; None where the row counts no more."""
        unit, number = self._place(row)
        if unit not in self._units:
            return None
        owners, items, _ = self._rows(unit)
        return owners[number] if items[number] in self._units[unit] else None

    def _hit(self, row: int, score: float) -> Any:
        unit, number = self._place(row)
        (found,) = self._rows(unit)[2].slice(number, 1).to_pylist()
        return self.store.hit(found, score)

    def _nearest(self, query_Z: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and scores of the nearest windows, the nearest first.

        At most `count`; fewer where rounding leaves open which window comes next.
        """
        if count == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        if not self.is_exact:
            graph: Any = faiss.downcast_index(self._index)
            graph.hnsw.efSearch = max(_HNSW_SEARCH, count)
            return self._scan(graph, query_Z, count)
        full = self._index.refine_index
        if count == len(self) or not np.isfinite(self._slack):
            return self._scan(full, query_Z, count)
        rows, rough = self._scan(self._index.base_index, query_Z, count)
        if len(rows) < count:  # what is not a number is nowhere
            return self._scan(full, query_Z, count)
        points = full.reconstruct_batch(rows)
        scores = points @ query_Z if self._is_cosine else -np.linalg.norm(points - query_Z, axis=1)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= rough[-1] + self._slack]
        if index.FIRST_LOOK * len(order) < count:  # windows alike: a second such look tells no more
            return self._scan(full, query_Z, count)
        return rows[order], scores[order]

    def _scan(self, vectors: Any, query_Z: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        with _one_thread():
            values, rows = vectors.search(query_Z[None], k)
        is_found = rows[0] >= 0
        found, rows = values[0][is_found], rows[0][is_found]
        return rows, found if self._is_cosine else -np.sqrt(found)

    def _misplaced_by(self) -> float:
        """The most by which a vector's copy in half precision can score better or worse than it."""
        longest, full = 1.0, self._index.refine_index
        if not self._is_cosine:
            starts = range(0, len(self), _BLOCK)
            blocks = (full.reconstruct_n(i, min(_BLOCK, len(self) - i)) for i in starts)
            longest = max((float(np.linalg.norm(b, axis=1).max()) for b in blocks), default=0.0)
        if longest > _HALF_LARGEST:
            return np.inf
        return _HALF_ERROR * longest + _HALF_STEP * float(np.sqrt(self._index.d))

    def _rows(self, unit: str) -> tuple[list[tuple[Any, ...]], list[str], pa.Table]:
        """Owners, files and all that is told of a unit's rows; kept while it is needed."""
        if unit not in self._tables:
            table = self.store.read(self._table, unit, ("item", *self.store.TOLD))
            owners = list(zip(*(table[name].to_pylist() for name in self.store.OWNER)))
            self._tables[unit] = owners, table["item"].to_pylist(), table
            if len(self._tables) > _KEPT_TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(unit)
        return self._tables[unit]

    def _points(self, unit: str) -> np.ndarray:
        """The points `[n, Z]` of a unit's rows."""
        column = self.store.read(self._table, unit, [self._column])[self._column].combine_chunks()
        return column.flatten().to_numpy().reshape(len(column), -1).astype(np.float32)

    def _first_width(self) -> int:
        return next((self._points(unit).shape[1] for unit in self._units), 1)

    def _add(self, unit: str) -> None:
        points = self._points(unit)
        if points.shape[1] != self._index.d:
            raise ArtifactError(
                f"{self.store.path}: unit {unit} has embeddings of {points.shape[1]} values, "
                f"{self.store.RECORD} says {self._index.d}"
            )
        if self._is_cosine:
            points = index.unit(points)
        self._index.add(np.ascontiguousarray(points))
        self._order.append((unit, len(points)))

    # The file

    @property
    def _folder(self) -> Path:
        return self.store.path / "index"

    def _new(self) -> Any:
        width = self._width
        metric = faiss.METRIC_INNER_PRODUCT if self._is_cosine else faiss.METRIC_L2
        if self.is_exact:
            half = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, metric)
            return faiss.IndexRefineFlat(half)
        graph = faiss.IndexHNSWFlat(width, _HNSW_NEIGHBOURS, metric)
        graph.hnsw.efConstruction = _HNSW_BUILD
        return graph

    def _load(self) -> tuple[Any, list[tuple[str, int]]]:
        """The index on disk, or an empty one where it is missing, damaged, or mostly outdated."""
        try:
            state = json.loads((self._folder / "state.json").read_text(encoding="utf-8"))
            order = [(str(unit), int(count)) for unit, count in state["units"]]
            path = self._folder / f"{state['file']}"
            if path.parent != self._folder or state["kind"] != self._kind:
                return self._new(), []
            outdated = sum(count for unit, count in order if unit not in self._units)
            total = sum(count for _, count in order)
            if 4 * outdated > total or _sha256(path) != state["sha256"]:
                return self._new(), []
            found = faiss.read_index(str(path))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            return self._new(), []
        is_ours = found.ntotal == total and found.d == self._width
        return (found, order) if is_ours else (self._new(), [])

    def _save(self) -> None:
        """Write the index; a library that cannot be written to is searched without."""
        name = "vectors.faiss"
        try:
            with replacing(self._folder / name) as temporary:
                faiss.write_index(self._index, str(temporary))
            state = {
                "file": name,
                "kind": self._kind,
                "units": self._order,
                "sha256": _sha256(self._folder / name),
            }
            write_json(self._folder / "state.json", state)
        except OSError:
            return


@contextmanager
def _one_thread() -> Iterator[None]:
    """One query on one thread: measured over 100,000 windows of 256 values, two threads that wait
    for each other take twice as long on an idle machine, and six times on a busy one."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
