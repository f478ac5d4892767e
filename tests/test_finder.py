"""Search in a captioned library: exact and approximate, grown, damaged, empty."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from caption_folders import FACTS, commit

from raydance.data import index
from raydance.library.finder import Finder
from raydance.library.store import CaptionStore
from raydance.library.task_store import SCHEMA, TaskStore


def filled(path: Path, points: np.ndarray, metric: str, per_unit: int = 50) -> CaptionStore:
    store = CaptionStore.create(path, FACTS | {"metric": metric, "width": points.shape[1]})
    for first in range(0, len(points), per_unit):
        part = points[first : first + per_unit]
        commit(store, 1, {f"c{first + i}": "1" for i in range(len(part))}, part)
    return store


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_search_is_exact_and_agrees_with_numpy(tmp_path: Path, metric: Any):
    points = np.random.default_rng(1).standard_normal((200, 16)).astype(np.float32)
    finder = Finder(filled(tmp_path / "c", points, metric))
    assert finder.is_exact and len(finder) == 200
    query = points[17] + 0.1
    expected, scores = index.Index(points, metric).search(query, 5)
    hits = finder.search(query, 5)
    order = {f"c{i}": i for i in range(200)}
    assert {order[h.clip_id] for h in hits} == set(expected.tolist())
    assert [h.score for h in hits] == pytest.approx(scores.tolist(), abs=1e-4)
    assert hits[0].clip_id == "c17" and hits[0].captions == ("says c17",)
    assert [h.derived for h in hits] == [(True,)] + 4 * [(False,)]


@pytest.mark.parametrize(
    ("metric", "middle", "spread"),
    [
        ("cosine", 1.0, 1e-2),  # nearer to each other than half precision can tell
        ("euclidean", 1.0, 2e-4),
        ("euclidean", 0.0, 1e-6),  # too small for half precision
        ("euclidean", 0.0, 1e6),  # too large for it
    ],
)
def test_rounding_to_half_precision_misplaces_nothing(
    tmp_path: Path, metric: Any, middle: float, spread: float
):
    rng = np.random.default_rng(5)
    points = (middle + spread * rng.standard_normal((3000, 16))).astype(np.float32)
    store = filled(tmp_path / "c", points, metric, per_unit=500)
    for finder in (Finder(store), Finder(store)):  # built, and read from its file
        for query in points[:20] + np.float32(0.1 * spread):
            away = points.astype(np.float64) - query
            score = -np.linalg.norm(away, axis=1)
            if metric == "cosine":
                score = index.unit(points.astype(np.float64)) @ index.unit(query[None])[0]
            best = np.sort(score)[::-1][:5]
            found = [score[int(hit.clip_id[1:])] for hit in finder.search(query, 5)]
            assert found == pytest.approx(best.tolist(), rel=1e-4 if metric != "cosine" else 1e-6)


def test_the_index_grows_and_passes_over_what_is_outdated(tmp_path: Path):
    points = np.random.default_rng(2).standard_normal((120, 8)).astype(np.float32)
    store = filled(tmp_path / "c", points[:100], "cosine")
    Finder(store)
    state = json.loads((store.path / "index" / "state.json").read_text())
    commit(store, 2, {"new": "1"}, points[100:101])
    commit(store, 2, {"c3": "2"}, points[101:102])
    finder = Finder(store)
    assert finder._order[: len(state["units"])] == [tuple(u) for u in state["units"]]
    assert finder.search(points[100], 1)[0].clip_id == "new"
    assert finder.search(points[101], 1)[0].clip_id == "c3"
    assert "c3" not in [hit.clip_id for hit in finder.search(points[3], 1)]


def test_a_damaged_index_is_built_again(tmp_path: Path):
    points = np.random.default_rng(3).standard_normal((60, 8)).astype(np.float32)
    store = filled(tmp_path / "c", points, "cosine")
    Finder(store)
    file = store.path / "index" / "vectors.faiss"
    file.write_bytes(file.read_bytes()[:-10])
    assert Finder(store).search(points[7], 1)[0].clip_id == "c7"


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_large_libraries_are_searched_approximately(tmp_path: Path, metric: Any):
    points = np.random.default_rng(4).standard_normal((2000, 16)).astype(np.float32)
    store = filled(tmp_path / "c", points, metric, per_unit=500)
    exact, graph = Finder(store, keep=False), Finder(store, exact_windows=100)
    assert not graph.is_exact
    found = 0
    for query in points[:40] + 0.2:
        wanted = {hit.clip_id for hit in exact.search(query, 10)}
        found += len(wanted & {hit.clip_id for hit in graph.search(query, 10)})
    assert found >= 0.95 * 400
    assert Finder(store, exact_windows=100)._order == graph._order  # from the file


def test_an_empty_library_finds_nothing(tmp_path: Path):
    store = CaptionStore.create(tmp_path / "c", FACTS)
    assert Finder(store).search(np.ones(8, np.float32), 3) == []


def test_an_indexed_library_is_searched_likewise(tmp_path: Path):
    points = np.random.default_rng(4).standard_normal((6, 8)).astype(np.float32)
    facts = {"run": {"path": "run", "identity": "x"}, "task": "index", "options": {}}
    store = TaskStore.create(tmp_path / "i", facts)
    assert Finder(store).search(points[0], 3) == []

    def write(session: int, numbers: list[int], version: str) -> None:
        files = [
            {"name": f"f{n}", "version": version, "status": "read", "windows": 2} for n in numbers
        ]
        rows = [
            {"item": f"f{n}", "name": name, "captions": ["a"], "answer": "{}", "point": point}
            for n in numbers
            for name, point in (("one", points[n]), ("two", -points[n]))
        ]
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        store.commit_tables(f"{session:020d}", session, files, {"answers": table})
        store.refresh()

    write(1, [0, 1, 2, 3], "1")
    first, second, *_ = Finder(store).search(2.0 * points[2], 8)
    assert (first["item"], first["name"], first["captions"]) == ("f2", "one", ["a"])
    assert first["score"] == pytest.approx(1.0, abs=1e-5) and second["score"] < first["score"]
    points[2] = points[5]
    write(2, [2], "2")
    hits = Finder(store).search(points[5], 8)
    assert len(hits) == 8 and (hits[0]["item"], hits[0]["name"]) == ("f2", "one")
    assert hits[0]["score"] == pytest.approx(1.0, abs=1e-5) and hits[1]["score"] < 0.99
