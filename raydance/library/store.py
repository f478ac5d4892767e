"""A captioned library on disk (see `raydance.library.unit_store`).

CAPTIONS/
  captions.json         format, the run, how motion was cut, k
  windows/UNIT.parquet  a row per window: time, captions, scores, cluster, embedding
  clips/UNIT.parquet    a row per clip: what is said of it and its timed segments
  units/UNIT.json       the commit
  skipped.jsonl         files that could not be read
  index/                for search; made anew when it is missing
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from raydance.library.unit_store import UnitStore, run_identity
from raydance.systems.dance_language.answers import Hit

__all__ = ["CaptionStore", "run_identity"]


class CaptionStore(UnitStore):
    """The folder of a captioned library."""

    RECORD: ClassVar[str] = "captions.json"
    FORMAT: ClassVar[str] = "raydance-captions"
    WHAT: ClassVar[str] = "captions"
    MADE: ClassVar[str] = "captioned"
    TABLES: ClassVar[tuple[str, ...]] = ("windows", "clips")
    NEEDED: ClassVar[frozenset[str]] = frozenset(
        {"run", "fps", "window", "stride", "k", "metric", "width"}
    )
    POINTS: ClassVar[tuple[str, str]] = ("windows", "embedding")
    OWNER: ClassVar[tuple[str, ...]] = ("clip_id",)
    TOLD = ("clip_id", "source", "start_s", "end_s", "captions", "derived")

    def hit(self, row: dict[str, Any], score: float) -> Hit:
        """A window that was found."""
        told: dict[str, Any] = {name: row[name] for name in self.TOLD}
        told |= {name: tuple(row[name]) for name in ("captions", "derived")}
        return Hit(score=score, labels={}, split="", **told)

    def commit(
        self, name: str, session: int, files: Sequence[Any], windows: pa.Table, clips: pa.Table
    ) -> dict[str, Any]:
        """Write a unit: its tables first, then the record that makes them count."""
        return self.commit_tables(name, session, files, {"windows": windows, "clips": clips})

    def counts(self) -> dict[str, int]:
        """`files`, `read`, `short`, `skipped` and `windows` of the library as it is."""
        rows = [row for _, row in self.live.values() if row["status"] != "gone"]
        by_status = {s: sum(r["status"] == s for r in rows) for s in ("read", "short", "skipped")}
        return {"files": len(rows), **by_status, "windows": sum(r["windows"] for r in rows)}

    def clips(self) -> Iterator[dict[str, Any]]:
        """A row of each clip of the library, once."""
        for unit, here in self.units():
            for row in self.read("clips", unit).to_pylist():
                if row["item"] in here:
                    yield row
