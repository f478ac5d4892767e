"""The motion basis of a run: fitted to a bounded sample of the training windows, kept as a bundle.

One pass over the shards draws the sample, by a hash of each window's name: so memory does not grow
with the library, and any number of workers draws the same one. Every window is then described by
its coefficients (`CoefficientWriter`), as it is and as augmentation makes it.

Dimensions: N windows, T frames, J joints, K components, V variants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from raydance.data.columns import write_columns
from raydance.data.dataset import Dataset, Shard
from raydance.data.schema import Column
from raydance.errors import ConfigError, InputError
from raydance.metrics.motion import jitter
from raydance.motion import augment, normalise
from raydance.motion.basis import Basis, fit_basis, metric
from raydance.motion.rows import to_network
from raydance.systems.dance_language.statistics_step import statistics_of
from raydance.training.run_folder import Run, load_bundle, save_bundle

_SUPPORT_STEP: Final = 16
_MOST_VARIANTS: Final = 8
_VARIANT_WINDOWS: Final = 40_000
"""Windows times variants stay near so many, whatever the library's size."""


@dataclass(frozen=True, kw_only=True)
class MotionBasisConfig:
    """How many components, from how many windows.

    Attributes:
        num_components: K; chosen by validation windows where None, by the next three.
        max_components: at most so many are looked at.
        explained: share of the variance of validation windows that is enough.
        roughest: components beyond which rebuilt validation windows have more than so many times
            their own jitter are dropped: on few data they are wrinkles of single windows.
        sample_windows: training windows that the basis is fitted to, mirrored and augmented ones
            included.
    """

    num_components: int | None = None
    max_components: int = 256
    explained: float = 0.9999
    roughest: float = 1.27
    sample_windows: int = 3_000

    def __post_init__(self) -> None:
        for name in ("num_components", "max_components"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"motion_basis.{name}: {value}; at least 1")
        if not 0.0 < self.explained <= 1.0:
            raise ConfigError(f"motion_basis.explained: {self.explained}; above 0, at most 1")
        if self.roughest <= 0.0:
            raise ConfigError(f"motion_basis.roughest: {self.roughest}; above 0")
        if self.sample_windows < 3:
            raise ConfigError(f"motion_basis.sample_windows: {self.sample_windows}; at least 3")


COEFFICIENTS: Final = Column(
    name="coefficients",
    dtype="float32",
    dims=("V", "K"),
    meaning="of the motion basis, by variant",
    is_mirrored=True,
    has_variants=True,
)
"""The column that `CoefficientWriter` adds to rows."""


class SampleWindows:
    """Draws a shard's share of a sample of windows, mirrored and augmented copies included.

    Windows of shorter clips are left out.

    Args:
        share: of the windows (of their copies, where it is above 1) that is drawn.
    """

    def __init__(
        self,
        run_path: str,
        split: str,
        share: float,
        noise: augment.Augment,
        representation: normalise.Representation,
        seed: int,
    ) -> None:
        run = Run.open(run_path)
        self.dataset = Dataset.open(run.facts["dataset"]["path"])
        self.statistics = statistics_of(run)
        self.split, self.share, self.noise = split, share, noise
        self.representation = representation
        self.seed = seed

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sort keys `[n]`, network values `[n, T, J, 3]` and masks `[n, J]` of a shard's share."""
        shard = self.dataset.shards(self.split)[index]
        columns = ["window_id", "motion", "joint_mask", "length"]
        rows = self.dataset.read_shard(shard, columns=columns)
        keys = augment.window_keys(list(rows["window_id"]))
        is_full = rows["length"] == self.dataset.frames
        count = int(np.ceil(self.share))
        if not self.noise.enabled:
            count = min(count, 1)
        found = []
        for number in range(count):
            draw = augment.uniforms(keys, seed=self.seed, epoch=number, stream=89)
            chosen = draw < self.share - number if self.share > 1.0 else draw < self.share
            chosen &= is_full
            # Drawn first: noise depends on a window's key alone, and a share may be small.
            motion, mask = self._version(
                number, rows["motion"][chosen], rows["joint_mask"][chosen], keys[chosen]
            )
            network = to_network(motion, mask, self.statistics, self.representation)
            found.append((draw[chosen] + number, network, mask))
        joined = [np.concatenate(parts) for parts in zip(*found)]
        return joined[0], joined[1], joined[2]

    def _version(
        self, number: int, motion: np.ndarray, mask: np.ndarray, keys: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Windows as they are, mirrored or augmented; the first version is augmented too where
        only some windows are drawn."""
        if number == 0 and (self.share > 1.0 or not self.noise.enabled):
            return motion, mask
        if number == 1 and self.noise.mirror_probability > 0.0:
            return augment.mirror(motion, mask)
        noisy, noisy_mask, _ = augment.augment(
            motion, mask, keys, seed=self.seed, epoch=number, config=self.noise
        )
        return noisy, noisy_mask


def write_basis(
    run: Run,
    dataset: Dataset,
    config: MotionBasisConfig,
    noise: augment.Augment,
    representation: normalise.Representation,
    seed: int,
    apply: Callable[..., list[Any]],
) -> dict[str, Any]:
    """Fit the basis and keep it.

    Args:
        apply: `Runner.map`.

    Returns:
        Facts: components, the share of variance that they explain.

    Raises:
        InputError: too few training windows, or all alike; no training or validation clip that
            fills a window.
    """

    def sample(split: str, wanted: int, noise: augment.Augment) -> tuple[np.ndarray, np.ndarray]:
        shards = dataset.shards(split)
        share = wanted / max(1, sum(shard.num_windows for shard in shards))
        share = min(share, 4.0 if noise.enabled else 1.0)
        args = (str(run.path), split, share, noise, representation, seed)
        found = apply(SampleWindows, args, list(range(len(shards))))
        keys, network, mask = (np.concatenate(parts) for parts in zip(*found))
        if not len(keys):
            raise InputError(
                f"{dataset.path}: no {split} clip fills a window of {dataset.frames} frames; "
                "ingest with a smaller --window"
            )
        order = np.argsort(keys, kind="stable")  # whatever worker was first
        return network[order], mask[order]

    network, mask = sample("train", config.sample_windows, noise)
    statistics = statistics_of(run)
    known = load_bundle(run.bundle("statistics"))[0]["joint_mask"].numpy()
    weight = metric(statistics, representation, known)
    most = config.num_components or config.max_components
    basis = fit_basis(network, mask, weight, most, seed=seed)
    if config.num_components is None:
        still = augment.Augment(enabled=False)
        held_out, held_out_mask = sample("val", config.sample_windows, still)
        num = num_supported(
            basis,
            held_out,
            held_out_mask,
            lambda values: normalise.from_features(statistics.invert(values), representation),
            float(dataset.fps),
            explained=config.explained,
            roughest=config.roughest,
        )
        basis = basis.first(num)
    facts = {"components": basis.num_components, "explained": basis.explained}
    tensors = {name: torch.from_numpy(value) for name, value in basis.tensors().items()}
    save_bundle(run.bundle("motion_basis"), tensors, facts)
    return facts


def num_supported(
    basis: Basis,
    network: np.ndarray,
    joint_mask: np.ndarray,
    to_metres: Callable[[np.ndarray], np.ndarray],
    fps: float,
    *,
    explained: float,
    roughest: float,
) -> int:
    """How many components are worth keeping, by held-out windows.

    The fewest that leave no more than `1 - explained` of the held-out variance, but not so many
    that they rebuild held-out windows with `roughest` times their own jitter.

    Args:
        network, joint_mask: validation windows `[N, T, J, 3]` and `[N, J]`.
        to_metres: network values to positions.
    """
    coefficients = basis.encode(network, joint_mask)
    real = jitter(to_metres(network), fps=fps, joint_mask=joint_mask)
    mask = joint_mask[:, None, :, None] * basis.weight
    total = np.square((network - basis.mean) * mask, dtype=np.float64).sum()
    numbers = [*range(_SUPPORT_STEP, basis.num_components, _SUPPORT_STEP), basis.num_components]
    for before, num in zip([numbers[0], *numbers], numbers):
        rebuilt = basis.first(num).decode(coefficients[:, :num])
        if jitter(to_metres(rebuilt), fps=fps, joint_mask=joint_mask) > roughest * real:
            return before
        left = np.square((network - rebuilt) * mask, dtype=np.float64).sum()
        if left <= (1.0 - explained) * total:
            return num
    return basis.num_components


def basis_of(run: Run) -> Basis:
    """The basis of a run."""
    tensors, facts = load_bundle(run.bundle("motion_basis"))
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return Basis.of(arrays, facts["explained"])


class CoefficientWriter:
    """Adds the coefficients of a shard's windows: `[N, V, K]`, the first variant without noise.

    Mirrored windows have columns of their own, since their captions differ. Those of shorter clips
    have the most probable coefficients given their real frames.
    """

    def __init__(
        self,
        run_path: str,
        noise: augment.Augment,
        representation: normalise.Representation,
        seed: int,
    ) -> None:
        self.run = Run.open(run_path)
        self.basis = basis_of(self.run)
        self.statistics = statistics_of(self.run)
        self.dataset = Dataset.open(self.run.facts["dataset"]["path"])
        # Without other sizes: a flow that learns them makes bodies of all of these sizes.
        self.noise = replace(noise, mirror_probability=0.0, scale=0.0)
        self.representation, self.seed = representation, seed

    def __call__(self, item: tuple[str, int]) -> dict[str, Any]:
        """`item` is (split, shard index)."""
        split, index = item
        shard: Shard = self.dataset.shards(split)[index]
        columns = ["window_id", "motion", "joint_mask", "length"]
        rows = self.dataset.read_shard(shard, columns=columns)
        length = rows["length"]
        window_ids = list(rows["window_id"])
        keys = augment.window_keys(window_ids)
        plain, swapped = [], []
        for number in range(self._num_variants(split)):
            motion, mask = rows["motion"], rows["joint_mask"]
            if number:
                motion, mask, _ = augment.augment(
                    motion,
                    mask,
                    keys,
                    seed=self.seed,
                    epoch=number,
                    config=self.noise,
                    length=length,
                )
            plain.append(self._encode(motion, mask, length))
            swapped.append(self._encode(*augment.mirror(motion, mask), length))
        write_columns(
            self.run.columns("motion_basis") / f"{shard.name}.parquet",
            window_ids,
            {
                "coefficients": np.stack(plain, axis=1),
                "coefficients_mirrored": np.stack(swapped, axis=1),
            },
        )
        return {"shard": shard.name}

    def _num_variants(self, split: str) -> int:
        if split != "train" or not self.noise.enabled:
            return 1
        total = sum(shard.num_windows for shard in self.dataset.shards("train"))
        return int(np.clip(_VARIANT_WINDOWS // max(total, 1), 2, _MOST_VARIANTS))

    def _encode(self, motion: np.ndarray, mask: np.ndarray, length: np.ndarray) -> np.ndarray:
        network = to_network(motion, mask, self.statistics, self.representation)
        return self.basis.encode(network, mask, length)
