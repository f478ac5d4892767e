"""Motion prior: Everything2Motion's MP-VAE, whose decoder becomes its PMD (alias PDA-VR).

Three convolutional blocks with down-sampling to 256 values for every eight frames, and three with
up-sampling back; KL and L2 (eq. 15). The posterior is pulled to the prior p(z), where the paper's
text says likelihood; the KL's weight, which it leaves out, is `beta`, with free bits for values
that it would otherwise switch off. Frames are those of `motion.local_frames`, normalised, so that
a clip of any length can be decoded. Frames beyond a clip's length are masked everywhere.

Dimensions: B clips, T frames, P = T / 8 patches, F values of a frame, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.attention import length_mask
from raydance.errors import ConfigError
from raydance.motion.patch_basis import HOP
from raydance.schema import Column
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class MotionPriorConfig:
    """The prior's size, loss and training.

    Attributes:
        enabled: whether a run has this stage.
        width: channels of the convolutions; latent: Z (paper: 256).
        beta: weight of the KL; free_bits: nats that each value may cost for nothing.
    """

    enabled: bool = False
    width: int = 256
    latent: int = 256
    beta: float = 1e-3
    free_bits: float = 0.02
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=60, lr=5e-4, schedule="onecycle", batch_size=32, patience=0
        )
    )

    def __post_init__(self) -> None:
        if self.width < 1 or self.latent < 1:
            raise ConfigError(f"width {self.width}, latent {self.latent}: at least 1")
        if not 0.0 <= self.beta <= 1.0 or self.free_bits < 0.0:
            raise ConfigError(f"beta {self.beta}, free_bits {self.free_bits}: 0 or more, beta to 1")


class _Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GELU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(width, width, 3, padding=1),
        )

    def forward(self, hidden_BWT: Tensor) -> Tensor:
        return hidden_BWT + self.layers(hidden_BWT)


class PriorEncoder(nn.Module):
    """Frames -> mean and log-variance of each patch."""

    def __init__(self, config: MotionPriorConfig, values: int) -> None:
        super().__init__()
        width = config.width
        self.input = nn.Conv1d(values, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv1d(width, width, 4, 2, 1) for _ in range(3))
        self.residual = nn.ModuleList(_Residual(width) for _ in range(3))
        self.output = nn.Conv1d(width, 2 * config.latent, 1)

    def forward(self, local_BTF: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance `[B, P, Z]`; T is a multiple of 8."""
        hidden_BWT = self.input((local_BTF * _mask(length_B, local_BTF.shape[1])).transpose(1, 2))
        for level, (down, residual) in enumerate(zip(self.down, self.residual), start=1):
            hidden_BWT = residual(down(hidden_BWT))
            left_B = -(-length_B // 2**level)
            hidden_BWT = hidden_BWT * _mask(left_B, hidden_BWT.shape[2]).transpose(1, 2)
        mean_BPZ, logvar_BPZ = self.output(hidden_BWT).transpose(1, 2).chunk(2, dim=-1)
        return mean_BPZ, logvar_BPZ.clamp(-12.0, 6.0)


class PriorDecoder(nn.Module):
    """Latents of patches -> frames: the Prior Motion Distillation Decoder (PMD)."""

    def __init__(self, config: MotionPriorConfig, values: int) -> None:
        super().__init__()
        width = config.width
        self.input = nn.Conv1d(config.latent, width, 1)
        self.residual = nn.ModuleList(_Residual(width) for _ in range(3))
        self.up = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(3))
        self.output = nn.Conv1d(width, values, 3, padding=1)

    def forward(self, latent_BPZ: Tensor, length_B: Tensor) -> Tensor:
        """Frames `[B, 8 P, F]`; those beyond `length_B` are zero."""
        patch_mask_BP1 = _mask(-(-length_B // HOP), latent_BPZ.shape[1])
        hidden_BWT = self.input((latent_BPZ * patch_mask_BP1).transpose(1, 2))
        for level, (residual, up) in enumerate(zip(self.residual, self.up), start=1):
            hidden_BWT = F.interpolate(residual(hidden_BWT), scale_factor=2.0, mode="nearest")
            left_B = -(-length_B // (HOP // 2**level))
            hidden_BWT = up(hidden_BWT) * _mask(left_B, hidden_BWT.shape[2]).transpose(1, 2)
        local_BTF = self.output(hidden_BWT).transpose(1, 2)
        return local_BTF * _mask(length_B, local_BTF.shape[1])


def _mask(length_B: Tensor, count: int) -> Tensor:
    """`[B, count, 1]`: 1 below each row's length."""
    return length_mask(length_B, count)[..., None].to(torch.float32)


class MotionPrior(Stage):
    """MP-VAE.

    Args:
        values: F.
    """

    name: ClassVar[str] = "motion_prior"
    reads: ClassVar[tuple[str, ...]] = ("local", "length")
    adds: ClassVar[tuple[Column, ...]] = (
        Column(
            name="prior_codes",
            dtype="float32",
            dims=("P", "Z"),
            meaning="posterior mean of the motion prior, by patch",
            is_mirrored=True,
        ),
    )

    def __init__(self, config: MotionPriorConfig, values: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = PriorEncoder(config, values)
        self.decoder = PriorDecoder(config, values)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """The posterior and the frames rebuilt from it."""
        local_BTF, length_B = batch["local"], batch["length"]
        mean_BPZ, logvar_BPZ = self.encoder(local_BTF, length_B)
        latent_BPZ = mean_BPZ
        if self.training:
            latent_BPZ = mean_BPZ + (0.5 * logvar_BPZ).exp() * torch.randn_like(mean_BPZ)
        rebuilt_BTF = self.decoder(latent_BPZ, length_B)
        return {"rebuilt": rebuilt_BTF, "mean": mean_BPZ, "logvar": logvar_BPZ}

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Eq. 15: L2 of the frames and beta times the KL."""
        length_B = batch["length"]
        mask_BT1 = _mask(length_B, batch["local"].shape[1])
        error_BTF = (output["rebuilt"] - batch["local"]).square() * mask_BT1
        frames = mask_BT1.sum().clamp(min=1.0)
        rebuilt = error_BTF.mean(dim=2).sum() / frames
        mean_BPZ, logvar_BPZ = output["mean"], output["logvar"]
        kl_BPZ = 0.5 * (mean_BPZ.square() + logvar_BPZ.exp() - 1.0 - logvar_BPZ)
        patches_BP1 = _mask(-(-length_B // HOP), mean_BPZ.shape[1])
        kl_Z = (kl_BPZ * patches_BP1).sum(dim=(0, 1)) / patches_BP1.sum().clamp(min=1.0)
        counted = kl_Z.clamp(min=self.config.free_bits).sum()
        return {
            "total": rebuilt + self.config.beta * counted,
            "rebuilt": rebuilt,
            "kl": kl_Z.sum(),
            "active": (kl_Z > max(self.config.free_bits, 0.01)).float().sum(),
        }

    def infer(self, batch: Batch) -> dict[str, Tensor]:
        """Posterior means `[B, P, Z]`."""
        return {"prior_codes": self.encoder(batch["local"], batch["length"])[0]}
