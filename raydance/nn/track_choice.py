"""Summaries of many sampled tracks: their median, and representatives of groups.

Measured against a truth, the best single answer of a generator is the middle of what it thinks
possible, and the best few answers are those that lie near as much of it as they can (k-medians of
the samples), not the first few that it draws.

Dimensions: S samples, B clips, T frames, N points, R representatives.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raydance.errors import InputError

_ROUNDS = 10


def geometric_median(
    track_SBTN2: Tensor, weight_SB: Tensor | None = None, iterations: int = 20
) -> Tensor:
    """`[B, T, N, 2]`: for each frame and point the place with the least mean distance to samples.

    Weiszfeld's iterations from the mean.
    """
    weight_S1 = torch.ones_like(track_SBTN2[..., :1])
    if weight_SB is not None:
        weight_S1 = weight_S1 * weight_SB[:, :, None, None, None]
    total = weight_S1.sum(dim=0).clamp_min(1e-9)
    middle_BTN2 = (weight_S1 * track_SBTN2).sum(dim=0) / total
    for _ in range(iterations):
        distance = (track_SBTN2 - middle_BTN2).norm(dim=4, keepdim=True).clamp_min(1e-5)
        pull = weight_S1 / distance
        middle_BTN2 = (pull * track_SBTN2).sum(dim=0) / pull.sum(dim=0).clamp_min(1e-9)
    return middle_BTN2


def path_distances(track_SBTN2: Tensor) -> Tensor:
    """`[B, S, S]`: mean distance between the centres of samples over frames."""
    centre_BSX = track_SBTN2.mean(dim=3).transpose(0, 1).contiguous()
    total = centre_BSX.new_zeros(centre_BSX.shape[0], centre_BSX.shape[1], centre_BSX.shape[1])
    for frame in range(centre_BSX.shape[2]):
        total += torch.cdist(centre_BSX[:, :, frame], centre_BSX[:, :, frame])
    return total / centre_BSX.shape[2]


def representatives(track_SBTN2: Tensor, num: int, *, medians: bool = False) -> Tensor:
    """`[R, B, T, N, 2]`: samples to which all samples together are nearest (k-medoids).

    Greedy choice of the sample that shortens distances most, then Lloyd's iterations; the first
    stands for most samples.

    Args:
        num: R.
        medians: the geometric median of each group in the place of its medoid.

    Raises:
        InputError: fewer samples than representatives.
    """
    samples, clips = track_SBTN2.shape[:2]
    if not 1 <= num <= samples:
        raise InputError(f"{num} representatives of {samples} samples; allowed: 1 to {samples}")
    distance_BSS = path_distances(track_SBTN2)
    rows = torch.arange(clips, device=track_SBTN2.device)
    nearest_BS = torch.full_like(distance_BSS[:, 0], torch.inf)
    chosen: list[Tensor] = []
    for _ in range(num):
        gained_BS = torch.minimum(nearest_BS[:, :, None], distance_BSS).sum(dim=1)
        for taken_B in chosen:
            gained_BS[rows, taken_B] = torch.inf
        chosen.append(gained_BS.argmin(dim=1))
        nearest_BS = torch.minimum(nearest_BS, distance_BSS[rows, chosen[-1]])
    chosen_BR = torch.stack(chosen, dim=1)
    for _ in range(_ROUNDS):
        group_BSR = _groups(distance_BSS, chosen_BR)
        # Mean distance of each sample to the members of each group; members alone may lead it.
        cost_BSR = distance_BSS @ group_BSR
        moved_BR = cost_BSR.masked_fill(group_BSR == 0.0, torch.inf).argmin(dim=1)
        if torch.equal(moved_BR, chosen_BR):
            break
        chosen_BR = moved_BR
    group_BSR = _groups(distance_BSS, chosen_BR)
    order_BR = group_BSR.sum(dim=1).argsort(dim=1, descending=True, stable=True)
    chosen_BR = chosen_BR.gather(1, order_BR)
    if medians:
        group_BSR = _groups(distance_BSS, chosen_BR)
        middles = [geometric_median(track_SBTN2, group_BSR[:, :, r].T) for r in range(num)]
        return torch.stack(middles)
    return track_SBTN2[chosen_BR.T, rows]


def _groups(distance_BSS: Tensor, chosen_BR: Tensor) -> Tensor:
    """`[B, S, R]`: 1 where a sample is nearest to a chosen one, else 0; each chosen sample belongs
    to itself."""
    index = chosen_BR[:, None, :].expand(-1, distance_BSS.shape[1], -1)
    to_chosen_BSR = distance_BSS.gather(2, index)
    own = torch.nn.functional.one_hot(chosen_BR, distance_BSS.shape[1]).transpose(1, 2)
    to_chosen_BSR = to_chosen_BSR - own.to(to_chosen_BSR)  # among equal samples as well
    group_BS = to_chosen_BSR.argmin(dim=2)
    return torch.nn.functional.one_hot(group_BS, chosen_BR.shape[1]).to(distance_BSS.dtype)
