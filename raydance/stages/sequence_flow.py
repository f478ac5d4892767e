"""Sequence flow: a rectified flow from noise to a clip's patches, conditioned on text, music or
both.

Everything2Motion's best generator: the paper's conditioning (`raydance.nn.conditioning`) with a
flow in place of its regression, which gives one motion per condition. A clip of any length is a
sequence of codes, one for
each patch of eight frames: coefficients of the patch basis, or latents of the motion prior. The
network predicts the clean codes from a point on the straight line from noise (Liu et al. 2022), the
time, the latents of the condition, and the codes of preceding frames, which it learns to continue.
Each patch also gets the signals (as music) of its own frames directly, so that motion follows the
beats.

Dimensions: B clips, P patches, K values of a code, Q latents, W width, T frames.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.motion.patch_basis import HOP
from raydance.nn.attention import length_mask
from raydance.nn.blocks import path_times, update_average
from raydance.nn.conditioning import AdapterConfig, Conditioning, ConditioningConfig
from raydance.nn.patch_network import PatchNetwork
from raydance.stages.base import Batch, Stage, TrainConfig


def _small_conditioning() -> ConditioningConfig:
    text = AdapterConfig(
        width=96, layers=1, gru=False, latents=8, latent_width=96, self_layers=1, cross_layers=1
    )
    return ConditioningConfig(text=text, music=text, stride=HOP)


@dataclass(frozen=True, kw_only=True)
class SequenceFlowConfig:
    """The flow's size, training and sampling.

    Attributes:
        prior: what codes are: coefficients of the patch basis, latents of the motion prior
            (`mp_vae`), or both beside each other.
        told_by: `tokens`: latents of the query-aware encoder, and the pooled sentence; `pooled`:
            the pooled sentence alone.
        text_dropout, music_dropout: probability that text, and each signal, is dropped in training.
        text_dropout_with_music, genre_dropout: of a sentence that comes with a signal, and of the
            genre. A song mostly comes alone, so that has to be learned as often.
        most_patches: maximum number of patches that are trained on and generated at once; longer
            motion is generated in parts, each continuing from the last patches of the one before.
        before_share: probability that the first patches are given in training; most_before: at most
            how many.
        time_mean, time_std: of the times that are trained, as logits (see `path_times`).
        ema: highest decay of the averaged weights, which are used for sampling.
        guidance: scale of classifier-free guidance of the text; 1 is without. Music is never left
            out: its beats are met best as learned.
        steps, text_steps: of the sampler, with music or another signal and from a sentence alone.
    """

    prior: Literal["basis", "mp_vae", "both"] = "basis"
    told_by: Literal["tokens", "pooled"] = "tokens"
    width: int = 192
    num_blocks: int = 4
    heads: int = 4
    dropout: float = 0.1
    text_dropout: float = 0.1
    text_dropout_with_music: float = 0.5
    genre_dropout: float = 0.5
    music_dropout: float = 0.1
    most_patches: int = 8
    before_share: float = 0.4
    most_before: int = 2
    time_mean: float = -1.0
    time_std: float = 1.2
    ema: float = 0.999
    guidance: float = 2.0
    steps: int = 16
    text_steps: int = 10
    conditioning: ConditioningConfig = field(default_factory=_small_conditioning)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=150, lr=1e-3, schedule="onecycle", batch_size=64, patience=0
        )
    )

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ConfigError(f"width {self.width}: a multiple of twice the heads ({self.heads})")
        for name in ("steps", "text_steps"):
            if not 1 <= getattr(self, name) <= 100:
                raise ConfigError(f"{name}: {getattr(self, name)}; allowed: 1 to 100")
        if not 0.0 <= self.guidance <= 10.0:
            raise ConfigError(f"guidance: {self.guidance}; allowed: 0 to 10")
        for name in ("text_dropout", "text_dropout_with_music", "genre_dropout", "music_dropout"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}: {getattr(self, name)}; allowed: 0 to 1")
        if not 0.0 <= self.ema < 1.0:
            raise ConfigError(f"ema: {self.ema}; from 0 up to but without 1")


class SequenceFlow(Stage):
    """The flow over patch codes.

    Args:
        weight: `[2, K]`, how much each value of a code counts in the loss, of clips without music
            and of those with it.
        token_width: of text tokens.
        signals: F of each signal by its name; a batch has `NAME` and `has_NAME` of each.
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
        weight: Tensor,
        token_width: int,
        signals: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.config = config
        self.signals = tuple(signals)
        self.num_codes = weight.shape[1]
        self.network = PatchNetwork(
            Conditioning(config.conditioning, token_width, signals, config.width),
            self.num_codes,
            width=config.width,
            num_blocks=config.num_blocks,
            heads=config.heads,
            dropout=config.dropout,
            reads_latents=config.told_by != "pooled",
        )
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("weight", weight / weight.mean(dim=1, keepdim=True), persistent=False)

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
            update_average(self.average, self.network, self.num_updates, self.config.ema)
            return self._predict(self.network, batch, None)
        # The same noise in every validation, so that epochs compare.
        generator = torch.Generator(device="cpu").manual_seed(0)
        return self._predict(self.average, batch, generator)

    def _predict(
        self, network: PatchNetwork, batch: Batch, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        config = self.config
        patches_B = -(-batch["length"] // HOP)
        codes_BPK = self.codes_of(batch)
        size, device = len(codes_BPK), codes_BPK.device

        def uniform() -> Tensor:
            return torch.rand(size, generator=generator).to(device)

        count = min(config.most_patches, int(patches_B.max()))
        spare_B = (patches_B - count).clamp(min=0)
        first_B = (uniform() * (spare_B + 1)).floor().long().clamp(max=int(spare_B.max()))
        place_BP = torch.minimum(first_B, spare_B)[:, None] + torch.arange(count, device=device)
        z1_BPK = _gathered(codes_BPK, place_BP)
        z0_BPK = torch.randn(z1_BPK.shape, generator=generator).to(device)
        t_B = path_times(size, config.time_mean, std=config.time_std, generator=generator)
        t_B = t_B.to(device)
        z_BPK = torch.lerp(z0_BPK, z1_BPK, t_B[:, None, None])
        told = dict(batch)
        for name in self.signals:
            told[f"has_{name}"] = batch[f"has_{name}"] & (uniform() >= config.music_dropout)
        text_dropout_B = torch.where(
            any_signal(told, self.signals), config.text_dropout_with_music, config.text_dropout
        )
        told["has_text"] = batch["has_text"] & (uniform() >= text_dropout_B)
        told["genre"] = torch.where(uniform() >= config.genre_dropout, batch["genre"], -1)
        told |= signals_part(batch, self.signals, place_BP[:, 0], count)
        before_B = (uniform() * config.most_before).floor() + 1.0
        before_B = torch.minimum(before_B, (patches_B - place_BP[:, 0] - 1).to(before_B.dtype))
        before_B = before_B.clamp(max=count - 1) * (uniform() < config.before_share)
        is_given_BP = length_mask(before_B, count)
        context = network.context(told, z1_BPK, is_given_BP, place_BP, patches_B)
        clean_BPK = network(z_BPK, network.modulations(t_B, context.one_BW), context)
        counted_BP = (place_BP < patches_B[:, None]) & ~is_given_BP
        return {
            "codes": clean_BPK,
            "wanted": z1_BPK,
            "counted": counted_BP.to(clean_BPK.dtype),
        }

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Squared error of the clean codes, over patches that exist and were not given."""
        error_BPK = (output["codes"] - output["wanted"]).square()
        counted_BP1 = output["counted"][..., None]
        total = counted_BP1.sum().clamp(min=1.0)
        weight_B1K = self.weight[batch["has_music"].long()][:, None]
        return {
            "total": (error_BPK * weight_B1K * counted_BP1).mean(dim=2).sum() / total,
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
    ) -> Tensor:
        """Codes `[B, P, K]` for conditions, by Euler's method, part by part.

        Args:
            batch: as `Conditioning` takes, with `length [B]` in frames, and signals of all frames.
            noise_BPK: where the way begins.
            steps, guidance: the configuration's where None.
        """
        return self.go_on(batch, noise_BPK, noise_BPK[:, :0], steps=steps, guidance=guidance)

    @torch.no_grad()
    def go_on(
        self,
        batch: Batch,
        noise_BPK: Tensor,
        before_BGK: Tensor,
        *,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """As `sample`, with the clip's first patches `[B, G, K]` given; G may be 0.

        Later parts see up to `most_before` patches of what is there, fewer where that saves a part.
        """
        config = self.config
        if steps is None:
            has_signal = any(bool(batch[f"has_{name}"].any()) for name in self.signals)
            steps = config.steps if has_signal else config.text_steps
        if guidance is None:
            guidance = config.guidance
        done_BPK = before_BGK
        while left := noise_BPK.shape[1] - done_BPK.shape[1]:
            done = done_BPK.shape[1]
            most = max(1, config.most_patches - 1)  # every part but a clip's first sees some
            parts = -(-(left if done else left - 1) // most)
            new = -(-left // max(1, parts))
            seen = min(done, config.most_before, config.most_patches - new)
            first = done - seen
            noise = noise_BPK[:, first : first + config.most_patches]
            before = done_BPK[:, first:]
            part_BPK = self._sample_part(batch, noise, before, first, steps, guidance)
            done_BPK = torch.cat([done_BPK, part_BPK[:, seen:]], dim=1)
        return done_BPK

    def _sample_part(
        self,
        batch: Batch,
        noise_BPK: Tensor,
        before_BGK: Tensor,
        first: int,
        steps: int,
        guidance: float,
    ) -> Tensor:
        network = self.average
        size, count, _ = noise_BPK.shape
        device = noise_BPK.device
        patches_B = -(-batch["length"] // HOP)
        place_BP = (first + torch.arange(count, device=device)).expand(size, -1)
        given_BPK = F.pad(before_BGK, (0, 0, 0, count - before_BGK.shape[1]))
        is_given_BP = (torch.arange(count, device=device) < before_BGK.shape[1]).expand(size, -1)
        part = {**batch, **signals_part(batch, self.signals, place_BP[:, 0], count)}
        places = (given_BPK, is_given_BP, place_BP, patches_B)
        is_guided = guidance != 1.0 and bool(batch["has_text"].any())
        if is_guided:  # rows without their text follow
            nothing = {**part, "has_text": torch.zeros_like(batch["has_text"])}
            part = {name: torch.cat([part[name], nothing[name]]) for name in part}
            given, is_given, place, patches = (torch.cat([value, value]) for value in places)
            context = network.context(part, given, is_given, place, patches)
        else:
            context = network.context(part, *places)
        rows = len(context.one_BW)
        times_S = torch.linspace(0.0, 1.0, steps + 1, device=device)
        t_X = times_S[:-1].repeat_interleave(rows)
        of_blocks = network.modulations(t_X, context.one_BW.repeat(steps, 1))
        of_steps = zip(*(modulation_XX.split(rows) for modulation_XX in of_blocks))
        times, z_BPK = times_S.tolist(), noise_BPK
        for now, after, modulations in zip(times, times[1:], of_steps):
            both_BPK = torch.cat([z_BPK, z_BPK]) if is_guided else z_BPK
            clean_BPK = network(both_BPK, modulations, context)
            if is_guided:
                with_BPK, free_BPK = clean_BPK.chunk(2)
                clean_BPK = free_BPK + guidance * (with_BPK - free_BPK)
            clean_BPK = torch.where(is_given_BP[..., None], given_BPK, clean_BPK)
            z_BPK = z_BPK + (clean_BPK - z_BPK) * ((after - now) / (1.0 - now))
        return torch.where(is_given_BP[..., None], given_BPK, z_BPK)


def signals_part(
    batch: Batch, signals: Sequence[str], first_B: Tensor, count: int
) -> dict[str, Tensor]:
    """Signals and `length` of the part of each clip that begins with patch `first_B`.

    Rows without a signal may have fewer frames of it than their clip: nothing is read of them.
    """
    longest = max(batch[name].shape[1] for name in signals)
    if longest <= HOP:
        return {"length": batch["length"].clamp(max=longest)}
    frame_BT = first_B[:, None] * HOP + torch.arange(count * HOP, device=first_B.device)
    part = {name: _gathered(batch[name], frame_BT) for name in signals}
    return part | {"length": (batch["length"] - first_B * HOP).clamp(min=1, max=count * HOP)}


def any_signal(batch: Batch, signals: Sequence[str]) -> Tensor:
    """`[B]` bool: rows that have one of the signals."""
    return torch.stack([batch[f"has_{name}"] for name in signals]).any(dim=0)


def _gathered(values_BTX: Tensor, place_BP: Tensor) -> Tensor:
    """`[B, P, X]`: values at each row's places; beyond the end the last one's."""
    index_BP = place_BP.clamp(max=values_BTX.shape[1] - 1)
    return torch.take_along_dim(values_BTX, index_BP[..., None], dim=1)
