"""What a trained stage is: a network, a pure loss, and the columns that it adds.

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
        epochs: at most so many passes over the training windows.
        batch_size: clips per worker and step.
        optimizer: `adamw` or `sgd` (momentum 0.9).
        lr: peak learning rate.
        schedule: `onecycle` (per step), `restarts` (cosine with warm restarts every `period`
            epochs), `step` (times `factor` every `period` epochs), `plateau` (times `factor` after
            `period` epochs without a better validation loss) or `constant`.
        clip_norm: gradients are scaled down to this norm; 0 leaves them alone.
        patience: stop after so many checks without a better validation loss; 0 never stops.
        check_every: epochs between such checks, so that patience can count whole restart cycles.
        augment: fresh augmentation noise in every epoch; without it windows are used as they are.
        balanced: every batch holds as many clips of each cluster as of any other.
        mixed_precision: float16 with dynamic loss scaling, on a GPU only.
    """

    epochs: int = 100
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
        if self.lr <= 0.0:
            raise ConfigError(f"lr: {self.lr}; must be above 0")


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
        """Batch columns needed under a configuration; `reads` unless the stage is switchable."""
        return cls.reads

    @classmethod
    def added_names(cls, key: Literal["row", "text"]) -> tuple[str, ...]:
        """Names of the columns that it adds to rows of the dataset, or to texts."""
        return tuple(column.name for column in cls.adds if column.key == key)

    @abstractmethod
    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Everything that the loss needs. DDP counts only on gradients that pass through here.

        Args:
            progress: share of the training done, in [0, 1].
        """

    @abstractmethod
    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Named scalar terms and what is minimised, `total`; pure.

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
        """Parameters that do not move yet; their gradients are dropped after every backward pass.

        They still require a gradient, because DDP decides at its construction which parameters
        take part.
        """
        return ()

    def judged_from(self) -> float:
        """Share of the training from which the validation loss decides and `warnings` are told.

        Before, the loss neither lowers the learning rate nor picks the weights to keep nor ends
        the training: a stage of several phases must not stop before it has seen all that it shall
        learn from.
        """
        return 0.0

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Plain words about validation metrics that look wrong (collapse, a negative KL)."""
        return []
