"""Lang2Motion's losses (section 3.3, eq. 4 to 9) and its latent arithmetic, as pure functions.

Tracks are normalised to [-1, 1] by the frame's size (eq. 3). The paper divides the norms of
`[N, 2]` arrays by N and T: a mean over points and frames of the sum over x and y.

Dimensions: B clips, T frames, N points, Z latent.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def track_error(
    track_BTN2: Tensor,
    target_BTN2: Tensor,
    weight_BTN: Tensor | None = None,
    *,
    squared: bool = False,
) -> Tensor:
    """Eq. 4 and 9: `1 / (N T) sum_i |p_i - q_i|_1`, a mean over clips.

    Args:
        weight_BTN: how much each point counts; alike where None (the paper's).
        squared: squares in the place of absolute values, for table 5's MSE row.
    """
    difference_BTN2 = track_BTN2 - target_BTN2
    error_BTN = (difference_BTN2.square() if squared else difference_BTN2.abs()).sum(dim=3)
    if weight_BTN is None:
        return error_BTN.mean()
    return (error_BTN * weight_BTN).sum() / weight_BTN.sum().clamp_min(1e-6)


def velocity_error(track_BTN2: Tensor, target_BTN2: Tensor) -> Tensor:
    """Eq. 5: `1 / (N (T - 1)) sum_i |(p_{i+1} - p_i) - (q_{i+1} - q_i)|_2^2`."""
    return (track_BTN2.diff(dim=1) - target_BTN2.diff(dim=1)).square().sum(dim=3).mean()


def coordinate_range(track_BTN2: Tensor) -> Tensor:
    """`r(p_i) = max_j p_ij - min_j p_ij` for x and y apart: `[B, T, 2]`."""
    return track_BTN2.amax(dim=2) - track_BTN2.amin(dim=2)


def range_error(track_BTN2: Tensor, target_BTN2: Tensor) -> Tensor:
    """Eq. 6: `sum_i |r(p_i) - r(q_i)|_2^2`, a sum over frames, a mean over clips."""
    difference_BT2 = coordinate_range(track_BTN2) - coordinate_range(target_BTN2)
    return difference_BT2.square().sum(dim=(1, 2)).mean()


def text_alignment(latent_BZ: Tensor, text_BZ: Tensor) -> Tensor:
    """Eq. 7: `1 - cos(CLIP_text(t), z_p)`, a mean over clips."""
    return (1.0 - F.cosine_similarity(latent_BZ, text_BZ, dim=1)).mean()


def image_alignment(latent_BZ: Tensor, feature_BTZ: Tensor, has_overlay_B: Tensor) -> Tensor:
    """Eq. 8: `1 - cos(mean over frames of CLIP_image(o_i), z_p)`, over clips that have overlays.

    Each frame's feature is brought to length 1 before the mean, as in the authors' code; the paper
    does not say. Zero where no clip has overlays.
    """
    mean_BZ = F.normalize(feature_BTZ, dim=2).mean(dim=1)
    loss_B = 1.0 - F.cosine_similarity(latent_BZ, mean_BZ, dim=1)
    weight_B = has_overlay_B.to(loss_B.dtype)
    return (loss_B * weight_B).sum() / weight_B.sum().clamp_min(1.0)


def interpolate(first_BZ: Tensor, second_BZ: Tensor, share: float) -> Tensor:
    """Latents between two on the shorter arc of the unit sphere, `[B, Z]`.

    Args:
        share: 0 gives the first, 1 the second.
    """
    a_BZ, b_BZ = F.normalize(first_BZ, dim=1), F.normalize(second_BZ, dim=1)
    cosine_B1 = (a_BZ * b_BZ).sum(dim=1, keepdim=True).clamp(-1.0, 1.0)
    angle_B1 = cosine_B1.acos()
    sine_B1 = angle_B1.sin()
    straight_BZ = F.normalize(torch.lerp(a_BZ, b_BZ, share), dim=1)
    first_part = ((1.0 - share) * angle_B1).sin() * a_BZ
    arc_BZ = (first_part + (share * angle_B1).sin() * b_BZ) / sine_B1.clamp_min(1e-4)
    return torch.where(sine_B1 < 1e-4, straight_BZ, arc_BZ)


def transfer_style(
    content_BZ: Tensor, style_BZ: Tensor, neutral_BZ: Tensor, strength: float = 1.0
) -> Tensor:
    """`z_content + s (z_style - z_neutral)`, of length 1, each latent brought to length 1 first.

    The paper adds "a latent vector representing the desired motion style" without saying which.
    """
    content, style, neutral = (F.normalize(z, dim=1) for z in (content_BZ, style_BZ, neutral_BZ))
    return F.normalize(content + strength * (style - neutral), dim=1)
