"""What a job over a library leaves on disk, written unit by unit, each whole or not at all.

    FOLDER/
      RECORD                format, the run, and whatever else the output depends on
      TABLE/UNIT.parquet    rows of each unit, for each kind of table
      units/UNIT.json       the commit: which files the unit holds; written last
      skipped.jsonl         files that could not be read

A file of the library is found in the newest unit that holds it; units hold the number of the
session that wrote them, so a file that was changed and done again replaces itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import pyarrow as pa
import pyarrow.parquet as pq

from raydance.errors import ArtifactError, InputError
from raydance.files import check_record, finished, read_json, replacing, write_json

_NAME_LENGTH = 20
_LEFT_BEHIND_S = 600.0


def run_identity(run_path: Path) -> str:
    """Names what a run says: a digest of its weights and fitted arrays.

    Raises:
        ArtifactError: not a finished run.
    """
    bundles = finished(run_path / "stages", ".safetensors")
    if not bundles:
        raise ArtifactError(f"{run_path}: not a finished run")
    digest = hashlib.sha256()
    for path in bundles:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


class UnitStore:
    """The folder of such a job.

    Class attributes:
        RECORD: the file that marks the folder.
        FORMAT, VERSION: written in it.
        WHAT, MADE: what it holds and how it came to be, for messages.
        TABLES: folders of tables; the first one counts rows.
        NEEDED: facts without which the record is damaged.
        POINTS: the table and its column that hold points for search.
        OWNER, TOLD: columns of that table by which rows belong together in a search, and that a
            hit tells.
    """

    RECORD: ClassVar[str]
    FORMAT: ClassVar[str]
    VERSION: ClassVar[int] = 1
    WHAT: ClassVar[str]
    MADE: ClassVar[str] = "made"
    TABLES: ClassVar[tuple[str, ...]]
    NEEDED: ClassVar[frozenset[str]] = frozenset({"run"})
    POINTS: ClassVar[tuple[str, str]]
    OWNER: ClassVar[tuple[str, ...]]
    TOLD: ClassVar[tuple[str, ...]]

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path = path
        self.facts = facts

    @classmethod
    def create(cls, path: str | Path, facts: Mapping[str, Any]) -> Self:
        """Make the folder, or take up the one that is there.

        Args:
            facts: those of `NEEDED`, with `run` (`path`, `identity`), and whatever else the output
                depends on.

        Raises:
            InputError: output of another run or made with other settings, or another folder.
        """
        path = Path(path)
        wanted = json.loads(json.dumps(dict(facts)))
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: not a folder; choose another --out")
        if (path / cls.RECORD).exists():
            store = cls.open(path)
            if store.facts["run"]["identity"] != wanted["run"]["identity"]:
                raise InputError(
                    f"{path}: {cls.WHAT} by another run ({store.facts['run']['path']}); "
                    "choose another --out"
                )
            for key, value in wanted.items():
                if key != "run" and store.facts.get(key) != value:
                    raise InputError(
                        f"{path}: made with {key} {store.facts.get(key)!r}, now {value!r}; "
                        "choose another --out"
                    )
            return store
        if path.exists() and any(path.iterdir()):
            raise InputError(
                f"{path}: not empty and not {cls.WHAT} of raydance; choose another --out"
            )
        for folder in (*cls.TABLES, "units"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        write_json(path / cls.RECORD, {"format": cls.FORMAT, "version": cls.VERSION, **wanted})
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the folder.

        Raises:
            ArtifactError: not one, damaged, or of another version.
        """
        path = Path(path)
        if not (path / cls.RECORD).exists():
            raise ArtifactError(f"{path}: not {cls.WHAT} of raydance (no {cls.RECORD})")
        facts = read_json(path / cls.RECORD, "the library's record")
        numbered = f"{cls.WHAT} version"
        check_record(path, facts, cls.FORMAT, cls.VERSION, what=cls.WHAT, numbered=numbered)
        lacking = cls.NEEDED - facts.keys()
        run = facts.get("run")
        if lacking or not isinstance(run, dict) or not {"path", "identity"} <= run.keys():
            raise ArtifactError(f"{path}/{cls.RECORD}: damaged")
        return cls(path, facts)

    def check_run(self, identity: str, place: str | Path) -> None:
        """Refuse a run that did not make this.

        Args:
            identity: its `run_identity`.
            place: where it lies, for the message.

        Raises:
            InputError: another run.
        """
        if self.facts["run"]["identity"] != identity:
            raise InputError(f"{self.path}: not {self.MADE} by {place}, as it is now; do it again")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process writes; the lock goes with the process.

        Raises:
            InputError: another one is writing.
        """
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"{self.path}: another process writes to it") from None
            yield

    def hit(self, row: dict[str, Any], score: float) -> Any:
        """What a search gives of a row of `TOLD`."""
        return {"score": score} | {name: row[name] for name in self.TOLD}

    # Writing

    def is_committed(self, name: str) -> bool:
        """Whether a unit is there, whole."""
        return self._commit(name).exists()

    def commit_tables(
        self, name: str, session: int, files: Sequence[Any], tables: Mapping[str, pa.Table]
    ) -> dict[str, Any]:
        """Write a unit: its tables, one for each of `TABLES`, then the record that makes them
        count."""
        for folder, table in tables.items():
            with replacing(self.path / folder / f"{name}.parquet") as temporary:
                pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        sizes = {folder: len(table) for folder, table in tables.items()}
        record = {"unit": name, "session": session, "files": list(files), **sizes}
        write_json(self._commit(name), record)
        return record

    def files_of(self, name: str) -> list[dict[str, Any]]:
        """Records of the files of a committed unit."""
        files: list[dict[str, Any]] = read_json(self._commit(name), "the unit's record")["files"]
        return files

    def forget(self, names: Sequence[str], session: int) -> None:
        """Record that files are in the library no more."""
        key = hashlib.blake2b(repr((session, sorted(names))).encode(), digest_size=10).hexdigest()
        files = [{"name": name, "version": "", "status": "gone", "windows": 0} for name in names]
        empty = dict.fromkeys(self.TABLES, 0)
        record = {"unit": key, "session": session, "files": files, **empty}
        write_json(self._commit(key), record)

    def sweep_up(self) -> None:
        """Remove units whose files all count elsewhere by now, and what a kill left behind."""
        needed = {unit for unit, _ in self.live.values()}
        for record in self.records:
            if record["unit"] not in needed:  # the record first: without it the tables mean nothing
                self._commit(record["unit"]).unlink(missing_ok=True)
        for folder in ("units", *self.TABLES):
            for path in (self.path / folder).iterdir():
                is_left = path.name.startswith(".") or path.stem not in needed
                # A lost worker may still be at it: only what is old is surely left behind.
                if is_left and time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                    path.unlink(missing_ok=True)
        self.refresh()

    def _commit(self, name: str) -> Path:
        return self.path / "units" / f"{name}.json"

    # Reading

    def refresh(self) -> None:
        """Look at the folder again."""
        self.__dict__.pop("records", None)
        self.__dict__.pop("live", None)

    def _read(self) -> list[dict[str, Any]]:
        found = []
        for path in finished(self.path / "units", ".json"):
            record = read_json(path, "the unit's record")
            try:
                is_sound = record["unit"] == path.stem and len(path.stem) == _NAME_LENGTH
                is_sound &= isinstance(record["session"], int) and record[self.TABLES[0]] >= 0
                is_sound &= all({"name", "version", "status"} <= f.keys() for f in record["files"])
            except (KeyError, TypeError, AttributeError):
                is_sound = False
            if not is_sound:
                raise ArtifactError(f"{path}: damaged; delete it, and its files are done again")
            found.append(record)
        return found

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Every committed unit, the oldest session first."""
        return sorted(self._read(), key=lambda record: (record["session"], record["unit"]))

    @cached_property
    def live(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """File of the library -> the unit in which it counts, and its record there."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for record in self.records:
            for file in record["files"]:
                found[file["name"]] = (record["unit"], file)
        return found

    @property
    def next_session(self) -> int:
        """The number for what is written next."""
        return 1 + max((record["session"] for record in self.records), default=0)

    def skipped(self) -> list[dict[str, Any]]:
        """Files that could not be read: `file`, `line`, `reason`."""
        return [
            {key: row.get(key) for key in ("file", "line", "reason")}
            for _, row in self.live.values()
            if row["status"] == "skipped"
        ]

    def read(self, folder: str, unit: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A unit's table in one of `TABLES`, with the column `item` among its own.

        Raises:
            ArtifactError: missing or damaged.
        """
        path = self.path / folder / f"{unit}.parquet"
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                return file.read(columns=None if columns is None else list(columns))
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(
                f"{path}: missing or damaged ({error}); delete units/{unit}.json, and it is done "
                "again"
            ) from None

    def counts(self) -> dict[str, int]:
        """`files` of the library as it is, and how many were `read` and `skipped`."""
        rows = [row for _, row in self.live.values() if row["status"] != "gone"]
        by_status = {s: sum(r["status"] == s for r in rows) for s in ("read", "skipped")}
        return {"files": len(rows), **by_status}

    def write_skipped(self) -> None:
        """Write the files that could not be read into `skipped.jsonl`."""
        with replacing(self.path / "skipped.jsonl") as temporary:
            rows = sorted(self.skipped(), key=lambda row: str(row["file"]))
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def units(self) -> Iterator[tuple[str, set[str]]]:
        """Units with rows, in order, and which of their files count there."""
        for record in self.records:
            here = {f["name"] for f in record["files"] if self.live[f["name"]][0] == record["unit"]}
            if record[self.TABLES[0]] and here:
                yield record["unit"], here
