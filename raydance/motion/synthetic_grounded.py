"""The procedural dancer's grounded and shifting movements: low pelvis, slow weight.

Every function takes a `Beat` and returns a `PoseTrack` whose lead is the left side.
"""

from __future__ import annotations

import numpy as np

from raydance.motion.synthetic_body import PoseTrack
from raydance.motion.synthetic_ease import Beat, ease, mix, sink, swell, take_steps, wave


def squat(beat: Beat) -> PoseTrack:
    """Sinks into a wide squat with the arms in front, and comes up."""
    pose = beat.stand(width=1.8, toe_out=24)
    low = sink(beat.phase, dwell=0.25)
    pose.pelvis[:, 1] = -0.06 - 0.36 * beat.size * low
    pose.pelvis[:, 2] = -0.1 * low
    pose.turn[:, 0] = 20 * low
    pose.spine[:, :, 0] = (6 * low)[:, None]
    pose.head[:, 0] = -26 * low
    for s in range(2):
        pose.arm[:, s] = mix((0.3, -1, 0.15), (0.2, 0.3, 1.0), low)
    pose.elbow[:] = 22
    return pose


def weight_shift(beat: Beat) -> PoseTrack:
    """The weight goes from one bent leg to the other over a wide, low stance."""
    pose = beat.stand(width=2.7, toe_out=26)
    side = wave(beat.phase)
    side = np.sign(side) * np.abs(side) ** 0.7
    pose.pelvis[:, 0] = 0.25 * beat.size * side
    pose.pelvis[:, 1] = -0.24 - 0.05 * beat.size * np.abs(side)
    pose.turn[:, 0] = 14
    pose.turn[:, 2] = 4 * side
    pose.spine[:, :, 0] = 5
    pose.spine[:, :, 1] = (5 * side)[:, None]
    pose.head[:, 0] = -18
    pose.arm[:] = (0.5, -0.85, 0.45)
    pose.arm[:, 0, 0] += 0.2 * side
    pose.arm[:, 1, 0] -= 0.2 * side
    pose.elbow[:] = 42
    pose.twist[:] = 60
    return pose


def walk(beat: Beat) -> PoseTrack:
    """Walks forward with heavy steps and bent knees; the arms swing against the legs."""
    pose = beat.stand(toe_out=6)
    stride = 1.0 * (0.55 + 0.45 * beat.size)
    curve = beat.rng.uniform(-9, 9)

    def path(steps: np.ndarray) -> np.ndarray:
        heading = curve * steps
        angle = np.radians(heading)
        bend = np.radians(curve) or 1e-6
        x, z = stride * (1 - np.cos(angle)) / bend, stride * np.sin(angle) / bend
        return np.stack([x, z, heading], axis=-1)

    take_steps(pose, beat.phase, path, swing=0.4, lift=0.11, width=beat.width * 0.75)
    x, z, heading = path(beat.phase).T
    step = wave(beat.phase, 0.2)
    angle = np.radians(heading)
    # Over the standing foot: the right one while the left swings.
    sway = -0.05 * step
    pose.pelvis[:, 0], pose.pelvis[:, 2] = x + sway * np.cos(angle), z - sway * np.sin(angle)
    pose.pelvis[:, 1] = -0.115 - 0.02 * np.cos(4 * np.pi * (beat.phase - 0.2))
    pose.turn[:, 1] = heading - 5 * step
    pose.turn[:, 0] = 6
    pose.spine[:, :, 0] = 3
    pose.spine[:, :, 1] = (3.5 * step)[:, None]
    swinging = wave(beat.phase, 0.15)
    for s in range(2):
        front = (1 - 2 * s) * -0.55 * beat.size * np.cos(2 * np.pi * (beat.phase - 0.45))
        pose.arm[:, s, 2] = front
        pose.elbow[:, s] = 28 + 14 * np.clip(front, 0, 1)
    for s, shift in enumerate((0.0, 0.5)):
        part = (beat.phase + shift) % 1.0
        push = ease((part - 0.84) / 0.16) + (1 - ease(part / 0.2)) * (part < 0.2)
        land = np.clip(1 - np.abs(part - 0.38) / 0.12, 0, 1)
        pose.foot_pitch[:, s] = 24 * push - 12 * land
    pose.head[:, 2] = 1.5 * swinging
    return pose


def stomp(beat: Beat) -> PoseTrack:
    """One knee lifts and the foot is driven into the floor; both feet alternate."""
    pose = beat.stand(width=1.5, toe_out=16)
    pose.pelvis[:, 1] = -0.17
    pose.turn[:, 0] = 13
    pose.spine[:, :, 0] = 5
    pose.head[:, 0] = -14
    pose.curl[:] = 62
    pose.arm[:] = (0.5, -0.85, 0.2)
    pose.elbow[:] = 62
    for s, shift in beat.leads():
        sign = 1 - 2 * s
        part = (beat.phase - shift) % 1.0
        scale = 0.5 if beat.both else 1.0
        rise = ease(part / (0.5 * scale)) * (1 - ease((part / scale - 0.6) / 0.16))
        hit = ease((part / scale - 0.7) / 0.06) * (1 - ease((part / scale - 0.76) / 0.24))
        pose.foot[:, s, 1] = 0.48 * beat.size * rise
        pose.foot[:, s, 2] = 0.14 * rise
        pose.foot_pitch[:, s] = 14 * rise
        pose.pelvis[:, 0] -= sign * 0.13 * swell(ease(part / scale) / 1.0) * (part < scale)
        pose.pelvis[:, 1] += 0.03 * rise - 0.07 * beat.size * hit
        pose.spine[:, :, 0] += (5 * hit)[:, None]
        pose.arm[:, 1 - s, 1] += 0.25 * rise
        pose.arm[:, 1 - s, 2] += 0.4 * rise
    return pose


def crouch_rise(beat: Beat) -> PoseTrack:
    """Folds into a deep crouch with the hands towards the floor, then unfolds to standing."""
    pose = beat.stand(width=1.4, toe_out=18)
    low = sink(beat.phase, dwell=0.2)
    depth = min(1.1, 0.6 + 0.4 * beat.size)
    pose.pelvis[:, 1] = -0.04 - 0.56 * depth * low
    pose.pelvis[:, 2] = -0.02 * low
    pose.foot_pitch[:] = (26 * low)[:, None]
    pose.turn[:, 0] = 28 * low
    pose.spine[:, :, 0] = (15 * low)[:, None]
    pose.head[:, 0] = -6 * low
    for s in range(2):
        pose.arm[:, s] = mix((0.25, -1, 0.1), (0.15, -0.72, 0.9), low)
    pose.elbow[:] = (20 - 6 * low)[:, None]
    return pose


def low_sweep(beat: Beat) -> PoseTrack:
    """Sunk on one leg, the other stretched leg sweeps along the floor from front to side."""
    pose = beat.stand(width=0.9, toe_out=20)
    angle = np.radians(52 + 38 * beat.size * wave(beat.phase))
    reach = 0.78
    pose.foot[:, 0, 0] = -beat.width + 0.16 + reach * np.sin(angle)
    pose.foot[:, 0, 2] = reach * np.cos(angle)
    pose.foot_yaw[:, 0] = 10 + 0.55 * np.degrees(angle)
    pose.pelvis[:, 0] = -beat.width + 0.05 + 0.05 * np.sin(angle)
    pose.pelvis[:, 2] = 0.02 * np.cos(angle)
    pose.pelvis[:, 1] = -0.4 - 0.03 * wave(beat.phase, 0.25)
    pose.turn[:, 0] = 24
    pose.turn[:, 1] = 12 * wave(beat.phase)
    pose.spine[:, :, 0] = 8
    pose.spine[:, :, 1] = (5 * wave(beat.phase, 0.05))[:, None]
    pose.head[:, 0] = -24
    pose.foot_pitch[:, 1] = 10
    pose.arm[:, 0] = mix((0.6, -0.7, 0.4), (0.8, -0.3, 0.2), swell(beat.phase))
    pose.arm[:, 1] = (0.45, -0.55, 0.75)
    pose.elbow[:] = 30
    return pose
