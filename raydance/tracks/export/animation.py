"""Overlays as GIF and MP4; MP4 needs an ffmpeg (`pip install 'raydance[video]'`).

Above 50 frames per second (GIF) or 60 (MP4) some frames are left out and the speed stays true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from raydance.errors import InputError
from raydance.files import replacing
from raydance.motion.export import video
from raydance.tracks.overlay import OverlayStyle, draw_overlays
from raydance.tracks.track import Track

_GIF_FPS: Final = 50
_MP4_FPS: Final = 60
_MAX_FRAMES: Final = 20_000
_LARGEST_SIDE: Final = 512
_SMALLEST_SIDE: Final = 16


def _size_of(track: Track) -> tuple[int, int]:
    """(width, height) of the track's frame, scaled to 512 pixels at most; even numbers."""
    scale = min(1.0, _LARGEST_SIDE / max(track.frame_size))
    width, height = (
        max(2 * round(0.5 * scale * side), _SMALLEST_SIDE) for side in track.frame_size
    )
    return width, height


def _drawn(
    track: Track,
    frames: Iterable[np.ndarray] | None,
    size: tuple[int, int],
    style: OverlayStyle | None,
    stride: int,
) -> Iterator[np.ndarray]:
    if track.num_frames > _MAX_FRAMES:
        raise InputError(f"{track.num_frames} frames to draw: allowed are {_MAX_FRAMES}")
    return islice(draw_overlays(track, frames, size=size, style=style), 0, None, stride)


def write_gif(
    path: str | Path,
    track: Track,
    *,
    frames: Iterable[np.ndarray] | None = None,
    size: tuple[int, int] | None = None,
    style: OverlayStyle | None = None,
) -> None:
    """Write an animation that loops, whole or not at all.

    Args:
        frames, style: as of `draw_overlays`.
        size: (width, height), pixels; that of the frame by default, at most 512.

    Raises:
        InputError: as `draw_overlays`, or more than 20000 frames.
    """
    stride = max(1, int(np.ceil(track.fps / _GIF_FPS)))
    drawn = _drawn(track, frames, size or _size_of(track), style, stride)
    pictures = [Image.fromarray(picture).quantize(256) for picture in drawn]
    # Rounding the ends, not the lengths, keeps the whole as long as it should be.
    ends = np.round(np.arange(1, len(pictures) + 1) * stride * 100 / track.fps)
    durations_ms = [max(int(length), 1) * 10 for length in np.diff(ends, prepend=0)]
    with replacing(Path(path)) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=durations_ms,
            loop=0,
            optimize=False,
        )


def write_mp4(
    path: str | Path,
    track: Track,
    *,
    frames: Iterable[np.ndarray] | None = None,
    size: tuple[int, int] | None = None,
    style: OverlayStyle | None = None,
) -> None:
    """Write a video, whole or not at all.

    Arguments as `write_gif`; the sides of `size` must be even numbers from 16.

    Raises:
        InputError: no ffmpeg, a size that cannot be, or as `write_gif`.
        StorageError: there is no room for the file.
        RaydanceError: ffmpeg failed.
    """
    size = size or _size_of(track)
    stride = max(1, int(np.ceil(track.fps / _MP4_FPS)))
    drawn = _drawn(track, frames, size, style, stride)
    pictures = (picture.tobytes() for picture in drawn)
    video.encode_mp4(path, pictures, size=size, fps=track.fps / stride)
