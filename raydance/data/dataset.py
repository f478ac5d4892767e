"""The dataset: Parquet shards of rows, each of one split, and a manifest. No Ray.

A row is a window of motion, a whole clip of variable length, or a set of 2-D tracks: the manifest
names the modality and the shapes of its arrays. A clip shorter than a window holds its last frame,
and `length` says how many frames are real; shards without such rows have no `length`.

    DATASET/
      manifest.json       modality, arrays, rate, window, skeleton, counts, shards, files
      windows/*.parquet   {train,val,test}-NAME.parquet, windows of a clip in a row
      clips.parquet       a row per clip
      skipped.jsonl       files that could not be read: file, line, reason

The manifest is written last: a folder without one is an ingestion that did not finish.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raydance.data.schema import (
    CLIP_SCHEMA,
    MODALITIES,
    MOTION,
    Modality,
    array_columns,
    check_columns,
    row_names,
    row_schema,
)
from raydance.errors import ArtifactError, InputError
from raydance.files import check_record, writing
from raydance.motion import skeleton

FORMAT = "raydance-dataset"
VERSION = 1
SPLITS = ("train", "val", "test")
_MOTION_ARRAYS = {"motion": (50, 50, 3), "joint_mask": (50,)}


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file of windows.

    Attributes:
        name: file name without suffix.
        bytes: file size, which a truncated file does not have.
        digest: of the windows, whatever file they were read from or package wrote them.
    """

    name: str
    split: str
    num_windows: int
    bytes: int
    digest: str


def write_shard(
    folder: Path, name: str, split: str, rows: dict[str, Any], modality: Modality = MOTION
) -> Shard:
    """Write rows as one Parquet file, atomically.

    Args:
        rows: the columns of `schema.ROW_COLUMNS` and arrays `[n, ...]` of the modality's columns,
            for motion `motion [n, T, J, 3]` and `joint_mask [n, J]`.

    Raises:
        StorageError: there is no room or the storage fails.
    """
    shapes = array_shapes(rows, modality)
    arrow = row_schema(modality, shapes)
    columns = []
    for field in arrow:
        values = rows[field.name]
        if shapes.get(field.name):
            flat = pa.array(np.ascontiguousarray(values).reshape(-1), field.type.value_type)
            columns.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size))
        else:
            columns.append(pa.array(list(values), field.type))
    path = folder / "windows" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    # What is padded compresses well. Whole windows hardly do: reading speed matters more there
    # than a tenth of the size.
    compression = "zstd" if "length" in shapes else "lz4"
    try:
        with writing(path):
            pq.write_table(
                pa.table(columns, schema=arrow),
                aside,
                compression=compression,
                use_dictionary=["clip_id", "recording", "source", "split", "labels"],
                write_page_checksum=True,
            )
            size = aside.stat().st_size
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return Shard(
        name=name,
        split=split,
        num_windows=len(rows["window_id"]),
        bytes=size,
        digest=_digest_of(rows, row_names(modality, shapes), shapes),
    )


def array_shapes(rows: dict[str, Any], modality: Modality) -> dict[str, tuple[int, ...]]:
    """The shape of one row of each of the modality's columns that `rows` has."""
    return {
        column.name: np.shape(rows[column.name])[1:]
        for column in array_columns(modality, rows)
        if column.name in rows or not column.is_optional
    }


def _digest_of(rows: dict[str, Any], names: Sequence[str], shapes: Mapping[str, Any]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(names):
        if name in shapes:
            digest.update(np.ascontiguousarray(rows[name]).data)
        elif name != "source":
            digest.update(json.dumps(list(rows[name])).encode())
    return digest.hexdigest()


def is_dataset(path: Path) -> bool:
    """Whether a folder holds a dataset of ours, of any version, damaged or not."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


class Dataset:
    """A finished dataset, opened for reading."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a dataset folder.

        Raises:
            ArtifactError: not a dataset, unfinished, of another version, or damaged.
        """
        path = Path(path)
        file = path / "manifest.json"
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            unfinished = (path / "windows").is_dir()
            what = "its ingestion did not finish" if unfinished else "not a dataset of raydance"
            raise ArtifactError(f"{path}: {what} (no manifest.json)") from None
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{file}: damaged ({error})") from None
        check_record(path, manifest, FORMAT, VERSION, what="a dataset", numbered="dataset version")
        dataset = cls(path, manifest)
        try:
            shards = dataset._shards
            is_sound = dataset.fps > 0 and bool(dataset.arrays) and dataset.num_padded >= 0
            if dataset.modality is MOTION:
                is_sound &= manifest["joints"] == list(skeleton.JOINTS)
            # Names become files of a run: none may lead out of its folder.
            is_sound &= all(s.name == Path(s.name).name and s.split in SPLITS for s in shards)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            is_sound = False
        if not is_sound:
            raise ArtifactError(f"{file}: damaged or of an older version; ingest again")
        for shard in shards:
            file = dataset.shard_path(shard)
            if not file.exists() or file.stat().st_size != shard.bytes:
                raise ArtifactError(f"{file}: missing or cut short; ingest again")
        return dataset

    @cached_property
    def _shards(self) -> list[Shard]:
        return [Shard(**row) for row in self.manifest["shards"]]

    @property
    def fps(self) -> float:
        """Frames per second of every row."""
        return float(self.manifest["fps"])

    @property
    def frames(self) -> int:
        """Frames of a row, padding included."""
        return int(self.manifest["window"])

    @cached_property
    def modality(self) -> Modality:
        """What its rows hold."""
        return MODALITIES[self.manifest.get("modality", MOTION.name)]

    @cached_property
    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each array column, such as `motion: (50, 50, 3)`."""
        arrays = self.manifest.get("arrays", _MOTION_ARRAYS)
        return {name: tuple(int(size) for size in shape) for name, shape in arrays.items()}

    @cached_property
    def num_padded(self) -> int:
        """Windows of clips that are shorter, which hold their last frame."""
        return sum(int(file.get("padded", 0)) for file in self.manifest["files"])

    @property
    def has_whole_clips(self) -> bool:
        """Whether rows are clips of any length, not windows."""
        return "length" in self.arrays and not self.num_padded

    @cached_property
    def manifest_hash(self) -> str:
        """Names the content: windows, settings and skeleton, but not paths or versions."""
        rows = [
            {k: s[k] for k in ("name", "num_windows", "digest")} for s in self.manifest["shards"]
        ]
        kept = {k: self.manifest[k] for k in ("fps", "window", "stride", "joints")}
        if "length" in self.arrays:
            kept["arrays"] = sorted(self.arrays)
        if self.modality is not MOTION:
            kept["modality"] = self.modality.name
        kept["shards"] = rows
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]

    def shards(self, split: str) -> list[Shard]:
        """Shards of one split, in a fixed order."""
        assert split in SPLITS, split
        return [shard for shard in self._shards if shard.split == split]

    def shard_path(self, shard: Shard) -> Path:
        """The file of a shard."""
        return self.path / "windows" / f"{shard.name}.parquet"

    def read_shard(self, shard: Shard, columns: Sequence[str] | None = None) -> dict[str, Any]:
        """Columns of a shard: arrays `[n, ...]` for those of the modality (`motion` in metres),
        lists for the others. `length` can be asked for of any motion.

        Raises:
            ArtifactError: damaged, or a column is missing.
        """
        names = row_names(self.modality, self.arrays) if columns is None else list(columns)
        path = self.shard_path(shard)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read(columns=names)
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"{path}: damaged ({error})") from None
        is_filled = self.modality is MOTION and not self.has_whole_clips
        has_length = "length" in table.column_names or not is_filled
        stored = [name for name in names if name != "length" or has_length]
        check_columns(table.column_names, stored, str(path))
        if len(table) != shard.num_windows:
            raise ArtifactError(
                f"{path}: {len(table)} windows, the manifest says {shard.num_windows}; ingest again"
            )
        out: dict[str, Any] = {}
        if len(stored) < len(names):
            out["length"] = np.full(len(table), self.frames, dtype=np.int64)
        for name in stored:
            column = table[name].combine_chunks()
            if name not in self.arrays and name != "length":
                out[name] = column.to_pylist()
                continue
            shape = self.arrays.get(name, ())
            flat = (column.flatten() if shape else column).to_numpy(zero_copy_only=False)
            out[name] = flat.reshape(len(column), *shape)
        if "length" in stored and not ((out["length"] >= 1) & (out["length"] <= self.frames)).all():
            raise ArtifactError(f"{path}: a length is not in 1 to {self.frames}; ingest again")
        return out

    def clips(self) -> list[dict[str, Any]]:
        """One dict per clip, as `clips.parquet` has them."""
        path = self.path / "clips.parquet"
        try:
            return pq.read_table(path).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"{path}: missing or damaged ({error})") from None

    def check_splits(self) -> None:
        """Refuse a recording in two splits; ingestion makes none, but a table can be edited.

        Raises:
            InputError: names the first such recording.
            ArtifactError: the table of clips is missing or damaged.
        """
        places: dict[str, set[str]] = {}
        for clip in self.clips():
            places.setdefault(clip["recording"], set()).add(clip["split"])
        torn = sorted(name for name, splits in places.items() if len(splits) > 1)
        if torn:
            raise InputError(
                f"{self.path}: {len(torn)} recordings lie in more than one split "
                f"(first: {torn[0]}, in {', '.join(sorted(places[torn[0]]))}); "
                "what is trained on would be tested on; ingest again"
            )

    def parts_without_windows(self) -> list[str]:
        """Clips without a window whose file has some: parts that captions cut too short, or that
        jumps break up."""
        read = {file["file"] for file in self.manifest["files"] if file["status"] == "read"}
        empty = [clip for clip in self.clips() if not clip["num_windows"]]
        return [clip["clip_id"] for clip in empty if clip["source"] in read]

    def warned(self) -> list[dict[str, Any]]:
        """Files that were read with warnings: file, notes."""
        files = [file for file in self.manifest["files"] if file["status"] != "skipped"]
        return [{k: file[k] for k in ("file", "notes")} for file in files if file.get("notes")]

    def skipped(self) -> list[dict[str, Any]]:
        """Files that could not be read: file, line, reason."""
        path = self.path / "skipped.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def motion_arrays(window: int) -> dict[str, tuple[int, ...]]:
    """Shapes of one row of a dataset of motion in windows."""
    return _MOTION_ARRAYS | {"motion": (window, *_MOTION_ARRAYS["motion"][1:])}


def finish(
    folder: Path,
    *,
    shards: Sequence[Shard],
    clips: Sequence[dict[str, Any]],
    files: Sequence[dict[str, Any]],
    settings: dict[str, Any],
    versions: dict[str, str],
    modality: Modality = MOTION,
    arrays: Mapping[str, Sequence[int]] | None = None,
) -> Dataset:
    """Write the tables and, last, the manifest.

    Args:
        files: `{"file", "status": read|short|skipped, "windows", "line", "reason"}` of each, and
            `padded`, windows of short clips.
        settings: `fps`, `window` (frames of a row), `stride`, `split_seed`.
        arrays: shape of one row of each array; those of motion in windows by default.

    Raises:
        InputError: not one window was read; says what was wrong with the first files.
        StorageError: there is no room or the storage fails.
    """
    if not any(shard.num_windows for shard in shards):
        causes = "; ".join(f"{f['file']}: {f.get('reason')}" for f in files[:3])
        raise InputError(f"no window could be read from {len(files)} files ({causes})")
    bad = sorted((f for f in files if f["status"] == "skipped"), key=lambda f: f["file"])
    lines = [json.dumps({k: f.get(k) for k in ("file", "line", "reason")}) for f in bad]
    counts = {
        split: {
            "windows": sum(s.num_windows for s in shards if s.split == split),
            "clips": sum(1 for c in clips if c["split"] == split),
            "recordings": len({c["recording"] for c in clips if c["split"] == split}),
        }
        for split in SPLITS
    }
    shapes = arrays or motion_arrays(settings["window"])
    if any(file.get("padded") for file in files):
        shapes = {**shapes, "length": ()}
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "modality": modality.name,
        **settings,
        "arrays": {name: list(shape) for name, shape in shapes.items()},
        "joints": list(skeleton.JOINTS) if modality is MOTION else [],
        "parents": list(skeleton.PARENTS) if modality is MOTION else [],
        "counts": counts,
        "shards": [asdict(s) for s in sorted(shards, key=lambda s: s.name)],
        "files": sorted(files, key=lambda f: f["file"]),
        "versions": versions,
    }
    with writing(folder):
        table = pa.Table.from_pylist(sorted(clips, key=lambda c: c["clip_id"]), schema=CLIP_SCHEMA)
        pq.write_table(table, folder / "clips.parquet", compression="zstd")
        (folder / "skipped.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")
        for left in (folder / "windows").glob("*.part"):  # of tasks that were lost
            left.unlink()
        aside = folder / "manifest.json.part"
        aside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        aside.replace(folder / "manifest.json")
    return Dataset.open(folder)
