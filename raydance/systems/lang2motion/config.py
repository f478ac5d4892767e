"""The configuration of Lang2Motion, and the presets that change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from raydance.errors import ConfigError
from raydance.stages.small_clip import SmallClipConfig
from raydance.stages.track_autoencoder import TrackAutoencoderConfig
from raydance.stages.track_flow import TrackFlowConfig
from raydance.stages.track_path import TrackPathConfig
from raydance.stages.track_text_space import TrackTextSpaceConfig
from raydance.systems.text_step import TextsConfig
from raydance.text.clip import ClipConfig
from raydance.tracks.overlay_rows import OverlaysConfig
from raydance.tracks.rows import TrackNoise


@dataclass(frozen=True, kw_only=True)
class Lang2MotionConfig:
    """Everything that a run depends on besides its data.

    Attributes:
        head: what makes tracks and the space that they share with words: `flow`, with a text
            encoder and a space of its own (by default), or the paper's `autoencoder` in a CLIP's.
        clip: the frozen CLIP of the autoencoder.
        small_clip: one that is trained here and takes its place.
        noise: of training tracks; flips go with the words.
        basis_tracks: training tracks that the basis is fitted to, at most.
    """

    seed: int = 0
    head: Literal["flow", "autoencoder"] = "flow"
    noise: TrackNoise = TrackNoise(shift=0.0, scale=0.0)
    basis_tracks: int = 20_000
    texts: TextsConfig = TextsConfig(tokens=32)
    track_text_space: TrackTextSpaceConfig = field(default_factory=TrackTextSpaceConfig)
    track_path: TrackPathConfig = field(default_factory=TrackPathConfig)
    track_flow: TrackFlowConfig = field(default_factory=TrackFlowConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    small_clip: SmallClipConfig = field(default_factory=lambda: SmallClipConfig(enabled=False))
    overlays: OverlaysConfig = field(default_factory=OverlaysConfig)
    track_autoencoder: TrackAutoencoderConfig = field(default_factory=TrackAutoencoderConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed: {self.seed}; allowed: 0 to {2**31 - 1}")
        if self.basis_tracks < 3:
            raise ConfigError(f"basis_tracks: {self.basis_tracks}; at least 3")


_PAPER: Final[dict[str, Any]] = {"head": "autoencoder", "overlays": {"size": 224}}

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "paper": _PAPER,
    "paper-offline": _PAPER | {"small_clip": {"enabled": True}, "overlays": {"size": 64}},
    "quick": {
        "track_text_space": {"train": {"epochs": 20}},
        "track_path": {"train": {"epochs": 8}},
        "track_flow": {"train": {"epochs": 25}},
    },
}
"""Named changes to the configuration's defaults. `paper-offline` is the paper's with a small CLIP
that is trained on the overlays and sentences, for machines that reach no hub."""
