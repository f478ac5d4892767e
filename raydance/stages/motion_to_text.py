"""Motion to text (Dance-Language, section II.F, eq. 15-17): motion -> the sentence space.

Descriptions are retrieved, not generated: motion is compared with a precomputed base of all
captions (eq. 16). The paper compares in the space of sentences, where this stage projects motion
(`ranking=sentences`, from `motion_input=latent`); the default compares in the contrastive space
directly.

Dimensions: B clips, D sentence embedding, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.nn import losses
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class MotionToTextConfig:
    """Eq. 15 and 17.

    Attributes:
        ranking: the space that captions are ranked in: the contrastive one (`shared`), or that of
            `sentences`, by this stage's projection.
        motion_input: `motion_embedding` (the contrastive space) or `latent` (paper).
        margin: similarity up to which a wrong caption costs nothing (paper: 0.2).
        hard_negatives: wrong captions counted for each clip, the most similar ones.
        negatives: `caption` counts every other caption of the batch as wrong, `cluster` only
            those of another cluster.
        alike_captions: captions with a cosine above this value are not negatives of each other.
        cluster_verification: `rerank` puts captions of the clip's own cluster first, `flag` only
            reports them, `off` does neither.
    """

    hidden: int = 512
    dropout: float = 0.1
    ranking: Literal["shared", "sentences"] = "shared"
    motion_input: Literal["motion_embedding", "latent"] = "motion_embedding"
    margin: float = 0.2
    hard_negatives: int = 4
    negatives: Literal["caption", "cluster"] = "caption"
    alike_captions: float = 0.95
    cluster_verification: Literal["rerank", "flag", "off"] = "flag"
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=100, schedule="plateau", period=4, patience=10, balanced=True, augment=True
        )
    )

    def __post_init__(self) -> None:
        if self.hard_negatives < 1:
            raise ConfigError(f"hard_negatives: {self.hard_negatives}; at least 1")


class MotionToText(Stage):
    """Eq. 15: linear, ReLU, dropout, linear, layer norm."""

    name: ClassVar[str] = "motion_to_text"
    reads: ClassVar[tuple[str, ...]] = (
        "motion_embedding",
        "text_embedding",
        "caption_id",
        "cluster",
    )

    def __init__(self, config: MotionToTextConfig, inputs: int, text_dim: int) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(
            nn.Linear(inputs, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, text_dim),
            nn.LayerNorm(text_dim),
        )

    @classmethod
    def columns_read(cls, config: MotionToTextConfig) -> tuple[str, ...]:
        return (config.motion_input, *cls.reads[1:])

    def project(self, motion_BZ: Tensor) -> Tensor:
        """Motion `[B, Z]` -> the sentence space `[B, D]`."""
        return self.layers(motion_BZ)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        return {"text": self.project(batch[self.config.motion_input])}

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Eq. 17: the right caption, and the hardest wrong ones of the batch."""
        config = self.config
        unit_BD = F.normalize(batch["text_embedding"], dim=1)
        similarity_BB = F.normalize(output["text"], dim=1) @ unit_BD.T
        positive = (1.0 - similarity_BB.diagonal()).mean()
        same_BB = batch["caption_id"][:, None] == batch["caption_id"][None, :]
        cluster_BB = batch["cluster"][:, None] == batch["cluster"][None, :]
        wrong_BB = ~same_BB & (unit_BD @ unit_BD.T <= config.alike_captions)
        if config.negatives == "cluster":
            wrong_BB = wrong_BB & ~cluster_BB
        count = min(config.hard_negatives, similarity_BB.shape[1])
        # A row without enough wrong captions is filled with -inf, which the margin turns to zero.
        hardest_BN = similarity_BB.masked_fill(~wrong_BB, -torch.inf).topk(count, dim=1).values
        negative = F.relu(hardest_BN - config.margin).mean()
        nearest_B1 = similarity_BB.argmax(1, keepdim=True)
        return {
            "total": positive + negative,
            "positive": positive,
            "negative": negative,
            "top1": same_BB.gather(1, nearest_B1).float().mean(),
            "cluster_accuracy": cluster_BB.gather(1, nearest_B1).float().mean(),
            "text_spread": losses.embedding_spread(output["text"]),
        }

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        if metrics["text_spread"] < 1e-4:
            return [f"every motion gets one description (spread {metrics['text_spread']:.2g})"]
        return []
