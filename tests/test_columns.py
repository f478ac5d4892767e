"""Column files: what goes in comes out, in the rows of the shard or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydance.data.columns import read_columns, write_columns
from raydance.errors import ArtifactError

IDS = ["a:0", "a:20", "b:0"]
COLUMNS = {
    "latent": np.arange(12, dtype=np.float32).reshape(3, 4),
    "cluster": np.array([2, 0, 1], dtype=np.int64),
    "distance": np.array([0.5, np.nan, -0.0], dtype=np.float32),
    "caption_ids": [[3, 1], [], [0]],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "columns" / "seed=3" / "shard-0.parquet"
    write_columns(path, IDS, COLUMNS)
    return path


def test_columns_come_back_with_their_types_and_bits(file: Path) -> None:
    found = read_columns(file, list(COLUMNS), IDS)
    assert list(found) == list(COLUMNS)
    for name in ("latent", "cluster", "distance"):
        assert found[name].dtype == COLUMNS[name].dtype
        assert found[name].tobytes() == COLUMNS[name].tobytes()
    assert found["caption_ids"] == COLUMNS["caption_ids"]


def test_only_what_is_asked_for_is_read(file: Path) -> None:
    assert list(read_columns(file, ["cluster"])) == ["cluster"]


def test_turned_and_empty_arrays_are_kept(tmp_path: Path) -> None:
    turned = np.arange(6.0).reshape(2, 3).T
    write_columns(tmp_path / "t.parquet", IDS, {"x": turned})
    np.testing.assert_array_equal(read_columns(tmp_path / "t.parquet", ["x"])["x"], turned)
    write_columns(tmp_path / "e.parquet", [], {"x": np.zeros((0, 5), np.float32), "y": []})
    found = read_columns(tmp_path / "e.parquet", ["x", "y"], [])
    assert found["x"].shape == (0, 5) and found["y"] == []


@pytest.mark.parametrize("shape", [(3, 1, 2), (3, 4, 5), (3, 2, 3, 4)])
def test_columns_of_any_rank_come_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for given in (values, np.asfortranarray(values)):
        write_columns(tmp_path / "r.parquet", IDS, {"x": given})
        found = read_columns(tmp_path / "r.parquet", ["x"], IDS)["x"]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("ids", [IDS[::-1], IDS[:2], [*IDS, "c:0"]], ids=["order", "fewer", "more"])
def test_rows_of_other_windows_are_refused(file: Path, ids: list[str]) -> None:
    with pytest.raises(ArtifactError, match="rows are not those of the dataset's shard"):
        read_columns(file, ["latent"], ids)


def test_a_column_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ArtifactError, match="has no column motion, text"):
        read_columns(file, ["text", "latent", "motion"])


def test_missing_and_damaged_files_are_refused(file: Path) -> None:
    with pytest.raises(ArtifactError, match="column file is missing"):
        read_columns(file.with_name("shard-1.parquet"), ["latent"])
    whole = file.read_bytes()
    for torn in (b"", b"PAR1", whole[:-20], b"x" * len(whole)):
        file.write_bytes(torn)
        with pytest.raises(ArtifactError, match="column file is damaged"):
            read_columns(file, ["latent"])


def test_a_write_that_fails_keeps_the_old_file(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(pa.ArrowException):
        write_columns(file, IDS, {"cluster": np.zeros(2)})
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_vectors_are_stored_with_a_fixed_size(file: Path) -> None:
    schema = pq.read_schema(file)
    assert schema.field("latent").type == pa.list_(pa.float32(), 4)
