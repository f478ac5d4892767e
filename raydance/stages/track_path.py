"""One expected path for a sentence and a first frame; the flow gives samples instead.

For the distance to a single true path, the centre of the distribution is a better answer than any
sample. Small networks predict it, as coefficients of the track basis, trained on the mean distance
between points (squared distances would overweight outliers). They overfit within minutes, so their
training is short, and their mean is the answer.

Not from the paper, whose decoders are trained alike on eq. 4 (`raydance.stages.track_autoencoder`).

Dimensions: M networks, B clips, T frames, N points, K components, D sentence embedding, P path
words, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.nn.blocks import TrackBasisLayer, TrackStart, sentence_values
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class TrackPathConfig:
    """The networks' size and training.

    Attributes:
        members: M.
        width, dropout: of their hidden layers.
        text_noise: share of the sentence's values that is zeroed in training.
    """

    enabled: bool = True
    members: int = 4
    width: int = 256
    dropout: float = 0.3
    text_noise: float = 0.2
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=20,
            lr=1e-3,
            schedule="onecycle",
            batch_size=128,
            weight_decay=0.05,
            patience=0,
        )
    )

    def __post_init__(self) -> None:
        for name in ("dropout", "text_noise"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise ConfigError(f"track_path.{name}: {value}; from 0 up to but without 1")
        if not 1 <= self.members <= 32:
            raise ConfigError(f"track_path.members: {self.members}; allowed: 1 to 32")


class _Network(nn.Module):
    """Coefficients from a sentence and a first frame."""

    def __init__(
        self, config: TrackPathConfig, components: int, points: int, text_dim: int, path_dim: int
    ) -> None:
        super().__init__()
        width = config.width
        self.start = TrackStart(points, width)
        self.text = nn.Linear(text_dim, width)
        self.path = nn.Linear(path_dim, width, bias=False)
        self.layers = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(config.dropout),
        )
        self.output = nn.Linear(width, components)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, text_BX: Tensor, path_BX: Tensor, start_BN2: Tensor) -> Tensor:
        hidden_BW = self.start(start_BN2) + self.text(text_BX) + self.path(path_BX)
        found_BK: Tensor = self.output(self.layers(hidden_BW))
        return found_BK


class TrackPath(Stage):
    """The expected path.

    Args:
        mean, components: `[T, N, 2]` and `[K, T, N, 2]`, of the track basis.
        text_dim, path_dim: D and P.
    """

    name: ClassVar[str] = "track_path"
    reads: ClassVar[tuple[str, ...]] = ("tracks", "text_embedding", "text_path")

    def __init__(
        self,
        config: TrackPathConfig,
        mean: Tensor,
        components: Tensor,
        text_dim: int,
        path_dim: int = 3,
    ) -> None:
        super().__init__()
        self.config = config
        self.basis = TrackBasisLayer(mean, components)
        num, points = components.shape[0], components.shape[2]
        self.members = nn.ModuleList(
            _Network(config, num, points, text_dim, path_dim) for _ in range(config.members)
        )

    def paths(self, text_BD: Tensor, path_BP: Tensor, start_BN2: Tensor) -> Tensor:
        """`[M, B, T, N, 2]`: what each network expects."""
        value_BX = sentence_values(text_BD, path_BP)
        text_BX, path_BX = value_BX.split([text_BD.shape[1], path_BP.shape[1]], dim=1)
        found = []
        for member in self.members:
            noisy_BX = F.dropout(text_BX, self.config.text_noise, self.training)
            found.append(self.basis.decode(member(noisy_BX, path_BX, start_BN2), start_BN2))
        return torch.stack(found)

    def expected_path(self, text_BD: Tensor, path_BP: Tensor, start_BN2: Tensor) -> Tensor:
        """`[B, T, N, 2]` from sentences, what their words say of the path, and first frames."""
        return self.paths(text_BD, path_BP, start_BN2).mean(dim=0)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Paths of each clip's sentence from its first frame: in training those of each network,
        `[M, B, T, N, 2]`, so that each learns by itself; else their mean."""
        start_BN2 = batch["tracks"][:, 0]
        path = self.paths(batch["text_embedding"], batch["text_path"], start_BN2)
        return {"expected": path if self.training else path.mean(dim=0)}

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Mean distance to the true points, normalised units; `stays` is that of a still track."""
        track_BTN2 = batch["tracks"]
        stays = (track_BTN2[:, :1] - track_BTN2).norm(dim=3).mean()
        # The first frame is exact: its distance of zero has no gradient.
        later = (output["expected"] - track_BTN2)[..., 1:, :, :]
        distance_BTN = torch.linalg.vector_norm(later, dim=-1)
        share = (track_BTN2.shape[1] - 1) / track_BTN2.shape[1]
        return {"total": share * distance_BTN.mean(), "stays": stays}
