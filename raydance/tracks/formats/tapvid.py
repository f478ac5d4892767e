"""TAP-Vid's pickles: all annotated points of a video as one track, read without executing anything.

A dict by video name (DAVIS), or a list (Kinetics, RGB-Stacking), of dicts with `points`
`[N, T, 2]` in [0, 1], `occluded` `[N, T]`, and `video`, `[T, H, W, 3]` or T encoded pictures, which
only tells the frame size.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion.formats import safe_pickle
from raydance.tracks.formats import base
from raydance.tracks.formats.base import Read, ReadOptions, Skipped
from raydance.tracks.track import Track

MAX_BYTES: Final = 3 << 30
"""The published files hold the pixels of their videos; reading one takes three times its bytes."""

_FPS: Final = 25.0  # Kinetics as TAP-Vid resamples it; the others do not say
_DEFAULT_SIZE: Final = (256, 256)  # in which TAP-Vid counts its pixels


def read(path: Path, options: ReadOptions) -> Read:
    """A track for each video; those that are damaged are skipped."""
    content = safe_pickle.load(path, max_bytes=MAX_BYTES)
    if isinstance(content, dict) and "points" in content:
        videos: list[tuple[Any, Any]] = [(path.stem, content)]
    elif isinstance(content, dict):
        videos = list(content.items())
    elif isinstance(content, (list, tuple)):
        videos = [(f"{path.stem}/{number}", video) for number, video in enumerate(content)]
    else:
        reason = f"found {type(content).__name__}; a dict or list of videos is needed"
        raise FormatError(str(path), reason)
    for name, video in videos:
        place = f"{path} [{str(name)[:80]}]"
        try:
            yield _track(base.name_of(name, place), video, place, str(path), options)
        except FormatError as error:
            yield Skipped.because(error)


def _track(name: str, video: Any, place: str, source: str, options: ReadOptions) -> Track:
    if not isinstance(video, dict) or "points" not in video or "occluded" not in video:
        raise FormatError(place, "a dict with points and occluded is needed")
    points, hidden = np.asarray(video["points"]), np.asarray(video["occluded"])
    if points.ndim != 3 or points.dtype.kind != "f" or hidden.shape != points.shape[:2]:
        reason = f"points {points.shape} and occluded {hidden.shape}; [N, T, 2] and [N, T]"
        raise FormatError(place, f"{reason} are needed")
    size = options.frame_size or _size(video.get("video"), place)
    scaled = points.swapaxes(0, 1) * np.asarray(size, np.float32)
    moved, visible = base.checked(scaled, (hidden <= 0.5).T, place)
    return Track(
        track_id=name,
        source=source,
        points=moved,
        visible=visible,
        frame_size=size,
        fps=options.fps or _FPS,
        video=name,
    )


def _size(video: Any, place: str) -> tuple[int, int]:
    if isinstance(video, np.ndarray) and video.ndim == 4:
        return base.check_size((video.shape[2], video.shape[1]), place)
    if isinstance(video, (list, tuple)) and len(video) and isinstance(video[0], bytes):
        return base.size_of_picture(io.BytesIO(video[0]), place)
    return _DEFAULT_SIZE
