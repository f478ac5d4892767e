"""How each style of music is danced by the procedural dancer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class DanceStyle:
    """How one style of music is danced.

    Attributes:
        movements: names among `synthetic.MOVEMENTS`.
        stop: how far the movement's clock slows at a beat, 0 not at all, 1 to a halt.
        bounce: depth of the knees' bend on each beat, leg lengths.
        sway: how far the weight goes from side to side from beat to beat, leg lengths.
        size: of the movements, 1 is medium.
    """

    movements: tuple[str, ...]
    stop: float
    bounce: float
    sway: float
    size: float


DANCES: Final[Mapping[str, DanceStyle]] = {
    "house": DanceStyle(
        movements=("walk", "arm_circle", "stomp", "hip_circle"),
        stop=0.8,
        bounce=0.05,
        sway=0.04,
        size=1.0,
    ),
    "hip_hop": DanceStyle(
        movements=("robot_arms", "weight_shift", "head_snap", "punch"),
        stop=0.92,
        bounce=0.06,
        sway=0.05,
        size=1.0,
    ),
    "waltz": DanceStyle(
        movements=("waltz_sway", "spiral_turn", "side_reach"),
        stop=0.75,
        bounce=0.015,
        sway=0.03,
        size=1.05,
    ),
    "funk": DanceStyle(
        movements=("hip_circle", "robot_arms", "lunge", "body_wave"),
        stop=0.9,
        bounce=0.05,
        sway=0.05,
        size=1.1,
    ),
    "ballad": DanceStyle(
        movements=("body_wave", "side_reach", "crouch_rise", "arm_circle"),
        stop=0.75,
        bounce=0.01,
        sway=0.025,
        size=0.95,
    ),
    "drum_and_bass": DanceStyle(
        movements=("punch", "high_kick", "stomp", "lunge"),
        stop=0.9,
        bounce=0.04,
        sway=0.05,
        size=1.15,
    ),
    "latin": DanceStyle(
        movements=("hip_circle", "spiral_turn", "low_sweep", "weight_shift"),
        stop=0.8,
        bounce=0.03,
        sway=0.04,
        size=1.05,
    ),
    "swing_jazz": DanceStyle(
        movements=("walk", "high_kick", "squat", "side_reach"),
        stop=0.85,
        bounce=0.045,
        sway=0.045,
        size=1.1,
    ),
}
"""Style of music -> its dance."""

ATTACK_S: Final[Mapping[str, float]] = {
    "punch": 0.2,
    "high_kick": 0.34,
    "robot_arms": 0.22,
    "head_snap": 0.15,
    "lunge": 0.3,
}
"""Seconds that a sharp movement's attack takes."""
