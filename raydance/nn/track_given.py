"""Frames and points that are given in training, and what they determine of the coefficients.

Dimensions: K components, T frames, N points, S sets.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

NOISE: Final = 0.02
"""Assumed error of given points, normalised units: keeps least-norm solutions bounded."""
_NUM_SETS: Final = 128


def point_grams(components_KTN2: Tensor) -> Tensor:
    """`[T, N, K, K]`: inner products of the components within each frame's points."""
    flat_TNK2 = components_KTN2.permute(1, 2, 0, 3)
    return flat_TNK2 @ flat_TNK2.transpose(2, 3)


def given_sets(components_KTN2: Tensor) -> tuple[Tensor, Tensor]:
    """Sets of given frames and points that training draws from.

    Returns:
        Projections `[S, K, K]` of coefficients onto what the points of a set determine (the
        least-norm solution), and the share of points that a set gives in each frame, `[S, T]`.
    """
    components, frames, points = components_KTN2.shape[:3]
    generator = torch.Generator().manual_seed(0)

    def draw(high: int) -> int:
        return int(torch.randint(high, (), generator=generator))

    grams_TNKK = point_grams(components_KTN2)
    identity = torch.eye(components) * NOISE**2
    projections, flags = [], []
    for number in range(_NUM_SETS):
        given_TN = torch.zeros(frames, points)
        kind = number % 4
        if kind == 0:  # frames that a track goes on from
            given_TN[: 2 + draw(max(1, frames // 2))] = 1.0
        if kind == 1:
            given_TN[-1] = 1.0
        if kind == 2:  # frames spread out
            given_TN[torch.randperm(frames, generator=generator)[: 1 + draw(5)]] = 1.0
        if kind == 3:  # a few points in a few frames
            chosen = torch.randperm(points, generator=generator)[: 1 + draw(min(4, points))]
            for frame in torch.randperm(frames, generator=generator)[: 1 + draw(6)]:
                given_TN[frame, chosen] = 1.0
        gram_KK = torch.einsum("tn,tnkl->kl", given_TN, grams_TNKK)
        projections.append(torch.linalg.solve(gram_KK + identity, gram_KK))
        flags.append(given_TN.mean(dim=1))
    return torch.stack(projections), torch.stack(flags)
