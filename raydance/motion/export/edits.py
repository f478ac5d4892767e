"""What is changed about a clip before it is written: its part, its rate, its place, its end.

Bones keep their lengths. Clips of positions alone stay such: the writers fit bones to them
afterwards.

Dimensions: T frames, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion import rotations as rot
from raydance.motion.clip import Clip
from raydance.motion.export.pose import pose_of
from raydance.motion.windows import num_resampled, resample

_TURNED: Final = np.deg2rad(45.0)  # a difference above this is a turn, below it a drift
_MAX_FPS: Final = 240.0
_MAX_FRAMES: Final = 200_000


@dataclass(frozen=True, kw_only=True)
class Edits:
    """Changes, made in this order.

    Attributes:
        start_s, end_s: the part that is kept, seconds from the first frame; all by default.
        in_place: whether the root stays where it is on the floor in the first frame.
        fps: frames per second; the clip's own by default.
        loop: whether the last frame gets the pose of the first, so that the clip can be repeated:
            the difference is spread over all frames. Where the dancer is on the floor stays, and
            so does which way a dancer who turned faces at the end.
    """

    start_s: float | None = None
    end_s: float | None = None
    in_place: bool = False
    fps: float | None = None
    loop: bool = False


def edited(clip: Clip, edits: Edits) -> Clip:
    """A clip with changes.

    Raises:
        InputError: a part without frames, or a rate that cannot be.
    """
    clip = _part(clip, edits.start_s, edits.end_s)
    if edits.in_place:
        clip = _in_place(clip)
    if edits.fps is not None:
        clip = _at_rate(clip, edits.fps)
    return _looped(clip) if edits.loop else clip


def _part(clip: Clip, start_s: float | None, end_s: float | None) -> Clip:
    if start_s is None and end_s is None:
        return clip
    last_s = (clip.num_frames - 1) / clip.fps
    begin_s, stop_s = start_s or 0.0, last_s if end_s is None else min(end_s, last_s)
    if not 0.0 <= begin_s < stop_s:
        raise InputError(
            f"from {begin_s:g} to {stop_s:g} s; the motion is {last_s:g} s long, and the start "
            "must lie before the end"
        )
    first, end = round(begin_s * clip.fps), round(stop_s * clip.fps) + 1
    turns = None if clip.rotations is None else clip.rotations[first:end]
    return replace(clip, positions=clip.positions[first:end], rotations=turns)


def _in_place(clip: Clip) -> Clip:
    root = clip.positions[:, :1] * np.array([1, 0, 1], clip.positions.dtype)
    return replace(clip, positions=clip.positions - root + root[:1])


def _looped(clip: Clip) -> Clip:
    if clip.num_frames < 3:
        return clip
    share = np.linspace(0.0, 1.0, clip.num_frames)
    # Points alone get bones first: spread over points, the difference would shorten them.
    pose = pose_of(clip)
    turns = pose.rotations.copy()
    faced = _about_up(turns[:, 0])
    turns[:, 0] = rot.multiply(rot.conjugate(faced), turns[:, 0])
    missing = rot.to_rotation_vector(rot.multiply(rot.conjugate(turns[-1]), turns[0]))
    turns = rot.multiply(turns, rot.from_rotation_vector(share[:, None, None] * missing))
    turns[:, 0] = rot.multiply(_closed(faced, share), turns[:, 0])
    places = pose.places + share[:, None, None] * (pose.places[0] - pose.places[-1])
    places[:, 0, [0, 2]] = pose.places[:, 0, [0, 2]]
    positions = rot.forward_kinematics(turns, places, pose.parents).astype(np.float32)
    if pose.is_fitted:
        return replace(clip, positions=positions)
    return replace(clip, positions=positions, rotations=turns.astype(np.float32))


def _closed(faced: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Turns about the vertical `[T, 4]` whose end meets the start, unless the dancer turned."""
    missing = rot.to_rotation_vector(rot.multiply(rot.conjugate(faced[-1]), faced[0]))
    if np.linalg.norm(missing) > _TURNED:
        return faced
    return rot.multiply(faced, rot.from_rotation_vector(share[:, None] * missing))


def _about_up(turns: np.ndarray) -> np.ndarray:
    """The part of rotations `[T, 4]` that turns about the vertical (their twist)."""
    twist = turns * (1, 0, 1, 0)
    length = np.linalg.norm(twist, axis=-1, keepdims=True)
    return np.where(length > 1e-6, twist / np.maximum(length, 1e-6), rot.IDENTITY)


def _at_rate(clip: Clip, fps: float) -> Clip:
    if not 1.0 <= fps <= _MAX_FPS:
        raise InputError(f"fps: {fps:g}; allowed: 1 to {_MAX_FPS:g}")
    num_frames = num_resampled(clip.num_frames, clip.fps, fps)
    if num_frames > _MAX_FRAMES:
        raise InputError(f"{num_frames} frames at {fps:g} fps; allowed: {_MAX_FRAMES}")
    if clip.num_frames < 2 or abs(clip.fps - fps) < 1e-6:
        return replace(clip, fps=float(fps))
    if clip.rotations is None or clip.offsets is None:
        return replace(clip, fps=float(fps), positions=_points_at(clip, fps, num_frames))
    place = np.minimum(np.arange(num_frames) * clip.fps / fps, clip.num_frames - 1)
    before = np.minimum(place.astype(int), clip.num_frames - 2)
    share = (place - before)[:, None, None]
    pose = pose_of(clip)
    turns = pose.rotations
    way = rot.to_rotation_vector(rot.multiply(rot.conjugate(turns[before]), turns[before + 1]))
    between = rot.multiply(turns[before], rot.from_rotation_vector(share * way))
    places = pose.places[before] * (1 - share) + pose.places[before + 1] * share
    positions = rot.forward_kinematics(between, places, pose.parents)
    return replace(
        clip,
        fps=float(fps),
        positions=positions.astype(np.float32),
        rotations=between.astype(np.float32),
    )


def _points_at(clip: Clip, fps: float, num_frames: int) -> np.ndarray:
    """`[T', J, 3]`: means going down, as in windows; going up on the curve that the page shows
    (Catmull and Rom 1974), so that no frame of the source becomes a kink."""
    if fps < clip.fps:
        return resample(clip.positions, clip.fps, fps)
    last = clip.num_frames - 1
    place = np.minimum(np.arange(num_frames) * clip.fps / fps, last)
    frame = np.minimum(place.astype(int), last - 1)
    t = (place - frame)[:, None, None]
    rows = [np.clip(frame + step, 0, last) for step in (-1, 0, 1, 2)]
    before, start, end, after = (np.asarray(clip.positions[row], np.float64) for row in rows)
    curve = start + 0.5 * t * (
        end
        - before
        + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )
    return curve.astype(np.float32)
