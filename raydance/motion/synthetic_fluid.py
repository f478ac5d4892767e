"""The procedural dancer's fluid and circular movements: sinusoids without a stop.

Every function takes a `Beat` and returns a `PoseTrack` whose lead is the left side.
"""

from __future__ import annotations

import numpy as np

from raydance.motion.synthetic_body import PoseTrack
from raydance.motion.synthetic_ease import Beat, mix, swell, take_steps, wave


def arm_circle(beat: Beat) -> PoseTrack:
    """An almost straight arm draws large circles beside the body; both arms move together."""
    pose = beat.stand()
    radius = np.radians(min(62.0, 52 * beat.size))
    # The circle lies around an axis that points outward and a little forward.
    centre = np.array([0.83, 0.06, 0.55])
    forward = np.cross(centre, (0, 1.0, 0))
    forward /= -np.linalg.norm(forward)
    up = np.cross(forward, centre)
    up *= np.sign(up[1])
    angle = 2 * np.pi * beat.phase[:, None]
    circle = np.cos(angle) * up + np.sin(angle) * forward
    direction = np.cos(radius) * centre + np.sin(radius) * circle
    for s in (0, 1) if beat.both else (0,):
        pose.arm[:, s] = direction
        pose.elbow[:, s] = 14 + 10 * wave(beat.phase, 0.2)
        pose.twist[:, s] = 20 + 15 * wave(beat.phase, 0.1)
        pose.wrist[:, s] = 14 * wave(beat.phase, 0.35)
    one = 0.0 if beat.both else 1.0
    pose.spine[:, :, 2] = one * -2.5 * beat.size * np.cos(angle)
    pose.spine[:, :, 1] = one * -3 * beat.size * np.sin(angle)
    pose.spine[:, :, 0] = -2 * np.cos(angle)
    pose.pelvis[:, 1] = -0.02 + 0.012 * np.cos(angle[:, 0])
    pose.head[:, 1] = one * 12
    return pose


def body_wave(beat: Beat) -> PoseTrack:
    """A wave runs from the knees through pelvis, spine and head."""
    pose = beat.stand()
    size = beat.size
    pose.pelvis[:, 1] = -0.07 * size * swell(beat.phase, 0.05) - 0.01
    pose.pelvis[:, 2] = 0.09 * size * wave(beat.phase)
    pose.turn[:, 0] = -14 * size * wave(beat.phase, 0.05)
    for i in range(3):
        pose.spine[:, i, 0] = 3 + 19 * size * wave(beat.phase, 0.18 + 0.13 * i)
    pose.head[:, 0] = 24 * size * wave(beat.phase, 0.62)
    for s in range(2):
        pose.arm[:, s] = mix((0.25, -1, 0.25), (0.45, -0.75, -0.15), swell(beat.phase, 0.3))
        pose.elbow[:, s] = 25 + 12 * wave(beat.phase, 0.5)
    return pose


def hip_circle(beat: Beat) -> PoseTrack:
    """The pelvis circles over still feet, hands near the hips."""
    pose = beat.stand(width=1.5, toe_out=14)
    radius = 0.13 * beat.size
    side, front = wave(beat.phase, 0.25), wave(beat.phase)
    pose.pelvis[:, 0], pose.pelvis[:, 2] = -radius * side, radius * front
    pose.pelvis[:, 1] = -0.05
    pose.turn[:, 0] = -11 * beat.size * front
    pose.turn[:, 2] = -9 * beat.size * side
    pose.spine[:, :, 0] = (5.5 * beat.size * front)[:, None]
    pose.spine[:, :, 2] = (5 * beat.size * side)[:, None]
    pose.head[:, 0] = -3 * front
    pose.arm[:] = (0.62, -0.75, -0.42)
    pose.elbow[:] = 100
    pose.twist[:] = 104
    return pose


def spiral_turn(beat: Beat) -> PoseTrack:
    """Turns to the left on the spot with small steps while sinking and rising."""
    pose = beat.stand()
    steps_per_turn = 4.0
    depth = 0.11 * beat.size

    def path(steps: np.ndarray) -> np.ndarray:
        angle = 360 * steps / steps_per_turn
        around = 0.06 * np.stack([np.cos(np.radians(angle)), -np.sin(np.radians(angle))], axis=-1)
        return np.concatenate([around, angle[:, None]], axis=-1)

    steps = beat.phase * steps_per_turn
    take_steps(pose, steps, path, swing=0.45, lift=0.05, width=beat.width * 0.75)
    place = path(steps)
    pose.pelvis[:, 0], pose.pelvis[:, 2] = place[:, 0], place[:, 1]
    pose.pelvis[:, 1] = -0.02 - depth * swell(beat.phase)
    pose.turn[:, 1] = place[:, 2]
    pose.spine[:, :, 1] = 8
    pose.spine[:, :, 2] = (3 * wave(beat.phase, 0.1))[:, None]
    pose.head[:, 1] = 22
    rise = swell(beat.phase, 0.5)
    pose.arm[:, 0] = mix((0.9, -0.45, 0.3), (0.55, 0.85, 0.35), rise)
    pose.arm[:, 1] = mix((0.95, -0.15, 0.35), (0.6, -0.75, 0.5), rise)
    pose.elbow[:] = 28
    pose.twist[:] = 35
    return pose


def waltz_sway(beat: Beat) -> PoseTrack:
    """Steps to one side, closes and steps back, swaying with rounded arms."""
    pose = beat.stand(width=0.9)
    reach = 0.42 * beat.size
    part = beat.phase % 1.0
    # Left opens, right closes, right opens back, left closes.
    for s, (out, back) in enumerate(((0.0, 0.75), (0.25, 0.5))):
        for start, sign in ((out, 1.0), (back, -1.0)):
            go = np.clip((part - start) / 0.25, 0, 1)
            pose.foot[:, s, 0] += sign * reach * swell(go / 2)
            pose.foot[:, s, 1] += 0.05 * np.sin(np.pi * go) ** 2
    pose.pelvis[:, 0] = reach * swell(beat.phase, 0.0)
    pose.pelvis[:, 1] = -0.045 - 0.04 * beat.size * np.cos(4 * np.pi * beat.phase)
    sway = wave(beat.phase, 0.0)
    pose.spine[:, :, 2] = (6.5 * beat.size * sway)[:, None]
    pose.spine[:, :, 1] = (4 * wave(beat.phase, 0.1))[:, None]
    pose.head[:, 2] = -8 * sway
    pose.head[:, 1] = 16 * sway
    pose.arm[:] = (0.85, -0.12, 0.6)
    pose.arm[:, 0, 1] += 0.3 * beat.size * sway
    pose.arm[:, 1, 1] -= 0.3 * beat.size * sway
    pose.elbow[:] = 48
    pose.twist[:] = 72
    return pose


def side_reach(beat: Beat) -> PoseTrack:
    """One arm sweeps overhead while the trunk bends to the other side; both arms alternate."""
    pose = beat.stand(width=1.5, toe_out=14)
    for s, shift in beat.leads():
        sign = 1 - 2 * s
        rise = swell(beat.phase, shift)
        if beat.both:
            rise = np.maximum(wave(beat.phase, shift), 0) ** 1.5
        angle = np.radians(165 * rise)
        direction = np.stack([np.sin(angle) * 0.95, -np.cos(angle), 0.12 + 0.25 * rise], axis=-1)
        direction[:, 0] -= 0.12 * rise
        pose.arm[:, s] += direction - (0.2, -1.0, 0.03)
        pose.elbow[:, s] = 15 + 30 * rise
        pose.twist[:, s] = 40 - 45 * rise
        pose.spine[:, :, 2] += (sign * 14 * beat.size * rise)[:, None]
        pose.turn[:, 2] += sign * 4 * beat.size * rise
        pose.pelvis[:, 0] += sign * 0.07 * beat.size * rise
        pose.head[:, 2] += sign * 9 * rise
        # The arm that hangs stays beside the leg while the chest leans over it.
        pose.arm[:, 1 - s, 0] += 0.55 * beat.size * rise
    pose.pelvis[:, 1] = -0.03
    return pose
