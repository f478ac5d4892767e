"""The searchable library of a run: every window's place in the learned spaces, and its words.

Kept inside the run folder, so that describing, searching and generating need no training data.
"""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from raydance.data.columns import read_columns
from raydance.data.dataset import Dataset
from raydance.errors import ArtifactError
from raydance.files import replacing
from raydance.stages.clusters import caption_clusters
from raydance.systems.dance_language.answers import Hit
from raydance.systems.dance_language.cluster_space import COLUMN
from raydance.training.run_folder import Run, load_bundle, save_bundle

_WINDOW_COLUMNS = ("window_id", "clip_id", "split", "start_s", "end_s", "labels")


def library_path(run: Run) -> Path:
    """The table of windows."""
    return run.path / "library" / "windows.parquet"


@dataclass(frozen=True, kw_only=True)
class Library:
    """Windows of a run.

    Attributes:
        windows: `window_id`, `clip_id`, `split`, `start_s`, `end_s` (seconds in the clip at the
            dataset's rate), `labels` (JSON), `caption_ids`; lists of the same length N.
        cluster: `[N]` int64.
        point: `[N, D]` float32, in the space of the clusters.
        latent: `[N, Z]` float32, of the VAE.
        embedding: `[N, Z]` float32, of the contrastive space.
    """

    windows: dict[str, list[Any]]
    cluster: np.ndarray
    point: np.ndarray
    latent: np.ndarray
    embedding: np.ndarray

    def rows(self, split: str) -> np.ndarray:
        """Indices of a split's windows."""
        return np.flatnonzero(np.array(self.windows["split"]) == split)

    def hit(self, row: int, score: float, texts: Sequence[str], derived: Container[int]) -> Hit:
        """A window that was found.

        Args:
            texts: the captions of the run.
            derived: which of them no person wrote.
        """
        captions = self.windows["caption_ids"][row]
        return Hit(
            clip_id=self.windows["clip_id"][row],
            start_s=self.windows["start_s"][row],
            end_s=self.windows["end_s"][row],
            score=score,
            captions=tuple(texts[i] for i in captions),
            derived=tuple(i in derived for i in captions),
            labels=json.loads(self.windows["labels"][row] or "{}"),
            split=self.windows["split"][row],
        )


def write_library(run: Run, dataset: Dataset) -> dict[str, Any]:
    """Gather all columns into the library table, sum up each cluster, calibrate the answers."""
    writer: pq.ParquetWriter | None = None
    train_latents, train_clusters, train_captions = [], [], []
    count = 0
    with replacing(library_path(run)) as temporary:
        for split in ("train", "val", "test"):
            for shard in dataset.shards(split):
                rows = dataset.read_shard(shard, columns=list(_WINDOW_COLUMNS))
                ids = list(rows["window_id"])
                name = f"{shard.name}.parquet"
                extra: dict[str, Any] = {}
                for step, columns in (
                    ("motion_vae", ["latent"]),
                    ("clusters", ["cluster", COLUMN]),
                    ("captions", ["caption_ids"]),
                    ("contrastive", ["motion_embedding"]),
                ):
                    extra |= read_columns(run.columns(step) / name, columns, ids)
                arrays = {c: pa.array(list(rows[c])) for c in _WINDOW_COLUMNS}
                arrays["caption_ids"] = pa.array(extra["caption_ids"], pa.list_(pa.int64()))
                arrays["cluster"] = pa.array(extra["cluster"])
                for column in ("latent", COLUMN, "motion_embedding"):
                    flat = pa.array(np.ascontiguousarray(extra[column]).reshape(-1))
                    width = extra[column].shape[1]
                    arrays[column] = pa.FixedSizeListArray.from_arrays(flat, width)
                table = pa.table(arrays)
                writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table)
                count += len(ids)
                if split == "train":
                    train_latents.append(extra["latent"])
                    train_clusters.append(extra["cluster"])
                    train_captions += extra["caption_ids"]
        assert writer is not None
        writer.close()
    _write_cluster_facts(
        run, np.concatenate(train_latents), np.concatenate(train_clusters), train_captions
    )
    return {"windows": count}


def _write_cluster_facts(
    run: Run, latents: np.ndarray, clusters: np.ndarray, captions: list[list[int]]
) -> None:
    count = len(load_bundle(run.bundle("clusters"))[0]["centroids"])
    num_captions = len(load_bundle(run.bundle("captions"))[1]["texts"])
    mean, std = [], []
    for c in range(count):
        members = latents[clusters == c]
        mean.append(members.mean(axis=0) if len(members) else latents.mean(axis=0))
        std.append(members.std(axis=0) if len(members) else np.ones(latents.shape[1]))
    belongs = caption_clusters(captions, clusters, num_captions, count)
    tensors = {
        "cluster_mean": torch.from_numpy(np.stack(mean).astype(np.float32)),
        "cluster_std": torch.from_numpy(np.stack(std).astype(np.float32)),
        "caption_clusters": torch.from_numpy(belongs),
    }
    # Imported here: calibration reads the library that this module writes.
    from raydance.systems.dance_language.calibration_step import calibrate

    facts = {"calibration": calibrate(run, read_library(run), belongs)}
    save_bundle(run.bundle("library"), tensors, facts)


def read_library(run: Run) -> Library:
    """Read the library.

    Raises:
        ArtifactError: missing (the run is not finished) or damaged.
    """
    path = library_path(run)
    if not path.exists():
        raise ArtifactError(
            f"{path}: missing; the run is not finished (run `raydance train` again)"
        )
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: damaged ({error})") from None

    def matrix(name: str) -> np.ndarray:
        column = table[name].combine_chunks()
        return column.flatten().to_numpy().reshape(len(column), -1)

    return Library(
        windows={name: table[name].to_pylist() for name in (*_WINDOW_COLUMNS, "caption_ids")},
        cluster=table["cluster"].to_numpy(),
        point=matrix(COLUMN),
        latent=matrix("latent"),
        embedding=matrix("motion_embedding"),
    )
