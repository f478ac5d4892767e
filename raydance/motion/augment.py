"""Augmentation while streaming (Dance-Language, section II.A): yaw, scale, mirror, time warp.

All noise is a pure function of (seed, epoch, window), so an epoch can be repeated exactly with
other batches, in another order or on another machine. Mirroring reflects the motion and swaps left
and right joints, and in captions the words.

The time warp (the paper: +-10 %, and the length must come back to 50 frames) is a smooth monotone
warp whose local speed stays within the bound and whose ends stay in place: resampling a longer or
shorter span evenly would need frames beyond the window or freeze at its end.

Dimensions: N windows, T frames, J joints.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from raydance.errors import ConfigError
from raydance.motion import joint_rotations
from raydance.motion.rotations import orthonormal_six
from raydance.motion.skeleton import MIRROR
from raydance.motion.windows import rotate_y

_YAW, _SCALE, _MIRROR, _WARP, _PHASE = range(5)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Strength of the augmentation; the defaults are the paper's.

    Attributes:
        yaw_degrees: largest rotation about the vertical, in either direction.
        scale: largest relative change of size.
        mirror_probability: share of windows that are mirrored.
        time_warp: largest relative change of local speed.
    """

    enabled: bool = True
    yaw_degrees: float = 15.0
    scale: float = 0.05
    mirror_probability: float = 0.5
    time_warp: float = 0.10

    def __post_init__(self) -> None:
        if not 0 <= self.time_warp < 1 or not 0 <= self.scale < 1:
            raise ConfigError("scale and time_warp must be at least 0 and below 1")
        if not 0 <= self.mirror_probability <= 1 or not 0 <= self.yaw_degrees <= 180:
            raise ConfigError("mirror_probability is in [0, 1] and yaw_degrees in [0, 180]")


def window_keys(window_ids: Sequence[str]) -> np.ndarray:
    """A stable 64-bit key of each window id: `[N]` uint64."""
    digests = b"".join(
        hashlib.blake2b(name.encode(), digest_size=8).digest() for name in window_ids
    )
    return np.frombuffer(digests, dtype=np.uint64).copy()


def uniforms(keys: np.ndarray, *, seed: int, epoch: int, stream: int) -> np.ndarray:
    """Independent uniform numbers in [0, 1), one per key: `[N]` float64.

    Args:
        stream: number that separates several draws for one window.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        state = keys.astype(np.uint64)
        for part in (seed, epoch, stream):
            state = _mix(state + golden * np.uint64((part + 1) % 2**63))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(state: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every input bit affects every output bit."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def mirror_flags(keys: np.ndarray, *, seed: int, epoch: int, config: Augment) -> np.ndarray:
    """Which windows are mirrored in this epoch: `[N]` bool."""
    draw = uniforms(keys, seed=seed, epoch=epoch, stream=_MIRROR)
    return (draw < config.mirror_probability) & config.enabled


def mirror(motion: np.ndarray, joint_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reflect windows `[N, T, J, 3]` in the plane x = 0 and swap the sides, masks too."""
    order = list(MIRROR)
    return motion[:, :, order] * np.array([-1, 1, 1], motion.dtype), joint_mask[:, order]


def augment(
    motion: np.ndarray,
    joint_mask: np.ndarray,
    keys: np.ndarray,
    *,
    seed: int,
    epoch: int,
    config: Augment,
    length: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Augment windows; the noise depends on seed, epoch and window, not on the batch.

    Args:
        motion: `[N, T, J, 3]`, metres.
        joint_mask: `[N, J]` bool.
        keys: `[N]` from `window_keys`.
        length: `[N]` frames after which a window holds its last one; all T by default.

    Returns:
        New motion and mask, and which windows were mirrored `[N]` bool.
    """

    def draw(stream: int) -> np.ndarray:
        return _either_way(keys, seed, epoch, stream)

    mirrored = mirror_flags(keys, seed=seed, epoch=epoch, config=config)
    if not config.enabled:
        return motion, joint_mask, mirrored
    flipped, flipped_mask = mirror(motion[mirrored], joint_mask[mirrored])
    motion, joint_mask = motion.copy(), joint_mask.copy()
    motion[mirrored], joint_mask[mirrored] = flipped, flipped_mask
    if config.time_warp > 0.0:
        motion = time_warp(motion, draw(_WARP) * config.time_warp, np.pi * draw(_PHASE), length)
    motion = rotate_y(motion, np.radians(config.yaw_degrees * draw(_YAW))[:, None])
    motion *= (1.0 + config.scale * draw(_SCALE)).astype(motion.dtype)[:, None, None, None]
    return motion, joint_mask, mirrored


def augment_rotations(
    rotations: np.ndarray,
    keys: np.ndarray,
    *,
    seed: int,
    epoch: int,
    config: Augment,
    length: np.ndarray | None = None,
) -> np.ndarray:
    """Rotations `[N, T, J, 6]` (`joint_rotations`) of the windows that `augment` makes."""
    if not config.enabled:
        return rotations
    flags = mirror_flags(keys, seed=seed, epoch=epoch, config=config)
    rotations = np.where(flags[:, None, None, None], joint_rotations.mirrored(rotations), rotations)
    if config.time_warp > 0.0:
        strength = _either_way(keys, seed, epoch, _WARP) * config.time_warp
        phase = np.pi * _either_way(keys, seed, epoch, _PHASE)
        rotations = orthonormal_six(time_warp(rotations, strength, phase, length))
    yaw = np.radians(config.yaw_degrees * _either_way(keys, seed, epoch, _YAW))
    return joint_rotations.turned(rotations, yaw[:, None])


def _either_way(keys: np.ndarray, seed: int, epoch: int, stream: int) -> np.ndarray:
    """`[N]` uniform numbers in [-1, 1)."""
    return 2.0 * uniforms(keys, seed=seed, epoch=epoch, stream=stream) - 1.0


def time_warp(
    motion: np.ndarray,
    strength: np.ndarray,
    phase: np.ndarray,
    length: np.ndarray | None = None,
) -> np.ndarray:
    """Speed parts of each window up and others down; its ends stay in place.

    Args:
        motion: `[N, T, J, 3]`, or any other values.
        strength: `[N]`, in (-1, 1): the local speed lies in `1 +- strength`.
        phase: `[N]`, radians: where in the window it is fastest.
        length: `[N]` frames that are warped; what a window holds after them stays.
    """
    count = motion.shape[1]
    ends = np.full(len(motion), count) if length is None else np.maximum(length, 2)
    last = ends[:, None] - 1
    share = np.minimum(np.arange(count) / last, 1.0)
    # d/ds [s + a (sin(2 pi s + p) - sin p) / (2 pi)] = 1 + a cos(2 pi s + p)
    bend = np.sin(2 * np.pi * share + phase[:, None]) - np.sin(phase)[:, None]
    time = np.clip((share + strength[:, None] * bend / (2 * np.pi)) * last, 0.0, last)
    before = np.minimum(time.astype(int), last - 1)
    weight = (time - before)[:, :, None, None].astype(motion.dtype)
    rows = np.arange(len(motion))[:, None]
    return motion[rows, before] * (1 - weight) + motion[rows, before + 1] * weight


_SIDES: Final = {"left": "right", "right": "left"}
_SIDED_WORD: Final = re.compile(
    # a side that is a word, leads a compound (left-hand, leftwards, right-footed) ...
    r"\b(?:(left|right)(?=(?:wards?|most|y|ies)?\b|[-_](?:hand|foot|sid)|(?:hand|foot|sid))"
    # ... but "right away" is a time and "a right angle" a shape
    r"(?![\s-]+(?:away|now|angle[sd]?|after|before)\b)"
    r"|((?:counter|anti)[\s-]*)?clockwise\b)",
    re.IGNORECASE,
)


def mirror_caption(caption: str) -> str:
    """A caption with left and right, and the senses of rotation, exchanged.

    Words are swapped without regard to meaning: "the only one left" becomes "the only one right".
    """

    def swap(match: re.Match[str]) -> str:
        word, side, against = match.group(0), match.group(1), match.group(2)
        if side:
            other = _SIDES[side.lower()]
        else:
            other = "clockwise" if against else "counterclockwise"
        if word.isupper():
            return other.upper()
        return other.capitalize() if word[0].isupper() else other

    return _SIDED_WORD.sub(swap, caption)
