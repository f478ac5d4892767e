"""Caption writer (future work of Dance-Language, section IV): motion -> new sentences.

Other descriptions are retrieved from the captions of the run. This stage generates new ones with an
encoder-decoder language model: a motion embedding is projected to a few states, which replace the
encoder's input embeddings, and the decoder attends to the encoder's output. The paper only names
the idea ("a full encoder-decoder architecture"); the prefix of states is that of ClipCap (Mokady et
al. 2021).

Dimensions: B clips, Z motion, P states, H width of the language model, L tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.stages.base import Batch, Stage, TrainConfig
from raydance.text.language_model import IGNORED, SMALL, Language, build_model


@dataclass(frozen=True, kw_only=True)
class CaptionWriterConfig:
    """How captions are written.

    Attributes:
        enabled: whether the stage is trained; off by default.
        model: `small` trains a new model over word pieces of the training captions; otherwise the
            hub name or folder of a transformers encoder-decoder, which is fine-tuned.
        motion_input: `motion_embedding` (the contrastive space) or `latent`.
        states: number of states that a motion is projected to, P.
        max_tokens: maximum length of training captions and of generated sentences.
        vocabulary, width, layers, dropout: of the small model.
        noise: standard deviation of noise on the motion in training, relative to its spread in the
            batch; it reduces overfitting to few captions.
    """

    enabled: bool = False
    model: str = SMALL
    motion_input: Literal["motion_embedding", "latent"] = "motion_embedding"
    states: int = 4
    max_tokens: int = 48
    vocabulary: int = 1000
    width: int = 128
    layers: int = 2
    dropout: float = 0.1
    noise: float = 0.1
    # T5's trained weights overflow in float16, so mixed precision stays off.
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=80,
            batch_size=32,
            lr=2e-3,
            schedule="onecycle",
            patience=20,
            mixed_precision=False,
        )
    )

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 4:
            raise ConfigError(f"width: {self.width}; a multiple of 4, the number of heads")
        if min(self.states, self.layers) < 1 or self.max_tokens < 4:
            raise ConfigError("states and layers must be at least 1, max_tokens at least 4")
        if self.vocabulary < 300:
            raise ConfigError(f"vocabulary: {self.vocabulary}; at least 300 (256 are bytes)")


class CaptionWriter(Stage):
    """A prefix of states and an encoder-decoder language model."""

    name: ClassVar[str] = "caption_writer"
    reads: ClassVar[tuple[str, ...]] = ("motion_embedding", "caption_tokens")

    def __init__(
        self, config: CaptionWriterConfig, inputs: int, language: Language, model: Any = None
    ) -> None:
        """`model` has the architecture of `language` and weights of its own, if given."""
        super().__init__()
        self.config = config
        self.model = model or build_model(language)
        width = self.model.get_input_embeddings().weight.shape[1]
        self.states = nn.Sequential(
            nn.Linear(inputs, config.states * width),
            nn.Unflatten(1, (config.states, width)),
            nn.LayerNorm(width),
        )

    @classmethod
    def columns_read(cls, config: CaptionWriterConfig) -> tuple[str, ...]:
        return (config.motion_input, *cls.reads[1:])

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        motion_BZ = batch[self.config.motion_input]
        if self.training and self.config.noise > 0.0:
            spread = motion_BZ.std(dim=0, correction=0)
            motion_BZ = motion_BZ + self.config.noise * spread * torch.randn_like(motion_BZ)
        return {"logits": self.logits(motion_BZ, batch["caption_tokens"])}

    def logits(self, motion_BZ: Tensor, tokens_BL: Tensor) -> Tensor:
        """`[B, L, V]` for the tokens, each from the motion and the tokens before it."""
        states_BPH = self.states(motion_BZ)
        before_BL = self.model.prepare_decoder_input_ids_from_labels(labels=tokens_BL)
        return self.model(inputs_embeds=states_BPH, decoder_input_ids=before_BL).logits

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Cross entropy of each token, and of whole sentences."""
        tokens_BL = batch["caption_tokens"]
        counts_BL = tokens_BL != IGNORED
        cost_BL = F.cross_entropy(
            output["logits"].transpose(1, 2), tokens_BL, reduction="none", ignore_index=IGNORED
        )
        right_BL = (output["logits"].argmax(2) == tokens_BL) & counts_BL
        return {
            "total": cost_BL.sum() / counts_BL.sum(),
            "sentence": cost_BL.sum(1).mean(),
            "token_accuracy": right_BL.sum() / counts_BL.sum(),
        }

    @torch.no_grad()
    def write(self, motion_BZ: Tensor, num: int) -> list[list[tuple[list[int], float]]]:
        """The `num` most likely sentences that a beam search finds for each motion.

        Returns:
            For each motion tokens and log-probability (nats, of the whole sentence with its end
            mark), the likeliest first.
        """
        states_BPH = self.states(motion_BZ)
        tokens_NL = self.model.generate(
            inputs_embeds=states_BPH,
            attention_mask=torch.ones(states_BPH.shape[:2], dtype=torch.long, device=self.device),
            max_new_tokens=self.config.max_tokens,
            num_beams=max(4, num),
            num_return_sequences=num,
            length_penalty=0.0,  # beams compare by the log-probability that is reported
            do_sample=False,
        )[:, 1:]  # without the start mark
        end = self.model.config.eos_token_id
        ended_NL = (tokens_NL == end).cumsum(1) - (tokens_NL == end).long() > 0
        tokens_NL = tokens_NL.masked_fill(ended_NL, IGNORED)
        logits_NLV = self.logits(motion_BZ.repeat_interleave(num, 0), tokens_NL)
        cost_NL = F.cross_entropy(
            logits_NLV.transpose(1, 2), tokens_NL, reduction="none", ignore_index=IGNORED
        )
        rows = list(zip(tokens_NL.tolist(), (-cost_NL.sum(1)).tolist()))
        groups = [rows[i : i + num] for i in range(0, len(rows), num)]
        return [sorted(group, key=lambda row: -row[1]) for group in groups]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
