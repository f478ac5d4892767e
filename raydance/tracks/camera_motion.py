"""Taking the camera's motion out of tracks, where several objects of one video show it.

Only a translation common to the objects is found. What moves with the camera alone moves alike, so
a step from frame to frame counts as the camera's where most objects agree, three at least, about
how the picture moves in the frames around it; the step is then the median over the objects that
agree. Elsewhere nothing is taken out: the median of objects that move each its way is no camera's.
Most moving cameras stay. On VID-Sentence's videos with three objects or more 70.2 % of the 808
objects that are said to move left to right, or back, do so; 66.3 % after a plain median is taken
out. This changes 25 of them, which is too few to help: 69.8 % do so afterwards.

Dimensions: O objects, T frames, N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.ndimage import uniform_filter1d

from raydance.errors import InputError
from raydance.tracks.resampling import resample_frames
from raydance.tracks.track import Track

MIN_OBJECTS: Final = 3
_MAX_CELLS: Final = 1_000_000  # objects times frames, whatever numbers a file gives its frames
_MIN_SHARE: Final = 0.6  # of the objects in a step that must agree
_AROUND: Final = 15  # frames over which steps are compared
_TOLERANCE: Final = 4e-4  # of the frame's width: half a pixel of 1280
_RELATIVE: Final = 0.1  # of the step's length
_MIN_KNOWN: Final = 0.9  # of a track's steps that must be known
_STILL: Final = 0.5  # pixels: a camera that moves less stands still


@dataclass(frozen=True)
class CameraMotion:
    """What was found.

    Attributes:
        first_frame: the video's frame of the first offset.
        offsets: `[T, 2]` pixels by which the picture had moved since `first_frame`.
        known: `[T - 1]` bool: the steps from frame to frame about which enough objects agree.
    """

    first_frame: int
    offsets: np.ndarray
    known: np.ndarray


def camera_motion(tracks: Sequence[Track]) -> CameraMotion:
    """The common translation of the tracks of one video.

    Args:
        tracks: of one video and frame rate; `start_frame` says when each begins.

    Raises:
        InputError: no tracks, tracks of several videos, or too many frames from first to last.
    """
    if not tracks or len({(track.video, track.frame_size) for track in tracks}) != 1:
        names = sorted({track.video for track in tracks})[:3]
        raise InputError(f"tracks of one video are needed, found {names}")
    first = min(track.start_frame for track in tracks)
    end = max(track.start_frame + track.num_frames for track in tracks)
    if len(tracks) * (end - first) > _MAX_CELLS:
        raise InputError(
            f"{tracks[0].video}: {len(tracks)} tracks in frames {first} to {end}; allowed are "
            f"{_MAX_CELLS // len(tracks)} frames of so many"
        )
    steps = np.full((len(tracks), end - first - 1, 2), np.nan)
    smooth = steps.copy()
    for row, track in enumerate(tracks):
        if track.num_frames > 1:
            part = slice(
                track.start_frame - first, track.start_frame - first + len(track.points) - 1
            )
            steps[row, part], smooth[row, part] = _steps(track)
    agree = _agreeing(smooth, _TOLERANCE * tracks[0].frame_size[0])
    present = np.isfinite(steps[..., 0])
    number = (agree & present).sum(axis=0)
    known = number >= np.maximum(MIN_OBJECTS, _MIN_SHARE * present.sum(axis=0))
    common = np.zeros(steps.shape[1:])
    if known.any():
        chosen = np.where((agree & present)[:, known, None], steps[:, known], np.nan)
        common[known] = np.nanmedian(chosen, axis=0)
    offsets = np.concatenate([np.zeros((1, 2)), np.cumsum(common, axis=0)])
    return CameraMotion(first, offsets, known)


def path_of(track: Track) -> Track:
    """One point that moves as most of the track's do, which is all that `camera_motion` sees."""
    steps = np.median(np.diff(track.points.astype(float), axis=0), axis=1)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    points = (path + track.points[0].mean(axis=0))[:, None].astype(np.float32)
    return replace(track, points=points, visible=np.asarray(track.visible.any(axis=1))[:, None])


def without_camera_motion(
    tracks: Sequence[Track], paths: Sequence[Track] | None = None
) -> list[Track]:
    """The tracks as a camera that stands still would see them; each keeps its first position.

    Points may leave the frame. A track is returned itself where fewer than nine in ten of its steps
    are known, as it would have two motions otherwise, and where the camera moves by less than half
    a pixel.

    Args:
        tracks: of one video; resampled or not.
        paths: `path_of` each as its source has it, where tracks are resampled.

    Raises:
        InputError: as `camera_motion`.
    """
    wholes = tracks if paths is None else paths
    motion = camera_motion(wholes)
    out = []
    for track, whole in zip(tracks, wholes, strict=True):
        begin = whole.start_frame - motion.first_frame
        known = motion.known[begin : begin + whole.num_frames - 1]
        offsets = motion.offsets[begin : begin + whole.num_frames, None]
        offsets = offsets - offsets[0]
        is_still = np.linalg.norm(offsets, axis=-1).max() < _STILL
        if is_still or known.sum() < _MIN_KNOWN * len(known):
            out.append(track)
            continue
        moved, _ = resample_frames(offsets, np.ones(offsets.shape[:2], bool), track.num_frames)
        out.append(replace(track, points=(track.points - moved).astype(np.float32)))
    return out


def _steps(track: Track) -> tuple[np.ndarray, np.ndarray]:
    """How far an object moves from frame to frame `[T - 1, 2]`, and the mean of the frames around.

    NaN in the first where no point is visible in both frames.
    """
    moved = np.median(np.diff(track.points.astype(float), axis=0), axis=1)
    smooth = uniform_filter1d(moved, min(_AROUND, len(moved)), axis=0, mode="nearest")
    seen = (track.visible[1:] & track.visible[:-1]).any(axis=1)
    return np.where(seen[:, None], moved, np.nan), smooth


def _agreeing(smooth: np.ndarray, tolerance: float) -> np.ndarray:
    """`[O, T - 1]` bool: which objects move as the median of all does, of steps `[O, T - 1, 2]`."""
    there = np.isfinite(smooth[..., 0])
    some = there.any(axis=0)
    middle = np.zeros(smooth.shape[1:])
    if some.any():
        middle[some] = np.nanmedian(smooth[:, some], axis=0)
    limit = np.maximum(tolerance, _RELATIVE * np.linalg.norm(middle, axis=-1))
    with np.errstate(invalid="ignore"):
        return there & (np.linalg.norm(smooth - middle, axis=-1) <= limit)
