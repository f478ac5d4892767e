"""Network blocks that more than one stage uses.

Dimensions: B clips, T frames, J joints, H hidden, Z latent.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Cell = Literal["lstm", "gru"]
_RECURRENT: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class TimeBasis(nn.Module):
    """Multiplies each hidden unit by its own smooth function of time.

    A sum over time of such products is a projection on temporal basis functions, so the network
    holds a spatio-temporal linear map from its first step on, where a recurrent layer alone first
    has to learn to count frames. Not in the paper.

    Args:
        num_frames: frames of a window; later frames continue the functions.
        hidden: H.
        num_waves: half-periods of the fastest function in a window.
    """

    def __init__(self, num_frames: int, hidden: int, num_waves: int = 12) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.num_waves = num_waves
        self.mix = nn.Linear(2 * num_waves, hidden)
        nn.init.normal_(self.mix.weight, std=(2 * num_waves) ** -0.5)
        nn.init.ones_(self.mix.bias)

    def forward(self, hidden_BTH: Tensor) -> Tensor:
        """`[B, T, H]` -> the same shape, modulated."""
        frames = torch.arange(hidden_BTH.shape[1], device=hidden_BTH.device)
        time_T1 = frames[:, None] / (self.num_frames - 1)
        wave_W = torch.arange(self.num_waves, device=hidden_BTH.device)
        phases = (
            torch.cos(math.pi * time_T1 * wave_W),
            torch.sin(math.pi * time_T1 * (wave_W + 1)),
        )
        return hidden_BTH * self.mix(torch.cat(phases, dim=1))


class MotionEncoder(nn.Module):
    """Eq. 2: frames -> linear -> LSTM -> attention over time -> mean and log-variance.

    Args:
        num_joints: J; a frame is flattened to `3 J` values.
        num_frames: T of a window.
        hidden: H (paper: 384).
        latent: Z (paper: 256).
        cell: the paper's LSTM, or GRU for its ablation.
        time_basis: modulate the LSTM's input over time and lead it around the LSTM too.
    """

    def __init__(
        self,
        num_joints: int,
        num_frames: int,
        hidden: int,
        latent: int,
        *,
        cell: Cell = "lstm",
        num_layers: int = 1,
        time_basis: bool = False,
    ) -> None:
        super().__init__()
        self.basis = TimeBasis(num_frames, hidden) if time_basis else None
        self.project = nn.Linear(num_joints * 3, hidden)
        self.recurrent = _RECURRENT[cell](hidden, hidden, num_layers, batch_first=True)
        self.attention = nn.Linear(hidden, 1)
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)

    def context(self, motion_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        """Attention-weighted context `[B, H]` and the weights `[B, T]`, which sum to one."""
        input_BTH = self.project(motion_BTJ3.flatten(2))
        if self.basis is not None:
            input_BTH = self.basis(input_BTH)
        hidden_BTH, _ = self.recurrent(input_BTH)
        if self.basis is not None:
            hidden_BTH = hidden_BTH + input_BTH
        weight_BT1 = self.attention(hidden_BTH).softmax(dim=1)
        return (weight_BT1 * hidden_BTH).sum(dim=1), weight_BT1.squeeze(-1)

    def forward(self, motion_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, each `[B, Z]`, of normalised motion `[B, T, J, 3]`."""
        context_BH, _ = self.context(motion_BTJ3)
        return self.mu(context_BH), self.logvar(context_BH)


class ConvMotionEncoder(nn.Module):
    """The 2-D convolution that the paper leaves to future work: over frames and joints at once."""

    def __init__(self, num_joints: int, num_frames: int, hidden: int, latent: int) -> None:
        super().__init__()
        width = max(8, hidden // 32 * 4)  # the norm's groups need a multiple of four
        sizes = (3, width, 2 * width, 4 * width)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(a, b, (5, 3), stride=(2, 2), padding=(2, 1)),
                    nn.GroupNorm(4, b),
                    nn.GELU(),
                )
                for a, b in zip(sizes, sizes[1:])
            )
        )
        joints_left, frames_left = num_joints, num_frames
        for _ in range(3):
            joints_left, frames_left = (joints_left + 1) // 2, (frames_left + 1) // 2
        self.pool = nn.Linear(4 * width * joints_left * frames_left, hidden)
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)

    def forward(self, motion_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, each `[B, Z]`, of normalised motion `[B, T, J, 3]`."""
        feature_BCTJ = self.blocks(motion_BTJ3.permute(0, 3, 1, 2))
        context_BH = torch.relu(self.pool(feature_BCTJ.flatten(1)))
        return self.mu(context_BH), self.logvar(context_BH)


class MotionDecoder(nn.Module):
    """Eq. 4: latent -> linear -> repeated over time -> GRU -> linear -> frames.

    Args:
        time_basis: modulate the repeated input over time and lead it around the GRU too.
    """

    def __init__(
        self,
        num_joints: int,
        num_frames: int,
        hidden: int,
        latent: int,
        *,
        cell: Cell = "gru",
        num_layers: int = 1,
        time_basis: bool = False,
    ) -> None:
        super().__init__()
        self.basis = TimeBasis(num_frames, hidden) if time_basis else None
        self.num_joints = num_joints
        self.num_frames = num_frames
        self.initial = nn.Linear(latent, hidden)
        self.recurrent = _RECURRENT[cell](hidden, hidden, num_layers, batch_first=True)
        self.output = nn.Linear(hidden, num_joints * 3)

    def forward(self, latent_BZ: Tensor, num_frames: int | None = None) -> Tensor:
        """Normalised motion `[B, T, J, 3]`; `num_frames` may go beyond the window trained on."""
        frames = num_frames or self.num_frames
        repeated_BTH = self.initial(latent_BZ)[:, None, :].expand(-1, frames, -1)
        if self.basis is not None:
            repeated_BTH = self.basis(repeated_BTH)
        hidden_BTH, _ = self.recurrent(repeated_BTH.contiguous())
        if self.basis is not None:
            hidden_BTH = hidden_BTH + repeated_BTH
        return self.output(hidden_BTH).unflatten(2, (self.num_joints, 3))


def projection_head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Eq. 13: three linear layers with ReLU between them and none at the end."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, outputs),
    )
