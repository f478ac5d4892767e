"""Rows of 2-D tracks as networks read them: flipped, moved and scaled a little. No torch.

Dimensions: N rows, T frames, P points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from raydance.errors import ConfigError
from raydance.motion import augment


@dataclass(frozen=True, kw_only=True)
class TrackNoise:
    """Fresh noise for each row and epoch.

    Attributes:
        flip: probability that left and right are exchanged, in words too.
        shift: most that the whole track moves, in halves of the frame.
        scale: most that it grows or shrinks about its first centre, as a share.
    """

    enabled: bool = True
    flip: float = 0.5
    shift: float = 0.05
    scale: float = 0.1

    def __post_init__(self) -> None:
        for name in ("flip", "shift", "scale"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"noise.{name}: {getattr(self, name)}; allowed: 0 to 1")


@dataclass(frozen=True, kw_only=True)
class TrackRows:
    """How stored rows of tracks become the batch columns `tracks` and `visible`."""

    noise: TrackNoise = TrackNoise()

    reads: ClassVar[tuple[str, ...]] = ("tracks", "visible")
    gives: ClassVar[tuple[str, ...]] = ("tracks", "visible")

    @property
    def augments(self) -> bool:
        """Whether training rows get noise."""
        return self.noise.enabled

    def mirror_flags(self, keys: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
        """`[N]` bool: rows that `training` flips."""
        if not self.noise.enabled:
            return np.zeros(len(keys), dtype=bool)
        return augment.uniforms(keys, seed=seed, epoch=epoch, stream=41) < self.noise.flip

    def training(
        self, rows: Mapping[str, Any], keys: np.ndarray, *, seed: int, epoch: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Augmented batch columns, and which rows were flipped, `[N]` bool."""
        tracks = np.array(rows["tracks"], dtype=np.float32)
        mirrored = self.mirror_flags(keys, seed=seed, epoch=epoch)
        tracks[mirrored, ..., 0] *= -1.0
        draws = [
            2.0 * augment.uniforms(keys, seed=seed, epoch=epoch, stream=stream) - 1.0
            for stream in (43, 47, 53)
        ]
        centre = tracks[:, :1].mean(axis=2, keepdims=True)
        factor = 1.0 + self.noise.scale * draws[0]
        shift = self.noise.shift * np.stack(draws[1:], axis=-1)
        moved = centre + (tracks - centre) * factor[:, None, None, None] + shift[:, None, None]
        columns = {"tracks": moved.astype(np.float32), "visible": np.asarray(rows["visible"])}
        return columns, mirrored

    def plain(self, rows: Mapping[str, Any], *, mirrored: bool = False) -> dict[str, np.ndarray]:
        """Batch columns without noise."""
        tracks = np.array(rows["tracks"], dtype=np.float32)
        if mirrored:
            tracks[..., 0] *= -1.0
        return {"tracks": tracks, "visible": np.asarray(rows["visible"])}
