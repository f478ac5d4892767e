"""Motion VAE (Dance-Language, section II.B, eq. 2-8): windows of motion -> a latent, and back.

Deviations from the paper, each a switch: the KL of eq. 7 has its sign and factor mended
(`literal_eq7`); a mask keeps joints that a source lacks, and the last frame that a short clip
holds, out of every loss; latents may start as the coefficients of the motion basis (`basis`).

Dimensions: B clips, T frames, J joints, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from raydance.data.schema import Column
from raydance.nn import blocks as nn
from raydance.nn import losses
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class MotionVaeConfig:
    """The paper's sizes and weights.

    Attributes:
        encoder: `lstm` (paper), `gru`, or `conv2d` (the paper's future work).
        decoder: `gru` (paper) or `lstm`.
        basis: start from the coefficients of the motion basis, which recurrent layers add to (with
            `encoder=conv2d` in the decoder alone). Without it, as in the paper, a short training
            learns the mean pose of a window and hardly any of its movement.
        mse_weight: share of MSE against L1 in eq. 5.
        velocity_weight: gamma of eq. 8.
        beta_start, beta_end, beta_warmup, beta_shape, beta_cycles: the KL weight's schedule.
        literal_eq7: use eq. 7 as printed, which diverges.
        kl_reduction: over latent dimensions.
    """

    num_joints: int = 50
    num_frames: int = 50
    hidden: int = 384
    latent: int = 256
    num_layers: int = 1
    encoder: Literal["lstm", "gru", "conv2d"] = "lstm"
    decoder: Literal["gru", "lstm"] = "gru"
    basis: bool = False
    mse_weight: float = 0.7
    velocity_weight: float = 0.5
    beta_start: float = 0.01
    beta_end: float = 0.2
    beta_warmup: float = 0.4
    beta_shape: Literal["linear", "cosine", "cyclical", "constant"] = "linear"
    beta_cycles: int = 4
    literal_eq7: bool = False
    kl_reduction: Literal["mean", "sum"] = "mean"
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=1000, lr=5e-4, schedule="onecycle", clip_norm=1.0, patience=30
        )
    )


def build_encoder(
    config: MotionVaeConfig, basis: nn.MotionBasis | None = None
) -> nn.MotionEncoder | nn.ConvMotionEncoder:
    """A fresh motion encoder of the configured kind; `basis` where the configuration wants it."""
    if config.encoder == "conv2d":
        return nn.ConvMotionEncoder(
            config.num_joints, config.num_frames, config.hidden, config.latent
        )
    return nn.MotionEncoder(
        config.num_joints,
        config.hidden,
        config.latent,
        cell=config.encoder,
        num_layers=config.num_layers,
        basis=basis,
    )


def build_decoder(config: MotionVaeConfig, basis: nn.MotionBasis | None = None) -> nn.MotionDecoder:
    """A fresh motion decoder of the configured kind; `basis` where the configuration wants it."""
    return nn.MotionDecoder(
        config.num_joints,
        config.num_frames,
        config.hidden,
        config.latent,
        cell=config.decoder,
        num_layers=config.num_layers,
        basis=basis,
    )


class MotionVae(Stage):
    """Encoder, reparameterised latent and decoder.

    Args:
        basis: where the configuration wants it.
    """

    name: ClassVar[str] = "motion_vae"
    reads: ClassVar[tuple[str, ...]] = ("motion", "joint_mask", "length")
    adds: ClassVar[tuple[Column, ...]] = (
        Column(
            name="latent",
            dtype="float32",
            dims=("Z",),
            meaning="posterior mean of the motion VAE",
            is_mirrored=True,
        ),
    )

    def __init__(self, config: MotionVaeConfig, basis: nn.MotionBasis | None = None) -> None:
        super().__init__()
        assert config.basis == (basis is not None), "a basis for those that start from one"
        self.config = config
        self.encoder = build_encoder(config, basis)
        self.decoder = build_decoder(config, basis)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Reconstruction from a sampled latent in training, from the mean in evaluation (eq. 3)."""
        mu_BZ, logvar_BZ = self.encoder(batch["motion"])
        latent_BZ = mu_BZ
        if self.training:
            latent_BZ = mu_BZ + torch.randn_like(mu_BZ) * (0.5 * logvar_BZ).exp()
        return {
            "mu": mu_BZ,
            "logvar": logvar_BZ,
            "motion": self.decoder(latent_BZ, batch["motion"].shape[1]),
        }

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Eq. 8: `recon + gamma * velocity + beta * KL`."""
        config = self.config
        x_BTJ3, y_BTJ3 = batch["motion"], output["motion"]
        mask_BTJ = losses.real_joints(batch["joint_mask"], batch["length"], x_BTJ3.shape[1])
        recon = losses.reconstruction(x_BTJ3, y_BTJ3, mask_BTJ, config.mse_weight)
        speed = losses.velocity(x_BTJ3, y_BTJ3, mask_BTJ)
        kl = losses.kl_divergence(
            output["mu"],
            output["logvar"],
            reduction=config.kl_reduction,
            literal_eq7=config.literal_eq7,
        )
        beta = losses.beta_at(
            progress,
            start=config.beta_start,
            end=config.beta_end,
            warmup=config.beta_warmup,
            shape=config.beta_shape,
            cycles=config.beta_cycles,
        )
        # The paper's Table I is on a scale that only a sum over a whole sequence reaches.
        values_per_clip = x_BTJ3.shape[1] * x_BTJ3.shape[2] * x_BTJ3.shape[3]
        return {
            "total": recon + config.velocity_weight * speed + beta * kl,
            "recon": recon,
            "recon_per_sequence": recon.detach() * values_per_clip,
            "velocity": speed,
            "kl": kl,
            "beta": recon.new_tensor(beta),
            "latent_spread": losses.embedding_spread(output["mu"]),
        }

    def infer(self, batch: Batch) -> dict[str, Tensor]:
        """The posterior mean of each window."""
        return {"latent": self.encoder(batch["motion"])[0]}

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        out = []
        if metrics["kl"] < 0.0:
            out.append(f"KL is negative ({metrics['kl']:.3g}): eq. 7 as printed diverges")
        if metrics["total"] < metrics["recon"]:
            out.append(
                f"the total loss ({metrics['total']:.3g}) is below the reconstruction "
                f"({metrics['recon']:.3g}): a term of eq. 8 is negative"
            )
        if metrics["latent_spread"] < 1e-3:
            out.append(f"latents have collapsed (spread {metrics['latent_spread']:.2g})")
        return out
