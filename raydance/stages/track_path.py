"""One expected path for a sentence and a first frame: the direct answer beside the flow's samples.

Where one answer is measured against one truth, the middle of what is possible beats every sample.
A small network gives it, as coefficients of the track basis, trained on the mean distance between
points (not squared: far truths would pull harder than they count). It overfits within minutes, so
its training is short.

Not from the paper, whose decoders are trained alike on eq. 4 (`raydance.stages.track_autoencoder`).

Dimensions: B clips, T frames, N points, K components, D sentence embedding, P path words, W width.
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
    """The network's size and training.

    Attributes:
        width, dropout: of its hidden layers.
        text_noise: share of the sentence's values that is zeroed in training.
    """

    enabled: bool = True
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
        width = config.width
        self.basis = TrackBasisLayer(mean, components)
        self.start = TrackStart(components.shape[2], width)
        self.text = nn.Linear(text_dim, width)
        self.path = nn.Linear(path_dim, width, bias=False)
        self.layers = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(config.dropout),
        )
        self.output = nn.Linear(width, len(components))
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def expected_path(self, text_BD: Tensor, path_BP: Tensor, start_BN2: Tensor) -> Tensor:
        """`[B, T, N, 2]` from sentences, what their words say of the path, and first frames."""
        value_BX = sentence_values(text_BD, path_BP)
        text_BX, path_BX = value_BX.split([text_BD.shape[1], path_BP.shape[1]], dim=1)
        text_BX = F.dropout(text_BX, self.config.text_noise, self.training)
        hidden_BW = self.start(start_BN2) + self.text(text_BX) + self.path(path_BX)
        return self.basis.decode(self.output(self.layers(hidden_BW)), start_BN2)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """The path of each clip's sentence from its first frame."""
        start_BN2 = batch["tracks"][:, 0]
        path = self.expected_path(batch["text_embedding"], batch["text_path"], start_BN2)
        return {"expected": path}

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Mean distance to the true points, normalised units; beside it that of staying."""
        track_BTN2 = batch["tracks"]
        stays = (track_BTN2[:, :1] - track_BTN2).norm(dim=3).mean()
        # The first frame is exact: its distance of zero has no gradient.
        later = (output["expected"] - track_BTN2)[:, 1:]
        distance_BTN = torch.linalg.vector_norm(later, dim=3)
        share = (track_BTN2.shape[1] - 1) / track_BTN2.shape[1]
        return {"total": share * distance_BTN.mean(), "stays": stays}
