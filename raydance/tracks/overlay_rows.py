"""Rows of tracks as pictures: some frames of each, drawn on black. No torch.

Dimensions: N rows, T frames, P points, S pictures of a row, H height and width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from raydance.errors import ConfigError
from raydance.tracks.overlay import OverlayStyle, draw_overlays
from raydance.tracks.rows import TrackNoise, TrackRows
from raydance.tracks.track import Track, to_pixels


@dataclass(frozen=True, kw_only=True)
class OverlaysConfig:
    """How tracks are drawn for a CLIP; colour and opacity are the paper's.

    Attributes:
        size: H, pixels.
        every: of so many frames one is drawn, and stands for those until the next.
    """

    size: int = 64
    every: int = 1
    colour: tuple[int, int, int] = (0, 255, 255)
    opacity: float = 0.5

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 512:
            raise ConfigError(f"overlays.size: {self.size}; allowed: 16 to 512 pixels")
        if self.every < 1:
            raise ConfigError(f"overlays.every: {self.every}; at least 1")

    @property
    def style(self) -> OverlayStyle:
        return OverlayStyle(colour=self.colour, opacity=self.opacity)


def drawn(
    tracks: np.ndarray, visible: np.ndarray, frames: np.ndarray, config: OverlaysConfig
) -> np.ndarray:
    """Pictures `[N, S, H, H, 3]` uint8 of frames `[S]` of tracks `[N, T, P, 2]` in [-1, 1]."""
    size = (config.size, config.size)
    pictures = np.zeros((len(tracks), len(frames), *size, 3), dtype=np.uint8)
    wanted = {int(frame): place for place, frame in enumerate(frames)}
    for row, (points, seen) in enumerate(zip(tracks, visible)):
        track = Track(
            track_id="drawn",
            source="",
            points=to_pixels(np.asarray(points, dtype=np.float32), size),
            visible=np.asarray(seen, dtype=bool),
            frame_size=size,
            fps=1.0,
        )
        for number, picture in enumerate(draw_overlays(track, style=config.style)):
            if number in wanted:
                pictures[row, wanted[number]] = picture
    return pictures


@dataclass(frozen=True, kw_only=True)
class OverlayRows:
    """How stored rows of tracks become the batch column `overlay_frames`.

    Attributes:
        config: how they are drawn.
        pictures: S, evenly spread, the last frame among them.
        noise: of training rows; flips go with the words.
        grid_side: as for `TrackRows`.
    """

    config: OverlaysConfig
    pictures: int = 4
    noise: TrackNoise = TrackNoise()
    grid_side: int = 0

    reads: ClassVar[tuple[str, ...]] = TrackRows.reads
    gives: ClassVar[tuple[str, ...]] = ("overlay_frames",)

    @property
    def _rows(self) -> TrackRows:
        return TrackRows(noise=self.noise, grid_side=self.grid_side)

    @property
    def augments(self) -> bool:
        """Whether training rows get noise."""
        return self.noise.enabled

    def mirror_flags(self, keys: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
        """`[N]` bool: rows that `training` flips."""
        return self._rows.mirror_flags(keys, seed=seed, epoch=epoch)

    def training(
        self, rows: Mapping[str, Any], keys: np.ndarray, *, seed: int, epoch: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Pictures of augmented rows, and which rows were flipped, `[N]` bool."""
        columns, mirrored = self._rows.training(rows, keys, seed=seed, epoch=epoch)
        return self._drawn(columns), mirrored

    def plain(self, rows: Mapping[str, Any], *, mirrored: bool = False) -> dict[str, np.ndarray]:
        """Pictures of the rows as they are, or of all flipped."""
        return self._drawn(self._rows.plain(rows, mirrored=mirrored))

    def _drawn(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        last = columns["tracks"].shape[1] - 1
        frames = np.unique(np.linspace(0, last, self.pictures + 1).round()[1:].astype(int))
        pictures = drawn(columns["tracks"], columns["visible"], frames, self.config)
        return {"overlay_frames": pictures}
