"""Everything2Motion as printed: regression from output queries to motion in one pass.

The latents of the condition (`raydance.nn.conditioning`, eq. 2-9) are attended to by output queries
(eq. 10, read
with the queries as Q): a learned array for text, and for music the output of a motion encoder
(three residual convolutions and self-attention) over the preceding frames. Three linear layers (eq.
11)
give the 256 latents of each patch, which the PMD, transplanted from the motion prior, maps to
frames. The loss is eq. 16-18: squared error of the frames and `alpha` times that of the steps to
the frame before and to the one after, which counts inner steps twice, as the sum in the paper does.
There is no sampling, so a condition has one motion (the paper's MModality is .051).

Dimensions: B clips, P patches, T = 8 P frames, F values of a frame, Z latent, W width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from raydance.errors import ConfigError
from raydance.nn.attention import CrossBlock, SelfBlock, length_mask, positions
from raydance.nn.conditioning import Conditioning, ConditioningConfig
from raydance.nn.convolutions import STRIDE, SequenceDecoder
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class SequenceRegressionConfig:
    """The network's size, loss and training.

    Attributes:
        enabled: whether a run has this stage.
        width: W of the output queries.
        layers: of cross-attention over the condition's latents.
        before: frames that the motion encoder sees, where they are given.
        alpha: weight of the steps (eq. 16; not in the paper, read as 1).
        use_prior: the PMD as decoder; else three linear layers give the frames (the ablation).
        noise: standard deviation of noise added to the output queries; the paper has none.
    """

    enabled: bool = False
    width: int = 256
    layers: int = 2
    before: int = 24
    alpha: float = 1.0
    use_prior: bool = True
    noise: float = 0.0
    dropout: float = 0.1
    conditioning: ConditioningConfig = field(default_factory=ConditioningConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=60, lr=1e-4, schedule="onecycle", batch_size=64, patience=0
        )
    )

    def __post_init__(self) -> None:
        if self.width % 8 or self.before < STRIDE or self.before % STRIDE:
            raise ConfigError(
                f"width {self.width} and before {self.before}: multiples of 8 are needed"
            )


class _MotionEncoder(nn.Module):
    """The frames before -> one token for each of their patches."""

    def __init__(self, values: int, width: int, dropout: float) -> None:
        super().__init__()
        self.input = nn.Conv1d(values, width, STRIDE, STRIDE)
        self.convs = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(3))
        self.attention = SelfBlock(width, dropout=dropout)

    def forward(self, before_BTF: Tensor) -> Tensor:
        hidden_BWG = self.input(before_BTF.transpose(1, 2))
        for conv in self.convs:
            hidden_BWG = hidden_BWG + conv(torch.nn.functional.gelu(hidden_BWG))
        token_BGW = hidden_BWG.transpose(1, 2)
        return self.attention(token_BGW + positions(*token_BGW.shape[1:]).to(token_BGW))


class SequenceRegression(Stage):
    """The paper's generator.

    Args:
        values: F; latent: Z of the PMD.
        decoder: the PMD, trained on here.
        most_patches: P of the longest clip.
        token_width: of text tokens.
        signals: F of each signal by its name; a batch has `NAME` and `has_NAME` of each.
    """

    name: ClassVar[str] = "sequence_regression"
    reads: ClassVar[tuple[str, ...]] = (
        "local",
        "length",
        "music",
        "genre",
        "has_music",
        "text_tokens",
        "text_mask",
        "has_text",
    )

    def __init__(
        self,
        config: SequenceRegressionConfig,
        values: int,
        latent: int,
        decoder: SequenceDecoder | None,
        most_patches: int,
        token_width: int,
        signals: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.config = config
        self.signals = tuple(signals)
        width = config.width
        self.conditioning = Conditioning(
            config.conditioning, token_width, signals, width, is_literal=True
        )
        self.queries = nn.Parameter(torch.randn(most_patches, width) * width**-0.5)
        self.before = _MotionEncoder(values, width, config.dropout)
        self.from_before = CrossBlock(width, dropout=config.dropout)
        self.blocks = nn.ModuleList(
            CrossBlock(width, dropout=config.dropout) for _ in range(config.layers)
        )
        outputs = latent if config.use_prior else STRIDE * values
        self.output = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, outputs),
        )
        self.decoder: SequenceDecoder | None = None
        if config.use_prior:
            assert decoder is not None
            self.decoder = copy.deepcopy(decoder).requires_grad_(True)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Frames for the condition, and which of them count."""
        local_BTF, length_B = batch["local"], batch["length"]
        before = self.config.before
        # Clips with signals go on from their first frames; with text alone they begin with nothing.
        heard = [batch[f"has_{name}"] for name in self.signals]
        goes_on_B = torch.stack(heard).any(dim=0) & (length_B > before + STRIDE)
        num_frames = -(-local_BTF.shape[1] // STRIDE) * STRIDE
        made_BTF = self.make(batch, num_frames, local_BTF[:, :before], goes_on_B)
        made_BTF = made_BTF[:, : local_BTF.shape[1]]
        mask_BT = length_mask(length_B, local_BTF.shape[1])
        given_BT = length_mask(goes_on_B * before, local_BTF.shape[1])
        return {"made": made_BTF, "counted": (mask_BT & ~given_BT).to(made_BTF.dtype)}

    def make(self, batch: Batch, num_frames: int, before_BTF: Tensor, goes_on_B: Tensor) -> Tensor:
        """Frames `[B, T, F]` for conditions.

        Args:
            num_frames: T, a multiple of 8.
            before_BTF: the first frames, used where `goes_on_B`.
        """
        latents_BQW, mask_BQ, _, _ = self.conditioning(batch)
        count = num_frames // STRIDE
        query_BPW = self.queries[:count] + positions(count, self.queries.shape[1]).to(self.queries)
        query_BPW = query_BPW.expand(len(latents_BQW), -1, -1)
        if self.config.noise > 0.0:
            query_BPW = query_BPW + self.config.noise * torch.randn_like(query_BPW)
        before_BGW = self.before(before_BTF)
        told_BG = goes_on_B[:, None].expand(-1, before_BGW.shape[1])
        query_BPW = self.from_before(query_BPW, before_BGW, told_BG)
        for block in self.blocks:
            query_BPW = block(query_BPW, latents_BQW, mask_BQ)
        out_BPX = self.output(query_BPW)
        if self.decoder is None:
            return out_BPX.unflatten(2, (STRIDE, -1)).flatten(1, 2)
        frames_B = torch.full((len(out_BPX),), num_frames, device=out_BPX.device)
        made_BTF: Tensor = self.decoder(out_BPX, frames_B)
        return made_BTF

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Eq. 16-18."""
        made_BTF, real_BTF = output["made"], batch["local"]
        counted_BT = output["counted"]
        error = _mean((made_BTF - real_BTF).square(), counted_BT)
        step_BTF = (made_BTF[:, 1:] - made_BTF[:, :-1]) - (real_BTF[:, 1:] - real_BTF[:, :-1])
        both_BT = counted_BT[:, 1:] * counted_BT[:, :-1]
        steps = _mean(step_BTF.square(), both_BT)
        # L_prev and L_latter are the same inner steps, seen from either side.
        return {"total": error + 2.0 * self.config.alpha * steps, "error": error, "steps": steps}


def _mean(values_BTF: Tensor, mask_BT: Tensor) -> Tensor:
    return (values_BTF.mean(dim=2) * mask_BT).sum() / mask_BT.sum().clamp(min=1.0)
