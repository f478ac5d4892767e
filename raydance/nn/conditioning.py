"""Everything2Motion's conditioning: input adapters and the query-aware encoder, from inputs to
latents.

Eq. 2-9. Deviations from the printed equations: queries come from the latents and keys and values
from the input (eq. 8 says both Q and K come from the latents, which cannot be); the GRU of eq. 4
stands
at the end of both adapters and can be switched off. Every parameter takes part in every batch, so
that ranks may have different modalities: inputs that a row lacks are masked.

Inputs are text and signals, values of each frame of the motion: music, and what else a run has.

Dimensions: B rows, L tokens of text, T frames, F values of a signal, G genres, S tokens of an
input, Q latent queries, D their width, W width of an input's adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.nn.attention import CrossBlock, SelfBlock, length_mask, positions
from raydance.nn.convolutions import ResidualConv

NUM_GENRES = 10
_TYPE_WIDTH = 5


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """One input's adapter and latent queries.

    Attributes:
        width: W of the adapter's transformer.
        layers: of that transformer (paper: 2).
        gru: a bidirectional GRU at the end (eq. 4).
        latents, latent_width: Q and D (paper: 128 x 128 of text, 256 x 128 of music).
        self_layers, cross_layers: of the query-aware encoder (paper: 4 and 2 for text, 2 and 1 for
            music).
    """

    width: int = 128
    layers: int = 2
    gru: bool = True
    latents: int = 128
    latent_width: int = 128
    self_layers: int = 4
    cross_layers: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("width", "latent_width"):
            if getattr(self, name) % 8:
                raise ConfigError(f"{name}: {getattr(self, name)}; a multiple of 8 is needed")
        if min(self.latents, self.cross_layers, self.layers) < 1:
            raise ConfigError("latents, layers and cross_layers: at least 1")


@dataclass(frozen=True, kw_only=True)
class ConditioningConfig:
    """Adapters of the inputs.

    Attributes:
        music: of music, and of every further signal.
        stride: frames of motion for each token of a signal; the paper's is 1.
    """

    text: AdapterConfig = field(default_factory=AdapterConfig)
    music: AdapterConfig = field(
        default_factory=lambda: AdapterConfig(latents=256, self_layers=2, cross_layers=1)
    )
    stride: int = 1


class TextAdapter(nn.Module):
    """Token features of a frozen encoder -> transformer -> linear (eq. 2), and the GRU."""

    def __init__(self, config: AdapterConfig, token_width: int) -> None:
        super().__init__()
        width = config.width
        self.input = nn.Linear(token_width, width)
        self.blocks = nn.ModuleList(
            SelfBlock(width, dropout=config.dropout) for _ in range(config.layers)
        )
        self.output = nn.Linear(width, width)
        self.gru = _gru(width) if config.gru else None

    def forward(self, tokens_BLE: Tensor, mask_BL: Tensor) -> Tensor:
        hidden_BLW = self.input(tokens_BLE)
        hidden_BLW = hidden_BLW + positions(hidden_BLW.shape[1], hidden_BLW.shape[2]).to(hidden_BLW)
        for block in self.blocks:
            hidden_BLW = block(hidden_BLW, mask_BL)
        return _through(self.gru, self.output(hidden_BLW), mask_BL)


class SignalAdapter(nn.Module):
    """Values of each frame and the type of dance -> residual convolutions -> transformer (eq. 3).

    Args:
        features: F.
    """

    def __init__(self, config: AdapterConfig, features: int, stride: int) -> None:
        super().__init__()
        width = config.width
        self.stride = stride
        self.dance_type = nn.Linear(NUM_GENRES, _TYPE_WIDTH)
        self.input = nn.Linear(features + _TYPE_WIDTH, width)
        self.convs = nn.ModuleList(ResidualConv(width) for _ in range(3))
        self.blocks = nn.ModuleList(
            SelfBlock(width, dropout=config.dropout) for _ in range(config.layers)
        )
        self.gru = _gru(width) if config.gru else None

    def forward(
        self, values_BTF: Tensor, genre_B: Tensor, mask_BT: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens `[B, S, W]` and their mask, and hidden values of each frame, `[B, T, W]`."""
        known_BG = F.one_hot(genre_B.clamp(min=0), NUM_GENRES) * (genre_B >= 0)[:, None]
        kind_BTX = self.dance_type(known_BG.to(values_BTF.dtype))[:, None].expand(
            -1, values_BTF.shape[1], -1
        )
        hidden_BWT = self.input(torch.cat([values_BTF, kind_BTX], dim=-1)).transpose(1, 2)
        mask_B1T = mask_BT[:, None].to(hidden_BWT.dtype)
        hidden_BWT = hidden_BWT * mask_B1T
        for conv in self.convs:
            hidden_BWT = conv(hidden_BWT, mask_B1T)
        frames_BTW = hidden_BWT.transpose(1, 2)
        tokens_BSW, mask_BS = frames_BTW, mask_BT
        if self.stride > 1:
            pooled_BWS = F.avg_pool1d(hidden_BWT, self.stride, ceil_mode=True)
            tokens_BSW, mask_BS = pooled_BWS.transpose(1, 2), mask_BT[:, :: self.stride]
        code_SW = positions(tokens_BSW.shape[1], tokens_BSW.shape[2]).to(tokens_BSW)
        tokens_BSW = tokens_BSW + code_SW
        for block in self.blocks:
            tokens_BSW = block(tokens_BSW, mask_BS)
        return _through(self.gru, tokens_BSW, mask_BS), mask_BS, frames_BTW


ADAPTERS: dict[str, Callable[[AdapterConfig, int, int], nn.Module]] = {"music": SignalAdapter}
"""Signal -> network of its own, called as `SignalAdapter` is; that itself where none is named."""


def _gru(width: int) -> nn.GRU:
    return nn.GRU(width, width // 2, batch_first=True, bidirectional=True)


def _through(gru: nn.GRU | None, hidden_BSW: Tensor, mask_BS: Tensor) -> Tensor:
    """The GRU's output, read backwards from each row's own last token."""
    if gru is None:
        return hidden_BSW
    # Packed rows need at least one token; those of rows without any are masked later.
    length_B = mask_BS.sum(dim=1).clamp(min=1)
    packed = nn.utils.rnn.pack_padded_sequence(
        hidden_BSW, length_B.cpu(), batch_first=True, enforce_sorted=False
    )
    out_BSW, _ = nn.utils.rnn.pad_packed_sequence(
        gru(packed)[0], batch_first=True, total_length=hidden_BSW.shape[1]
    )
    return out_BSW


class QueryEncoder(nn.Module):
    """Eq. 8-9: learned latents ask the input (cross-attention), then one another."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        width = config.latent_width
        self.latents = nn.Parameter(torch.randn(config.latents, width) * width**-0.5)
        self.cross = nn.ModuleList(
            CrossBlock(width, config.width, dropout=config.dropout)
            for _ in range(config.cross_layers)
        )
        self.own = nn.ModuleList(
            SelfBlock(width, dropout=config.dropout) for _ in range(config.self_layers)
        )

    def forward(self, tokens_BSW: Tensor, mask_BS: Tensor) -> Tensor:
        """Latents `[B, Q, D]`."""
        code_QD = positions(*self.latents.shape).to(self.latents)
        latent_BQD = (self.latents + code_QD).expand(len(tokens_BSW), -1, -1)
        for cross in self.cross:
            latent_BQD = cross(latent_BQD, tokens_BSW, mask_BS)
        for block in self.own:
            latent_BQD = block(latent_BQD)
        return latent_BQD


class Conditioning(nn.Module):
    """All inputs as one set of latents.

    Args:
        token_width: of text tokens.
        signals: F of each signal by its name.
        width: W of what it gives.
        is_literal: only the paper's latents; otherwise also a vector per row, from the mean of the
            tokens, and values of each frame from the signals.
    """

    def __init__(
        self,
        config: ConditioningConfig,
        token_width: int,
        signals: Mapping[str, int],
        width: int,
        *,
        is_literal: bool = False,
    ) -> None:
        super().__init__()
        self.signals = tuple(signals)
        self.width = config.music.width  # of each frame's values of a signal
        self.text = TextAdapter(config.text, token_width)
        # By the names of the inputs, as in `music`, `music_encoder` and `music_output`.
        for name, features in signals.items():
            if hasattr(self, name):
                raise ConfigError(f"signal {name!r}: networks have an attribute of that name")
            build = ADAPTERS.get(name, SignalAdapter)
            self.add_module(name, build(config.music, features, config.stride))
        self.text_encoder = QueryEncoder(config.text)
        for name in signals:
            self.add_module(f"{name}_encoder", QueryEncoder(config.music))
        self.text_output = nn.Linear(config.text.latent_width, width)
        for name in signals:
            self.add_module(f"{name}_output", nn.Linear(config.music.latent_width, width))
        self.is_literal = is_literal
        if is_literal:
            return
        self.pooled = nn.Linear(token_width, width)
        self.frames = nn.Linear(config.music.width * len(signals), width)
        for name in ("text", *signals):
            self.register_parameter(f"no_{name}", nn.Parameter(torch.zeros(width)))

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latents and further values that condition a generator.

        Args:
            batch: `text_tokens [B, L, E]`, `text_mask [B, L]`, `has_text [B]`, `genre [B]`,
                `length [B]`, and of each signal `NAME [B, T, F]` and `has_NAME [B]`.

        Returns:
            Latents `[B, Q, W]` and their mask; a vector per row, `[B, W]`; values of each frame
            from the signals, `[B, T, W]`. The last two are zero with `is_literal`.
        """
        has_text_B = batch["has_text"]
        text_mask_BL = batch["text_mask"] & has_text_B[:, None]
        longest = max(1, int(text_mask_BL.sum(dim=1).max()))
        text_mask_BL = text_mask_BL[:, :longest]
        tokens_BLE = batch["text_tokens"][:, :longest].float()
        latents = [self._text_latents(tokens_BLE, text_mask_BL)]
        present = [has_text_B]
        frames: list[Tensor] = []
        masks: list[Tensor] = []
        for name in self.signals:
            latents_BQW, frames_BTX, mask_BT = self._signal(name, batch)
            latents.append(latents_BQW.expand(len(has_text_B), -1, -1))
            present.append(batch[f"has_{name}"])
            frames.append(frames_BTX)
            masks.append(mask_BT)
        latents_BQW = torch.cat(latents, dim=1)
        mask_BQ = torch.cat(
            [has_B[:, None].expand(-1, part.shape[1]) for has_B, part in zip(present, latents)],
            dim=1,
        )
        if self.is_literal:
            zeros_BW = torch.zeros_like(latents_BQW[:, 0])
            return latents_BQW, mask_BQ, zeros_BW, zeros_BW[:, None]
        count_BL1 = text_mask_BL[..., None].to(tokens_BLE.dtype)
        mean_BE = (tokens_BLE * count_BL1).sum(dim=1) / count_BL1.sum(dim=1).clamp(min=1)
        no_text_W = self.get_parameter("no_text")
        one_BW = torch.where(has_text_B[:, None], self.pooled(mean_BE), no_text_W)
        for name, has_B in zip(self.signals, present[1:]):
            absent_W = self.get_parameter(f"no_{name}")
            one_BW = one_BW + torch.where(has_B[:, None], torch.zeros_like(one_BW), absent_W)
        masks_BT1 = _alike([mask_BT[..., None] for mask_BT in masks])
        heard_BTX = torch.cat([x * m for x, m in zip(_alike(frames), masks_BT1)], dim=-1)
        frames_BTW = self.frames(heard_BTX) * torch.stack(masks_BT1).any(dim=0)
        return latents_BQW, mask_BQ, one_BW, frames_BTW.expand(len(has_text_B), -1, -1)

    def _text_latents(self, tokens_BLE: Tensor, mask_BL: Tensor) -> Tensor:
        """Latents `[B, Q, W]`; one that nobody attends to where no row has text."""
        if not self.training and not bool(mask_BL.any()):
            return tokens_BLE.new_zeros(len(tokens_BLE), 1, self.text_output.out_features)
        text_BLW = self.text(tokens_BLE, mask_BL)
        latents_BQW: Tensor = self.text_output(self.text_encoder(text_BLW, mask_BL))
        return latents_BQW

    def _signal(self, name: str, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Latents `[B, Q, W]`, values of frames `[B, T, X]`, and which of these count, `[B, T]`."""
        has_B = batch[f"has_{name}"]
        # One row stands for all where none has it: its parameters then still get gradients.
        kept = slice(None) if bool(has_B.any()) else slice(0, 1)
        values_BTF = batch[name][kept]
        mask_BT = length_mask(batch["length"][kept], values_BTF.shape[1]) & has_B[kept, None]
        output = cast(nn.Linear, self.get_submodule(f"{name}_output"))
        if not self.training and not bool(has_B.any()):
            # Nobody attends to it.
            frames_1TX = values_BTF.new_zeros(*mask_BT.shape, self.width)
            return values_BTF.new_zeros(1, 0, output.out_features), frames_1TX, mask_BT
        tokens_BSW, mask_BS, frames_BTX = self.get_submodule(name)(
            values_BTF, batch["genre"][kept], mask_BT
        )
        latents_BQX = self.get_submodule(f"{name}_encoder")(tokens_BSW, mask_BS)
        return output(latents_BQX), frames_BTX, mask_BT


def _alike(parts: Sequence[Tensor]) -> list[Tensor]:
    """`[B, T, X]` of signals, all of as many rows and frames: zero after the end of each."""
    size, length = (max(part.shape[i] for part in parts) for i in range(2))
    padded = [F.pad(part, (0, 0, 0, length - part.shape[1])) for part in parts]
    return [part.expand(size, -1, -1) for part in padded]
