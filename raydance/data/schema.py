"""Every column that flows through raydance: type, dimensions, unit, meaning.

Rows of a dataset have the columns of `ROW_COLUMNS` and those of the dataset's modality; a stage
declares the columns that it adds itself. Stages meet only through columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from raydance.errors import ArtifactError

Dtype = Literal["float32", "int64", "bool", "string", "strings", "ints"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        dtype: `strings` and `ints` are lists of any length.
        dims: of one row; names stand for sizes that the dataset or the configuration decides.
        unit: `m`, `s`, or empty.
        key: what a row is: a row of the dataset, or a text of the caption table.
        is_mirrored: there is a second version, `NAME_mirrored`, for the mirrored row.
        has_variants: its first dimension holds versions of the row, the first without noise.
        is_optional: a dataset may lack it.
    """

    name: str
    dtype: Dtype
    dims: tuple[str | int, ...] = ()
    unit: str = ""
    meaning: str = ""
    key: Literal["row", "text"] = "row"
    is_mirrored: bool = False
    has_variants: bool = False
    is_optional: bool = False

    @property
    def stored_names(self) -> tuple[str, ...]:
        """The names under which it is stored."""
        return (self.name, f"{self.name}_mirrored") if self.is_mirrored else (self.name,)


ROW_COLUMNS: Final[tuple[Column, ...]] = (
    Column(name="window_id", dtype="string", meaning="clip_id@first frame at the dataset's rate"),
    Column(name="clip_id", dtype="string", meaning="the clip that the row was cut from"),
    Column(name="recording", dtype="string", meaning="what the split was decided by"),
    Column(name="source", dtype="string", meaning="the file"),
    Column(name="split", dtype="string", meaning="train, val or test"),
    Column(name="start_s", dtype="float32", unit="s", meaning="first frame, from the clip's begin"),
    Column(name="end_s", dtype="float32", unit="s", meaning="just after the last frame"),
    Column(name="captions", dtype="strings", meaning="sentences about the clip"),
    Column(name="labels", dtype="string", meaning="further facts, JSON"),
)
"""Columns of every dataset, whatever its modality."""

CAPTION_IDS: Final = Column(
    name="caption_ids", dtype="ints", meaning="rows of the caption table", is_mirrored=True
)

_ARROW: Final[dict[str, pa.DataType]] = {
    "float32": pa.float32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "strings": pa.list_(pa.string()),
    "ints": pa.list_(pa.int64()),
}


@dataclass(frozen=True, kw_only=True)
class Modality:
    """A kind of data that rows hold.

    Attributes:
        columns: arrays of a row, beside `ROW_COLUMNS`.
    """

    name: str
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """The declaration of one of its columns."""
        return next(column for column in self.columns if column.name == name)


MOTION: Final = Modality(
    name="motion",
    columns=(
        Column(
            name="motion",
            dtype="float32",
            dims=("T", 50, 3),
            unit="m",
            meaning="frames, joints, xyz; y up, first frame at x = z = 0 facing +z",
        ),
        Column(name="joint_mask", dtype="bool", dims=(50,), meaning="joints that the source has"),
        Column(
            name="length",
            dtype="int64",
            meaning="frames before the padding, where rows differ in length",
            is_optional=True,
        ),
        Column(
            name="rotations",
            dtype="float32",
            dims=("T", 50, 6),
            meaning="local rotations: two columns of a matrix (raydance.motion.joint_rotations)",
            is_optional=True,
        ),
        Column(
            name="has_rotations",
            dtype="bool",
            meaning="rows whose source has rotations",
            is_optional=True,
        ),
    ),
)

TRACKS: Final = Modality(
    name="tracks",
    columns=(
        Column(
            name="tracks",
            dtype="float32",
            dims=("T", "N", 2),
            meaning="frames, points, xy in [-1, 1] of the frame, y down",
        ),
        Column(
            name="visible", dtype="bool", dims=("T", "N"), meaning="points that are not occluded"
        ),
        Column(name="frame_size", dtype="float32", dims=(2,), unit="px", meaning="width, height"),
    ),
)


def signal_columns(name: str) -> tuple[Column, Column]:
    """The columns of a signal (`raydance.data.signals`), which datasets of motion may have."""
    return (
        Column(name=name, dtype="float32", dims=("T", "F"), meaning="values at the motion's rate"),
        Column(name=f"has_{name}", dtype="bool", meaning=f"rows that have {name}"),
    )


def signals_among(names: Iterable[str]) -> tuple[str, ...]:
    """The signals among the names of a dataset's arrays."""
    known = set(names) - {"rotations"}
    return tuple(sorted(name for name in known if f"has_{name}" in known))


MODALITIES: Final[dict[str, Modality]] = {m.name: m for m in (MOTION, TRACKS)}
"""Every kind of dataset by the name in its manifest."""


CLIP_SCHEMA: Final = pa.schema(
    [
        ("clip_id", pa.string()),
        ("recording", pa.string()),
        ("source", pa.string()),
        ("fps", pa.float64()),
        ("start_frame", pa.int64()),
        ("frames", pa.int64()),
        ("duration_s", pa.float64()),
        ("split", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("labels", pa.string()),
        ("num_windows", pa.int64()),
        ("joints", pa.int64()),
    ]
)
"""Arrow schema of the table of clips."""


def row_schema(modality: Modality, shapes: Mapping[str, Sequence[int]]) -> pa.Schema:
    """Arrow schema of a dataset's rows; arrays are flattened to fixed-size lists.

    Args:
        shapes: of each array column that the dataset has, for one row.
    """
    fields = []
    for column in _in_order(modality, shapes):
        if column in ROW_COLUMNS:
            fields.append(pa.field(column.name, _ARROW[column.dtype]))
        elif column.name in shapes:
            kind = _ARROW[column.dtype]
            size = int(np.prod(shapes[column.name], dtype=np.int64))
            is_array = len(shapes[column.name]) > 0
            fields.append(pa.field(column.name, pa.list_(kind, size) if is_array else kind))
    return pa.schema(fields)


def array_columns(modality: Modality, names: Iterable[str]) -> list[Column]:
    """The modality's columns, then those of the signals among the names."""
    signals = [column for name in signals_among(names) for column in signal_columns(name)]
    return [*modality.columns, *signals]


def _in_order(modality: Modality, names: Iterable[str]) -> list[Column]:
    """Arrays stand before captions and labels."""
    return [*ROW_COLUMNS[:7], *array_columns(modality, names), *ROW_COLUMNS[7:]]


def row_names(modality: Modality, shapes: Mapping[str, Any]) -> list[str]:
    """Names of a dataset's columns, in the order of its files."""
    return [
        column.name
        for column in _in_order(modality, shapes)
        if column in ROW_COLUMNS or column.name in shapes
    ]


def check_columns(found: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Refuse a table that lacks columns.

    Raises:
        ArtifactError: names the columns that are missing.
    """
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise ArtifactError(f"{where}: has no column {', '.join(missing)}")
