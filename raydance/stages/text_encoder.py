"""Text encoder (Dance-Language, section II.D, eq. 11-12): sentence embeddings -> motion latents.

This is the trained projection; the frozen language model is in `raydance.text.encoder`. The target
is the posterior mean, not a sample of it. With few distinct captions the
loss cannot fall below the spread of the latents that share a caption.

Dimensions: B clips, D sentence embedding, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from raydance.data.schema import Column
from raydance.nn import losses
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Eq. 11 and 12.

    Attributes:
        hidden: width of the first layer (paper: 512).
        final_relu: the ReLU before the layer norm, as in eq. 11. With it, half the coordinates of a
            caption are equal and bounded; without it every direction is possible.
        alpha: share of the cosine term in eq. 12.
        mse_reduction: over the latent dimensions; `sum` is eq. 12 as printed.
        curriculum: whether training starts with concrete captions and admits harder ones until
            half-way.
        curriculum_start: share of difficulty admitted at the beginning.
    """

    hidden: int = 512
    latent: int = 256
    final_relu: bool = True
    alpha: float = 0.5
    mse_reduction: Literal["mean", "sum"] = "mean"
    curriculum: bool = True
    curriculum_start: float = 0.3
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=200, schedule="restarts", period=10, check_every=10, patience=5
        )
    )


def competence(progress: float, start: float) -> float:
    """Highest caption difficulty admitted: rises as a square root, and is 1 from half-way on."""
    share = min(1.0, max(0.0, progress) / 0.5)
    return min(1.0, (share * (1.0 - start**2) + start**2) ** 0.5)


class TextEncoder(Stage):
    """Two linear layers and a layer norm over frozen sentence embeddings."""

    name: ClassVar[str] = "text_encoder"
    reads: ClassVar[tuple[str, ...]] = ("text_embedding", "difficulty", "latent")
    adds: ClassVar[tuple[Column, ...]] = (
        Column(name="text_latent", dtype="float32", dims=("Z",), meaning="eq. 11", key="text"),
    )

    def __init__(self, config: TextEncoderConfig, text_dim: int) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Linear(text_dim, config.hidden)
        self.second = nn.Linear(config.hidden, config.latent)
        self.norm = nn.LayerNorm(config.latent)

    def encode(self, text_BD: Tensor) -> Tensor:
        """Eq. 11: `[B, D]` sentence embeddings -> `[B, Z]`."""
        hidden_BZ = self.second(torch.relu(self.first(text_BD)))
        return self.norm(torch.relu(hidden_BZ) if self.config.final_relu else hidden_BZ)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        return {"text_latent": self.encode(batch["text_embedding"])}

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Eq. 12 over the captions that the curriculum admits."""
        config = self.config
        text_BZ, dance_BZ = output["text_latent"], batch["latent"]
        terms = losses.hybrid_alignment(
            text_BZ, dance_BZ, alpha=config.alpha, reduction=config.mse_reduction
        )
        admitted_B = torch.ones_like(terms["total"])
        if config.curriculum:
            limit = competence(progress, config.curriculum_start)
            admitted_B = (batch["difficulty"] <= limit).to(admitted_B.dtype)
        share = admitted_B.sum().clamp_min(1.0)
        means = {name: (value * admitted_B).sum() / share for name, value in terms.items()}
        norm_ratio = text_BZ.norm(dim=1).mean() / dance_BZ.norm(dim=1).mean().clamp_min(1e-6)
        return means | {
            "admitted": admitted_B.mean(),
            "norm_ratio": norm_ratio.detach(),
            "text_spread": losses.embedding_spread(text_BZ),
        }

    def infer_captions(self, batch: Batch) -> dict[str, Tensor]:
        """The motion latent that each caption points to."""
        return {"text_latent": self.encode(batch["text_embedding"])}

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        if metrics["text_spread"] < 1e-4:
            return [f"text latents have collapsed (spread {metrics['text_spread']:.2g})"]
        return []
