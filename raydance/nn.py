"""Network blocks that more than one stage uses.

Dimensions: B clips, T frames, J joints, D values of a frame, H hidden, Z latent, C cosines.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Cell = Literal["lstm", "gru"]
_RECURRENT: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


def cosines(
    num_frames: int, window: int, num_cosines: int, device: torch.device | None = None
) -> Tensor:
    """The first functions of the orthonormal DCT-II of a window, at each frame: `[T, C]`.

    Args:
        num_frames: T; beyond the window the functions go on, mirrored at its end.
        window: frames of a window.
        num_cosines: C, at most the window's frames.
    """
    time_T1 = (torch.arange(num_frames, device=device)[:, None] + 0.5) / window
    wave_C = torch.arange(num_cosines, device=device)
    scale_C = torch.where(wave_C == 0, 1.0, 2.0**0.5) * window**-0.5
    return scale_C * torch.cos(math.pi * time_T1 * wave_C)


class MotionEncoder(nn.Module):
    """Eq. 2: frames -> linear -> LSTM -> attention over time -> mean and log-variance.

    Args:
        num_joints: J; a frame is flattened to `3 J` values.
        num_frames: T of a window.
        hidden: H (paper: 384).
        latent: Z (paper: 256).
        cell: the paper's LSTM, or GRU for its ablation.
        num_cosines: above 0, the mean also has a linear map of that many DCT coefficients of the
            motion. A recurrent layer alone first has to learn to tell frames apart. Not in the
            paper.
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
        num_cosines: int = 0,
    ) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.num_cosines = min(num_cosines, num_frames)  # a window has no more
        self.project = nn.Linear(num_joints * 3, hidden)
        self.recurrent = _RECURRENT[cell](hidden, hidden, num_layers, batch_first=True)
        self.attention = nn.Linear(hidden, 1)
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)
        self.linear = _linear(self.num_cosines * num_joints * 3, latent)

    def context(self, motion_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        """Attention-weighted context `[B, H]` and the weights `[B, T]`, which sum to one."""
        hidden_BTH, _ = self.recurrent(self.project(motion_BTJ3.flatten(2)))
        weight_BT1 = self.attention(hidden_BTH).softmax(dim=1)
        return (weight_BT1 * hidden_BTH).sum(dim=1), weight_BT1.squeeze(-1)

    def forward(self, motion_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, each `[B, Z]`, of normalised motion `[B, T, J, 3]`."""
        context_BH, _ = self.context(motion_BTJ3)
        mu_BZ = self.mu(context_BH)
        if self.linear is not None:
            frames, device = motion_BTJ3.shape[1], motion_BTJ3.device
            basis_TC = cosines(frames, self.num_frames, self.num_cosines, device)
            coefficient_BCJ3 = torch.einsum("tc,btjd->bcjd", basis_TC, motion_BTJ3)
            mu_BZ = mu_BZ + self.linear(coefficient_BCJ3.flatten(1))
        return mu_BZ, self.logvar(context_BH)


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
        num_cosines: above 0, that many DCT coefficients, linear in the latent, are added. Not in
            the paper.
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
        num_cosines: int = 0,
    ) -> None:
        super().__init__()
        self.num_cosines = min(num_cosines, num_frames)
        self.num_joints = num_joints
        self.num_frames = num_frames
        self.initial = nn.Linear(latent, hidden)
        self.recurrent = _RECURRENT[cell](hidden, hidden, num_layers, batch_first=True)
        self.output = nn.Linear(hidden, num_joints * 3)
        self.linear = _linear(latent, self.num_cosines * num_joints * 3)

    def forward(self, latent_BZ: Tensor, num_frames: int | None = None) -> Tensor:
        """Normalised motion `[B, T, J, 3]`; `num_frames` may go beyond the window trained on."""
        frames = num_frames or self.num_frames
        repeated_BTH = self.initial(latent_BZ)[:, None, :].expand(-1, frames, -1)
        hidden_BTH, _ = self.recurrent(repeated_BTH.contiguous())
        output_BTD = self.output(hidden_BTH)
        if self.linear is not None:
            basis_TC = cosines(frames, self.num_frames, self.num_cosines, latent_BZ.device)
            coefficient_BCD = self.linear(latent_BZ).unflatten(1, (self.num_cosines, -1))
            output_BTD = output_BTD + basis_TC @ coefficient_BCD
        return output_BTD.unflatten(2, (self.num_joints, 3))


def _linear(inputs: int, outputs: int) -> nn.Linear | None:
    """A linear layer that starts small, as what is beside it starts large; none without a width."""
    if not inputs or not outputs:
        return None
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def projection_head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Eq. 13: three linear layers with ReLU between them and none at the end."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, outputs),
    )
