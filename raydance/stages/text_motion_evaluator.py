"""The evaluator of motion made from words: one space for motion of any length and sentences.

After Guo et al., "Generating Diverse and Natural 3D Human Motions from Text" (2022): a motion
encoder and a text encoder trained on real pairs alone, compared by Euclidean distance, without
normalisation. What differs: InfoNCE over negative squared distances in place of a margin (captions
that are the same or nearly so do not push each other apart), sentence embeddings of a frozen
encoder in place of word vectors, and fewer outputs, since a Frechet distance needs more clips than
dimensions. Finding captions does not need how motion moves from frame to frame: so trained, a space
hardly notices dropped frames. So damaged copies of motion (noise, held frames, reversed order) are
further wrong answers to a sentence.

Dimensions: B clips, T frames, P patches of 8 frames, F values of a frame, X values of a patch,
Z outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.nn import blocks as nn
from raydance.nn import losses
from raydance.nn.convolutions import STRIDE, SequenceEncoder, frame_mask
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class TextMotionEvaluatorConfig:
    """Size and loss of the evaluator.

    Attributes:
        channels: of the convolutions over frames.
        width: of the heads.
        outputs: dimensions of the space.
        temperature: of the softmax over negative squared distances.
        alike_captions: pairs whose captions have a cosine above this value are not used as
            negatives.
        damaged: share of a training batch whose damaged copies are wrong answers too.
    """

    channels: int = 96
    width: int = 192
    outputs: int = 64
    dropout: float = 0.2
    temperature: float = 0.1
    alike_captions: float = 0.95
    damaged: float = 0.5
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=60,
            batch_size=64,
            lr=1e-3,
            weight_decay=0.05,
            schedule="onecycle",
            patience=20,
        )
    )

    def __post_init__(self) -> None:
        if self.channels < 2 or self.width < 1 or self.outputs < 1:
            raise ConfigError("text_motion_evaluator: width and outputs at least 1, channels 2")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout: {self.dropout}; from 0 up to but without 1")
        if not 0.0 <= self.damaged <= 1.0:
            raise ConfigError(f"damaged: {self.damaged}; allowed: 0 to 1")
        if self.temperature <= 0.0:
            raise ConfigError(f"temperature: {self.temperature}; must be above 0")


class TextMotionEvaluator(Stage):
    """Two encoders whose points are near where a sentence describes a motion.

    Args:
        values: F, of a frame.
        text_dim: of a sentence embedding.
    """

    name: ClassVar[str] = "text_motion_evaluator"
    reads: ClassVar[tuple[str, ...]] = (
        "local",
        "length",
        "caption_id",
        "text_embedding",
        "has_text",
    )

    def __init__(self, config: TextMotionEvaluatorConfig, values: int, text_dim: int) -> None:
        super().__init__()
        self.config = config
        self.frames = SequenceEncoder(values, config.channels, config.channels)
        self.dropout = torch.nn.Dropout(config.dropout)
        # Sentence embeddings have norm 1, so that their values are far smaller than biases.
        self.text_norm = torch.nn.LayerNorm(text_dim)
        self.motion_norm = torch.nn.LayerNorm(4 * config.channels)
        self.motion_head = nn.projection_head(4 * config.channels, config.width, config.outputs)
        self.text_head = nn.projection_head(text_dim, config.width, config.outputs)

    def embed_motion(self, local_BTF: Tensor, length_B: Tensor) -> Tensor:
        """Points `[B, Z]` of normalised frames; those beyond a clip's length change nothing."""
        padded_BTF = F.pad(local_BTF, (0, 0, 0, -local_BTF.shape[1] % STRIDE))
        patch_BPX = torch.cat(self.frames(padded_BTF, length_B), dim=2)
        there_BP1 = frame_mask(-(-length_B // STRIDE), patch_BPX.shape[1])
        mean_BX = (patch_BPX * there_BP1).sum(dim=1) / there_BP1.sum(dim=1).clamp(min=1.0)
        low = torch.finfo(patch_BPX.dtype).min
        most_BX = patch_BPX.masked_fill(there_BP1 == 0.0, low).amax(dim=1)
        pooled_BX = self.motion_norm(torch.cat([mean_BX, most_BX], dim=1))
        return self.motion_head(self.dropout(pooled_BX))

    def embed_text(self, text_BD: Tensor) -> Tensor:
        """Points `[B, Z]` of sentence embeddings."""
        return self.text_head(self.dropout(self.text_norm(text_BD)))

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Points of both sides; in training also those of damaged motion."""
        output = {
            "motion": self.embed_motion(batch["local"], batch["length"]),
            "text": self.embed_text(batch["text_embedding"]),
        }
        num = round(self.config.damaged * len(batch["length"]))
        if self.training and num:
            local_BTF, length_B = batch["local"][:num], batch["length"][:num]
            output["damaged"] = self.embed_motion(damaged(local_BTF, length_B), length_B)
        return output

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """InfoNCE among the clips that have a caption; how often the nearest caption is right."""
        has_text_B = batch["has_text"]
        if not has_text_B.any():  # a batch without captions teaches nothing
            nothing = 0.0 * torch.cat(list(output.values())).sum()
            return {"total": nothing, "top1": nothing.detach(), "pair_distance": nothing.detach()}
        motion_NZ, text_NZ = output["motion"][has_text_B], output["text"][has_text_B]
        caption_N = batch["caption_id"][has_text_B]
        unit_ND = F.normalize(batch["text_embedding"][has_text_B], dim=1)
        same_NN = caption_N[:, None] == caption_N[None, :]
        alike_NN = unit_ND @ unit_ND.T > self.config.alike_captions
        distance_NN = losses.pairwise_distance(motion_NZ, text_NZ)
        score_NN = -distance_NN.square() / self.config.temperature
        score_NN = score_NN.masked_fill(alike_NN & ~same_NN, torch.finfo(score_NN.dtype).min)
        answers_NM, right_NM = score_NN.T, same_NN
        if "damaged" in output:
            far_NK = losses.pairwise_distance(text_NZ, output["damaged"]).square()
            answers_NM = torch.cat([answers_NM, -far_NK / self.config.temperature], dim=1)
            right_NM = torch.cat([right_NM, torch.zeros_like(far_NK, dtype=torch.bool)], dim=1)
        total = 0.5 * (
            losses.softmax_to_positives(score_NN, same_NN)
            + losses.softmax_to_positives(answers_NM, right_NM)
        )
        nearest_N1 = distance_NN.detach().argmin(dim=1, keepdim=True)
        return {
            "total": total,
            "top1": same_NN.gather(1, nearest_N1).float().mean(),
            "pair_distance": distance_NN.detach().diagonal().mean(),
        }


def damaged(local_BTF: Tensor, length_B: Tensor) -> Tensor:
    """Frames of motion that no person makes: with noise, with held frames, or in reverse order.

    Each row by one of these, drawn anew; frames beyond its length stay where they are.
    """
    num, frames, _ = local_BTF.shape
    device = local_BTF.device
    time_T = torch.arange(frames, device=device)
    kind_B1 = torch.randint(0, 3, (num, 1), device=device)
    strength_B1 = torch.rand(num, 1, device=device)
    is_new_BT = (torch.rand(num, frames, device=device) > 0.2 + 0.6 * strength_B1) | (time_T == 0)
    held_BT = torch.where(is_new_BT, time_T, 0).cummax(dim=1).values
    backwards_BT = (length_B[:, None] - 1 - time_T).clamp(min=0)
    source_BT = torch.where(kind_B1 == 1, held_BT, time_T.expand(num, -1))
    source_BT = torch.where(kind_B1 == 2, backwards_BT, source_BT)
    found_BTF = local_BTF.gather(1, source_BT[..., None].expand_as(local_BTF))
    noise_BTF = (0.05 + 0.5 * strength_B1)[..., None] * torch.randn_like(local_BTF)
    return found_BTF + noise_BTF * (kind_B1 == 0)[..., None]
