"""The smallest stage that the training loop can take, and batches for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from raydance.stages.base import Batch, Stage, TrainConfig

QUICK = TrainConfig(epochs=6, lr=0.05, patience=0, clip_norm=1.0)


class Line(Stage):
    """`y = w x + b` with noise on its input in training, and a loss that tests can set."""

    name: ClassVar[str] = "line"
    reads: ClassVar[tuple[str, ...]] = ("x", "y")

    def __init__(
        self,
        *,
        noise: float = 0.1,
        held_until: float = 0.0,
        factor: float = 1.0,
        judged_from: float = 0.0,
    ) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.bend = nn.Linear(2, 2)
        self.noise, self.held_until, self.factor = noise, held_until, factor
        self.share_unjudged = judged_from
        self.told: list[str] = []

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        x = batch["x"]
        if self.training:
            x = x + self.noise * torch.randn_like(x)
        return {"y": self.bend(torch.tanh(self.layer(x)))}

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        error = (output["y"] - batch["y"]).square().mean()
        return {
            "total": self.factor * error,
            "error": error,
            "progress": error.new_tensor(progress),
        }

    def held_back(self, progress: float) -> Iterator[nn.Parameter]:
        return iter(self.bend.parameters() if progress < self.held_until else ())

    def judged_from(self) -> float:
        return self.share_unjudged

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        return list(self.told)


class Memory:
    """Batches of a fixed line, in an order that depends on the epoch; `fails_in` kills an epoch."""

    def __init__(
        self, *, rank: int = 0, world_size: int = 1, size: int = 8, fails_in: int | None = None
    ) -> None:
        generator = torch.Generator().manual_seed(3)
        self.x = torch.randn(32, 3, generator=generator)
        self.y = torch.tanh(self.x @ torch.randn(3, 2, generator=generator))
        self.rank, self.world_size, self.size, self.fails_in = rank, world_size, size, fails_in
        self.steps_per_epoch = math.ceil(len(self.x) / size)
        self.windows_per_epoch = len(self.x)
        self.epochs: list[int] = []
        self.closed = 0

    def cut(self, order: Tensor) -> Iterator[Batch]:
        share = self.size // self.world_size
        for start in range(0, len(order), self.size):
            first = start + self.rank * share
            rows = order[first : first + share]
            yield {"x": self.x[rows], "y": self.y[rows]}

    def train(self, epoch: int) -> Iterator[Batch]:
        self.epochs.append(epoch)
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(epoch))
        for step, batch in enumerate(self.cut(order)):
            if epoch == self.fails_in and step == 2:
                raise KeyboardInterrupt
            yield batch

    def validation(self) -> Iterator[Batch]:
        return self.cut(torch.arange(len(self.x)))

    def close(self) -> None:
        self.closed += 1


def line(seed: int = 0, **options: float) -> Line:
    torch.manual_seed(seed)
    return Line(**options)


def same(a: nn.Module, b: nn.Module) -> bool:
    other = b.state_dict()
    return all(torch.equal(value, other[name]) for name, value in a.state_dict().items())


def scripted(losses: list[float]) -> Callable[..., dict[str, float]]:
    """A stand-in for validation that tells these losses in turn."""
    turn = iter(losses)
    return lambda *arguments: {"total": next(turn)}
