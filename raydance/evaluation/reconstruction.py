"""How well the motion VAE gives back what it reads, and how the text encoder's loss is bounded.

Dimensions: N windows, T frames, J joints, Z latent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raydance.data.index import unit
from raydance.evaluation.measure import Measure
from raydance.metrics import motion as metrics

_GROUP = "reconstruction"


def reconstruction(
    rebuilt: np.ndarray,
    true: np.ndarray,
    joint_mask: np.ndarray,
    *,
    mean_pose: np.ndarray,
    nearest: np.ndarray,
    fps: float,
) -> list[Measure]:
    """Position and velocity error of the VAE's output.

    Args:
        rebuilt, true: `[N, T, 50, 3]`, metres; `joint_mask`: `[N, 50]`.
        mean_pose: `[50, 3]`: what someone guesses who knows only the training set's mean.
        nearest: `[N, T, 50, 3]`, the nearest training window by descriptors.
    """
    still = np.broadcast_to(mean_pose, true.shape)

    def error(guess: np.ndarray, aligned: bool) -> float:
        return metrics.mpjpe(guess, true, joint_mask=joint_mask, root_aligned=aligned)

    def speed_error(guess: np.ndarray) -> float:
        return 100.0 * metrics.velocity_error(guess, true, fps=fps, joint_mask=joint_mask)

    out = [
        Measure(
            group=_GROUP,
            name=name,
            unit="cm",
            better="lower",
            value=error(rebuilt, aligned),
            chance=error(still, aligned),
            baseline=error(nearest, aligned),
        )
        for name, aligned in (("MPJPE", False), ("MPJPE, root aligned", True))
    ]
    return [
        *out,
        Measure(
            group=_GROUP,
            name="velocity error, cm a second",
            unit="cm",
            better="lower",
            value=speed_error(rebuilt),
            chance=speed_error(still),
            baseline=speed_error(nearest),
            is_main=False,
        ),
    ]


def alignment_floor(
    latents_NZ: np.ndarray, caption_ids: Sequence[Sequence[int]], alpha: float = 0.5
) -> dict[str, float]:
    """Below what eq. 12 cannot fall, because windows of one caption differ.

    A text encoder gives every window of a caption one latent. The best for the squared error is
    their mean, the best for the cosine the direction of their mean unit vector; no point reaches
    both, so the weighted sum is a lower bound.

    Returns:
        `mse` (mean over dimensions), `cosine` (1 - cos) and `total`, means over (window, caption).
    """
    members: dict[int, list[int]] = {}
    for row, ids in enumerate(caption_ids):
        for caption_id in ids:
            members.setdefault(caption_id, []).append(row)
    unit_NZ = unit(latents_NZ)
    squared = cosine = 0.0
    count = 0
    for rows in members.values():
        squared += float(latents_NZ[rows].var(axis=0).mean()) * len(rows)
        cosine += (1.0 - float(np.linalg.norm(unit_NZ[rows].mean(axis=0)))) * len(rows)
        count += len(rows)
    if not count:
        return {"mse": float("nan"), "cosine": float("nan"), "total": float("nan")}
    squared, cosine = squared / count, cosine / count
    return {
        "mse": squared,
        "cosine": cosine,
        "total": alpha * cosine + (1.0 - alpha) * squared,
    }


def alignment(
    text_latents: np.ndarray, latents: np.ndarray, alpha: float = 0.5
) -> dict[str, float]:
    """Eq. 12 (means) of pairs in row order, and how long text latents are against motion's."""
    cosine = 1.0 - (unit(text_latents) * unit(latents)).sum(axis=1)
    squared = np.square(text_latents - latents).mean(axis=1)
    length = np.linalg.norm(text_latents, axis=1).mean()
    return {
        "mse": float(squared.mean()),
        "cosine": float(cosine.mean()),
        "total": float((alpha * cosine + (1.0 - alpha) * squared).mean()),
        "norm_ratio": float(length / max(float(np.linalg.norm(latents, axis=1).mean()), 1e-9)),
    }
