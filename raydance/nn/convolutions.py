"""Convolutions over time between frames and latents of every eight frames.

Frames beyond a row's length are masked at every level, so that padding changes nothing.

Dimensions: B rows, T frames, P = T / 8 patches, F values of a frame, Z latent, W width.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.nn.attention import length_mask

STRIDE: Final = 8


class ResidualConv(nn.Module):
    """Two convolutions over time beside the identity; what the mask leaves out stays zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(width, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, hidden_BWT: Tensor, mask_B1T: Tensor) -> Tensor:
        inner_BWT = self.first(F.gelu(hidden_BWT)) * mask_B1T
        return (hidden_BWT + self.second(F.gelu(inner_BWT))) * mask_B1T


class SequenceEncoder(nn.Module):
    """Frames -> mean and log-variance of each patch."""

    def __init__(self, values: int, width: int, latent: int) -> None:
        super().__init__()
        self.input = nn.Conv1d(values, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv1d(width, width, 4, 2, 1) for _ in range(3))
        self.residual = nn.ModuleList(ResidualConv(width) for _ in range(3))
        self.output = nn.Conv1d(width, 2 * latent, 1)

    def forward(self, local_BTF: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance `[B, P, Z]`; T is a multiple of 8."""
        mask_B1T = frame_mask(length_B, local_BTF.shape[1]).transpose(1, 2)
        hidden_BWT = self.input(local_BTF.transpose(1, 2) * mask_B1T) * mask_B1T
        for level, (down, residual) in enumerate(zip(self.down, self.residual), start=1):
            left_B = -(-length_B // 2**level)
            mask_B1T = frame_mask(left_B, hidden_BWT.shape[2] // 2).transpose(1, 2)
            hidden_BWT = residual(down(hidden_BWT) * mask_B1T, mask_B1T)
        mean_BPZ, logvar_BPZ = self.output(hidden_BWT).transpose(1, 2).chunk(2, dim=-1)
        return mean_BPZ, logvar_BPZ.clamp(-12.0, 6.0)


class SequenceDecoder(nn.Module):
    """Latents of patches -> frames: the Prior Motion Distillation Decoder (PMD)."""

    def __init__(self, values: int, width: int, latent: int) -> None:
        super().__init__()
        self.input = nn.Conv1d(latent, width, 1)
        self.residual = nn.ModuleList(ResidualConv(width) for _ in range(3))
        self.up = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(3))
        self.output = nn.Conv1d(width, values, 3, padding=1)

    def forward(self, latent_BPZ: Tensor, length_B: Tensor) -> Tensor:
        """Frames `[B, 8 P, F]`; those beyond `length_B` are zero."""
        mask_B1T = frame_mask(-(-length_B // STRIDE), latent_BPZ.shape[1]).transpose(1, 2)
        hidden_BWT = self.input(latent_BPZ.transpose(1, 2)) * mask_B1T
        for level, (residual, up) in enumerate(zip(self.residual, self.up), start=1):
            hidden_BWT = residual(hidden_BWT, mask_B1T)
            hidden_BWT = F.interpolate(hidden_BWT, scale_factor=2.0, mode="nearest")
            left_B = -(-length_B // (STRIDE // 2**level))
            mask_B1T = frame_mask(left_B, hidden_BWT.shape[2]).transpose(1, 2)
            hidden_BWT = up(hidden_BWT * mask_B1T) * mask_B1T
        local_BTF = self.output(hidden_BWT).transpose(1, 2)
        return local_BTF * frame_mask(length_B, local_BTF.shape[1])


def frame_mask(length_B: Tensor, count: int) -> Tensor:
    """`[B, count, 1]`: 1 below each row's length."""
    return length_mask(length_B, count)[..., None].to(torch.float32)
