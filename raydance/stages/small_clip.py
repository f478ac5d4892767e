"""A small CLIP trained on overlays and sentences, for use without the paper's pretrained one.

The class is transformers' `CLIPModel`, so what is written is read as any other CLIP is
(`raydance.text.clip`). A clip's picture is the mean of its frames' features, each of length 1, as
in Lang2Motion's eq. 8; equal sentences are positives of each other's clips.

Dimensions: B clips, S frames of a clip, H height, W width, L tokens, Z features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.nn import losses
from raydance.stages.base import Batch, Stage, TrainConfig
from raydance.text.clip import END, PAD, PIXEL_MEAN, PIXEL_STD, START, write_clip

_MOST_SCALE = 100.0
"""Of the learned temperature's inverse, as in CLIP's own training."""


@dataclass(frozen=True, kw_only=True)
class SmallClipConfig:
    """Sizes of both towers.

    Attributes:
        image_size, patch_size: pixels of a square frame, and of the squares that it is cut into.
        width, layers, heads: of both transformers.
        outputs: Z.
        vocabulary: pieces of words, at most.
        max_tokens: of a sentence, start and end included.
        dropout: of attention.
    """

    enabled: bool = True
    image_size: int = 64
    patch_size: int = 8
    width: int = 128
    layers: int = 3
    heads: int = 4
    outputs: int = 512
    vocabulary: int = 2000
    max_tokens: int = 40
    dropout: float = 0.1
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=30, lr=5e-4, schedule="onecycle", batch_size=64, weight_decay=0.1, patience=0
        )
    )

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ConfigError(
                f"small_clip.image_size: {self.image_size}; a multiple of patch_size "
                f"({self.patch_size})"
            )
        if self.width % self.heads:
            raise ConfigError(f"small_clip.width: {self.width}; a multiple of heads ({self.heads})")
        if self.max_tokens < 4:
            raise ConfigError(f"small_clip.max_tokens: {self.max_tokens}; at least 4")


class SmallClip(Stage):
    """A `CLIPModel` and its contrastive loss.

    Args:
        vocabulary: pieces that the tokenizer learnt.
    """

    name: ClassVar[str] = "small_clip"
    reads: ClassVar[tuple[str, ...]] = ("overlay_frames", "caption_tokens", "caption_id")
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: SmallClipConfig, vocabulary: int) -> None:
        from transformers import CLIPConfig, CLIPModel

        super().__init__()
        self.config = config
        shared: dict[str, Any] = {
            "hidden_size": config.width,
            "intermediate_size": 4 * config.width,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "attention_dropout": config.dropout,
            "projection_dim": config.outputs,
        }
        text = {
            "vocab_size": vocabulary,
            "max_position_embeddings": config.max_tokens,
            "pad_token_id": PAD,
            "bos_token_id": START,
            "eos_token_id": END,
        }
        vision = {"image_size": config.image_size, "patch_size": config.patch_size}
        self.model = CLIPModel(
            CLIPConfig(
                text_config={**shared, **text},
                vision_config={**shared, **vision},
                projection_dim=config.outputs,
            )
        )
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD), persistent=False)

    def image_features(self, frames_BSHW3: Tensor) -> Tensor:
        """Mean features `[B, Z]` of uint8 RGB frames of the configured size."""
        pixels = (frames_BSHW3.float() / 255.0 - self.pixel_mean) / self.pixel_std
        flat = pixels.flatten(0, 1).permute(0, 3, 1, 2)
        found = self.model.get_image_features(pixel_values=flat)
        unit = F.normalize(_projected(found), dim=1)
        return unit.unflatten(0, frames_BSHW3.shape[:2]).mean(dim=1)

    def text_features(self, tokens_BL: Tensor) -> Tensor:
        """Features `[B, Z]` of sentences; `tokens_BL` is filled with `PAD`."""
        mask_BL = (tokens_BL != PAD).long()
        found = self.model.get_text_features(input_ids=tokens_BL, attention_mask=mask_BL)
        return _projected(found)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Features of both, of length 1, and the inverse temperature."""
        return {
            "image": F.normalize(self.image_features(batch["overlay_frames"]), dim=1),
            "text": F.normalize(self.text_features(batch["caption_tokens"]), dim=1),
            "scale": self.model.logit_scale.exp().clamp_max(_MOST_SCALE),
        }

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """CLIP's symmetric cross-entropy, with all clips of a sentence right for it."""
        right_BB = batch["caption_id"][:, None] == batch["caption_id"][None, :]
        cosine_BB = output["image"] @ output["text"].T
        hit_B1 = right_BB.gather(1, cosine_BB.detach().argmax(dim=1, keepdim=True))
        return {
            "total": losses.info_nce(output["scale"] * cosine_BB, right_BB),
            "top1": hit_B1.float().mean(),
            "image_spread": losses.embedding_spread(output["image"]),
            "text_spread": losses.embedding_spread(output["text"]),
        }

    def write(self, folder: Path, tokenizer: Any) -> None:
        """The frozen model as a folder that `raydance.text.clip.Clip` reads."""
        write_clip(folder, self.model, tokenizer)


def _projected(features: Any) -> Tensor:
    """The projected features, which transformers 5 wraps."""
    found = getattr(features, "pooler_output", features)
    assert isinstance(found, Tensor)
    return found
