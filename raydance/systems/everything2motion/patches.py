"""The patch basis of a run, and the codes of every clip in it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from raydance.data.columns import write_columns
from raydance.data.dataset import Dataset
from raydance.data.schema import Column
from raydance.errors import InputError
from raydance.motion import augment
from raydance.motion.local_frames import to_local
from raydance.motion.patch_basis import (
    PatchBasis,
    fit_patch_basis,
    metric,
    num_patches,
    patch_rows,
)
from raydance.systems.engine import StepContext, column_folder
from raydance.systems.everything2motion.clip_rows import at_beats
from raydance.systems.everything2motion.config import PatchBasisConfig
from raydance.training.run_folder import Run, load_bundle, save_bundle

STEP: Final = "patch_basis"
PATCH_CODES: Final = Column(
    name="patch_codes",
    dtype="float32",
    dims=("P", "K"),
    meaning="coefficients of the patch basis; zero beyond a clip's length",
    is_mirrored=True,
)


class SampleClips:
    """Draws a shard's share of the training clips, each as it is or mirrored."""

    def __init__(self, dataset: str, share: float, seed: int, clock: str) -> None:
        self.dataset, self.share, self.seed = Dataset.open(dataset), share, seed
        self.clock = clock

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patches `[R, L, F]` in the order of the clips' names, and the joints of each, `[R, J]`;
        with the sum, sum of squares and number of frames of all values, `[3, F]`."""
        rows = read_clips(self.dataset, "train", index, self.clock)
        keys = augment.window_keys(rows["window_id"])
        chosen = augment.uniforms(keys, seed=self.seed, epoch=0, stream=89) < self.share
        parts: list[np.ndarray] = []
        masks: list[np.ndarray] = []
        sums = np.zeros((3, 1))
        for is_mirrored in (False, True):
            motion, mask = rows["motion"][chosen], rows["joint_mask"][chosen]
            if is_mirrored:
                motion, mask = augment.mirror(motion, mask)
            if not len(motion):
                continue
            local = to_local(motion, mask)
            lengths = rows["length"][chosen]
            found, its_mask = patch_rows(local, mask, lengths)
            parts.append(found)
            masks.append(its_mask)
            there = np.arange(local.shape[1]) < lengths[:, None]
            frames = local[there].astype(np.float64)
            ones = np.full(local.shape[2], float(len(frames)))
            sums = sums + np.stack([frames.sum(0), np.square(frames).sum(0), ones])
        empty = np.zeros((0, 0, 0), dtype=np.float32)
        if not parts:
            return empty, np.zeros((0, rows["joint_mask"].shape[1]), dtype=bool), sums
        return np.concatenate(parts), np.concatenate(masks), sums


def read_clips(dataset: Dataset, split: str, index: int, clock: str = "frames") -> dict[str, Any]:
    """Motion, masks, lengths and names of a shard; see `PatchBasisConfig.clock`."""
    shard = dataset.shards(split)[index]
    is_danced = clock == "beats" and "music" in dataset.arrays
    names = ["window_id", "motion", "joint_mask"]
    names += ["length"] if "length" in dataset.arrays else []
    names += ["music", "has_music"] if is_danced else []
    rows: dict[str, Any] = dict(dataset.read_shard(shard, columns=names))
    if "length" not in rows:
        rows["length"] = np.full(shard.num_windows, dataset.frames, dtype=np.int64)
    return at_beats(rows, dataset.fps) if is_danced else rows


class PatchCodeWriter:
    """Adds the codes of a shard's clips, as they are and mirrored."""

    def __init__(self, run_path: str, role: str) -> None:
        self.run, self.role = Run.open(run_path), role
        self.basis = basis_of(self.run)
        self.dataset = Dataset.open(self.run.datasets[role]["path"])
        self.clock = str(self.run.config["patch_basis"]["clock"])

    def __call__(self, item: tuple[str, int]) -> dict[str, Any]:
        """`item` is (split, shard index)."""
        split, index = item
        rows = read_clips(self.dataset, split, index, self.clock)
        shard = self.dataset.shards(split)[index]
        plain = codes_of(self.basis, rows["motion"], rows["joint_mask"], rows["length"])
        swapped = codes_of(
            self.basis, *augment.mirror(rows["motion"], rows["joint_mask"]), rows["length"]
        )
        path = self.run.columns(column_folder(STEP, self.role)) / f"{shard.name}.parquet"
        columns = dict(zip(PATCH_CODES.stored_names, (plain, swapped)))
        write_columns(path, list(rows["window_id"]), columns)
        return {"shard": shard.name}


def codes_of(
    basis: PatchBasis, motion: np.ndarray, joint_mask: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Codes `[N, P, K]` of clips `[N, T, J, 3]`, zero beyond each one's length."""
    local = to_local(motion, joint_mask)
    out = np.zeros((len(local), num_patches(local.shape[1]), basis.num_components), np.float32)
    for length in np.unique(lengths):
        rows = lengths == length
        found = basis.encode(local[rows][:, :length], joint_mask[rows])
        out[rows, : found.shape[1]] = found
    return out


def write_patch_basis(context: StepContext, config: PatchBasisConfig) -> dict[str, Any]:
    """Fit the basis to a bounded sample of all datasets, keep it, and code every clip.

    Returns:
        Facts: components, the share of variance that they explain.

    Raises:
        InputError: too few training clips, or all alike.
    """
    run, seed = context.run, context.config.seed
    total = sum(
        shard.num_windows for data in context.datasets.values() for shard in data.shards("train")
    )
    share = min(1.0, config.sample_clips / max(1, total))
    patches, masks, groups, sums = [], [], [], []
    for number, dataset in enumerate(context.datasets.values()):
        shards = list(range(len(dataset.shards("train"))))
        arguments = (str(dataset.path), share, seed, config.clock)
        found = context.runner.map(SampleClips, arguments, shards)
        # In a fixed order, whatever worker was first: sums of floats depend on it.
        for part, its_mask, total_3F in sorted(found, key=lambda one: one[0].tobytes()):
            if part.size:
                patches.append(part)
                masks.append(its_mask)
                groups.append(np.full(len(part), number))
                sums.append(total_3F)
    if not patches:
        raise InputError("no training clips: a basis of patches needs some")
    seen = np.concatenate(masks)
    joint_mask = np.asarray(seen.any(axis=0))
    basis = fit_patch_basis(
        np.concatenate(patches),
        seen,
        metric(joint_mask),
        group=np.concatenate(groups),
        explained=config.explained,
        most=config.most,
        seed=seed,
    )
    first, second, count = np.sum(sums, axis=0)
    mean = first / count
    std = np.sqrt((second / count - np.square(mean)).clip(min=0.0))
    tensors = {name: torch.from_numpy(value) for name, value in basis.tensors().items()}
    tensors |= {
        "joint_mask": torch.from_numpy(joint_mask),
        "local_mean": torch.from_numpy(mean.astype(np.float32)),
        # Values that hardly change would turn rounding into motion.
        "local_std": torch.from_numpy(std.clip(min=1e-3).astype(np.float32)),
    }
    facts = {"components": basis.num_components, "explained": basis.explained}
    save_bundle(run.bundle(STEP), tensors, facts)
    for role in context.datasets:
        context.clear_columns(column_folder(STEP, role))
        context.runner.map(PatchCodeWriter, (str(run.path), role), context.shards(role))
    return facts


def basis_of(run: Run) -> PatchBasis:
    """The patch basis of a run."""
    tensors, facts = load_bundle(run.bundle(STEP))
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return PatchBasis.of(arrays, facts["explained"])


def local_statistics(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation `[F]` of the values of frames."""
    tensors, _ = load_bundle(run.bundle(STEP))
    return tensors["local_mean"].numpy(), tensors["local_std"].numpy()
