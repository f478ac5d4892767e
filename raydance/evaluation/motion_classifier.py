"""A small convolutional classifier of movements: the evaluation's independent judge.

It is trained on real training windows alone, with its own normalisation and its own augmentation,
and never on anything that a run made. Its accuracy on real test windows is therefore what a
perfect generator would reach; its features are those in which Frechet distance and diversity are
measured. Training takes a few seconds on one core, so it is not stored.

Dimensions: N windows, T frames, J joints, C joints times axes, W width, F features, K names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raydance.errors import InputError
from raydance.motion import augment, normalise
from raydance.motion.rows import to_network

if TYPE_CHECKING:
    from raydance.evaluation.windows import TrainingWindows

MAX_TRAINING_WINDOWS: Final = 3000
_WIDTH: Final = 96
_STEPS: Final = 450
_BATCH: Final = 64
_VARIANTS: Final = 4
_LEARNING_RATE: Final = 3e-3


class _Network(nn.Module):
    """Three strided convolutions over frames, then their mean and maximum over time."""

    def __init__(self, num_channels: int, num_names: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (num_channels, _WIDTH, _WIDTH):
            layers += [
                nn.Conv1d(width, _WIDTH, kernel_size=5, stride=2, padding=2),
                nn.GroupNorm(8, _WIDTH),
                nn.GELU(),
            ]
        self.convolutions = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.3)
        self.out = nn.Linear(2 * _WIDTH, num_names)

    def features(self, motion_NTJ3: Tensor) -> Tensor:
        hidden_NWT = self.convolutions(motion_NTJ3.flatten(2).transpose(1, 2))
        return torch.cat([hidden_NWT.mean(dim=2), hidden_NWT.amax(dim=2)], dim=1)

    def forward(self, motion_NTJ3: Tensor) -> Tensor:
        return self.out(self.dropout(self.features(motion_NTJ3)))


class MotionClassifier:
    """Names motion, and gives it features.

    Attributes:
        names: the movements it can tell apart, sorted.
    """

    def __init__(
        self, names: Sequence[str], statistics: normalise.Statistics, network: _Network
    ) -> None:
        self.names, self.statistics, self.network = list(names), statistics, network.eval()

    @classmethod
    def fit(
        cls,
        motion: np.ndarray,
        joint_mask: np.ndarray,
        names: Sequence[str],
        window_ids: Sequence[str],
        *,
        seed: int = 0,
        steps: int | None = None,
    ) -> MotionClassifier:
        """Train on real windows.

        Args:
            motion: `[N, T, J, 3]`, metres, y up; `joint_mask`: `[N, J]`.
            names: of each window; of a mirrored one, with left and right exchanged.
            window_ids: from which the augmentation is drawn.
            seed: of weights, order, dropout and augmentation.
            steps: of training; 450 by default.

        Raises:
            InputError: no windows.
        """
        if not len(motion):
            raise InputError("no training window has a name: there is nothing to judge motion by")
        steps = _STEPS if steps is None else steps
        features = normalise.to_features(motion, joint_mask)
        statistics = normalise.fit_statistics([normalise.Sums.of(features, joint_mask)])
        mirrored = [mirror_name(name) for name in names]
        known = sorted({*names, *mirrored})
        number = {name: i for i, name in enumerate(known)}
        as_is_N = np.array([number[name] for name in names])
        mirrored_N = np.array([number[name] for name in mirrored])
        keys = augment.window_keys(window_ids)
        order = np.random.default_rng([seed, 83])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = _Network(motion.shape[2] * 3, len(known)).train()
            optimiser = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=0.05)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, _LEARNING_RATE, total_steps=steps + 1
            )
            # Noise is drawn a few times and not in every epoch, which would take longer than
            # the training itself.
            variants: list[tuple[Tensor, Tensor]] = []
            done = epoch = 0
            while done < steps:
                if epoch < _VARIANTS:
                    moved, mask, flipped_N = augment.augment(
                        motion, joint_mask, keys, seed=seed, epoch=epoch, config=augment.Augment()
                    )
                    inputs = to_network(moved, mask, statistics, "root_channel")
                    target_N = np.where(flipped_N, mirrored_N, as_is_N)
                    variants.append((torch.from_numpy(inputs), torch.from_numpy(target_N)))
                motion_NTJ3, names_N = variants[epoch % _VARIANTS]
                rows = torch.from_numpy(order.permutation(len(motion)))
                for batch in rows.split(_BATCH)[: steps - done]:
                    loss = F.cross_entropy(network(motion_NTJ3[batch]), names_N[batch])
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    schedule.step()
                    done += 1
                epoch += 1
        return cls(known, statistics, network)

    @classmethod
    def of(cls, training: TrainingWindows, *, seed: int = 0) -> MotionClassifier:
        """Train on a dataset's training split, or on a sample of it where it is large.

        Raises:
            InputError: no training window has a name.
        """
        named = np.array([i for i, name in enumerate(training.facts.names) if name], dtype=int)
        if len(named) > MAX_TRAINING_WINDOWS:
            rng = np.random.default_rng([seed, 79])
            named = np.sort(rng.choice(named, MAX_TRAINING_WINDOWS, replace=False))
        rows = named.tolist()
        motion, joint_mask = training.windows_of(rows)
        return cls.fit(
            motion,
            joint_mask,
            [training.facts.names[i] for i in rows],
            [training.facts.window_id[i] for i in rows],
            seed=seed,
        )

    def features(self, motion: np.ndarray, joint_mask: np.ndarray) -> np.ndarray:
        """`[N, F]` float64 of windows in metres; `joint_mask` is `[J]` or `[N, J]`."""
        with torch.inference_mode():
            return np.concatenate(
                [self.network.features(x).numpy() for x in self._batches(motion, joint_mask)]
            ).astype(np.float64)

    def __call__(self, motion: np.ndarray, joint_mask: np.ndarray) -> list[str]:
        """The name of each window; arguments as for `features`."""
        with torch.inference_mode():
            parts = [self.network(x).argmax(dim=1) for x in self._batches(motion, joint_mask)]
        return [self.names[i] for i in torch.cat(parts).tolist()]

    def accuracy(self, motion: np.ndarray, joint_mask: np.ndarray, names: Sequence[str]) -> float:
        """Percentage of windows that are given the name they should have."""
        found = self(motion, joint_mask)
        return 100.0 * float(np.mean([a == b for a, b in zip(found, names, strict=True)]))

    def _batches(self, motion: np.ndarray, joint_mask: np.ndarray) -> tuple[Tensor, ...]:
        mask_NJ = np.broadcast_to(joint_mask, (len(motion), motion.shape[2]))
        inputs = to_network(motion, mask_NJ, self.statistics, "root_channel")
        return torch.from_numpy(inputs).split(256)


def mirror_name(name: str) -> str:
    """A movement's name after mirroring: `kick_left` becomes `kick_right`, `bow` stays."""
    return "_".join(augment.mirror_caption(part) for part in name.split("_"))
