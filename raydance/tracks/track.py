"""One object's 2-D points over time: what every reader of tracks returns.

Pixels: x to the right, y down, (0, 0) the top left corner of the frame, so that the centre of
the first pixel is (0.5, 0.5). Normalised coordinates are -1 at the left and top edge and 1 at the
right and bottom edge (Lang2Motion, eq. 3).

Dimensions: T frames, N points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from raydance.errors import InputError
from raydance.plain_text import one_line
from raydance.tracks import resampling

SPLITS: Final = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Track:
    """Points of one object in one video.

    Attributes:
        track_id: unique within a library.
        source: where it came from (a path, or `synthetic`).
        points: `[T, N, 2]` float32, (x, y) pixels of the frame; finite also where hidden.
        visible: `[T, N]` bool.
        frame_size: (width, height), pixels.
        fps: frames per second.
        captions: sentences about the object's motion.
        labels: further facts, such as `{"class": "dog"}`.
        video: name of the video.
        recording: name of what the video was cut from; tracks of one recording share a split.
        object_id: name of the object within its video.
        start_frame: the video's frame, from 0, in which the track starts.
        split: `train`, `val` or `test` where the source fixes it, else None.
    """

    track_id: str
    source: str
    points: np.ndarray
    visible: np.ndarray
    frame_size: tuple[int, int]
    fps: float
    captions: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    video: str = ""
    recording: str = ""
    object_id: str = ""
    start_frame: int = 0
    split: str | None = None

    def __post_init__(self) -> None:
        assert self.points.ndim == 3 and self.points.shape[2] == 2, self.points.shape
        assert self.points.dtype == np.float32 and self.visible.dtype == bool
        assert self.visible.shape == self.points.shape[:2] and self.visible.size
        assert self.split is None or self.split in SPLITS
        if not self.video:
            object.__setattr__(self, "video", self.track_id)
        if not self.recording:
            object.__setattr__(self, "recording", self.video)
        for name in ("track_id", "video", "recording", "object_id"):  # files may call them anything
            object.__setattr__(self, name, one_line(getattr(self, name)))

    @property
    def num_frames(self) -> int:
        return int(self.points.shape[0])

    @property
    def num_points(self) -> int:
        return int(self.points.shape[1])

    @property
    def duration_s(self) -> float:
        """From the first to the last frame."""
        return (self.num_frames - 1) / self.fps


def normalised(points: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray:
    """Pixels to [-1, 1] by the size of the frame (Lang2Motion, eq. 3).

    Args:
        points: `[..., 2]`, pixels.
        frame_size: (width, height).
    """
    return (points * (2.0 / np.asarray(frame_size, points.dtype)) - 1.0).astype(points.dtype)


def to_pixels(points: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray:
    """The inverse of `normalised`."""
    return ((points + 1.0) * (0.5 * np.asarray(frame_size, points.dtype))).astype(points.dtype)


def box_around(points: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """The box `[4]` (left, top, right, bottom) around points `[N, 2]`.

    Only visible ones count, where there are any.
    """
    if visible is not None and visible.any():
        points = points[visible]
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def resampled(track: Track, *, frames: int | None = None, points: int | None = None) -> Track:
    """The same track with `frames` frames over the same time, with `points` points.

    See `resampling` for how; None keeps the number.

    Raises:
        InputError: a number below 1.
    """
    for name, number in (("frames", frames), ("points", points)):
        if number is not None and number < 1:
            raise InputError(f"{name} {number}: at least 1 is needed")
    moved, visible, fps = track.points, track.visible, track.fps
    if points is not None and points != track.num_points:
        moved, visible = resampling.resample_points(moved, visible, points)
    if frames is not None and frames != track.num_frames:
        moved, visible = resampling.resample_frames(moved, visible, frames)
        if track.num_frames > 1 and frames > 1:
            fps = track.fps * (frames - 1) / (track.num_frames - 1)
    return replace(track, points=moved, visible=visible, fps=fps)


def to_row(
    track: Track, frames: int = 30, points: int = 36, *, in_grid_order: bool = False
) -> dict[str, Any]:
    """A track as arrays of fixed sizes, for a dataset.

    Args:
        track: of any length and number of points.
        frames, points: T and N of the row.
        in_grid_order: points in rows from the top by where they are in the first frame, as those of
            a grid; else in the order of the source, such as along the bones of a skeleton.

    Returns:
        points: `[frames, points, 2]` float32, normalised.
        visible: `[frames, points]` bool.
        start_box: `[4]` float32, normalised: around the points in the first frame.
        frame_size: `[2]` int32, (width, height).
        duration_s: float, of the whole track.
        captions, labels, track_id, video, object_id, split: as in `Track`.
    """
    fixed = resampled(track, frames=frames, points=points)
    placed, visible = normalised(fixed.points, track.frame_size), fixed.visible
    if in_grid_order:
        order = resampling.grid_order(placed[0])
        placed, visible = placed[:, order], visible[:, order]
    return {
        "points": placed,
        "visible": visible,
        "start_box": box_around(placed[0], visible[0]).astype(np.float32),
        "frame_size": np.asarray(track.frame_size, np.int32),
        "duration_s": track.duration_s,
        "captions": track.captions,
        "labels": dict(track.labels),
        "track_id": track.track_id,
        "video": track.video,
        "object_id": track.object_id,
        "split": track.split,
    }
