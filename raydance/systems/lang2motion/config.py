"""The configuration of Lang2Motion, and the presets that change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from raydance.errors import ConfigError
from raydance.stages.track_flow import TrackFlowConfig
from raydance.stages.track_path import TrackPathConfig
from raydance.stages.track_text_space import TrackTextSpaceConfig
from raydance.systems.text_step import TextsConfig
from raydance.tracks.rows import TrackNoise


@dataclass(frozen=True, kw_only=True)
class Lang2MotionConfig:
    """Everything that a run depends on besides its data.

    Attributes:
        noise: of training tracks; flips go with the words.
        basis_tracks: training tracks that the basis is fitted to, at most.
    """

    seed: int = 0
    noise: TrackNoise = TrackNoise(shift=0.0, scale=0.0)
    basis_tracks: int = 20_000
    texts: TextsConfig = field(default_factory=TextsConfig)
    track_text_space: TrackTextSpaceConfig = field(default_factory=TrackTextSpaceConfig)
    track_path: TrackPathConfig = field(default_factory=TrackPathConfig)
    track_flow: TrackFlowConfig = field(default_factory=TrackFlowConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed: {self.seed}; allowed: 0 to {2**31 - 1}")
        if self.basis_tracks < 3:
            raise ConfigError(f"basis_tracks: {self.basis_tracks}; at least 3")


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "quick": {
        "track_text_space": {"train": {"epochs": 20}},
        "track_path": {"train": {"epochs": 8}},
        "track_flow": {"train": {"epochs": 25}},
    },
}
"""Named changes to the configuration's defaults."""
