"""What is changed about a clip before it is written: its part, its rate, its place, its end.

Bones keep their lengths where a clip has rotations; positions alone are changed as points, and the
writers fit bones to them afterwards.

Dimensions: T frames, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion import rotations as rot
from raydance.motion.clip import Clip
from raydance.motion.windows import num_resampled, resample

_UP: Final = np.array([0.0, 1.0, 0.0])
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
    if clip.rotations is None or clip.offsets is None:
        return replace(clip, positions=_looped_points(clip, share))
    turns = rot.continuous(rot.normalise(np.asarray(clip.rotations, np.float64)))
    faced = _about_up(turns[:, 0])
    turns[:, 0] = rot.multiply(rot.conjugate(faced), turns[:, 0])
    way = rot.to_rotation_vector(rot.multiply(rot.conjugate(turns[-1]), turns[0]))
    turns = rot.multiply(turns, rot.from_rotation_vector(share[:, None, None] * way))
    turns[:, 0] = rot.multiply(_closed(faced, share), turns[:, 0])
    root = np.array(clip.positions[:, 0], np.float64)
    root[:, 1] += share * (root[0, 1] - root[-1, 1])
    places = np.broadcast_to(np.asarray(clip.offsets, np.float64), clip.positions.shape).copy()
    places[:, 0] = root
    positions = rot.forward_kinematics(turns, places, clip.parents)
    return replace(clip, positions=positions.astype(np.float32), rotations=turns.astype(np.float32))


def _looped_points(clip: Clip, share: np.ndarray) -> np.ndarray:
    """`[T, J, 3]`: each point's difference between end and start, seen from the root that turns."""
    points = np.asarray(clip.positions, np.float64)
    floor = points[:, :1] * (1, 0, 1)
    faced = _facing(points)[:, None]
    local = rot.rotate(rot.conjugate(faced), points - floor)
    local += share[:, None, None] * (local[0] - local[-1])
    return (rot.rotate(_closed(faced[:, 0], share)[:, None], local) + floor).astype(np.float32)


def _closed(faced: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Turns about the vertical `[T, 4]` whose end meets the start, unless the dancer turned."""
    missing = rot.to_rotation_vector(rot.multiply(rot.conjugate(faced[-1]), faced[0]))
    if np.linalg.norm(missing) > _TURNED:
        return faced
    return rot.multiply(faced, rot.from_rotation_vector(share[:, None] * missing))


def _facing(points: np.ndarray) -> np.ndarray:
    """Turn about the vertical `[T, 4]` of the widest level line between two joints, frame by frame.

    Any line of the body does, as long as it is the same in all frames; that between the two
    joints that are furthest apart on the floor in the first frame hardly ever stands upright.
    """
    level = points[0] * (1, 0, 1)
    apart = np.linalg.norm(level[:, None] - level[None], axis=-1)
    # Children of the root: its own parts, which do not swing as arms do.
    near = np.linalg.norm(points[0] - points[0, 0], axis=-1) < 0.35
    apart = np.where(near[:, None] & near[None], apart, 0.0)
    a, b = np.unravel_index(apart.argmax(), apart.shape)
    line = points[:, a] - points[:, b]
    angle = np.arctan2(line[:, 0], line[:, 2])
    return rot.from_axis_angle(_UP, np.unwrap(angle))


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
    turns = rot.continuous(rot.normalise(np.asarray(clip.rotations, np.float64)))
    way = rot.to_rotation_vector(rot.multiply(rot.conjugate(turns[before]), turns[before + 1]))
    between = rot.multiply(turns[before], rot.from_rotation_vector(share * way))
    positions = clip.positions[before] * (1 - share) + clip.positions[before + 1] * share
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
