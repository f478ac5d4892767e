"""One expected path for a sentence and a first frame, and a few alternatives; the flow draws
samples instead.

For the distance to a single true path, the centre of the distribution is a better answer than any
sample. Small networks predict it, as coefficients of the track basis, trained on the mean distance
between points (squared distances would overweight outliers). They overfit within minutes, so their
training is short, and their mean is the answer.

One more network predicts alternatives, of which the nearest to the true path is trained
(Guzman-Rivera et al. 2012, multiple choice learning): together they lie nearer to what happens than
as many samples do. It also predicts how likely each is.

Not from the paper, whose decoders are trained alike on eq. 4 (`raydance.stages.track_autoencoder`).

Dimensions: M networks, A alternatives, B clips, T frames, N points, K components, D sentence
embedding, P path words, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.nn.blocks import TrackBasisLayer, TrackStart, sentence_values
from raydance.stages.base import Batch, Stage, TrainConfig

_LIKELY: Final = 0.02
"""Weight of the alternatives' likelihoods, nats, beside distances."""


@dataclass(frozen=True, kw_only=True)
class TrackPathConfig:
    """The networks' size and training.

    Attributes:
        members: M.
        alternatives: A.
        others: share of the loss of an alternative that counts for those that are not the nearest,
            so that none is left unused.
        width, dropout: of their hidden layers.
        text_noise: share of the sentence's values that is zeroed in training.
    """

    enabled: bool = True
    members: int = 4
    alternatives: int = 10
    others: float = 0.02
    width: int = 256
    dropout: float = 0.3
    text_noise: float = 0.2
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=20,
            min_steps=900,
            lr=1e-3,
            schedule="onecycle",
            batch_size=128,
            weight_decay=0.05,
            patience=0,
        )
    )

    def __post_init__(self) -> None:
        for name in ("dropout", "text_noise", "others"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise ConfigError(f"track_path.{name}: {value}; from 0 up to but without 1")
        if not 1 <= self.members <= 32:
            raise ConfigError(f"track_path.members: {self.members}; allowed: 1 to 32")
        if not 1 <= self.alternatives <= 64:
            raise ConfigError(f"track_path.alternatives: {self.alternatives}; allowed: 1 to 64")


class _Network(nn.Module):
    """Values, such as coefficients, from a sentence and a first frame; all zero before training."""

    def __init__(
        self, config: TrackPathConfig, outputs: int, points: int, text_dim: int, path_dim: int
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
        self.output = nn.Linear(width, outputs)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, text_BX: Tensor, path_BX: Tensor, start_BN2: Tensor) -> Tensor:
        hidden_BW = self.start(start_BN2) + self.text(text_BX) + self.path(path_BX)
        found_BX: Tensor = self.output(self.layers(hidden_BW))
        return found_BX


class TrackPath(Stage):
    """The expected path, and alternatives to it.

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
        self.choice = _Network(config, config.alternatives * (num + 1), points, text_dim, path_dim)
        nn.init.normal_(self.choice.output.bias, std=0.3)  # else all are the nearest

    def _values(
        self, network: nn.Module, text_BD: Tensor, path_BP: Tensor, start_BN2: Tensor
    ) -> Tensor:
        value_BX = sentence_values(text_BD, path_BP)
        text_BX, path_BX = value_BX.split([text_BD.shape[1], path_BP.shape[1]], dim=1)
        noisy_BX = F.dropout(text_BX, self.config.text_noise, self.training)
        found_BX: Tensor = network(noisy_BX, path_BX, start_BN2)
        return found_BX

    def paths(self, text_BD: Tensor, path_BP: Tensor, start_BN2: Tensor) -> Tensor:
        """`[M, B, T, N, 2]`: what each network expects."""
        found = [self._values(one, text_BD, path_BP, start_BN2) for one in self.members]
        return torch.stack([self.basis.decode(one_BK, start_BN2) for one_BK in found])

    def alternatives(
        self, text_BD: Tensor, path_BP: Tensor, start_BN2: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`[A, B, T, N, 2]`, and how likely each is, `[A, B]`, as logits."""
        num = self.config.alternatives
        value_BX = self._values(self.choice, text_BD, path_BP, start_BN2)
        coefficient_BAK = value_BX[:, num:].unflatten(1, (num, -1))
        paths = [self.basis.decode(one_BK, start_BN2) for one_BK in coefficient_BAK.unbind(1)]
        return torch.stack(paths), value_BX[:, :num].T

    def likely_first(self, text_BD: Tensor, path_BP: Tensor, start_BN2: Tensor) -> Tensor:
        """`[A, B, T, N, 2]`: the alternatives, the most likely one first."""
        path_ABTN2, logit_AB = self.alternatives(text_BD, path_BP, start_BN2)
        order_AB = logit_AB.argsort(dim=0, descending=True, stable=True)
        return path_ABTN2[order_AB, torch.arange(order_AB.shape[1], device=order_AB.device)]

    def expected_path(self, text_BD: Tensor, path_BP: Tensor, start_BN2: Tensor) -> Tensor:
        """`[B, T, N, 2]` from sentences, what their words say of the path, and first frames."""
        return self.paths(text_BD, path_BP, start_BN2).mean(dim=0)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Paths of each clip's sentence from its first frame: in training those of each network,
        `[M, B, T, N, 2]`, so that each learns by itself, else their mean; and the alternatives."""
        inputs = (batch["text_embedding"], batch["text_path"], batch["tracks"][:, 0])
        path = self.paths(*inputs)
        choices, logits = self.alternatives(*inputs)
        expected = path if self.training else path.mean(dim=0)
        return {"expected": expected, "alternatives": choices, "logits": logits}

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Mean distances to the true points, normalised units: of the expected path, and of the
        nearest alternative; `stays` is that of a still track."""
        track_BTN2 = batch["tracks"]
        stays = (track_BTN2[:, :1] - track_BTN2).norm(dim=3).mean()
        expected = _distances(output["expected"], track_BTN2).mean()
        distance_AB = _distances(output["alternatives"], track_BTN2)
        nearest_B = distance_AB.detach().argmin(dim=0)
        best = distance_AB.gather(0, nearest_B[None]).mean()
        likely = F.cross_entropy(output["logits"].T, nearest_B)
        others = self.config.others
        chosen = (1.0 - others) * best + others * distance_AB.mean()
        return {
            "total": expected + chosen + _LIKELY * likely,
            "expected": expected,
            "nearest": best,
            "likely": likely,
            "stays": stays,
        }


def _distances(path: Tensor, track_BTN2: Tensor) -> Tensor:
    """`[..., B]`: mean distance of paths `[..., B, T, N, 2]` to tracks."""
    # The first frame is exact: its distance of zero has no gradient.
    later = (path - track_BTN2)[..., 1:, :, :]
    share = (track_BTN2.shape[1] - 1) / track_BTN2.shape[1]
    return share * torch.linalg.vector_norm(later, dim=-1).mean(dim=(-2, -1))
