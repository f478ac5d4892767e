"""Lang2Motion's network: a transformer that encodes tracks, and a decoder that displaces points.

Section 3.1 and 3.3 of the paper, not its released code, which differs (8 x 8 points, 45 frames, a
decoder without recursion). What the paper leaves open, or what would not work as printed:

- The first frame is the given grid `p_0`, and the decoder makes the T - 1 displacements after it:
  with `p_0` a frame before the first, one input would need two answers.
- The encoder reads the same features that eq. 8 aligns it with, and at search there may be no
  video: in training, half of the clips get zeros in place of overlays.
- Latents and sentences are normalised to length 1 before they are decoded: eq. 7 determines their
  direction only.
- Eq. 2 has no notion of time, and with teacher forcing the decoder never sees its own errors:
  scheduled sampling (Bengio et al., 2015) and an embedding of the frame's number are options.
- Eq. 6 sums over frames where eq. 4 and 5 average; `range_per_frame` averages.

Dimensions: B clips, T frames, N points, Z latent, D overlay feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.data.schema import Column
from raydance.errors import ConfigError
from raydance.nn import track_losses
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class TrackAutoencoderConfig:
    """Sizes, losses and options; the defaults are the paper's.

    Attributes:
        num_points, num_frames: N and T of every clip.
        latent: Z, that of the CLIP whose space is shared.
        layers, heads, feedforward, dropout: of the encoder.
        decoder_width: of the decoder's two hidden layers.
        decoder: `autoregressive` (eq. 2), or `direct`: all frames at once from the first.
        frame_index: whether the decoder gets the number of the frame.
        scheduled_sampling: share of the decoder's inputs that are its own outputs at the end of
            training; it rises from 0 in proportion to the training done.
        text_rollout: eq. 9 is taken of what the decoder makes alone, without teacher forcing.
        reconstruction: of eq. 4 and 9, `l1` or table 5's `mse`.
        hidden_weight: weight of hidden points in eq. 4 and 9.
        overlay_dropout: probability that a clip's overlays are dropped in training.
        range_per_frame: eq. 6 as a mean over frames.
    """

    enabled: bool = True
    num_points: int = 36
    num_frames: int = 30
    latent: int = 512
    layers: int = 4
    heads: int = 4
    feedforward: int = 1024
    dropout: float = 0.1
    decoder_width: int = 1024
    decoder: Literal["autoregressive", "direct"] = "autoregressive"
    frame_index: bool = False
    scheduled_sampling: float = 0.0
    text_rollout: bool = False
    reconstruction: Literal["l1", "mse"] = "l1"
    hidden_weight: float = 1.0
    overlay_dropout: float = 0.5
    velocity_weight: float = 0.01
    range_weight: float = 0.1
    range_per_frame: bool = False
    text_weight: float = 0.1
    image_weight: float = 0.1
    text_reconstruction_weight: float = 0.5
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=200, batch_size=32, lr=1e-4, weight_decay=0.01, patience=0
        )
    )

    def __post_init__(self) -> None:
        for name in ("overlay_dropout", "scheduled_sampling", "dropout"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"track_autoencoder.{name}: {value}; allowed: 0 to 1")
        for name in ("num_points", "layers", "heads"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(f"track_autoencoder.{name}: {value}; at least 1")
        if self.num_frames < 2:
            raise ConfigError(f"track_autoencoder.num_frames: {self.num_frames}; at least 2")
        if self.latent % self.heads:
            raise ConfigError(
                f"track_autoencoder.latent: {self.latent}; a multiple of heads ({self.heads})"
            )
        if self.hidden_weight < 0.0:
            raise ConfigError(f"track_autoencoder.hidden_weight: {self.hidden_weight}; at least 0")


class _Encoder(nn.Module):
    """Eq. 1: frames, overlays, positions and the prefix token through a transformer."""

    def __init__(self, config: TrackAutoencoderConfig, overlay_dim: int) -> None:
        super().__init__()
        self.points = nn.Linear(2 * config.num_points, config.latent)
        self.overlay = nn.Linear(overlay_dim, config.latent)
        self.prefix = nn.Parameter(0.02 * torch.randn(config.latent))
        self.position = nn.Parameter(0.02 * torch.randn(config.num_frames + 1, config.latent))
        layer = nn.TransformerEncoderLayer(
            config.latent,
            config.heads,
            config.feedforward,
            config.dropout,
            activation="gelu",
            batch_first=True,
        )
        self.transformer = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    def forward(self, track_BTN2: Tensor, feature_BTD: Tensor, seen_B: Tensor) -> Tensor:
        frame_BTZ = self.points(track_BTN2.flatten(2))
        frame_BTZ = frame_BTZ + self.overlay(feature_BTD) * seen_B[:, None, None]
        prefix_B1Z = self.prefix.expand(len(track_BTN2), 1, -1)
        token_BXZ = torch.cat([prefix_B1Z, frame_BTZ], dim=1)
        token_BXZ = token_BXZ + self.position[: token_BXZ.shape[1]]
        return self.transformer(token_BXZ)[:, 0]


class _Decoder(nn.Module):
    """Eq. 2's D: three linear layers from a latent and positions to displacements."""

    def __init__(self, config: TrackAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        points, frames, width = 2 * config.num_points, config.num_frames, config.decoder_width
        outputs = points * (frames - 1) if config.decoder == "direct" else points
        self.layers = nn.Sequential(
            nn.Linear(config.latent + points, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, outputs),
        )
        self.frame_index: nn.Embedding | None = None
        if config.frame_index:
            self.frame_index = nn.Embedding(frames - 1, config.latent)
            nn.init.zeros_(self.frame_index.weight)

    def displacement(self, latent_XZ: Tensor, before_XN2: Tensor, frame_X: Tensor) -> Tensor:
        """`[X, N, 2]` of the frames with these numbers, of which the first after the grid is 0."""
        if self.frame_index is not None:
            latent_XZ = latent_XZ + self.frame_index(frame_X)
        flat_XP = self.layers(torch.cat([latent_XZ, before_XN2.flatten(1)], dim=1))
        return flat_XP.unflatten(1, (self.config.num_points, 2))


class TrackAutoencoder(Stage):
    """Encoder and decoder of tracks in a CLIP's space.

    Args:
        overlay_dim: D, of the frozen features of overlay frames; of eq. 8 as well, so Z.
    """

    name: ClassVar[str] = "track_autoencoder"
    reads: ClassVar[tuple[str, ...]] = (
        "tracks",
        "visible",
        "text_embedding",
        "overlay_features",
        "has_overlay",
    )
    adds: ClassVar[tuple[Column, ...]] = (
        Column(
            name="track_latent",
            dtype="float32",
            dims=("Z",),
            meaning="the track in the CLIP's space, of length 1",
        ),
    )

    def __init__(self, config: TrackAutoencoderConfig, overlay_dim: int | None = None) -> None:
        super().__init__()
        self.config = config
        overlay_dim = config.latent if overlay_dim is None else overlay_dim
        if overlay_dim != config.latent:
            raise ConfigError(
                f"track_autoencoder.latent: {config.latent}; the CLIP has {overlay_dim} values"
            )
        self.encoder = _Encoder(config, overlay_dim)
        self.decoder = _Decoder(config)

    def encode(
        self,
        track_BTN2: Tensor,
        feature_BTD: Tensor | None = None,
        has_overlay_B: Tensor | None = None,
    ) -> Tensor:
        """Eq. 1: `z_p`, `[B, Z]`, of any length.

        Args:
            feature_BTD: CLIP's features of overlay frames; none where None.
            has_overlay_B: which clips have them; all where None.
        """
        if feature_BTD is None:
            shape = (*track_BTN2.shape[:2], self.config.latent)
            feature_BTD = track_BTN2.new_zeros(shape)
            has_overlay_B = torch.zeros(len(track_BTN2), dtype=torch.bool)
        elif has_overlay_B is None:
            has_overlay_B = torch.ones(len(track_BTN2), dtype=torch.bool)
        assert has_overlay_B is not None
        return self.encoder(track_BTN2, feature_BTD, has_overlay_B.to(track_BTN2))

    def decode(
        self,
        latent_BZ: Tensor,
        start_BN2: Tensor,
        teacher_BTN2: Tensor | None = None,
        forced: float = 1.0,
    ) -> Tensor:
        """Eq. 2: tracks `[B, T, N, 2]` whose first frame is the given one.

        Args:
            latent_BZ: of a track, a sentence or an image, of any length.
            start_BN2: `p_0`.
            teacher_BTN2: true tracks that the decoder goes on from in every frame; without them it
                goes on from its own. The direct decoder needs none.
            forced: share of the frames in which it does so.
        """
        config = self.config
        latent_BZ = F.normalize(latent_BZ, dim=1) * config.latent**0.5
        steps = config.num_frames - 1
        if config.decoder == "direct":
            inputs_BX = torch.cat([latent_BZ, start_BN2.flatten(1)], dim=1)
            moved_BXN2 = self.decoder.layers(inputs_BX).unflatten(1, (steps, config.num_points, 2))
            later_BXN2 = start_BN2[:, None] + moved_BXN2
            return torch.cat([start_BN2[:, None], later_BXN2], dim=1)
        if teacher_BTN2 is not None and forced >= 1.0:
            before_XN2 = teacher_BTN2[:, :-1].flatten(0, 1)
            latent_XZ = latent_BZ.repeat_interleave(steps, dim=0)
            frame_X = torch.arange(steps, device=latent_BZ.device).repeat(len(latent_BZ))
            moved_XN2 = self.decoder.displacement(latent_XZ, before_XN2, frame_X)
            later_BXN2 = (before_XN2 + moved_XN2).unflatten(0, (len(latent_BZ), steps))
            return torch.cat([start_BN2[:, None], later_BXN2], dim=1)
        frames = [start_BN2]
        for step in range(steps):
            before_BN2 = frames[-1]
            if teacher_BTN2 is not None:
                is_forced_B11 = torch.rand(len(latent_BZ), 1, 1, device=latent_BZ.device) < forced
                before_BN2 = torch.where(is_forced_B11, teacher_BTN2[:, step], before_BN2)
            frame_B = torch.full((len(latent_BZ),), step, device=latent_BZ.device)
            frames.append(before_BN2 + self.decoder.displacement(latent_BZ, before_BN2, frame_B))
        return torch.stack(frames, dim=1)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Latents, and tracks decoded from them and from sentences.

        Outside training also `rollout`: what the decoder makes of sentences alone.
        """
        config = self.config
        track_BTN2, text_BZ = batch["tracks"], batch["text_embedding"]
        seen_B = batch["has_overlay"].bool()
        if self.training:
            kept_B = torch.rand(len(track_BTN2), device=track_BTN2.device)
            seen_B = seen_B & (kept_B >= config.overlay_dropout)
        latent_BZ = self.encode(track_BTN2, batch["overlay_features"], seen_B)
        forced = 1.0 - config.scheduled_sampling * progress if self.training else 1.0
        start_BN2 = track_BTN2[:, 0]
        teacher = None if config.text_rollout else track_BTN2
        output = {
            "latent": latent_BZ,
            "tracks": self.decode(latent_BZ, start_BN2, track_BTN2, forced),
            "text_tracks": self.decode(text_BZ, start_BN2, teacher, forced),
        }
        if not self.training:
            output["rollout"] = self.decode(text_BZ, start_BN2)
        return output

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Section 3.3's sum of eq. 4 to 9; `rollout` (eq. 9 without a teacher) only tells."""
        config, track_BTN2 = self.config, batch["tracks"]
        weight_BTN = None
        if config.hidden_weight != 1.0:
            hidden = torch.full_like(track_BTN2[..., 0], config.hidden_weight)
            weight_BTN = torch.where(batch["visible"].bool(), torch.ones_like(hidden), hidden)

        def error(name: str) -> Tensor:
            is_squared = config.reconstruction == "mse"
            return track_losses.track_error(
                output[name], track_BTN2, weight_BTN, squared=is_squared
            )

        spread = track_losses.range_error(output["tracks"], track_BTN2)
        terms = {
            "reconstruction": error("tracks"),
            "velocity": track_losses.velocity_error(output["tracks"], track_BTN2),
            "range": spread / track_BTN2.shape[1] if config.range_per_frame else spread,
            "text": track_losses.text_alignment(output["latent"], batch["text_embedding"]),
            "image": track_losses.image_alignment(
                output["latent"], batch["overlay_features"], batch["has_overlay"]
            ),
            "text_reconstruction": error("text_tracks"),
        }
        terms["total"] = (
            terms["reconstruction"]
            + config.velocity_weight * terms["velocity"]
            + config.range_weight * terms["range"]
            + config.text_weight * terms["text"]
            + config.image_weight * terms["image"]
            + config.text_reconstruction_weight * terms["text_reconstruction"]
        )
        if "rollout" in output:
            terms["rollout"] = error("rollout")
        return terms

    def infer(self, batch: Batch) -> dict[str, Tensor]:
        """The latent of each track, with its overlays where it has them."""
        latent_BZ = self.encode(batch["tracks"], batch["overlay_features"], batch["has_overlay"])
        return {"track_latent": F.normalize(latent_BZ, dim=1)}
