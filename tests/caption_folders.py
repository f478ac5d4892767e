"""A library to caption, what lies in the folder of its captions, and such folders made by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from small_training import descendants

from raydance.library import units
from raydance.library.describer import CLIP_SCHEMA, window_schema
from raydance.library.store import CaptionStore
from raydance.motion import synthetic

FACTS: dict[str, Any] = {
    "run": {"path": "runs/x", "identity": "abc"},
    "fps": 20.0,
    "window": 50,
    "stride": 20,
    "k": 2,
    "metric": "cosine",
    "width": 8,
}


def write_clip(path: Path, movement: str, number: int) -> None:
    clip = synthetic.make_clip(movement, number)
    arrays = {"joint_names": np.array(clip.joint_names), "parents": np.array(clip.parents)}
    np.savez(path, positions=clip.positions, fps=clip.fps, **arrays)


def state_of(out: Path) -> dict[str, int]:
    """Modification times of all committed units."""
    return {p.name: p.stat().st_mtime_ns for p in (out / "units").glob("*.json")}


def windows_of(out: Path) -> Counter:
    """How often each window of the library counts."""
    store = CaptionStore.open(out)
    found: Counter = Counter()
    for unit, here in store.units():
        rows = pq.read_table(out / "windows" / f"{unit}.parquet").to_pylist()
        found.update((r["clip_id"], r["start_s"]) for r in rows if r["item"] in here)
    return found


def caption_actors(ancestor: int) -> list[int]:
    """Process ids of the actors that caption, among a process's descendants."""
    return [pid for pid, args in descendants(ancestor) if "_ReadAndDescribe" in args]


def table_of(items: list[str], points: np.ndarray) -> pa.Table:
    rows = [
        {
            "clip_id": item,
            "item": item,
            "source": f"{item}.bvh",
            "start_s": 0.0,
            "end_s": 2.5,
            "captions": [f"says {item}"],
            "derived": [item == "c17"],
            "embedding": point.tolist(),
        }
        for item, point in zip(items, points)
    ]
    return pa.Table.from_pylist(rows, schema=window_schema(points.shape[1]))


def clips_of(items: list[str]) -> pa.Table:
    rows = [{"clip_id": item, "item": item, "segments": []} for item in items]
    return pa.Table.from_pylist(rows, schema=CLIP_SCHEMA)


def commit(store: CaptionStore, session: int, versions: dict[str, str], points: np.ndarray) -> str:
    """Put items of one window each into a library; returns the unit's name."""
    name = units.unit_name(
        [units.Item(name=n, version=v, size=1) for n, v in versions.items()], "s"
    )
    files = [
        {"name": n, "version": v, "status": "read", "windows": 1, "file": n}
        for n, v in versions.items()
    ]
    store.commit(name, session, files, table_of(list(versions), points), clips_of(list(versions)))
    store.refresh()
    return name
