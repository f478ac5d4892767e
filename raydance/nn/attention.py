"""Attention blocks that several stages share, for rows of different lengths.

Masks are true for existing tokens. A row without tokens gets zeros.

Dimensions: B rows, Q queries, S tokens attended to, W width, H heads, L tokens of a sentence of E
values.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Keys = tuple[Tensor, Tensor]
"""Keys and values of tokens, each `[B, H, S, X]`."""


class Attention(nn.Module):
    """Multi-head attention of queries `[B, Q, W]` over tokens `[B, S, V]`.

    Args:
        width: W, of queries and output; inputs: V, of the tokens.
    """

    def __init__(self, width: int, inputs: int | None = None, *, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(inputs or width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(self, query_BQW: Tensor, token_BSV: Tensor, mask_BS: Tensor | None) -> Tensor:
        return self.over(query_BQW, self.keys(token_BSV), mask_BS)

    def keys(self, token_BSV: Tensor) -> Keys:
        """Keys and values of tokens, for queries that come one after the other."""
        key_BSW, value_BSW = self.key_value(token_BSV).chunk(2, dim=-1)
        return self._split(key_BSW), self._split(value_BSW)

    def over(self, query_BQW: Tensor, keys: Keys, mask_BS: Tensor | None) -> Tensor:
        """As `forward`, of what `keys` gave."""
        # A row without tokens may attend to all, so that softmax stays finite; zeros then win.
        allowed = None
        if mask_BS is not None:
            none_B1 = ~mask_BS.any(dim=1, keepdim=True)
            allowed = (mask_BS | none_B1)[:, None, None]
        mixed_BHQX = F.scaled_dot_product_attention(
            self._split(self.query(query_BQW)), *keys, attn_mask=allowed
        )
        mixed_BQW = self.output(mixed_BHQX.transpose(1, 2).flatten(2))
        if mask_BS is not None:
            mixed_BQW = mixed_BQW * mask_BS.any(dim=1)[:, None, None]
        return mixed_BQW

    def _split(self, values_BSW: Tensor) -> Tensor:
        return values_BSW.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two layers with a wide middle."""

    def __init__(self, width: int, *, expansion: int = 4, dropout: float = 0.0) -> None:
        super().__init__(
            nn.Linear(width, expansion * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(expansion * width, width),
        )


class SelfBlock(nn.Module):
    """Pre-norm self-attention and feed-forward layers, without causal mask."""

    def __init__(self, width: int, *, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads=heads)
        self.norm_forward = nn.LayerNorm(width)
        self.forward_layers = FeedForward(width, dropout=dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, token_BSW: Tensor, mask_BS: Tensor | None = None) -> Tensor:
        inner_BSW = self.norm(token_BSW)
        token_BSW = token_BSW + self.dropout(self.attention(inner_BSW, inner_BSW, mask_BS))
        return token_BSW + self.dropout(self.forward_layers(self.norm_forward(token_BSW)))


class CrossBlock(nn.Module):
    """Pre-norm attention of queries over other tokens, and feed-forward layers."""

    def __init__(
        self, width: int, inputs: int | None = None, *, heads: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.norm_tokens = nn.LayerNorm(inputs or width)
        self.attention = Attention(width, inputs, heads=heads)
        self.norm_forward = nn.LayerNorm(width)
        self.forward_layers = FeedForward(width, dropout=dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query_BQW: Tensor, token_BSV: Tensor, mask_BS: Tensor | None) -> Tensor:
        found_BQW = self.attention(self.norm(query_BQW), self.norm_tokens(token_BSV), mask_BS)
        query_BQW = query_BQW + self.dropout(found_BQW)
        return query_BQW + self.dropout(self.forward_layers(self.norm_forward(query_BQW)))


class ModulatedBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward layers that a condition scales and shifts
    (as DiT, Peebles and Xie 2023)."""

    def __init__(self, width: int, inputs: int, *, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.attention = Attention(width, heads=heads)
        self.norm_cross = nn.LayerNorm(width)
        self.cross = Attention(width, inputs, heads=heads)
        self.forward_layers = FeedForward(width, expansion=3, dropout=dropout)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self,
        token_BSW: Tensor,
        mask_BS: Tensor,
        modulation_BX: Tensor,
        other: Keys,
        other_mask_BQ: Tensor | None,
    ) -> Tensor:
        """
        Args:
            modulation_BX: what `modulation` makes of the condition, `[B, 6 W]`.
            other: what `cross.keys` gives of the tokens attended to.
        """
        shift, scale, gate, shift2, scale2, gate2 = modulation_BX[:, None].chunk(6, dim=-1)
        inner_BSW = self.norms[0](token_BSW) * (1.0 + scale) + shift
        token_BSW = token_BSW + (1.0 + gate) * self.attention(inner_BSW, inner_BSW, mask_BS)
        token_BSW = token_BSW + self.cross.over(self.norm_cross(token_BSW), other, other_mask_BQ)
        inner_BSW = self.norms[1](token_BSW) * (1.0 + scale2) + shift2
        return token_BSW + (1.0 + gate2) * self.forward_layers(inner_BSW)


class TokenPooling(nn.Module):
    """Weighted means of a sentence's tokens, one for each of some learned queries.

    The first token, which stands for the whole sentence, is left out. The others are brought to
    values of order one, and weighted by the softmax of their inner products with a query.

    Args:
        queries: H.
        token_dim: E.
    """

    def __init__(self, queries: int, token_dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(0.05 * torch.randn(queries, token_dim))

    def forward(self, token_BLE: Tensor, mask_BL: Tensor) -> Tensor:
        """`[B, H, E]` of tokens and which of them are there, bool: the first ones of each row."""
        longest = max(2, int(mask_BL.sum(dim=1).max()))
        token_BSE, mask_BS = token_BLE[:, 1:longest].float(), mask_BL[:, 1:longest]
        norm_BS = torch.linalg.vector_norm(token_BSE, dim=2).clamp_min(1e-6)
        scale_B1S = (0.4 * token_BSE.shape[2] ** 0.5 / norm_BS)[:, None]
        score_BHS = (token_BSE @ self.query.T).transpose(1, 2) * scale_B1S
        weight_BHS = score_BHS.masked_fill(~mask_BS[:, None], -1e4).softmax(dim=2)
        weight_BHS = weight_BHS * mask_BS[:, None]  # rows without tokens
        return (weight_BHS * scale_B1S) @ token_BSE


def positions(count: int, width: int, device: torch.device | None = None) -> Tensor:
    """Fixed sines and cosines of places 0 to `count - 1`, `[count, W]`."""
    return wave_code(torch.arange(count, dtype=torch.float32, device=device), width, 10_000.0)


def wave_code(values_N: Tensor, width: int, longest: float) -> Tensor:
    """Sines and cosines of values, of wave lengths from `2 pi` to `2 pi longest`: `[N, W]`."""
    half = width // 2
    rate_H = torch.exp(torch.linspace(0.0, -math.log(longest), half, device=values_N.device))
    angle_NH = values_N[:, None] * rate_H
    code_NX = torch.cat([angle_NH.sin(), angle_NH.cos()], dim=1)
    return F.pad(code_NX, (0, width - code_NX.shape[1]))


def length_mask(length_B: Tensor, count: int) -> Tensor:
    """`[B, count]` bool: places below each row's length."""
    return torch.arange(count, device=length_B.device) < length_B[:, None]
