"""Every column that flows through raydance: type, shape, unit, meaning.

Stages meet only through these columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from raydance.errors import ArtifactError


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of windows (or of captions).

    Attributes:
        kind: `float32`, `int64`, `bool`, `string`, `strings` or `ints` (lists of any length).
        shape: of one row; None where the configuration decides it.
        unit: `m`, `s`, or empty.
    """

    kind: str
    meaning: str
    shape: tuple[int, ...] | None = ()
    unit: str = ""


WINDOW_COLUMNS: Final[dict[str, Column]] = {
    "window_id": Column(kind="string", meaning="clip_id@first frame at the dataset's rate"),
    "clip_id": Column(kind="string", meaning="the clip that the window was cut from"),
    "recording": Column(kind="string", meaning="what the split was decided by"),
    "source": Column(kind="string", meaning="the file"),
    "split": Column(kind="string", meaning="train, val or test"),
    "start_s": Column(kind="float32", unit="s", meaning="first frame, from the clip's begin"),
    "end_s": Column(kind="float32", unit="s", meaning="just after the last frame"),
    "motion": Column(
        kind="float32",
        shape=(50, 50, 3),
        unit="m",
        meaning="frames, joints, xyz; y up, first frame at x = z = 0 facing +z",
    ),
    "joint_mask": Column(kind="bool", shape=(50,), meaning="joints that the source has"),
    "captions": Column(kind="strings", meaning="sentences about the clip"),
    "labels": Column(kind="string", meaning="further facts, JSON"),
}
"""Columns of a dataset."""

STAGE_COLUMNS: Final[dict[str, Column]] = {
    "coefficients": Column(kind="float32", shape=None, meaning="of the motion basis, by variant"),
    "coefficients_mirrored": Column(kind="float32", shape=None, meaning="the same, mirrored"),
    "latent": Column(kind="float32", shape=None, meaning="posterior mean of the motion VAE"),
    "latent_mirrored": Column(kind="float32", shape=None, meaning="the same, motion mirrored"),
    "cluster": Column(kind="int64", meaning="nearest centroid"),
    "cluster_distance": Column(kind="float32", meaning="distance to it in latent space"),
    "caption_ids": Column(kind="ints", meaning="rows of the caption table"),
    "caption_ids_mirrored": Column(kind="ints", meaning="the same, left and right exchanged"),
    "motion_embedding": Column(kind="float32", shape=None, meaning="point in the shared space"),
    "motion_embedding_mirrored": Column(kind="float32", shape=None, meaning="motion mirrored"),
}
"""Columns that stages add to windows, in files beside the dataset."""

CAPTION_COLUMNS: Final[dict[str, Column]] = {
    "text_embedding": Column(kind="float32", shape=None, meaning="frozen sentence embedding"),
    "difficulty": Column(kind="float32", meaning="concrete (0) to abstract (1)"),
    "text_latent": Column(kind="float32", shape=None, meaning="eq. 11, the text encoder"),
    "text_projection": Column(kind="float32", shape=None, meaning="point in the shared space"),
    "caption_tokens": Column(kind="int64", shape=None, meaning="word pieces, filled with -100"),
}
"""Columns of the caption table."""

_ARROW: Final[dict[str, pa.DataType]] = {
    "float32": pa.float32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "strings": pa.list_(pa.string()),
    "ints": pa.list_(pa.int64()),
}


def window_schema(num_frames: int, num_joints: int) -> pa.Schema:
    """Arrow schema of a dataset's windows; arrays are flattened to fixed-size lists."""
    sizes = {"motion": num_frames * num_joints * 3, "joint_mask": num_joints}
    fields = []
    for name, column in WINDOW_COLUMNS.items():
        kind = _ARROW[column.kind]
        fields.append(pa.field(name, pa.list_(kind, sizes[name]) if name in sizes else kind))
    return pa.schema(fields)


def check_columns(found: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Refuse a table that lacks columns.

    Raises:
        ArtifactError: names the columns that are missing.
    """
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise ArtifactError(f"{where}: has no column {', '.join(missing)}")
