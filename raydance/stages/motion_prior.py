"""Motion prior: Everything2Motion's MP-VAE, whose decoder becomes its PMD (alias PDA-VR).

Three convolutional blocks with down-sampling to 256 values for every eight frames, and three with
up-sampling back; KL and L2 (eq. 15). The posterior is pulled to the prior p(z), where the paper's
text says likelihood; the KL's weight, which it leaves out, is `beta`, with free bits against values
that collapse. Frames are those of `motion.local_frames`, normalised, so that
a clip of any length can be decoded. Frames beyond a clip's length are masked everywhere.

Dimensions: B clips, T frames, P = T / 8 patches, F values of a frame, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from raydance.data.schema import Column
from raydance.errors import ConfigError
from raydance.nn.convolutions import STRIDE, SequenceDecoder, SequenceEncoder, frame_mask
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class MotionPriorConfig:
    """The prior's size, loss and training.

    Attributes:
        enabled: whether a run has this stage.
        width: channels of the convolutions; latent: Z (paper: 256).
        beta: weight of the KL; free_bits: nats of each value below which the KL costs nothing.
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
            dims=("P / 2", "2 Z"),
            meaning="posterior mean of the motion prior, two patches beside each other",
            is_mirrored=True,
        ),
    )

    def __init__(self, config: MotionPriorConfig, values: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = SequenceEncoder(values, config.width, config.latent)
        self.decoder = SequenceDecoder(values, config.width, config.latent)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """The posterior and the frames rebuilt from it."""
        local_BTF, length_B = _padded(batch["local"]), batch["length"]
        mean_BPZ, logvar_BPZ = self.encoder(local_BTF, length_B)
        latent_BPZ = mean_BPZ
        if self.training:
            latent_BPZ = mean_BPZ + (0.5 * logvar_BPZ).exp() * torch.randn_like(mean_BPZ)
        rebuilt_BTF = self.decoder(latent_BPZ, length_B)[:, : batch["local"].shape[1]]
        return {"rebuilt": rebuilt_BTF, "mean": mean_BPZ, "logvar": logvar_BPZ}

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Eq. 15: L2 of the frames and beta times the KL."""
        length_B = batch["length"]
        mask_BT1 = frame_mask(length_B, batch["local"].shape[1])
        error_BTF = (output["rebuilt"] - batch["local"]).square() * mask_BT1
        frames = mask_BT1.sum().clamp(min=1.0)
        rebuilt = error_BTF.mean(dim=2).sum() / frames
        mean_BPZ, logvar_BPZ = output["mean"], output["logvar"]
        kl_BPZ = 0.5 * (mean_BPZ.square() + logvar_BPZ.exp() - 1.0 - logvar_BPZ)
        patches_BP1 = frame_mask(-(-length_B // STRIDE), mean_BPZ.shape[1])
        kl_Z = (kl_BPZ * patches_BP1).sum(dim=(0, 1)) / patches_BP1.sum().clamp(min=1.0)
        counted = kl_Z.clamp(min=self.config.free_bits).sum()
        return {
            "total": rebuilt + self.config.beta * counted,
            "rebuilt": rebuilt,
            "kl": kl_Z.sum(),
            "active": (kl_Z > max(self.config.free_bits, 0.01)).float().sum(),
        }

    def infer(self, batch: Batch) -> dict[str, Tensor]:
        """Posterior means of two patches beside each other, `[B, P / 2, 2 Z]`."""
        mean_BPZ, _ = self.encoder(_padded(batch["local"]), batch["length"])
        return {"prior_codes": mean_BPZ.unflatten(1, (-1, 2)).flatten(2)}

    def decode(self, codes_BPX: Tensor, num_frames: int) -> Tensor:
        """Frames `[B, T, F]` of what `infer` gave."""
        latent_BPZ = codes_BPX.unflatten(2, (2, -1)).flatten(1, 2)
        length_B = torch.full((len(codes_BPX),), num_frames, device=codes_BPX.device)
        frames_BTF: Tensor = self.decoder(latent_BPZ, length_B)
        return frames_BTF[:, :num_frames]


def _padded(local_BTF: Tensor) -> Tensor:
    """A whole number of pairs of patches."""
    return functional.pad(local_BTF, (0, 0, 0, -local_BTF.shape[1] % (2 * STRIDE)))
