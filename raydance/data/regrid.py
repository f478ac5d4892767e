"""A copy of a dataset of tracks with another grid of points; no file is read again.

Points of an upright grid are interpolated, as if the object had been tracked by the other grid.
Other points are chosen or added as `resample_points` does.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from raydance.data.dataset import SPLITS, Dataset, finish, is_dataset, write_shard
from raydance.data.schema import TRACKS
from raydance.errors import InputError
from raydance.tracks.resampling import resample_points
from raydance.tracks.rows import grid_side_of

_SETTINGS = ("fps", "window", "stride", "split_seed")
_MADE_OF = "made_of"


def regrid(dataset: Dataset, out: Path, side: int) -> Dataset:
    """Write the copy, or find it done.

    Args:
        side: points per row and column.

    Raises:
        InputError: not a dataset of tracks, or `out` holds something else.
    """
    if dataset.modality is not TRACKS:
        raise InputError(f"{dataset.path}: holds {dataset.modality.name}; tracks are needed")
    if is_dataset(out):
        found = Dataset.open(out)
        if found.manifest.get(_MADE_OF) == dataset.manifest_hash and found.manifest["side"] == side:
            return found
        if _MADE_OF not in found.manifest:
            raise InputError(f"{out}: another dataset is there; choose another folder")
    elif out.exists():
        raise InputError(f"{out}: exists already and is no dataset; choose another folder")
    building = out.with_name(f".{out.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    shards = []
    for shard in [shard for split in SPLITS for shard in dataset.shards(split)]:
        rows = dataset.read_shard(shard)
        rows["tracks"], rows["visible"] = with_grid(rows["tracks"], rows["visible"], side)
        shards.append(write_shard(building, shard.name, shard.split, rows, TRACKS))
    manifest = dataset.manifest
    settings: dict[str, Any] = {key: manifest[key] for key in _SETTINGS}
    count = side * side
    finish(
        building,
        shards=shards,
        clips=[clip | {"joints": count} for clip in dataset.clips()],
        files=manifest["files"],
        settings=settings | {"points": count, "side": side, _MADE_OF: dataset.manifest_hash},
        versions=manifest["versions"],
        modality=TRACKS,
        arrays=dataset.arrays
        | {"tracks": (dataset.frames, count, 2), "visible": (dataset.frames, count)},
    )
    shutil.rmtree(out, ignore_errors=True)  # of other data
    building.rename(out)
    return Dataset.open(out)


def with_grid(tracks: np.ndarray, visible: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Tracks `[n, T, N, 2]` and visibility `[n, T, N]` with `side * side` points."""
    own = grid_side_of(tracks)
    if not own:
        parts = [resample_points(*row, side * side) for row in zip(tracks, visible)]
        return np.stack([points for points, _ in parts]), np.stack([seen for _, seen in parts])
    place = np.linspace(0.0, own - 1.0, side)
    weight = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(own)))
    grid = tracks.reshape(*tracks.shape[:2], own, own, 2)
    moved = np.einsum("ri,cj,ntijx->ntrcx", weight, weight, grid).astype(tracks.dtype)
    nearest = np.rint(place).astype(int)
    seen = visible.reshape(*visible.shape[:2], own, own)[:, :, nearest][..., nearest]
    flat = (*tracks.shape[:2], side * side)
    return moved.reshape(*flat, 2), seen.reshape(flat)
