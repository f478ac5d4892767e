"""Network blocks that more than one stage uses.

Dimensions: B clips, T frames, J joints, N points, D values of a frame, H hidden, Z latent,
W width, K components.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Cell = Literal["lstm", "gru"]
_SURE_LOGVAR = -4.0
"""Initial log-variance of an encoder with a basis, whose coefficients are nearly exact."""
_RECURRENT: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class MotionBasis(nn.Module):
    """A fixed linear map between windows and coefficients (`raydance.motion.basis`).

    Args:
        mean: `[T, J, 3]`; components: `[K, T, J, 3]`; projection: `[K, T, J, 3]`.
    """

    mean: Tensor
    components: Tensor
    projection: Tensor

    def __init__(self, mean: Tensor, components: Tensor, projection: Tensor) -> None:
        super().__init__()
        # Not stored with the weights: the run keeps the basis once.
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("components", components, persistent=False)
        self.register_buffer("projection", projection, persistent=False)

    @property
    def num_components(self) -> int:
        """K."""
        return len(self.components)

    def first(self, num: int) -> MotionBasis:
        """A layer of the first components only."""
        return MotionBasis(self.mean, self.components[:num], self.projection[:num])

    def encode(self, motion_BTJ3: Tensor) -> Tensor:
        """Coefficients `[B, K]` of normalised motion; absent joints, which are zero in every frame,
        count as the mean motion."""
        is_absent_B1J1 = (motion_BTJ3 == 0.0).all(dim=3, keepdim=True).all(dim=1, keepdim=True)
        centred_BTJ3 = (motion_BTJ3 - self.mean).masked_fill(is_absent_B1J1, 0.0)
        return centred_BTJ3.flatten(1) @ self.projection.flatten(1).T

    def decode(self, coefficients_BK: Tensor) -> Tensor:
        """Normalised motion `[B, T, J, 3]`."""
        flat_BD = coefficients_BK @ self.components.flatten(1)
        return flat_BD.unflatten(1, self.mean.shape) + self.mean


class MotionEncoder(nn.Module):
    """Eq. 2: frames -> linear -> LSTM -> attention over time -> mean and log-variance.

    Args:
        num_joints: J; a frame is flattened to `3 J` values.
        num_frames: T of a window.
        hidden: H (paper: 384).
        latent: Z (paper: 256).
        cell: the paper's LSTM, or GRU for its ablation.
        basis: where given, the mean is the basis's coefficients, each with a gain that is learned,
            and the recurrent layers learn what to add; at first nothing. Not in the paper.
    """

    def __init__(
        self,
        num_joints: int,
        hidden: int,
        latent: int,
        *,
        cell: Cell = "lstm",
        num_layers: int = 1,
        basis: MotionBasis | None = None,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(num_joints * 3, hidden)
        self.recurrent = _RECURRENT[cell](hidden, hidden, num_layers, batch_first=True)
        self.attention = nn.Linear(hidden, 1)
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)
        self.basis = basis.first(latent) if basis is not None else None
        if self.basis is not None:
            self.gain = nn.Parameter(torch.ones(self.basis.num_components))
            _silence(self.mu)
            _silence(self.logvar)
            nn.init.constant_(self.logvar.bias, _SURE_LOGVAR)

    def context(self, motion_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        """Attention-weighted context `[B, H]` and the weights `[B, T]`, which sum to one."""
        hidden_BTH, _ = self.recurrent(self.project(motion_BTJ3.flatten(2)))
        weight_BT1 = self.attention(hidden_BTH).softmax(dim=1)
        return (weight_BT1 * hidden_BTH).sum(dim=1), weight_BT1.squeeze(-1)

    def forward(self, motion_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance, each `[B, Z]`, of normalised motion `[B, T, J, 3]`."""
        context_BH, _ = self.context(motion_BTJ3)
        mu_BZ = self.mu(context_BH)
        if self.basis is not None:
            linear_BK = self.gain * self.basis.encode(motion_BTJ3)
            mu_BZ = mu_BZ + F.pad(linear_BK, (0, mu_BZ.shape[1] - linear_BK.shape[1]))
        return mu_BZ, self.logvar(context_BH)


class ConvMotionEncoder(nn.Module):
    """2-D convolutions over frames and joints, which the paper leaves to future work."""

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


class FrameEncoder(nn.Module):
    """Three blocks of convolutions over time, then mean and maximum pooling.

    Not from the paper: trained end to end it tells movements apart within a minute.

    Args:
        num_joints: J; a frame is flattened to `3 J` values.
        width: channels.
        outputs: Z.
        dropout: before the last layer.
    """

    def __init__(self, num_joints: int, width: int, outputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3 * num_joints
        for stride in (1, 2, 2):
            layers += [
                nn.Conv1d(channels, width, 5, stride=stride, padding=2),
                nn.GroupNorm(8, width),
                nn.GELU(),
            ]
            channels = width
        self.blocks = nn.Sequential(*layers)
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, outputs))

    def features(self, motion_BTJ3: Tensor) -> Tensor:
        """What the last layer reads, `[B, 2 W]`."""
        hidden_BWT = self.blocks(motion_BTJ3.flatten(2).transpose(1, 2))
        return torch.cat([hidden_BWT.mean(dim=2), hidden_BWT.amax(dim=2)], dim=1)

    def forward(self, motion_BTJ3: Tensor) -> Tensor:
        """`[B, Z]` of normalised motion `[B, T, J, 3]`, of any length."""
        return self.output(self.features(motion_BTJ3))


class MotionDecoder(nn.Module):
    """Eq. 4: latent -> linear -> repeated over time -> GRU -> linear -> frames.

    Args:
        basis: where given, the first latents are its coefficients, and the recurrent layer learns
            what to add to the window that they make; at first nothing. Not in the paper.
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
        basis: MotionBasis | None = None,
    ) -> None:
        super().__init__()
        self.num_joints = num_joints
        self.num_frames = num_frames
        self.initial = nn.Linear(latent, hidden)
        self.recurrent = _RECURRENT[cell](hidden, hidden, num_layers, batch_first=True)
        self.output = nn.Linear(hidden, num_joints * 3)
        self.basis = basis.first(latent) if basis is not None else None
        if self.basis is not None:
            _silence(self.output)

    def forward(self, latent_BZ: Tensor, num_frames: int | None = None) -> Tensor:
        """Normalised motion `[B, T, J, 3]`.

        Args:
            num_frames: T; beyond the window trained on for decoders without a basis alone.
        """
        frames = num_frames or self.num_frames
        repeated_BTH = self.initial(latent_BZ)[:, None, :].expand(-1, frames, -1)
        hidden_BTH, _ = self.recurrent(repeated_BTH.contiguous())
        motion_BTJ3 = self.output(hidden_BTH).unflatten(2, (self.num_joints, 3))
        if self.basis is not None:
            assert frames <= self.num_frames, "a basis is of one length"
            linear_BTJ3 = self.basis.decode(latent_BZ[:, : self.basis.num_components])
            motion_BTJ3 = motion_BTJ3 + linear_BTJ3[:, :frames]
        return motion_BTJ3


def _silence(layer: nn.Linear) -> None:
    """Initialise a layer to zero, so that its output is zero before training."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def projection_head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Eq. 13: three linear layers with ReLU between them and none at the end."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, outputs),
    )


def coefficient_encoder(components: int, outputs: int) -> nn.Sequential:
    """`[B, K]` coefficients of the motion basis -> `[B, outputs]`; not from the paper."""
    width = 2 * outputs
    return nn.Sequential(
        nn.Linear(components, width),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(width, outputs),
    )


class FlowBlock(nn.Module):
    """A residual layer whose norm, strength and output a condition scales and shifts."""

    modulation: nn.Linear

    def __init__(self, width: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 3 * width)
        _silence(self.modulation)
        self.layers = nn.Sequential(
            nn.Linear(width, expansion * width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(expansion * width, width),
        )

    def forward(self, hidden_BW: Tensor, modulation_BX: Tensor) -> Tensor:
        """`[B, W]`; the modulation is that of the condition, `[B, 3 W]`."""
        shift_BW, scale_BW, gate_BW = modulation_BX.chunk(3, dim=1)
        inner_BW = self.layers(self.norm(hidden_BW) * (1.0 + scale_BW) + shift_BW)
        return hidden_BW + (1.0 + gate_BW) * inner_BW


def time_code(t_B: Tensor, width: int) -> Tensor:
    """Sines and cosines of times in [0, 1], `[B, W]`."""
    half = width // 2
    rate_H = torch.exp(torch.linspace(0.0, math.log(1000.0), half, device=t_B.device))
    angle_BH = t_B[:, None] * rate_H
    code_BX = torch.cat([angle_BH.sin(), angle_BH.cos()], dim=1)
    return F.pad(code_BX, (0, width - code_BX.shape[1]))


class TrackStart(nn.Module):
    """Features of the first frame of a track: its box, and the arrangement of points in it.

    Args:
        num_points: N.
        outputs: W.
    """

    def __init__(self, num_points: int, outputs: int) -> None:
        super().__init__()
        self.box = nn.Linear(9, outputs)
        self.layout = nn.Linear(2 * num_points, outputs, bias=False)
        nn.init.zeros_(self.layout.weight)  # of grids in boxes all are alike

    def forward(self, start_BN2: Tensor) -> Tensor:
        """`[B, W]` of points `[B, N, 2]` in [-1, 1]."""
        low_B2, high_B2 = start_BN2.amin(dim=1), start_BN2.amax(dim=1)
        centre_B2, size_B2 = 0.5 * (low_B2 + high_B2), (high_B2 - low_B2).clamp_min(0.01)
        log_B2 = size_B2.log()
        box_BX = torch.cat(
            [low_B2, high_B2, centre_B2.square(), log_B2, log_B2[:, :1] - log_B2[:, 1:]], dim=1
        )
        inside_BN2 = (start_BN2 - centre_B2[:, None]) / size_B2[:, None]
        return self.box(box_BX) + self.layout(inside_BN2.flatten(1))


class TrackBasisLayer(nn.Module):
    """A fixed linear map between tracks and coefficients (`raydance.tracks.basis`).

    Args:
        mean: `[T, N, 2]`; components: `[K, T, N, 2]`.
    """

    mean: Tensor
    components: Tensor
    projection: Tensor

    def __init__(self, mean: Tensor, components: Tensor) -> None:
        super().__init__()
        squared_K = components.double().square().sum(dim=(1, 2, 3))
        projection = (components / squared_K[:, None, None, None]).float()
        # Not stored with the weights: a run keeps the basis once.
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("components", components, persistent=False)
        self.register_buffer("projection", projection, persistent=False)

    def encode(self, track_BTN2: Tensor) -> Tensor:
        """Whitened coefficients `[B, K]`."""
        moved_BTN2 = track_BTN2 - track_BTN2[:, :1] - self.mean
        return moved_BTN2.flatten(1) @ self.projection.flatten(1).T

    def decode(self, coefficient_BK: Tensor, start_BN2: Tensor) -> Tensor:
        """Tracks `[B, T, N, 2]` that begin at `start_BN2`."""
        moved_BX = coefficient_BK @ self.components.flatten(1)
        return moved_BX.unflatten(1, self.mean.shape) + self.mean + start_BN2[:, None]


def sentence_values(text_BD: Tensor, path_BP: Tensor) -> Tensor:
    """Sentences' embeddings with values of order one, and what their words say of the path."""
    unit_BD = F.normalize(text_BD, dim=1) * (0.4 * text_BD.shape[1] ** 0.5)
    return torch.cat([unit_BD, 2.0 * path_BP], dim=1)


def constant_buffers(module: nn.Module) -> list[str]:
    """Names of the buffers that are not part of the module's state.

    Non-persistent buffers are built from the configuration and the data, and never change.
    """
    state = module.state_dict()
    return [name for name, _ in module.named_buffers() if name not in state]


def path_times(
    size: int, mean: float = 0.0, *, std: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Times `[size]` in (0, 1) on the way from noise to data at which a flow is trained.

    Their logits are normal (Esser et al. 2024). What kind of motion it becomes is decided the
    earlier on the way the more values hang together; a mean below 0 trains these times more.
    """
    return (mean + std * torch.randn(size, generator=generator)).sigmoid()


@torch.no_grad()
def update_average(
    average: nn.Module, network: nn.Module, num_updates: Tensor, highest_decay: float
) -> None:
    """Update averaged weights from a network's weights after the previous optimiser step.

    The first call copies them; the decay then rises to its highest, so that early weights are soon
    forgotten.

    Args:
        num_updates: calls so far, counted here in place.
    """
    count = int(num_updates)
    decay = min(highest_decay, (1 + count) / (10 + count)) if count else 0.0
    means: list[Tensor] = list(average.parameters())
    own: list[Tensor] = list(network.parameters())
    torch._foreach_lerp_(means, own, 1.0 - decay)
    num_updates += 1
