"""The procedural dancer's sharp and angular movements: fast attacks and held stops.

Every function takes a `Beat` and returns a `PoseTrack` whose lead is the left side.
"""

from __future__ import annotations

import numpy as np

from raydance.motion.synthetic_body import PoseTrack
from raydance.motion.synthetic_ease import Beat, ease, mix, snap, strike


def punch(beat: Beat) -> PoseTrack:
    """Straight punches out of a guard; both arms alternate."""
    pose = beat.stand(width=1.3)
    pose.foot[:, 0, 2], pose.foot[:, 1, 2] = 0.17, -0.17
    pose.foot_yaw[:] = (4, -28)
    pose.pelvis[:, 1] = -0.07
    pose.turn[:, 1] = -14
    pose.curl[:] = 82
    pose.arm[:] = (0.28, -0.85, 0.4)
    pose.elbow[:] = 128
    pose.twist[:] = 50
    for s, shift in beat.leads():
        sign = 1 - 2 * s
        hit = strike(beat, shift, attack_s=0.2, until=0.26 if beat.both else 0.42, back_s=0.22)
        reach = 0.25 * (beat.size - 1)
        pose.arm[:, s] = mix((0.28, -0.85, 0.4), (-0.06, 0.05 + reach, 1.0), hit)
        pose.elbow[:, s] = 128 - (122 - 20 * max(0.0, 1 - beat.size)) * hit
        pose.twist[:, s] = 50 + 25 * hit
        pose.turn[:, 1] -= sign * 16 * beat.size * hit
        pose.spine[:, :, 1] -= (sign * 7 * beat.size * hit)[:, None]
        pose.head[:, 1] += sign * 30 * beat.size * hit
        pose.pelvis[:, 2] += 0.06 * beat.size * hit
    return pose


def high_kick(beat: Beat) -> PoseTrack:
    """A straight leg is thrown up to the front, held for a moment and dropped."""
    pose = beat.stand(width=0.8)
    hit = strike(beat, 0.0, attack_s=0.34, until=0.36, back_s=0.4)
    load = strike(beat, -0.3, attack_s=0.3, until=0.3, back_s=0.3)
    angle = np.radians((68 + 24 * beat.size) * hit)
    pose.leg[:, 0] = np.stack([0.05 * hit, -np.cos(angle), np.sin(angle)], axis=-1)
    pose.leg[:, 0] *= (0.9 + 0.08 * hit)[:, None]
    pose.free[:, 0] = np.clip(1.6 * hit, 0, 1)
    pose.point[:, 0] = 40 * hit
    pose.pelvis[:, 0] = -0.1 - 0.02 * hit
    pose.pelvis[:, 1] = -0.015 - 0.04 * load * (1 - hit)
    pose.turn[:, 0] = -12 * hit
    pose.spine[:, :, 0] = (3 * hit)[:, None]
    for s in range(2):
        pose.arm[:, s] = mix((0.45, -0.9, 0.1), (1.0, 0.05 - 0.1 * s, 0.25), hit)
    pose.elbow[:] = 20
    pose.curl[:] = 10
    return pose


_ROBOT_ARMS = np.array(
    [  # outward, up, forward, elbow, twist: right angles only
        (1.0, 0.0, 0.05, 90, 0),
        (0.1, -1.0, 0.0, 90, 37),
        (0.05, 0.0, 1.0, 90, 0),
        (1.0, 0.0, 0.05, 90, 90),
        (1.0, 0.0, 0.05, 0, 0),
        (0.05, 0.0, 1.0, 90, 90),
        (0.05, 0.0, 1.0, 0, 20),
    ]
)


def robot_arms(beat: Beat) -> PoseTrack:
    """The arms jump between right-angled positions and freeze; the head clicks along."""
    pose = beat.stand()
    order = np.stack([beat.rng.permutation(len(_ROBOT_ARMS)) for _ in range(2)])
    for s in (0, 1) if beat.both else (0,):
        arm = snap(beat, _ROBOT_ARMS[order[s]], attack_s=0.22)
        pose.arm[:, s], pose.elbow[:, s], pose.twist[:, s] = arm[:, :3], arm[:, 3], arm[:, 4]
    pose.curl[:] = 4
    clicks = beat.rng.choice([-1.0, 0.0, 1.0], size=(7, 2))
    pose.head[:, 1] = 34 * snap(beat, clicks[:, 0])
    pose.spine[:, :, 1] = (4 * beat.size * snap(beat, clicks[:, 1]))[:, None]
    return pose


def head_snap(beat: Beat) -> PoseTrack:
    """The head snaps from side to side, down and up, and stops dead."""
    pose = beat.stand(width=1.1)
    turns = [(4, 64, 8), (4, -64, -8), (38, 0, 0), (4, 64, 8), (-28, 0, 0), (4, -64, -8)]
    looks = np.array(turns, dtype=float)
    if beat.rng.uniform() < 0.5:
        looks = looks[:2]
    pose.head[:] = np.clip(beat.size, 0.75, 1.2) * snap(beat, looks, attack_s=0.14)
    # Shoulders and chest go along a little, as they do when a head is thrown.
    pose.spine[:, 1:, 1] = 0.15 * pose.head[:, 1:2]
    pose.spine[:, 2, 0] = 0.3 * pose.head[:, 0]
    pose.arm[:] = (0.42, -0.9, 0.02)
    pose.elbow[:] = 10
    pose.curl[:] = 60
    return pose


def lunge(beat: Beat) -> PoseTrack:
    """One foot shoots forward into a lunge, the arms cut out, everything stops, and back."""
    pose = beat.stand(width=0.9)
    hit = strike(beat, 0.0, attack_s=0.3, until=0.5, back_s=0.42)
    length = 0.72 + 0.2 * (beat.size - 1)
    pose.foot[:, 0, 2] = length * hit
    pose.foot[:, 0, 1] = 0.35 * hit * (1 - hit)
    pose.foot_pitch[:, 1] = 38 * hit
    pose.pelvis[:, 2] = length * 0.52 * hit
    pose.pelvis[:, 1] = -(0.24 + 0.12 * (beat.size - 1)) * hit
    pose.turn[:, 0] = 5 * hit
    pose.arm[:, 0] = mix((0.25, -1, 0.1), (0.2, 0.25, 1.0), hit)
    pose.arm[:, 1] = mix((0.25, -1, 0.1), (0.75, -0.3, -0.35), hit)
    pose.elbow[:] = 12
    pose.curl[:] = 5
    return pose


def jump(beat: Beat) -> PoseTrack:
    """A quick crouch, a leap straight up with the arms thrown high, a landing that stops."""
    pose = beat.stand(width=1.1)
    height = 0.26 * beat.size
    # Flight lasts as long as gravity says; a leg is about 0.8 m.
    air = np.sqrt(8 * height * 0.8 / 9.81) / beat.cycle_s
    part = beat.phase % 1.0
    down, off = 0.26, 0.36
    # Parabolas, not eases: the push ends and the landing begins at the speed of the flight.
    push = np.clip((part - down) / (off - down), 0, 1) ** 2
    crouch = ease((part - 0.02) / (down - 0.02)) * (1 - push)
    flight = np.clip((part - off) / air, 0, 1)
    dip = 1 - (1 - np.clip((part - off - air) / 0.1, 0, 1)) ** 2
    landing = dip * (1 - ease((part - off - air - 0.12) / 0.22))
    arc = 4 * height * flight * (1 - flight)
    pose.foot[:, :, 1] = arc[:, None]
    pose.pelvis[:, 1] = arc - 0.2 * beat.size * crouch - 0.17 * landing
    in_air = np.clip(6 * flight, 0, 1) * np.clip(6 * (1 - flight), 0, 1)
    pose.foot_pitch[:] = 32 * in_air[:, None]
    fold = crouch + landing
    pose.turn[:, 0] = 16 * fold
    pose.spine[:, :, 0] = (7 * fold)[:, None]
    pose.head[:, 0] = -20 * fold
    up = ease((part - down + 0.06) / (off - down + 0.06 + 0.6 * air))
    up *= 1 - ease((part - off - 0.6 * air) / (0.4 * air + 0.2))
    # By angle: a straight mix of nearly opposite directions would whip round half way.
    angle = np.radians(2 - 25 * crouch * (1 - up) + 155 * up)
    for s in range(2):
        pose.arm[:, s] = np.stack([0.25 + 0.1 * up, -np.cos(angle), np.sin(angle)], axis=-1)
    pose.elbow[:] = 18
    return pose
