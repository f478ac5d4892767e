"""Equations of the papers that more than one stage uses, as pure functions.

Dimensions: B clips, T frames, J joints, Z latent, N anchors.
"Paper" is Dance-Language; each function states its deviation from the paper and why.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from raydance.nn.attention import length_mask


def real_joints(joint_mask_BJ: Tensor, length_B: Tensor, num_frames: int) -> Tensor:
    """`[B, T, J]` bool: joints that the source has, in the frames below each clip's length."""
    return joint_mask_BJ[:, None] & length_mask(length_B, num_frames)[:, :, None]


def masked_mean(value_BTJ3: Tensor, mask_BTJ: Tensor) -> Tensor:
    """Mean over coordinates and what is there.

    Args:
        value_BTJ3: `[B, T, J, 3]`.
        mask_BTJ: `[B, T, J]`, true where the joint exists (see `there`).

    Returns:
        A scalar; zero where no joint exists at all.
    """
    weight_BTJ1 = mask_BTJ[..., None].to(value_BTJ3.dtype)
    count = weight_BTJ1.sum() * value_BTJ3.shape[3]
    return (value_BTJ3 * weight_BTJ1).sum() / count.clamp_min(1.0)


def reconstruction(x_BTJ3: Tensor, y_BTJ3: Tensor, mask_BTJ: Tensor, mse_weight: float) -> Tensor:
    """Eq. 5: `w * MSE + (1 - w) * L1`, each a mean over what is there (paper: w = 0.7)."""
    error_BTJ3 = x_BTJ3 - y_BTJ3
    mse = masked_mean(error_BTJ3.square(), mask_BTJ)
    l1 = masked_mean(error_BTJ3.abs(), mask_BTJ)
    return mse_weight * mse + (1.0 - mse_weight) * l1


def velocity(x_BTJ3: Tensor, y_BTJ3: Tensor, mask_BTJ: Tensor) -> Tensor:
    """Eq. 6: MSE between the frame-to-frame differences of two motions (not per second)."""
    difference_BTJ3 = x_BTJ3.diff(dim=1) - y_BTJ3.diff(dim=1)
    return masked_mean(difference_BTJ3.square(), mask_BTJ[:, 1:])


def kl_divergence(
    mu_BZ: Tensor, logvar_BZ: Tensor, *, reduction: str = "mean", literal_eq7: bool = False
) -> Tensor:
    """KL(N(mu, sigma^2) || N(0, I)), mean over the batch.

    Eq. 7 as printed has the opposite sign and lacks the factor 1/2: it is never positive and
    unbounded below, so minimising it drives the posterior away from the prior. The default is the
    divergence that the text describes; `literal_eq7` gives the printed formula.

    Args:
        reduction: over the latent dimensions, `mean` (the paper's 1/L) or `sum`.
    """
    inner_BZ = 1.0 + logvar_BZ - mu_BZ.square() - logvar_BZ.exp()
    per_clip_B = inner_BZ.mean(dim=1) if reduction == "mean" else inner_BZ.sum(dim=1)
    return per_clip_B.mean() if literal_eq7 else -0.5 * per_clip_B.mean()


def beta_at(
    progress: float, *, start: float, end: float, warmup: float, shape: str, cycles: int = 4
) -> float:
    """Weight of the KL term at a share of the training (paper: linear 0.01 -> 0.2 over 40 %).

    Args:
        progress: share of the epochs done, in [0, 1].
        warmup: share of the training (of each cycle, if cyclical) in which it rises.
        shape: `linear`, `cosine`, `cyclical` (linear, restarted `cycles` times) or `constant`.
    """
    if shape == "constant":
        return end
    position = min(max(progress, 0.0), 1.0)
    if shape == "cyclical" and position < 1.0:
        position = (position * cycles) % 1.0
    ramp = 1.0 if warmup <= 0 else min(1.0, position / warmup)
    if shape == "cosine":
        ramp = 0.5 - 0.5 * math.cos(math.pi * ramp)
    return start + (end - start) * ramp


def hybrid_alignment(
    z_text_BZ: Tensor,
    z_dance_BZ: Tensor,
    *,
    alpha: float = 0.5,
    reduction: str = "mean",
) -> dict[str, Tensor]:
    """Eq. 12 for each pair: `alpha * (1 - cos) + (1 - alpha) * squared error`.

    The printed squared norm is a sum over 256 dimensions, which would swamp the cosine; the values
    of Table III are those of a mean, the default here.

    Returns:
        `cosine`, `mse` and `total`, each `[B]`.
    """
    cosine_B = 1.0 - F.cosine_similarity(z_text_BZ, z_dance_BZ, dim=1)
    squared_BZ = (z_text_BZ - z_dance_BZ).square()
    mse_B = squared_BZ.mean(dim=1) if reduction == "mean" else squared_BZ.sum(dim=1)
    return {"cosine": cosine_B, "mse": mse_B, "total": alpha * cosine_B + (1.0 - alpha) * mse_B}


def pairwise_distance(a_NZ: Tensor, b_MZ: Tensor) -> Tensor:
    """Euclidean distances `[N, M]` with a gradient that stays finite where two points coincide."""
    squared_NM = a_NZ.square().sum(1)[:, None] + b_MZ.square().sum(1)[None, :] - 2.0 * a_NZ @ b_MZ.T
    return squared_NM.clamp_min(1e-12).sqrt()


def batch_hard_triplet(
    distance_NM: Tensor,
    positive_NM: Tensor,
    negative_NM: Tensor,
    *,
    margin: float = 1.0,
    tau: float = 0.0,
) -> dict[str, Tensor]:
    """Eq. 14 over a distance matrix of anchors against candidates.

    Anchors without a positive or without a negative are left out. The paper names a temperature
    without using it: with `tau > 0` the hardest pair becomes a softmax-weighted mean of all pairs,
    sharper for a smaller `tau` (the limit is the hardest).

    Args:
        positive_NM: true where the candidate has the anchor's label and is not the anchor itself.
        negative_NM: true where the candidate has another label.

    Returns:
        Scalars `triplet`, `d_pos` and `d_neg` (mean distance of the mined pairs).
    """
    usable_N = positive_NM.any(1) & negative_NM.any(1)
    if not bool(usable_N.any()):
        zero = distance_NM.sum() * 0.0
        return {"triplet": zero, "d_pos": zero.detach(), "d_neg": zero.detach()}
    distance_NM = distance_NM[usable_N]
    positive_NM, negative_NM = positive_NM[usable_N], negative_NM[usable_N]
    if tau > 0.0:
        low = torch.finfo(distance_NM.dtype).min
        weight_pos = (distance_NM / tau).masked_fill(~positive_NM, low).softmax(1)
        weight_neg = (-distance_NM / tau).masked_fill(~negative_NM, low).softmax(1)
        d_pos_N = (weight_pos * distance_NM).sum(1)
        d_neg_N = (weight_neg * distance_NM).sum(1)
    else:
        d_pos_N = distance_NM.masked_fill(~positive_NM, -torch.inf).amax(1)
        d_neg_N = distance_NM.masked_fill(~negative_NM, torch.inf).amin(1)
    loss = F.relu(d_pos_N - d_neg_N + margin).mean()
    return {"triplet": loss, "d_pos": d_pos_N.detach().mean(), "d_neg": d_neg_N.detach().mean()}


def info_nce(similarity_BB: Tensor, positive_BB: Tensor, ignore_BB: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE with several positives (CLIP's loss if there is one).

    Args:
        similarity_BB: motion rows against text columns, already divided by the temperature.
        positive_BB: true for positives; the diagonal is positive by construction.
        ignore_BB: true for pairs too similar to be negatives (left out of the denominator).
    """
    if ignore_BB is not None:
        similarity_BB = similarity_BB.masked_fill(
            ignore_BB & ~positive_BB, torch.finfo(similarity_BB.dtype).min
        )

    return 0.5 * (
        softmax_to_positives(similarity_BB, positive_BB)
        + softmax_to_positives(similarity_BB.T, positive_BB.T)
    )


def nt_xent(
    motion_BZ: Tensor,
    text_BZ: Tensor,
    positive_BB: Tensor,
    ignore_BB: Tensor,
    *,
    temperature: float,
) -> Tensor:
    """SimCLR's loss (NT-Xent) with a motion and its caption as two views.

    Negatives are of the other modality and of the same modality.

    Args:
        motion_BZ, text_BZ: of unit length.
        positive_BB: positives across modalities; the diagonal is positive by construction.
        ignore_BB: clips too similar to be negatives, in either modality.
    """
    point_NZ = torch.cat([motion_BZ, text_BZ])
    nothing_BB = torch.zeros_like(positive_BB)
    positive_NN = torch.cat(
        [
            torch.cat([nothing_BB, positive_BB], dim=1),
            torch.cat([positive_BB.T, nothing_BB], dim=1),
        ]
    )
    itself_NN = torch.eye(len(point_NZ), dtype=torch.bool, device=point_NZ.device)
    # Clips that share a caption are right across modalities, so they cannot be wrong within one.
    alike_NN = (ignore_BB | positive_BB).repeat(2, 2)
    similarity_NN = point_NZ @ point_NZ.T / temperature
    return info_nce(similarity_NN, positive_NN, alike_NN | itself_NN)


def softmax_to_positives(similarity_NM: Tensor, positive_NM: Tensor) -> Tensor:
    """Cross-entropy of each anchor's positives, of which there is at least one."""
    log_probability_NM = similarity_NM.log_softmax(1)
    weight_NM = positive_NM.to(similarity_NM.dtype)
    weight_NM = weight_NM / weight_NM.sum(1, keepdim=True)
    # Where the weight is zero the log-probability may be -inf: keep 0 * -inf out of the sum.
    return -(weight_NM * log_probability_NM.masked_fill(~positive_NM, 0.0)).sum(1).mean()


def embedding_spread(embedding_BZ: Tensor) -> Tensor:
    """Mean standard deviation per dimension over the batch: near zero means a collapsed space."""
    if embedding_BZ.shape[0] < 2:
        return embedding_BZ.new_zeros(())
    return embedding_BZ.detach().float().std(dim=0).mean()
