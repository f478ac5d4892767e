"""The patch basis of a run, and the codes of every clip in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from raydance import config as configs
from raydance.data.columns import write_columns
from raydance.data.dataset import Dataset
from raydance.data.schema import Column
from raydance.errors import InputError
from raydance.motion import augment
from raydance.motion.local_frames import NUM_PLACES, joints_known
from raydance.motion.patch_basis import (
    PatchBasis,
    fit_patch_basis,
    metric,
    num_patches,
    patch_rows,
)
from raydance.systems.everything2motion.clip_rows import at_beats, local_of, motion_columns
from raydance.systems.everything2motion.config import PatchBasisConfig
from raydance.systems.step import StepContext, column_folder
from raydance.training.run_folder import Run, load_bundle, save_bundle

STEP: Final = "patch_basis"
CLOCKS: Final = ("frames", "beats")
MASKS: Final = ("joint_mask", "rotation_mask")
PATCH_CODES: Final = Column(
    name="patch_codes",
    dtype="float32",
    dims=("P", "K"),
    meaning="coefficients of the patch basis; zero beyond a clip's length",
    is_mirrored=True,
)


class SampleClips:
    """Draws a shard's share of the training clips, each as it is or mirrored."""

    def __init__(self, dataset: str, share: float, config: PatchBasisConfig, seed: int) -> None:
        self.dataset, self.share, self.seed = Dataset.open(dataset), share, seed
        self.config = config

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Patches `[R, L, F]`, the values that each has, `[R, F]`, and whether it counts beats,
        `[R]`; with the sum, sum of squares and number of frames of all values, `[3, F]`."""
        rows = read_clips(self.dataset, "train", index, self.config)
        keys = augment.window_keys(rows["window_id"])
        chosen = augment.uniforms(keys, seed=self.seed, epoch=0, stream=89) < self.share
        parts: list[np.ndarray] = []
        masks: list[np.ndarray] = []
        beats: list[np.ndarray] = []
        sums = np.zeros((3, 1))
        for is_mirrored in (False, True):
            if not chosen.any():
                continue
            names = motion_columns(self.config.rotations)
            picked = {name: np.asarray(rows[name])[chosen] for name in names}
            local, is_known = local_of(picked, mirrored=is_mirrored)
            lengths = rows["length"][chosen]
            found, owners = patch_rows(local, lengths)
            parts.append(found)
            masks.append(is_known[owners])
            beats.append(rows["in_beats"][chosen][owners])
            there = np.arange(local.shape[1]) < lengths[:, None]
            frames = local[there].astype(np.float64)
            counts = np.full(local.shape[2], float(len(frames)))
            counts[NUM_PLACES:] = lengths @ is_known[:, NUM_PLACES:]
            sums = sums + np.stack([frames.sum(0), np.square(frames).sum(0), counts])
        empty = np.zeros((0, 0, 0), dtype=np.float32)
        if not parts:
            nothing = np.zeros((0, 0), dtype=bool)
            return empty, nothing, np.zeros(0, dtype=bool), sums
        return np.concatenate(parts), np.concatenate(masks), np.concatenate(beats), sums


def read_clips(
    dataset: Dataset, split: str, index: int, config: PatchBasisConfig
) -> dict[str, Any]:
    """Motion, masks, lengths and names of a shard, and which rows are sampled at beats,
    `in_beats`; see `PatchBasisConfig.clock`."""
    shard = dataset.shards(split)[index]
    is_danced = config.clock == "beats" and "music" in dataset.arrays
    names = ["window_id", "length", *motion_columns(config.rotations)]
    names += ["music", "has_music"] if is_danced else []
    rows: dict[str, Any] = dict(dataset.read_shard(shard, columns=names))
    nowhere = np.zeros(shard.num_windows, dtype=bool)
    rows["in_beats"] = np.asarray(rows["has_music"]) if is_danced else nowhere
    return at_beats(rows, dataset.fps) if is_danced else rows


def has_rotations(dataset: Dataset) -> bool:
    """Whether training clips of a dataset have rotations."""
    name = "has_rotations"
    return name in dataset.arrays and any(
        dataset.read_shard(shard, columns=[name])[name].any() for shard in dataset.shards("train")
    )


class PatchCodeWriter:
    """Adds the codes of a shard's clips, as they are and mirrored."""

    def __init__(self, run_path: str, role: str) -> None:
        self.run, self.role = Run.open(run_path), role
        self.bases = bases_of(self.run)
        self.dataset = Dataset.open(self.run.datasets[role]["path"])
        self.config = configs.from_dict(PatchBasisConfig, self.run.config["patch_basis"])

    def __call__(self, item: tuple[str, int]) -> dict[str, Any]:
        """`item` is (split, shard index)."""
        split, index = item
        rows = read_clips(self.dataset, split, index, self.config)
        shard = self.dataset.shards(split)[index]
        told = rows["length"], rows["in_beats"]
        plain = codes_of(self.bases, *local_of(rows), *told)
        swapped = codes_of(self.bases, *local_of(rows, mirrored=True), *told)
        path = self.run.columns(column_folder(STEP, self.role)) / f"{shard.name}.parquet"
        columns = dict(zip(PATCH_CODES.stored_names, (plain, swapped)))
        write_columns(path, list(rows["window_id"]), columns)
        return {"shard": shard.name}


def codes_of(
    bases: Mapping[str, PatchBasis],
    local: np.ndarray,
    is_known: np.ndarray,
    lengths: np.ndarray,
    in_beats: np.ndarray,
) -> np.ndarray:
    """Codes `[N, P, K]` of clips `[N, T, F]`, zero beyond each one's length.

    Args:
        is_known: `[N, F]` bool: values that clips have.
        in_beats: `[N]` bool: the clip's frames are ticks of beats.
    """
    num = bases["frames"].num_components
    out = np.zeros((len(local), num_patches(local.shape[1]), num), np.float32)
    for length, beats in sorted(set(zip(lengths.tolist(), in_beats.tolist()))):
        rows = (lengths == length) & (in_beats == beats)
        found = bases[clock_name(beats)].encode(local[rows][:, :length], is_known[rows])
        out[rows, : found.shape[1]] = found
    return out


def decoded(
    bases: Mapping[str, PatchBasis], codes: np.ndarray, in_beats: np.ndarray, num_frames: int
) -> np.ndarray:
    """Values of frames `[N, T, F]` float32 of codes `[N, P, K]`; `in_beats` as in `codes_of`."""
    values = len(bases["frames"].weight)
    local = np.zeros((len(codes), num_frames, values), dtype=np.float32)
    for beats in np.unique(in_beats):
        rows = in_beats == beats
        local[rows] = bases[clock_name(beats)].decode(codes[rows], num_frames)
    return local


def clock_name(in_beats: bool) -> str:
    """The key of `bases_of`."""
    return CLOCKS[int(in_beats)]


def write_patch_basis(context: StepContext, config: PatchBasisConfig) -> dict[str, Any]:
    """Fit the bases to a bounded sample of all datasets, keep them, and code every clip.

    Returns:
        Facts: components of each basis, the least share of variance that those of one explain.

    Raises:
        InputError: too few training clips, or all alike.
    """
    run, seed = context.run, context.config.seed
    total = sum(
        shard.num_windows for data in context.datasets.values() for shard in data.shards("train")
    )
    share = min(1.0, config.sample_clips / max(1, total))
    patches, masks, groups, beats, sums = [], [], [], [], []
    for number, dataset in enumerate(context.datasets.values()):
        shards = list(range(len(dataset.shards("train"))))
        arguments = (str(dataset.path), share, config, seed)
        found = context.runner.map(SampleClips, arguments, shards)
        # In a fixed order, whatever worker was first: sums of floats depend on it.
        for part, its_mask, in_beats, total_3F in sorted(found, key=lambda one: one[0].tobytes()):
            if part.size:
                patches.append(part)
                masks.append(its_mask)
                beats.append(in_beats)
                groups.append(np.full(len(part), number))
                sums.append(total_3F)
    if not patches:
        raise InputError("no training clips: a basis of patches needs some")
    seen = np.concatenate(masks)
    all_patches, in_beats = np.concatenate(patches), np.concatenate(beats)
    bases: dict[str, PatchBasis] = {}
    known: dict[str, np.ndarray] = {}
    # Patches of frames and of beats are different things: what varies most in dances may hardly
    # vary in other motion, and a flow cannot learn what is small beside its noise.
    for clock, rows in zip(CLOCKS, (~in_beats, in_beats)):
        if not rows.any():
            continue
        known[clock] = np.asarray(seen[rows].any(axis=0))
        bases[clock] = fit_patch_basis(
            all_patches[rows],
            seen[rows],
            metric(known[clock]),
            group=np.concatenate(groups)[rows],
            explained=config.explained,
            most=config.most,
            seed=seed,
        )
    for clock in CLOCKS:  # of data with one clock, its basis is that of both
        (only,) = bases if len(bases) == 1 else (clock,)
        bases[clock], known[clock] = bases[only], known[only]
    most = max(basis.num_components for basis in bases.values())
    first, second, count = np.sum(sums, axis=0)
    count = count.clip(min=1.0)  # rotations that no clip has
    mean = first / count
    std = np.sqrt((second / count - np.square(mean)).clip(min=0.0))
    tensors = {
        "local_mean": torch.from_numpy(mean.astype(np.float32)),
        # Values that hardly change would turn rounding into motion.
        "local_std": torch.from_numpy(std.clip(min=1e-3).astype(np.float32)),
    }
    for clock, basis in bases.items():
        arrays = basis.padded(most).tensors()
        arrays |= dict(zip(MASKS, joints_known(known[clock])))
        tensors |= {f"{clock}.{name}": torch.from_numpy(value) for name, value in arrays.items()}
    facts = {"components": most, "explained": min(basis.explained for basis in bases.values())}
    save_bundle(run.bundle(STEP), tensors, facts)
    for role in context.datasets:
        context.clear_columns(column_folder(STEP, role))
        context.runner.map(PatchCodeWriter, (str(run.path), role), context.shards(role))
    return facts


def bases_of(run: Run) -> dict[str, PatchBasis]:
    """The bases of a run, of patches of frames and of those of beats, of as many components."""
    tensors, facts = load_bundle(run.bundle(STEP))
    bases = {}
    for clock in CLOCKS:
        start = f"{clock}."
        arrays = {n.removeprefix(start): t.numpy() for n, t in tensors.items() if start in n}
        bases[clock] = PatchBasis.of(arrays, facts["explained"])
    return bases


def joints_of(run: Run, mask: str = "joint_mask") -> dict[str, np.ndarray]:
    """`[J]` bool: joints that patches of each clock have; another of `MASKS` where told."""
    tensors, _ = load_bundle(run.bundle(STEP))
    return {clock: tensors[f"{clock}.{mask}"].numpy() for clock in CLOCKS}


def local_statistics(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation `[F]` of the values of frames."""
    tensors, _ = load_bundle(run.bundle(STEP))
    return tensors["local_mean"].numpy(), tensors["local_std"].numpy()
