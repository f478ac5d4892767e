"""Operations on the procedural dancer's pose tracks: mirror, place in the room, join."""

from __future__ import annotations

from typing import Final

import numpy as np

from raydance.motion.synthetic_body import PoseTrack
from raydance.motion.synthetic_ease import ease

STEP_LIFT: Final = 0.07
"""Height in leg lengths of a step from one movement's stance to the next one's."""

_OF_ARMS: Final = ("arm", "twist", "elbow", "wrist", "curl")
_OF_FEET: Final = ("foot", "foot_yaw", "foot_pitch", "free", "leg", "point")
_OF_TRUNK: Final = ("pelvis", "turn", "spine", "head")


def mirrored(track: PoseTrack) -> PoseTrack:
    """The same with left and right exchanged."""
    result = copied(track)
    for name in (*_OF_ARMS, *_OF_FEET):
        setattr(result, name, getattr(result, name)[:, ::-1].copy())
    for places in (result.pelvis, result.foot, result.leg):
        places[..., 0] *= -1
    for turns in (result.turn, result.spine, result.head):
        turns[..., 1:] *= -1
    result.foot_yaw *= -1
    return result


def placed(track: PoseTrack, frame: int, place: tuple[float, float], heading: float) -> PoseTrack:
    """The same, with the pelvis at a place and the feet in a direction at one frame.

    Args:
        frame: at which it holds.
        place: x and z of the pelvis, leg lengths.
        heading: mean direction of the feet, degrees, left +.
    """
    result = copied(track)
    turn = heading - heading_at(track, frame)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    origin = track.pelvis[frame, [0, 2]]
    for places in (result.pelvis, result.foot):
        x, z = places[..., 0] - origin[0], places[..., 2] - origin[1]
        places[..., 0] = place[0] + cos * x + sin * z
        places[..., 2] = place[1] - sin * x + cos * z
    result.turn[:, 1] += turn
    result.foot_yaw += turn
    return result


def heading_at(track: PoseTrack, frame: int) -> float:
    """Mean direction of the feet at a frame, degrees, left +."""
    return float(track.foot_yaw[frame].mean())


def join(before: PoseTrack, after: PoseTrack, share: np.ndarray, num_beats: int) -> PoseTrack:
    """`before` until a transition, `after` from its end on, and two steps between the two poses.

    `before` is held from the begin of the transition, `after` until its end, where it is placed as
    `before` was left. One foot steps over in the first half, the other in the second, so that one
    is always planted; the rest of the body goes in one move per beat.

    Args:
        before, after: of the same frames.
        share: `[T]` of the transition, rising, 0 at its begin and 1 at its end.
        num_beats: beats of the transition, an even number.
    """
    last = len(share) - 1
    start = min(int(np.searchsorted(share, 0)), last)
    stop = min(int(np.searchsorted(share, 1)), last)
    place = (float(before.pelvis[start, 0]), float(before.pelvis[start, 2]))
    after = placed(after, stop, place, heading_at(before, start))
    for name in (*_OF_TRUNK, *_OF_ARMS, *_OF_FEET):
        getattr(after, name)[:stop] = getattr(after, name)[stop]
    result = copied(before)
    for name in (*_OF_TRUNK, *_OF_ARMS, *_OF_FEET):
        getattr(result, name)[start:] = getattr(before, name)[start]
    beats = np.clip(share, 0, 1) * num_beats
    whole = np.floor(beats)
    weight = (whole + ease(beats - whole)) / num_beats
    for name in (*_OF_TRUNK, *_OF_ARMS):
        old, new = getattr(result, name), getattr(after, name)
        setattr(result, name, old + weight.reshape(-1, *[1] * (old.ndim - 1)) * (new - old))
    # A foot that is in the air steps first, one that will be in the air last.
    lift = _lift(before, start) - _lift(after, stop)
    first = int(lift[1] > lift[0])
    for side in range(2):
        part = np.clip(2 * share - (side != first), 0, 1)
        for name in _OF_FEET:
            old, new = getattr(result, name)[:, side], getattr(after, name)[:, side]
            w = ease(part).reshape(-1, *[1] * (old.ndim - 1))
            getattr(result, name)[:, side] = old + w * (new - old)
        result.foot[:, side, 1] += STEP_LIFT * np.sin(np.pi * part) ** 2
    return result


def _lift(track: PoseTrack, frame: int) -> np.ndarray:
    """`[2]`: how far each foot is off the floor, leg lengths."""
    return track.foot[frame, :, 1] + track.free[frame]


def copied(track: PoseTrack) -> PoseTrack:
    """A copy that shares nothing."""
    result = PoseTrack(len(track.pelvis))
    for name, values in vars(track).items():
        setattr(result, name, values.astype(np.float64))
    return result
