"""A contrastive space of tracks and sentences, for search in both directions.

Not from the paper, which has a cosine loss without negatives (eq. 7). A few thousand sentences with
one track each are overfitted within minutes. So networks are small, read summary features of a
track (place, size, speed, roughness, edges, visibility), and are trained with dropout, weight decay
and jitter of time, size and place. Several pairs of them make the space: a point is their points
one after the other, so that a cosine is the mean of theirs. Equal or nearly equal sentences are
positives of each other's tracks.

In training, batches pair mirrored tracks with mirrored sentences.

Dimensions: B clips, T frames, N points, D sentence embedding, L tokens, S segments of time,
F values of a frame, X summary, W width, M pairs of networks, Z space, P path words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.data.schema import Column
from raydance.errors import ConfigError
from raydance.nn import losses
from raydance.stages.base import Batch, Stage, TrainConfig

FRAME_VALUES: Final = 15
_SEGMENTS: Final = 8
_HEADS, _HEAD_WIDTH = 4, 64


@dataclass(frozen=True, kw_only=True)
class TrackTextSpaceConfig:
    """Sizes, the softmax, and regularisation.

    Attributes:
        members: M, pairs of networks.
        width, outputs: of each network.
        dropout: inside both networks.
        text_dropout: share of a sentence's values that is zeroed in training.
        token_features: whether the sentence's tokens are read too, by attention, if batches have
            them.
        token_dropout: share of tokens that is dropped in training.
        temperature: of the softmax over cosine similarities.
        alike_sentences: sentences whose embeddings have at least this cosine, and whose words
            describe the same path, are positives of each other.
        crop: largest share of a track's time that is cropped at each end in training.
        scale_jitter, shift_jitter: standard deviations of the logarithm of a scale and of a shift,
            normalised units.
    """

    enabled: bool = True
    members: int = 4
    width: int = 256
    outputs: int = 64
    dropout: float = 0.3
    text_dropout: float = 0.2
    token_features: bool = False
    token_dropout: float = 0.1
    temperature: float = 0.1
    alike_sentences: float = 0.93
    crop: float = 0.15
    scale_jitter: float = 0.08
    shift_jitter: float = 0.04
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=60,
            min_steps=1300,
            lr=1e-3,
            schedule="onecycle",
            batch_size=256,
            weight_decay=0.1,
            patience=0,
        )
    )

    def __post_init__(self) -> None:
        for name in ("dropout", "text_dropout", "token_dropout"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise ConfigError(f"track_text_space.{name}: {value}; from 0 up to but without 1")
        if not 1 <= self.members <= 32:
            raise ConfigError(f"track_text_space.members: {self.members}; allowed: 1 to 32")
        if self.temperature <= 0.0:
            raise ConfigError(f"track_text_space.temperature: {self.temperature}; above 0")
        if not 0.0 <= self.crop < 0.5:
            raise ConfigError(f"track_text_space.crop: {self.crop}; from 0 up to but without 0.5")
        for name in ("scale_jitter", "shift_jitter"):
            value = getattr(self, name)
            if value < 0.0:
                raise ConfigError(f"track_text_space.{name}: {value}; at least 0")


def frame_values(track_BTN2: Tensor, visible_BTN: Tensor) -> Tensor:
    """`[B, T, F]`: centre, log size, their changes, how points bend the box, edges, share hidden.

    Changes are ten-fold, so that those of ordinary tracks are of order one.
    """
    low_BT2, high_BT2 = track_BTN2.amin(dim=2), track_BTN2.amax(dim=2)
    centre_BT2 = 0.5 * (low_BT2 + high_BT2)
    log_BT2 = (high_BT2 - low_BT2).clamp_min(0.01).log()
    lean_BT2 = track_BTN2.mean(dim=2) - centre_BT2

    def change(value_BT2: Tensor) -> Tensor:
        return 10.0 * F.pad(value_BT2.diff(dim=1), (0, 0, 1, 0))

    edge_BT4 = torch.cat([low_BT2 < -0.95, high_BT2 > 0.95], dim=2).to(centre_BT2)
    hidden_BT1 = 1.0 - visible_BTN.to(centre_BT2).mean(dim=2, keepdim=True)
    parts = [centre_BT2, log_BT2, change(centre_BT2), change(log_BT2), lean_BT2, edge_BT4]
    return torch.cat([*parts, hidden_BT1], dim=2)


def summary(value_BTF: Tensor) -> Tensor:
    """`[B, X]` of frame values: means, deviations, what changed, roughness, start, aspect, and the
    means over segments of time."""
    moves_BTF = value_BTF[..., :4]
    log_BT2 = value_BTF[..., 2:4]
    segments_BFS = F.adaptive_avg_pool1d(value_BTF.transpose(1, 2), _SEGMENTS)
    return torch.cat(
        [
            value_BTF.mean(dim=1),
            3.0 * moves_BTF.std(dim=1),
            moves_BTF[:, -1] - moves_BTF[:, 0],
            value_BTF[..., 4:8].abs().mean(dim=1),
            moves_BTF[:, 0],
            log_BT2[..., :1].mean(dim=1) - log_BT2[..., 1:].mean(dim=1),
            segments_BFS.flatten(1),
        ],
        dim=1,
    )


SUMMARY_VALUES: Final = FRAME_VALUES * (1 + _SEGMENTS) + 4 * 4 + 1


class _TextHead(nn.Module):
    """A sentence, what its words say of the path, and its tokens, to a point."""

    def __init__(
        self, config: TrackTextSpaceConfig, text_dim: int, token_dim: int, path_dim: int
    ) -> None:
        super().__init__()
        self.config = config
        inputs = text_dim + path_dim
        self.query: nn.Parameter | None = None
        if config.token_features:
            self.query = nn.Parameter(0.1 * torch.randn(_HEADS, _HEAD_WIDTH))
            self.key = nn.Linear(token_dim, _HEAD_WIDTH)
            self.value = nn.Linear(token_dim, _HEAD_WIDTH)
            inputs += _HEADS * _HEAD_WIDTH
        self.layers = nn.Sequential(
            nn.Linear(inputs, config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, config.outputs),
        )

    def forward(self, batch: Batch) -> Tensor:
        config = self.config
        text_BD = F.normalize(batch["text_embedding"], dim=1)
        text_BD = text_BD * (0.4 * text_BD.shape[1] ** 0.5)
        parts = [
            F.dropout(text_BD, config.text_dropout, self.training),
            2.0 * batch["text_path"],
        ]
        if self.query is not None:
            token_BLD = F.dropout(batch["text_tokens"], config.text_dropout, self.training)
            kept_BL = batch["text_mask"].bool()
            if self.training:
                drawn_BL = torch.rand(kept_BL.shape, device=kept_BL.device)
                kept_BL = kept_BL & (drawn_BL >= config.token_dropout)
                kept_BL[:, 0] = batch["text_mask"][:, 0].bool()
            score_BHL = torch.einsum("blw,hw->bhl", self.key(token_BLD), self.query)
            score_BHL = (score_BHL * _HEAD_WIDTH**-0.5).masked_fill(~kept_BL[:, None], -1e4)
            parts.append((score_BHL.softmax(dim=2) @ self.value(token_BLD)).flatten(1))
        return self.layers(torch.cat(parts, dim=1))


def _track_head(config: TrackTextSpaceConfig) -> nn.Sequential:
    """The summary of a track to a point."""
    width = config.width
    return nn.Sequential(
        nn.Linear(SUMMARY_VALUES, width),
        nn.LayerNorm(width),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(width, config.outputs),
    )


def _joined(points: Sequence[Tensor]) -> Tensor:
    """Points of length 1 of which the cosine is the mean of each network's cosine, `[B, Z]`."""
    units = [F.normalize(point_BX, dim=1) for point_BX in points]
    return torch.cat(units, dim=1) * len(units) ** -0.5


class TrackTextSpace(Stage):
    """Pairs of small networks into one space.

    Args:
        text_dim, path_dim, token_dim: D, P, and the values of a token.
    """

    name: ClassVar[str] = "track_text_space"
    reads: ClassVar[tuple[str, ...]] = ("tracks", "visible", "text_embedding", "text_path")
    adds: ClassVar[tuple[Column, ...]] = (
        Column(
            name="track_embedding",
            dtype="float32",
            dims=("Z",),
            meaning="point in the space of tracks and sentences, of length 1",
            is_mirrored=True,
        ),
        Column(
            name="track_text_projection",
            dtype="float32",
            dims=("Z",),
            meaning="point in the space of tracks and sentences, of length 1",
            key="text",
        ),
    )

    def __init__(
        self,
        config: TrackTextSpaceConfig,
        text_dim: int,
        *,
        path_dim: int = 3,
        token_dim: int = 384,
    ) -> None:
        super().__init__()
        self.config = config
        # Of the inputs' own statistics, as the track's values differ much in size.
        self.norm = nn.BatchNorm1d(SUMMARY_VALUES, affine=False)
        members = range(config.members)
        self.track_heads = nn.ModuleList(_track_head(config) for _ in members)
        self.text_heads = nn.ModuleList(
            _TextHead(config, text_dim, token_dim, path_dim) for _ in members
        )

    @classmethod
    def columns_read(cls, config: TrackTextSpaceConfig) -> tuple[str, ...]:
        return (*cls.reads, *(("text_tokens", "text_mask") if config.token_features else ()))

    def project_tracks(self, batch: Batch) -> Tensor:
        """Points `[B, Z]` of length 1."""
        values_BTF = frame_values(batch["tracks"], batch["visible"])
        value_BX = self.norm(summary(values_BTF))
        return _joined([head(value_BX) for head in self.track_heads])

    def project_text(self, batch: Batch) -> Tensor:
        """Points `[B, Z]` of length 1."""
        return _joined([head(batch) for head in self.text_heads])

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Points of both; in training, tracks are jittered first."""
        text_BZ = self.project_text(batch)
        if self.training:
            track_BTN2, visible_BTN = self._changed(batch["tracks"], batch["visible"])
            batch = {**batch, "tracks": track_BTN2, "visible": visible_BTN}
        return {"tracks": self.project_tracks(batch), "text": text_BZ}

    def _changed(self, track_BTN2: Tensor, visible_BTN: Tensor) -> tuple[Tensor, Tensor]:
        """Tracks cropped in time, scaled and shifted at random."""
        config, device = self.config, track_BTN2.device
        size, frames = track_BTN2.shape[:2]

        def uniform(*shape: int) -> Tensor:
            return torch.rand(size, *shape, device=device)

        cut_B2 = config.crop * uniform(2) * (uniform(2) < 0.5)
        first_B1, last_B1 = cut_B2[:, :1], 1.0 - cut_B2[:, 1:]
        share_T = torch.linspace(0.0, 1.0, frames, device=device)
        time_BT = (first_B1 + (last_B1 - first_B1) * share_T) * (frames - 1)
        before_BT = time_BT.long().clamp_max(max(0, frames - 2))
        part_BT11 = (time_BT - before_BT)[:, :, None, None]
        row_B1 = torch.arange(size, device=device)[:, None]
        after_BT = (before_BT + 1).clamp_max(frames - 1)
        moved = torch.lerp(track_BTN2[row_B1, before_BT], track_BTN2[row_B1, after_BT], part_BT11)
        scale = (config.scale_jitter * torch.randn(size, 1, 1, 1, device=device)).exp()
        shift = config.shift_jitter * torch.randn(size, 1, 1, 2, device=device)
        return moved * scale + shift, visible_BTN[row_B1, before_BT]

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Mean InfoNCE of the pairs of networks, with several positives; `top1` is the share of
        tracks whose nearest sentence is one."""
        track_BZ, text_BZ = output["tracks"], output["text"]
        right_BB = alike(batch["text_embedding"], batch["text_path"], self.config.alike_sentences)
        members, temperature = self.config.members, self.config.temperature
        own = [
            losses.info_nce(members * one_BX @ other_BX.T / temperature, right_BB)
            for one_BX, other_BX in zip(track_BZ.chunk(members, 1), text_BZ.chunk(members, 1))
        ]
        cosine_BB = track_BZ @ text_BZ.T
        hit_B = right_BB.gather(1, cosine_BB.detach().argmax(dim=1, keepdim=True))
        nearest_BK = cosine_BB.detach().T.topk(min(10, len(cosine_BB)), dim=1).indices
        return {
            "total": torch.stack(own).mean(),
            "top1": hit_B.float().mean(),
            "top10": right_BB.T.gather(1, nearest_BK).any(dim=1).float().mean(),
            "track_spread": losses.embedding_spread(track_BZ),
            "text_spread": losses.embedding_spread(text_BZ),
        }

    def infer(self, batch: Batch) -> dict[str, Tensor]:
        return {"track_embedding": self.project_tracks(batch)}

    def infer_captions(self, batch: Batch) -> dict[str, Tensor]:
        return {"track_text_projection": self.project_text(batch)}

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        return [
            f"track_text_space: the {kind} points hardly differ (spread {spread:.4f})"
            for kind in ("track", "text")
            if (spread := metrics[f"{kind}_spread"]) < 0.005
        ]


def alike(text_BD: Tensor, path_BP: Tensor, least_cosine: float) -> Tensor:
    """`[B, B]` bool: sentences that are positives of each other's tracks, each of its own."""
    unit_BD = F.normalize(text_BD, dim=1)
    same_path_BB = (path_BP[:, None] == path_BP[None, :]).all(dim=2)
    own_BB = torch.eye(len(text_BD), dtype=torch.bool, device=text_BD.device)
    return ((unit_BD @ unit_BD.T >= least_cosine) & same_path_BB) | own_BB
