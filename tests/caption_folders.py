"""A library to caption, and what lies in the folder of its captions."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from raydance.captioning.store import CaptionStore
from raydance.motion import synthetic


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


def caption_actors() -> list[int]:
    """Process ids of this machine's actors that caption."""
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    rows = [row for row in listing.stdout.splitlines() if "_ReadAndDescribe" in row]
    return [int(row.split()[0]) for row in rows]
