"""A network for the drums of `drum_signal`, in place of the one for music."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from raydance.nn.conditioning import AdapterConfig


class DrumAdapter(nn.Module):
    """One convolution over the hits."""

    def __init__(self, config: AdapterConfig, features: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(features, config.width, 5, padding=2)

    def forward(
        self, values_BTF: Tensor, genre_B: Tensor, mask_BT: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        hidden_BWT = F.gelu(self.conv(values_BTF.transpose(1, 2)))
        tokens_BWS = F.avg_pool1d(hidden_BWT, self.stride, ceil_mode=True)
        mask_BS = mask_BT[:, :: self.stride]
        return tokens_BWS.transpose(1, 2), mask_BS, hidden_BWT.transpose(1, 2)
