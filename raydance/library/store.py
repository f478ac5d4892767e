"""A captioned library on disk, written unit by unit, each whole or not at all.

    CAPTIONS/
      captions.json         format, the run, how motion was cut, k
      windows/UNIT.parquet  a row per window: time, captions, scores, cluster, embedding
      clips/UNIT.parquet    a row per clip: what is said of it and its timed segments
      units/UNIT.json       the commit: which files the unit holds; written last
      skipped.jsonl         files that could not be read
      index/                for search; made anew when it is missing

A file of the library is found in the newest unit that holds it; units hold the number of the
session that wrote them, so a file that was changed and captioned again replaces itself.
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
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raydance.errors import ArtifactError, InputError
from raydance.files import check_record, read_json, replacing, write_json

FORMAT = "raydance-captions"
VERSION = 1
_NAME_LENGTH = 20
_LEFT_BEHIND_S = 600.0


def run_identity(run_path: Path) -> str:
    """Names what a run says: a digest of its weights and fitted arrays.

    Raises:
        ArtifactError: not a finished run.
    """
    bundles = sorted((run_path / "stages").glob("*.safetensors"))
    if not bundles:
        raise ArtifactError(f"{run_path}: not a finished run")
    digest = hashlib.sha256()
    for path in bundles:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


class CaptionStore:
    """The folder of a captioned library."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path = path
        self.facts = facts

    @classmethod
    def create(cls, path: str | Path, facts: Mapping[str, Any]) -> CaptionStore:
        """Make the folder, or take up the one that is there.

        Args:
            facts: `run` (`path`, `identity`), `fps`, `window`, `stride`, `k`, `metric`, `width`,
                and whatever else the captions depend on.

        Raises:
            InputError: captions of another run or made with other settings, or another folder.
        """
        path = Path(path)
        wanted = json.loads(json.dumps(dict(facts)))
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: not a folder; choose another --out")
        if (path / "captions.json").exists():
            store = cls.open(path)
            if store.facts["run"]["identity"] != wanted["run"]["identity"]:
                raise InputError(
                    f"{path}: captions by another run ({store.facts['run']['path']}); "
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
                f"{path}: not empty and not captions of raydance; choose another --out"
            )
        for folder in ("windows", "clips", "units"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        write_json(path / "captions.json", {"format": FORMAT, "version": VERSION, **wanted})
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> CaptionStore:
        """Open a captioned library.

        Raises:
            ArtifactError: not one, damaged, or of another version.
        """
        path = Path(path)
        if not (path / "captions.json").exists():
            raise ArtifactError(f"{path}: not captions of raydance (no captions.json)")
        facts = read_json(path / "captions.json", "the captions' record")
        check_record(path, facts, FORMAT, VERSION, what="captions", numbered="captions version")
        lacking = {"run", "fps", "window", "stride", "k", "metric", "width"} - facts.keys()
        run = facts.get("run")
        if lacking or not isinstance(run, dict) or not {"path", "identity"} <= run.keys():
            raise ArtifactError(f"{path}/captions.json: damaged")
        return cls(path, facts)

    def check_run(self, identity: str, place: str | Path) -> None:
        """Refuse a run that did not make these captions.

        Args:
            identity: its `run_identity`.
            place: where it lies, for the message.

        Raises:
            InputError: another run.
        """
        if self.facts["run"]["identity"] != identity:
            raise InputError(
                f"{self.path}: not captioned by {place}, as it is now; caption it again"
            )

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
                raise InputError(f"{self.path}: another captioning writes to it") from None
            yield

    # Writing

    def is_committed(self, name: str) -> bool:
        """Whether a unit is there, whole."""
        return self._commit(name).exists()

    def commit(
        self, name: str, session: int, files: Sequence[Any], windows: pa.Table, clips: pa.Table
    ) -> dict[str, Any]:
        """Write a unit: its tables first, then the record that makes them count."""
        for folder, table in (("windows", windows), ("clips", clips)):
            with replacing(self.path / folder / f"{name}.parquet") as temporary:
                pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        record = {
            "unit": name,
            "session": session,
            "files": list(files),
            "windows": len(windows),
            "clips": len(clips),
        }
        write_json(self._commit(name), record)
        return record

    def forget(self, names: Sequence[str], session: int) -> None:
        """Record that files are in the library no more."""
        key = hashlib.blake2b(repr((session, sorted(names))).encode(), digest_size=10).hexdigest()
        files = [{"name": name, "version": "", "status": "gone", "windows": 0} for name in names]
        record = {"unit": key, "session": session, "files": files, "windows": 0, "clips": 0}
        write_json(self._commit(key), record)

    def sweep_up(self) -> None:
        """Remove units whose files all count elsewhere by now, and what a kill left behind."""
        needed = {unit for unit, _ in self.live.values()}
        for record in self.records:
            if record["unit"] not in needed:  # the record first: without it the tables mean nothing
                self._commit(record["unit"]).unlink(missing_ok=True)
        for folder in ("units", "windows", "clips"):
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
        for path in sorted((self.path / "units").glob("*.json")):
            record = read_json(path, "the unit's record")
            try:
                is_sound = record["unit"] == path.stem and len(path.stem) == _NAME_LENGTH
                is_sound &= isinstance(record["session"], int) and record["windows"] >= 0
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

    def counts(self) -> dict[str, int]:
        """`files`, `read`, `short`, `skipped` and `windows` of the library as it is."""
        rows = [row for _, row in self.live.values() if row["status"] != "gone"]
        by_status = {s: sum(r["status"] == s for r in rows) for s in ("read", "short", "skipped")}
        return {"files": len(rows), **by_status, "windows": sum(r["windows"] for r in rows)}

    def skipped(self) -> list[dict[str, Any]]:
        """Files that could not be read: `file`, `line`, `reason`."""
        return [
            {key: row.get(key) for key in ("file", "line", "reason")}
            for _, row in self.live.values()
            if row["status"] == "skipped"
        ]

    def read(self, folder: str, unit: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A unit's table of `windows` or `clips`, with the column `item` among them.

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

    def units(self) -> Iterator[tuple[str, set[str]]]:
        """Units with windows, in order, and which of their files count there."""
        for record in self.records:
            here = {f["name"] for f in record["files"] if self.live[f["name"]][0] == record["unit"]}
            if record["windows"] and here:
                yield record["unit"], here

    def clips(self) -> Iterator[dict[str, Any]]:
        """A row of each clip of the library, once."""
        for unit, here in self.units():
            for row in self.read("clips", unit).to_pylist():
                if row["item"] in here:
                    yield row
