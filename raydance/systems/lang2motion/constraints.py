"""Given points of tracks as linear equations of basis coefficients.

A track is `start + W z + mu`, so points that it shall pass through are equations `A z = y`. The
flow is told what they say (`TrackEquations.given`, which it learned to read), and each of its
predictions is moved onto them by the least-norm step (`TrackEquations.correction`).

Dimensions: B clips, T frames, N points, K coefficients, M equations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raydance.errors import InputError
from raydance.nn.track_given import NOISE


class TrackEquations:
    """Equations over the coefficients of tracks that all have the same points given.

    Args:
        mean, components: `[T, N, 2]` and `[K, T, N, 2]`, of the track basis.
        start_BN2: the first frames, normalised.
        target_BTN2: given points, normalised; others do not matter.
        is_given_TN: bool, which are; the first frame is given anyway and may be left out.
        noise: by which they may be missed.

    Raises:
        InputError: given points that are no finite numbers.
    """

    def __init__(
        self,
        mean: Tensor,
        components: Tensor,
        start_BN2: Tensor,
        target_BTN2: Tensor,
        is_given_TN: Tensor,
        *,
        noise: float = NOISE,
    ) -> None:
        if not bool(torch.isfinite(target_BTN2[:, is_given_TN]).all()):
            raise InputError("given points: not all are finite numbers")
        matrix_MK = components[:, is_given_TN].flatten(1).T.double()
        moved_BTN2 = target_BTN2 - start_BN2[:, None] - mean
        self._right_BM = moved_BTN2[:, is_given_TN].flatten(1).double()
        gram_KK = matrix_MK.T @ matrix_MK
        identity_KK = torch.eye(len(components), dtype=gram_KK.dtype, device=gram_KK.device)
        inverse_KK = torch.linalg.inv(gram_KK + noise**2 * identity_KK)
        self._step_KK = (gram_KK @ inverse_KK).float()
        self._least_BK = (self._right_BM @ matrix_MK @ inverse_KK).float()
        self._matrix_MK = matrix_MK
        self._share_T = is_given_TN.float().mean(dim=1)

    def given(self) -> Tensor:
        """Least-norm coefficients and the share of given points in each frame, `[B, K + T]`."""
        share_BT = self._share_T.expand(len(self._least_BK), -1)
        return torch.cat([self._least_BK, share_BT], dim=1)

    def correction(self, clean_BK: Tensor, now: float) -> Tensor:
        """`z + (A^T A + e)^-1 A^T (y - A z)`, the least-norm step."""
        return clean_BK + self._least_BK - clean_BK @ self._step_KK

    def miss(self, coefficient_BK: Tensor) -> Tensor:
        """`[B]`: root mean square by which given coordinates are missed, normalised units."""
        if not self._right_BM.shape[1]:
            return coefficient_BK.new_zeros(len(coefficient_BK))
        missed_BM = coefficient_BK.double() @ self._matrix_MK.T - self._right_BM
        return missed_BM.square().mean(dim=1).sqrt().float()
