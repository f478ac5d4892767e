"""Taking the camera's motion out of tracks, where several objects of one video show it.

Only a translation common to the objects is found: the median over objects of how far each moved
from frame to frame. With fewer than three objects a frame's step is left as it is, for two cannot
outvote each other.

Dimensions: T frames, N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.tracks.track import Track

MIN_OBJECTS: Final = 3


@dataclass(frozen=True)
class CameraMotion:
    """What was found.

    Attributes:
        first_frame: the video's frame of the first offset.
        offsets: `[T, 2]` pixels by which the picture had moved since `first_frame`.
        share_known: share of the frames' steps with enough objects.
    """

    first_frame: int
    offsets: np.ndarray
    share_known: float


def camera_motion(tracks: Sequence[Track], *, min_objects: int = MIN_OBJECTS) -> CameraMotion:
    """The common translation of the tracks of one video.

    Args:
        tracks: of one video and frame rate; `start_frame` says when each begins.
        min_objects: that must be seen in both frames of a step for it to count, at least 3.

    Raises:
        InputError: no tracks, tracks of several videos, or fewer than 3 for `min_objects`.
    """
    if not tracks or len({(track.video, track.frame_size) for track in tracks}) != 1:
        names = sorted({track.video for track in tracks})[:3]
        raise InputError(f"tracks of one video are needed, found {names}")
    if min_objects < MIN_OBJECTS:
        raise InputError(f"min_objects {min_objects}: at least {MIN_OBJECTS} are needed")
    first = min(track.start_frame for track in tracks)
    end = max(track.start_frame + track.num_frames for track in tracks)
    steps = np.full((len(tracks), end - first - 1, 2), np.nan)
    for row, track in enumerate(tracks):
        both = track.visible[1:] & track.visible[:-1]
        moved = np.where(both[..., None], np.diff(track.points.astype(float), axis=0), np.nan)
        begin = track.start_frame - first
        seen = both.any(axis=1)
        steps[row, begin : begin + track.num_frames - 1][seen] = np.nanmedian(moved[seen], axis=1)
    known = np.isfinite(steps[..., 0]).sum(axis=0) >= min_objects
    common = np.zeros(steps.shape[1:])
    if known.any():
        common[known] = np.nanmedian(steps[:, known], axis=0)
    offsets = np.concatenate([np.zeros((1, 2)), np.cumsum(common, axis=0)])
    return CameraMotion(first, offsets, float(known.mean()) if len(known) else 0.0)


def without_camera_motion(
    tracks: Sequence[Track], *, min_objects: int = MIN_OBJECTS
) -> list[Track]:
    """The tracks as a camera that stands still would see them; each keeps its first position.

    Arguments and errors as `camera_motion`. Points may leave the frame.
    """
    motion = camera_motion(tracks, min_objects=min_objects)
    out = []
    for track in tracks:
        begin = track.start_frame - motion.first_frame
        offsets = motion.offsets[begin : begin + track.num_frames]
        still = track.points - (offsets - offsets[0])[:, None]
        out.append(replace(track, points=still.astype(np.float32)))
    return out
