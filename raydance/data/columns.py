"""Columns that stages add to a dataset's windows: one Parquet file per shard, in its row order.

The dataset itself is never changed; a column file repeats the `window_id`s of its shard, so that
a mismatch is found before it does harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raydance.errors import ArtifactError
from raydance.files import replacing

Values = np.ndarray | list[list[int]]


def write_columns(path: Path, window_ids: Sequence[str], columns: Mapping[str, Values]) -> None:
    """Write a column file atomically.

    Args:
        columns: arrays `[n, ...]`, or lists of integers of varying length, one per window.
    """
    arrays: dict[str, pa.Array] = {"window_id": pa.array(list(window_ids), pa.string())}
    for name, values in columns.items():
        if isinstance(values, list):
            arrays[name] = pa.array(values, pa.list_(pa.int64()))
        elif values.ndim == 1:
            arrays[name] = pa.array(values)
        else:
            nested: pa.Array = pa.array(np.ascontiguousarray(values).reshape(-1))
            for size in reversed(values.shape[1:]):
                nested = pa.FixedSizeListArray.from_arrays(nested, size)
            arrays[name] = nested
    with replacing(path) as temporary:
        pq.write_table(pa.table(arrays), temporary, compression="zstd")


def read_columns(
    path: Path, names: Sequence[str], window_ids: Sequence[str] | None = None
) -> dict[str, Values]:
    """Read columns of one shard.

    Args:
        window_ids: the rows expected, in order, where the caller knows them.

    Raises:
        ArtifactError: the file is missing, damaged, lacks a column or belongs to other windows.
    """
    wanted = list(names) + (["window_id"] if window_ids is not None else [])
    try:
        # One file and nothing else: `read_table` would also read meaning into its folders.
        with pq.ParquetFile(path) as file:
            absent = sorted(set(wanted) - set(file.schema_arrow.names))
            if absent:
                raise ArtifactError(f"{path}: has no column {', '.join(absent)}")
            table = file.read(columns=wanted)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: the column file is missing") from None
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path}: the column file is damaged ({error}); delete it and train again"
        ) from None
    if window_ids is not None and table["window_id"].to_pylist() != list(window_ids):
        raise ArtifactError(f"{path}: its rows are not those of the dataset's shard")
    out: dict[str, Values] = {}
    for name in names:
        column = table[name].combine_chunks()
        if pa.types.is_fixed_size_list(column.type):
            shape = [len(column)]
            while pa.types.is_fixed_size_list(column.type):
                shape.append(column.type.list_size)
                column = column.flatten()
            out[name] = column.to_numpy(zero_copy_only=False).reshape(shape)
        elif pa.types.is_list(column.type):
            out[name] = column.to_pylist()
        else:
            out[name] = column.to_numpy(zero_copy_only=False)
    return out
