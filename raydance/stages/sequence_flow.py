"""Sequence flow: a rectified flow from noise to a clip's patches, told by text, music or both.

Everything2Motion's best generator: the paper's conditioning (`conditioning`) with a flow in place
of its regression, whose motions are all alike. A clip of any length is a sequence of codes, one for
each patch of eight frames: coefficients of the patch basis, or latents of the motion prior. The
network predicts the clean codes from a point on the straight line from noise (Liu et al. 2022), the
time, the latents of the condition, and the codes of the frames before, which it learns to go on
from. Music also reaches each patch directly, frame by frame, so that beats are met.

Dimensions: B clips, P patches, K values of a code, Q latents, W width, T frames.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.motion.patch_basis import HOP
from raydance.sequences.attention import ModulatedBlock, length_mask, positions, wave_code
from raydance.sequences.conditioning import AdapterConfig, Conditioning, ConditioningConfig
from raydance.stages.base import Batch, Stage, TrainConfig


def _small_conditioning() -> ConditioningConfig:
    text = AdapterConfig(gru=False, latents=16, self_layers=1, cross_layers=1)
    return ConditioningConfig(text=text, music=text, stride=HOP)


@dataclass(frozen=True, kw_only=True)
class SequenceFlowConfig:
    """The flow's size, training and sampling.

    Attributes:
        prior: what codes are: coefficients of the patch basis, latents of the motion prior
            (`mp_vae`), or both beside each other.
        told_by: `tokens`: latents of the query-aware encoder, and the pooled sentence; `pooled`:
            the pooled sentence alone.
        text_dropout, music_dropout: how often each input is left out in training.
        before_share: how often the first patches are given in training; most_before: at most so
            many.
        ema: highest decay of the averaged weights, which are those that sample.
        guidance: how much further than without the condition its prediction is followed.
        steps: of the sampler.
    """

    prior: Literal["basis", "mp_vae", "both"] = "basis"
    told_by: Literal["tokens", "pooled"] = "tokens"
    width: int = 192
    num_blocks: int = 4
    heads: int = 4
    dropout: float = 0.1
    text_dropout: float = 0.1
    music_dropout: float = 0.1
    before_share: float = 0.4
    most_before: int = 4
    ema: float = 0.999
    guidance: float = 2.0
    steps: int = 16
    conditioning: ConditioningConfig = field(default_factory=_small_conditioning)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=150, lr=1e-3, schedule="onecycle", batch_size=64, patience=0
        )
    )

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ConfigError(f"width {self.width}: a multiple of twice the heads ({self.heads})")
        if not 1 <= self.steps <= 100:
            raise ConfigError(f"steps: {self.steps}; allowed: 1 to 100")
        if not 0.0 <= self.guidance <= 10.0:
            raise ConfigError(f"guidance: {self.guidance}; allowed: 0 to 10")
        if not 0.0 <= self.ema < 1.0:
            raise ConfigError(f"ema: {self.ema}; from 0 up to but without 1")


class _Network(nn.Module):
    """Predicts clean codes."""

    def __init__(
        self, config: SequenceFlowConfig, codes: int, token_width: int, features: int
    ) -> None:
        super().__init__()
        width = config.width
        self.told_by = config.told_by
        self.conditioning = Conditioning(config.conditioning, token_width, features, width)
        self.input = nn.Linear(codes, width)
        self.given = nn.Linear(codes + 1, width)
        self.music = nn.Linear(HOP * width, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.from_end = nn.Linear(width, width)
        self.blocks = nn.ModuleList(
            ModulatedBlock(width, width, heads=config.heads, dropout=config.dropout)
            for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, codes)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def condition(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `Conditioning`; without latents where only the pooled sentence is told."""
        latents_BQW, mask_BQ, one_BW, frames_BTW = self.conditioning(batch)
        if self.told_by == "pooled":
            mask_BQ = torch.zeros_like(mask_BQ)
        return latents_BQW, mask_BQ, one_BW, frames_BTW

    def forward(
        self,
        z_BPK: Tensor,
        t_B: Tensor,
        given_BPK: Tensor,
        is_given_BP: Tensor,
        patches_B: Tensor,
        condition: tuple[Tensor, Tensor, Tensor, Tensor],
    ) -> Tensor:
        latents_BQW, mask_BQ, one_BW, frames_BTW = condition
        count, width = z_BPK.shape[1], one_BW.shape[1]
        flag_BP1 = is_given_BP[..., None].to(z_BPK.dtype)
        given_BPX = torch.cat([given_BPK * flag_BP1, flag_BP1], dim=-1)
        frames_BTW = F.pad(frames_BTW, (0, 0, 0, max(0, count * HOP - frames_BTW.shape[1])))
        music_BPX = frames_BTW[:, : count * HOP].unflatten(1, (count, HOP)).flatten(2)
        place_P = torch.arange(count, device=z_BPK.device, dtype=torch.float32)
        left_BP = (patches_B[:, None] - place_P).clamp(min=0.0)
        left_BPW = wave_code(left_BP.flatten(), width, 100.0).unflatten(0, left_BP.shape)
        token_BPW = self.input(z_BPK) + self.given(given_BPX) + self.music(music_BPX)
        token_BPW = token_BPW + positions(count, width, z_BPK.device) + self.from_end(left_BPW)
        vector_BW = F.silu(self.time(wave_code(1000.0 * t_B, width, 10_000.0)) + one_BW)
        mask_BP = length_mask(patches_B, count)
        for block in self.blocks:
            token_BPW = block(token_BPW, mask_BP, vector_BW, latents_BQW, mask_BQ)
        return self.output(self.norm(token_BPW))


class SequenceFlow(Stage):
    """The flow over patch codes.

    Args:
        codes: K.
        weight: `[K]`, how much each value of a code counts in the loss.
        token_width: of text tokens; features: of music.
    """

    name: ClassVar[str] = "sequence_flow"
    reads: ClassVar[tuple[str, ...]] = (
        "patch_codes",
        "length",
        "music",
        "genre",
        "has_music",
        "text_tokens",
        "text_mask",
        "has_text",
    )
    num_updates: Tensor
    weight: Tensor

    def __init__(
        self,
        config: SequenceFlowConfig,
        codes: int,
        weight: Tensor,
        token_width: int,
        features: int,
    ) -> None:
        super().__init__()
        self.config = config
        self.num_codes = codes
        self.network = _Network(config, codes, token_width, features)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("weight", weight / weight.mean(), persistent=False)

    @classmethod
    def columns_read(cls, config: SequenceFlowConfig) -> tuple[str, ...]:
        own = {"basis": ("patch_codes",), "mp_vae": ("prior_codes",)}
        return (*own.get(config.prior, ("patch_codes", "prior_codes")), *cls.reads[1:])

    def codes_of(self, batch: Batch) -> Tensor:
        """The codes that the flow makes, `[B, P, K]`."""
        names = self.columns_read(self.config)
        return torch.cat([batch[n] for n in names if n in ("patch_codes", "prior_codes")], dim=-1)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Clean codes predicted from points on the way to them."""
        if self.training:
            self._update_average()
            return self._predict(self.network, batch, None)
        # The same noise in every validation, so that epochs compare.
        generator = torch.Generator(device="cpu").manual_seed(0)
        return self._predict(self.average, batch, generator)

    def _predict(
        self, network: _Network, batch: Batch, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        config = self.config
        patches_B = -(-batch["length"] // HOP)
        # Padding beyond the longest clip of the batch is not worth computing.
        z1_BPK = self.codes_of(batch)[:, : int(patches_B.max())]
        size, device = len(z1_BPK), z1_BPK.device

        def uniform() -> Tensor:
            return torch.rand(size, generator=generator).to(device)

        z0_BPK = torch.randn(z1_BPK.shape, generator=generator).to(device)
        t_B = torch.randn(size, generator=generator).to(device).sigmoid()
        z_BPK = torch.lerp(z0_BPK, z1_BPK, t_B[:, None, None])
        told = dict(batch)
        told["has_text"] = batch["has_text"] & (uniform() >= config.text_dropout)
        told["has_music"] = batch["has_music"] & (uniform() >= config.music_dropout)
        told["music"] = batch["music"][:, : z1_BPK.shape[1] * HOP]
        told["length"] = batch["length"].clamp(max=told["music"].shape[1])
        before_B = (uniform() * config.most_before).floor() + 1.0
        before_B = torch.minimum(before_B, (patches_B - 1).to(before_B.dtype))
        before_B = before_B * (uniform() < config.before_share)
        is_given_BP = length_mask(before_B, z1_BPK.shape[1])
        clean_BPK = network(z_BPK, t_B, z1_BPK, is_given_BP, patches_B, network.condition(told))
        counted_BP = length_mask(patches_B, z1_BPK.shape[1]) & ~is_given_BP
        return {
            "codes": clean_BPK,
            "wanted": z1_BPK,
            "counted": counted_BP.to(clean_BPK.dtype),
        }

    @torch.no_grad()
    def _update_average(self) -> None:
        """Follow the weights as the optimiser left them after the step before."""
        count = int(self.num_updates)
        decay = min(self.config.ema, (1 + count) / (10 + count)) if count else 0.0
        means: list[Tensor] = list(self.average.parameters())
        own: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(means, own, 1.0 - decay)
        self.num_updates += 1

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Squared error of the clean codes in patches that are there and were not given."""
        error_BPK = (output["codes"] - output["wanted"]).square()
        counted_BP1 = output["counted"][..., None]
        total = counted_BP1.sum().clamp(min=1.0)
        return {
            "total": (error_BPK * self.weight * counted_BP1).mean(dim=2).sum() / total,
            "plain": (error_BPK * counted_BP1).mean(dim=2).sum() / total,
        }

    @torch.no_grad()
    def sample(
        self,
        batch: Batch,
        noise_BPK: Tensor,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        before_BPK: Tensor | None = None,
    ) -> Tensor:
        """Codes `[B, P, K]` for conditions, by Euler's method.

        Args:
            batch: as `Conditioning` takes, with `length [B]` in frames.
            noise_BPK: where the way begins.
            steps, guidance: the configuration's where None.
            before_BPK: `[B, G, K]` codes of the first patches, which the motion goes on from.
        """
        config, network = self.config, self.average
        steps = config.steps if steps is None else steps
        guidance = config.guidance if guidance is None else guidance
        size, count, _ = noise_BPK.shape
        patches_B = -(-batch["length"] // HOP)
        given_BPK, num_given = torch.zeros_like(noise_BPK), 0
        if before_BPK is not None:
            num_given = before_BPK.shape[1]
            given_BPK[:, :num_given] = before_BPK
        flags_BP = (torch.arange(count, device=noise_BPK.device) < num_given).expand(size, -1)
        told = [network.condition(batch)]
        if guidance != 1.0:
            nothing = torch.zeros_like(batch["has_text"])
            told.append(network.condition({**batch, "has_text": nothing, "has_music": nothing}))
        z_BPK = noise_BPK
        times = torch.linspace(0.0, 1.0, steps + 1).tolist()
        for now, after in zip(times, times[1:]):
            t_B = torch.full((size,), now, device=noise_BPK.device)
            clean = [network(z_BPK, t_B, given_BPK, flags_BP, patches_B, c) for c in told]
            clean_BPK = clean[0]
            if len(clean) > 1:
                clean_BPK = clean[1] + guidance * (clean[0] - clean[1])
            clean_BPK = torch.where(flags_BP[..., None], given_BPK, clean_BPK)
            z_BPK = z_BPK + (clean_BPK - z_BPK) * ((after - now) / (1.0 - now))
        return z_BPK
