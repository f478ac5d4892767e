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
    """How stored rows of tracks become the batch columns `tracks` and `visible`.

    Attributes:
        grid_side: points per row where the points are a grid, whose columns a flip exchanges, so
            that the first point stays the left one; 0 where they are none.
    """

    noise: TrackNoise = TrackNoise()
    grid_side: int = 0

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
        visible = np.array(rows["visible"])
        mirrored = self.mirror_flags(keys, seed=seed, epoch=epoch)
        tracks[mirrored], visible[mirrored] = flipped(
            tracks[mirrored], visible[mirrored], self.grid_side
        )
        draws = [
            2.0 * augment.uniforms(keys, seed=seed, epoch=epoch, stream=stream) - 1.0
            for stream in (43, 47, 53)
        ]
        centre = tracks[:, :1].mean(axis=2, keepdims=True)
        factor = 1.0 + self.noise.scale * draws[0]
        shift = self.noise.shift * np.stack(draws[1:], axis=-1)
        moved = centre + (tracks - centre) * factor[:, None, None, None] + shift[:, None, None]
        columns = {"tracks": moved.astype(np.float32), "visible": visible}
        return columns, mirrored

    def plain(self, rows: Mapping[str, Any], *, mirrored: bool = False) -> dict[str, np.ndarray]:
        """Batch columns without noise."""
        tracks, visible = np.array(rows["tracks"], dtype=np.float32), np.asarray(rows["visible"])
        if mirrored:
            tracks, visible = flipped(tracks, visible, self.grid_side)
        return {"tracks": tracks, "visible": visible}


def flipped(
    tracks: np.ndarray, visible: np.ndarray, grid_side: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Tracks `[N, T, P, 2]` and visibility `[N, T, P]` with left and right exchanged."""
    order = np.arange(tracks.shape[2])
    if grid_side:
        order = order.reshape(-1, grid_side)[:, ::-1].reshape(-1)
    return tracks[:, :, order] * np.array([-1.0, 1.0], dtype=np.float32), visible[:, :, order]


def grid_side_of(tracks: np.ndarray) -> int:
    """Points per row where nearly all tracks `[N, T, P, 2]` start as an upright grid, else 0."""
    side = round(tracks.shape[2] ** 0.5)
    if side < 2 or side * side != tracks.shape[2] or not len(tracks):
        return 0
    start = tracks[:, 0].reshape(len(tracks), side, side, 2)
    size = np.ptp(start, axis=(1, 2)).max(axis=-1).clip(min=1e-6)
    uneven = np.maximum(
        np.ptp(start[..., 0], axis=1).max(-1), np.ptp(start[..., 1], axis=2).max(-1)
    )
    rises = (np.diff(start[..., 0], axis=2) >= -1e-6).all(axis=(1, 2))
    return side if np.mean((uneven < 0.02 * size) & rises) > 0.9 else 0
