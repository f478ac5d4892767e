"""What a task made of a whole library, or its points for search.

FOLDER/
  task.json             format, the run, the task or `index`, its options
  answers/UNIT.parquet  a row per input: file, name, captions, answer as JSON, point
  made/NAME.SUFFIX      what the task made of it: a motion or tracks
  units/UNIT.json       the commit
  skipped.jsonl         files that could not be read
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import pyarrow as pa

from raydance.library.unit_store import UnitStore

SCHEMA: Final = pa.schema(
    [
        ("item", pa.string()),
        ("name", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("point", pa.list_(pa.float32())),
    ]
)


class TaskStore(UnitStore):
    """The folder of such a library."""

    RECORD: ClassVar[str] = "task.json"
    FORMAT: ClassVar[str] = "raydance-library"
    WHAT: ClassVar[str] = "a library"
    TABLES: ClassVar[tuple[str, ...]] = ("answers",)
    NEEDED: ClassVar[frozenset[str]] = frozenset({"run", "task", "options"})
    POINTS: ClassVar[tuple[str, str]] = ("answers", "point")
    OWNER: ClassVar[tuple[str, ...]] = ("item", "name")
    TOLD: ClassVar[tuple[str, ...]] = ("item", "name", "captions")

    def sweep_up(self) -> None:
        """Remove what no file of the library needs any more, in `made` too."""
        super().sweep_up()
        needed = {file for row in self.answers() for file in row["answer"].get("files", ())}
        for path in (self.path / "made").rglob("*"):
            if path.is_file() and str(path.relative_to(self.path)) not in needed:
                path.unlink(missing_ok=True)

    def answers(self) -> Iterator[dict[str, Any]]:
        """A row of each input, once, with its answer as plain data."""
        for unit, here in self.units():
            for row in self.read("answers", unit).to_pylist():
                if row["item"] in here:
                    yield row | {"answer": json.loads(row["answer"])}
