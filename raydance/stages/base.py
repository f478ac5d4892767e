"""Base class of trained stages: a network, a pure loss, and the columns that it adds.

A stage never sees Ray, files or other stages: it reads named columns of a batch and returns
tensors. The loop in `raydance.training.loop` drives it; `raydance.cluster` distributes it.

Dimensions: B clips, T frames, J joints, Z latent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from raydance.data.schema import Column
from raydance.errors import ConfigError

Batch = Mapping[str, Tensor]
"""Column name -> tensor whose first dimension is B."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a stage is trained; each stage's config holds one.

    Attributes:
        epochs: maximum number of passes over the training windows.
        min_steps: more epochs than that are made where they hold fewer steps of one worker: a
            small data set needs more passes. Epochs that a preset, a file or an option sets alone
            are exact.
        batch_size: clips per worker and step.
        optimizer: `adamw` or `sgd` (momentum 0.9).
        lr: peak learning rate.
        schedule: `onecycle` (per step), `restarts` (cosine with warm restarts every `period`
            epochs), `step` (times `factor` every `period` epochs), `plateau` (times `factor` after
            `period` epochs without a better validation loss) or `constant`.
        clip_norm: maximum norm of the gradients; 0 disables clipping.
        patience: number of checks without a better validation loss after which training stops; 0
            disables early stopping.
        check_every: epochs between these checks; with restarts, a whole cycle is a sensible value.
        augment: whether windows are augmented, anew in every epoch.
        balanced: whether every batch has equally many clips of each cluster.
        mixed_precision: float16 with dynamic loss scaling, on a GPU only.
    """

    epochs: int = 100
    min_steps: int = 0
    batch_size: int = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["onecycle", "restarts", "step", "plateau", "constant"] = "constant"
    period: int = 10
    factor: float = 0.5
    clip_norm: float = 1.0
    patience: int = 10
    check_every: int = 1
    augment: bool = True
    balanced: bool = False
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.period < 1 or self.check_every < 1:
            raise ConfigError("epochs, batch_size, period and check_every must be at least 1")
        if self.min_steps < 0:
            raise ConfigError(f"min_steps: {self.min_steps}; at least 0")
        if self.lr <= 0.0:
            raise ConfigError(f"lr: {self.lr}; must be above 0")

    def epochs_of(self, num_windows: int) -> int:
        """Epochs of a data set, however many workers share its windows: enough for `min_steps`."""
        steps = max(1, -(-num_windows // self.batch_size))
        return max(self.epochs, -(-self.min_steps // steps))


class Stage(nn.Module, ABC):
    """Base of every trained stage.

    Class attributes:
        name: the stage's name in a run folder and in `a.b=value` overrides.
        reads: batch columns that `forward` and `loss` need.
        adds: columns that `infer` returns for rows, and `infer_captions` for texts.
    """

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    adds: ClassVar[tuple[Column, ...]] = ()
    config: Any

    @classmethod
    def columns_read(cls, config: Any) -> tuple[str, ...]:
        """Batch columns needed with a configuration; `reads` unless a stage overrides this."""
        return cls.reads

    @classmethod
    def added_names(cls, key: Literal["row", "text"]) -> tuple[str, ...]:
        """Names of the columns that it adds to rows of the dataset, or to texts."""
        return tuple(column.name for column in cls.adds if column.key == key)

    @abstractmethod
    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Everything that the loss needs. Under DDP, gradients must pass through this method.

        Args:
            progress: share of the training done, in [0, 1].
        """

    @abstractmethod
    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Named scalar loss terms, of which `total` is minimised; a pure function.

        Args:
            progress: share of the training done, in [0, 1]; schedules depend on it.
        """

    def infer(self, batch: Batch) -> dict[str, Tensor]:
        """The columns `adds` of rows."""
        return {}

    def infer_captions(self, batch: Batch) -> dict[str, Tensor]:
        """The columns `adds` of texts, for rows of the caption table."""
        return {}

    def held_back(self, progress: float) -> Iterable[nn.Parameter]:
        """Parameters that are frozen at this point; their gradients are dropped after each backward
        pass.

        They still require gradients, because DDP fixes its set of parameters at construction.
        """
        return ()

    def judged_from(self) -> float:
        """Share of the training after which the validation loss counts and `warnings` are reported.

        Before it, the loss does not affect the learning rate, the choice of weights or early
        stopping: a stage with several phases must not stop before the last one.
        """
        return 0.0

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Warnings about implausible validation metrics (collapse, a negative KL divergence)."""
        return []
