"""Timing for the procedural dancer: ease curves of the three qualities, and footsteps.

Fluid movement follows sinusoids, sharp movement attacks within a fixed short time and holds,
grounded movement sinks slowly and dwells low. Every curve is a function of `phase` in cycles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raydance.motion.synthetic_body import PoseTrack


@dataclass(frozen=True, kw_only=True)
class Beat:
    """What a movement is told.

    Attributes:
        phase: `[T]` cycles of the movement at each frame, rising.
        cycle_s: seconds per cycle.
        size: amplitude factor, about 0.7 (small) to 1.25 (large).
        both: whether both sides take part; else the movement is written for the left.
        rng: choices within the movement.
        width: half the stance in leg lengths.
    """

    phase: np.ndarray
    cycle_s: float
    size: float
    both: bool
    rng: np.random.Generator
    width: float

    def stand(self, width: float = 1.0, toe_out: float = 8.0) -> PoseTrack:
        """A pose track that stands at ease, `width` times as wide as this dancer stands."""
        return PoseTrack(len(self.phase), width=self.width * width, toe_out=toe_out)

    def leads(self) -> tuple[tuple[int, float], ...]:
        """(side, phase shift) of each limb that moves: the left, or both in alternation."""
        return ((0, 0.0), (1, 0.5)) if self.both else ((0, 0.0),)


def ease(x: np.ndarray) -> np.ndarray:
    """Minimum-jerk rise from 0 to 1 for x from 0 to 1, constant outside."""
    x = np.clip(x, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x**2)


def wave(phase: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """Sinusoid in [-1, 1], 0 and rising at phase = `shift`."""
    return np.sin(2 * np.pi * (phase - shift))


def swell(phase: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """Sinusoid in [0, 1], 0 at phase = `shift` and 1 half a cycle later."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * (phase - shift))


def strike(
    beat: Beat, shift: float = 0.0, attack_s: float = 0.16, until: float = 0.45, back_s: float = 0.3
) -> np.ndarray:
    """0, a fast attack to 1, a hold to `until` (part of a cycle), a quick return, 0."""
    part = (beat.phase - shift) % 1.0
    rise = ease(part * beat.cycle_s / attack_s)
    return rise * (1 - ease((part - until) * beat.cycle_s / back_s))


def sink(phase: np.ndarray, shift: float = 0.0, dwell: float = 0.3) -> np.ndarray:
    """0 to 1 and back with slow weight, staying low for `dwell` of a cycle."""
    part = (phase - shift) % 1.0
    way = (1 - dwell) * 0.5
    return ease(part / way) * (1 - ease((part - way - dwell) / (way * 0.95)))


def snap(beat: Beat, targets: np.ndarray, attack_s: float = 0.15) -> np.ndarray:
    """One target per cycle, reached within `attack_s`, then held.

    Args:
        targets: `[N, ...]`, repeated when there are more cycles.

    Returns:
        `[T, ...]`.
    """
    count = np.floor(beat.phase).astype(int)
    rise = ease((beat.phase - count) * beat.cycle_s / attack_s)
    rise = rise.reshape(-1, *[1] * (targets.ndim - 1))
    before, after = targets[(count - 1) % len(targets)], targets[count % len(targets)]
    return before + (after - before) * rise


def mix(start: object, end: object, weight: np.ndarray) -> np.ndarray:
    """`[T, 3]` between two directions or places by `[T]` weights."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    return a + (b - a) * weight[:, None]


def take_steps(
    pose: PoseTrack,
    phase: np.ndarray,
    path: Callable[[np.ndarray], np.ndarray],
    *,
    swing: float,
    lift: float,
    width: float,
) -> None:
    """Let both feet step along a path: planted feet stay, a swinging foot goes to its next place.

    Args:
        phase: `[T]` step cycles; each foot steps once per cycle, the right half a cycle later.
        path: phases `[N]` -> `[N, 3]` of (x, z in leg lengths, heading in degrees).
        swing: part of a cycle that a foot is in the air.
        lift: height of a step in leg lengths.
        width: half the distance between the feet in leg lengths.
    """
    toe_out = pose.foot_yaw.copy()
    for s, shift in enumerate((0.0, 0.5)):
        count = np.floor(phase + shift)
        part = phase + shift - count
        plants = []
        for which in (count - 1, count):
            # Where the body is in the middle of the stance that follows this swing.
            middle = which - shift + swing + (1 - swing) / 2
            x, z, heading = path(middle).T
            aside = width * (1 - 2 * s)
            angle = np.radians(heading)
            place = (x + np.cos(angle) * aside, z - np.sin(angle) * aside, heading)
            plants.append(np.stack(place, axis=-1))
        go = ease(part / swing)[:, None]
        now = plants[0] + (plants[1] - plants[0]) * go
        pose.foot[:, s, 0], pose.foot[:, s, 2] = now[:, 0], now[:, 1]
        in_air = np.clip(part / swing, 0, 1)
        pose.foot[:, s, 1] = lift * np.sin(np.pi * in_air) ** 2
        pose.foot_yaw[:, s] = now[:, 2] + toe_out[:, s]
