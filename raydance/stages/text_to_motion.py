"""Text to motion (Dance-Language, section II.G, eq. 18-20): a caption and a latent -> a window.

The VAE's decoder is fine-tuned; its encoder stays frozen. The paper feeds the true motion's latent
beside the text, but with text alone there is no such latent. So in training it is replaced by a
sample of the prior half of the time, and at inference it comes from one of the sources in
`SOURCES`. The residual fusion is not from the paper either.

Dimensions: B clips, T frames, J joints, Z latent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from raydance.errors import ConfigError
from raydance.nn import losses
from raydance.nn.blocks import ConvMotionEncoder, MotionDecoder, MotionEncoder
from raydance.stages.base import Batch, Stage, TrainConfig

SOURCES = ("flow", "prior", "cluster", "nearest", "clip")
"""Where motion comes from at inference: the motion flow, or this stage with a motion latent of eq.
18 that is a sample of the prior, of the caption's cluster, the nearest window of the library, or of
a clip that the user gives to edit."""

Source = Literal["flow", "prior", "cluster", "nearest", "clip"]


@dataclass(frozen=True, kw_only=True)
class TextToMotionConfig:
    """Eq. 18-20 and the two-phase training.

    Attributes:
        velocity_weight: alpha of eq. 20.
        latent_dropout: probability that a sample of the prior replaces the true latent.
        fusion: `linear` is eq. 18-19. `residual` adds the output of a small network, initially
            zero, to the motion latent: training starts from the VAE's reconstruction.
        gelu: a non-linearity after the linear fusion; eq. 19 is called non-linear but has none.
        reconstruction_phase: share of the training without text; its validation losses do not
            count.
        unfreeze: shares of the training from which the decoder's first layer, its recurrent
            layer and its output layer are trained (high to low level).
        decoder_start: `vae` starts from the VAE's decoder (paper); `scratch` from a new one, all of
            which is trained from the beginning.
        source: default source of the motion latent at inference.
    """

    velocity_weight: float = 0.5
    latent_dropout: float = 0.5
    fusion: Literal["linear", "residual"] = "linear"
    gelu: bool = False
    reconstruction_phase: float = 0.2
    unfreeze: tuple[float, float, float] = (0.0, 0.1, 0.2)
    decoder_start: Literal["vae", "scratch"] = "vae"
    source: Source = "flow"
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=100, schedule="plateau", period=5, factor=0.5, patience=15
        )
    )

    def __post_init__(self) -> None:
        if self.gelu and self.fusion != "linear":
            raise ConfigError("text_to_motion.gelu: for fusion=linear alone")


class TextToMotion(Stage):
    """Fusion of text and motion latents in front of the VAE's decoder.

    Args:
        encoder: the VAE's, frozen here.
        decoder: the VAE's, trained on, or a fresh one.
    """

    name: ClassVar[str] = "text_to_motion"
    reads: ClassVar[tuple[str, ...]] = ("motion", "joint_mask", "length", "text_latent")

    def __init__(
        self,
        config: TextToMotionConfig,
        latent: int,
        encoder: MotionEncoder | ConvMotionEncoder,
        decoder: MotionDecoder,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder.requires_grad_(False)
        self.fusion = _build_fusion(config, latent)
        self.decoder = decoder

    def generate(self, text_BZ: Tensor, dance_BZ: Tensor, num_frames: int | None = None) -> Tensor:
        """Eq. 18-19, or the residual fusion, and the decoder: motion `[B, T, J, 3]`, normalised."""
        fused_BZ = self.fusion(torch.cat([text_BZ, dance_BZ], dim=1))
        if self.config.fusion == "residual":
            fused_BZ = fused_BZ + dance_BZ
        return self.decoder(fused_BZ, num_frames)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Training: text and latent, each sometimes absent. Evaluation: with the true latent and
        without it."""
        with torch.no_grad():
            dance_BZ, _ = self.encoder(batch["motion"])
        text_BZ = batch["text_latent"]
        frames = batch["motion"].shape[1]
        if not self.training:
            blind = self.generate(text_BZ, torch.zeros_like(dance_BZ), frames)
            return {"motion": self.generate(text_BZ, dance_BZ, frames), "text_only": blind}
        if progress < self.config.reconstruction_phase:
            return {"motion": self.generate(torch.zeros_like(text_BZ), dance_BZ, frames)}
        dropped_B1 = torch.rand(len(dance_BZ), 1, device=dance_BZ.device)
        dropped_B1 = dropped_B1 < self.config.latent_dropout
        dance_BZ = torch.where(dropped_B1, torch.randn_like(dance_BZ), dance_BZ)
        return {"motion": self.generate(text_BZ, dance_BZ, frames)}

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Eq. 20, means; in evaluation half with the true latent and half from text alone.

        `text_only_spread` is how much motion from text alone differs between the captions of a
        batch, beside how much their latents do: what a shuffle of captions can change.
        """
        terms = self._terms(output["motion"], batch)
        if "text_only" not in output:
            return terms
        blind = self._terms(output["text_only"], batch)
        changed = (output["motion"] - output["text_only"]).abs().mean()
        return {
            "total": 0.5 * (terms["total"] + blind["total"]),
            "recon": terms["recon"],
            "velocity": terms["velocity"],
            "text_only": blind["total"],
            "latent_effect": changed,
            "text_only_spread": losses.embedding_spread(output["text_only"].flatten(1)),
            "text_spread": losses.embedding_spread(batch["text_latent"]),
        }

    def _terms(self, motion_BTJ3: Tensor, batch: Batch) -> dict[str, Tensor]:
        mask_BTJ = losses.real_joints(batch["joint_mask"], batch["length"], motion_BTJ3.shape[1])
        recon = losses.reconstruction(batch["motion"], motion_BTJ3, mask_BTJ, mse_weight=1.0)
        speed = losses.velocity(batch["motion"], motion_BTJ3, mask_BTJ)
        total = recon + self.config.velocity_weight * speed
        return {"total": total, "recon": recon, "velocity": speed}

    def judged_from(self) -> float:
        """The end of the phase without text; weights from before it ignore every caption."""
        return self.config.reconstruction_phase

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        # Weights that never saw text let through less than a hundredth (measured, residual fusion).
        spread = metrics["text_only_spread"]
        if spread < 0.01 * metrics["text_spread"]:
            return [f"shuffled captions do not change the motion (spread {spread:.2g})"]
        return []

    def held_back(self, progress: float) -> Iterable[nn.Parameter]:
        if self.config.decoder_start == "scratch":  # nothing was learnt that could be forgotten
            return
        decoder = self.decoder
        levels = (decoder.initial, decoder.recurrent, decoder.output)
        for start, level in zip(self.config.unfreeze, levels):
            if progress < start:
                yield from level.parameters()


def _build_fusion(config: TextToMotionConfig, latent: int) -> nn.Sequential:
    """What is made of text and motion latent side by side, `[B, 2 Z]` -> `[B, Z]`.

    `linear` is eq. 18-19; `residual` gives zero until it is trained.
    """
    both = 2 * latent
    if config.fusion == "linear":
        after = [nn.GELU()] if config.gelu else []
        return nn.Sequential(nn.Linear(both, latent), nn.LayerNorm(latent), *after)
    last = nn.Linear(both, latent)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(both, both), nn.GELU(), nn.Linear(both, both), nn.GELU(), last)
