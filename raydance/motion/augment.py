"""Augmentation while streaming (Dance-Language, section II.A): yaw, scale, mirror, time warp.

All noise is a pure function of (seed, epoch, window), so an epoch can be repeated exactly whatever
the batches, the order or the machine. Mirroring swaps the left and right joints (a plain reflection
would break the body) and, for captions, the words.

The time warp keeps 50 frames without needing frames beyond the window: a smooth monotone warp whose
local speed stays within the given bound and whose ends stay in place.

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
from raydance.motion.skeleton import MIRROR
from raydance.motion.windows import rotate_y

_YAW, _SCALE, _MIRROR, _WARP = range(4)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How strong the noise is; the paper's values.

    Attributes:
        yaw_degrees: turned by up to so much to either side.
        scale: made larger or smaller by up to this share.
        mirror_probability: share of windows that are mirrored.
        time_warp: local speed changed by up to this share.
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
        stream: tells apart the draws that are made for one window.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        state = keys.astype(np.uint64)
        for part in (seed, epoch, stream):
            state = _mix(state + golden * np.uint64((part + 1) % 2**63))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(state: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every input bit moves every output bit."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def mirror_flags(keys: np.ndarray, *, seed: int, epoch: int, config: Augment) -> np.ndarray:
    """Which windows are mirrored in this epoch: `[N]` bool."""
    draw = uniforms(keys, seed=seed, epoch=epoch, stream=_MIRROR)
    return draw < config.mirror_probability


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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fresh noise for each window and epoch.

    Args:
        motion: `[N, T, J, 3]`, metres.
        joint_mask: `[N, J]` bool.
        keys: `[N]` from `window_keys`.

    Returns:
        New motion and mask, and which windows were mirrored `[N]` bool.
    """

    def draw(stream: int) -> np.ndarray:
        return 2.0 * uniforms(keys, seed=seed, epoch=epoch, stream=stream) - 1.0

    mirrored = mirror_flags(keys, seed=seed, epoch=epoch, config=config)
    flipped, flipped_mask = mirror(motion[mirrored], joint_mask[mirrored])
    motion, joint_mask = motion.copy(), joint_mask.copy()
    motion[mirrored], joint_mask[mirrored] = flipped, flipped_mask
    if config.time_warp > 0.0:
        motion = time_warp(motion, draw(_WARP) * config.time_warp)
    motion = rotate_y(motion, np.radians(config.yaw_degrees * draw(_YAW))[:, None])
    motion *= (1.0 + config.scale * draw(_SCALE)).astype(motion.dtype)[:, None, None, None]
    return motion, joint_mask, mirrored


def time_warp(motion: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Play one half of each window faster and the other slower, ends in place.

    Args:
        motion: `[N, T, J, 3]`.
        strength: `[N]`, in (-1, 1): the local speed lies in `1 +- strength`.
    """
    last = motion.shape[1] - 1
    share = np.arange(last + 1) / last
    # d/ds [s + a sin(2 pi s) / (2 pi)] = 1 + a cos(2 pi s)
    warped = share + strength[:, None] * np.sin(2 * np.pi * share) / (2 * np.pi)
    time = np.clip(warped * last, 0.0, last)
    before = np.minimum(time.astype(int), last - 1)
    weight = (time - before)[:, :, None, None].astype(motion.dtype)
    rows = np.arange(len(motion))[:, None]
    return motion[rows, before] * (1 - weight) + motion[rows, before + 1] * weight


_SIDES: Final = {"left": "right", "right": "left"}
_TURNS: Final = {
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
    "anticlockwise": "clockwise",
    "counter-clockwise": "clockwise",
    "anti-clockwise": "clockwise",
}
_SIDED_WORD: Final = re.compile(
    r"\b(?:(left|right)(?=(?:wards?|most|y|ies)?\b|[-_](?:hand|foot|sid)|(?:hand|foot|sid)ed)"
    r"|(counter-?clockwise|anti-?clockwise|clockwise)\b)",
    re.IGNORECASE,
)


def mirror_caption(caption: str) -> str:
    """A caption with left and right, and the senses of rotation, exchanged.

    Words are swapped, not understood: "the only one left" and "right away" are swapped too.
    """

    def swap(match: re.Match[str]) -> str:
        word = match.group(0)
        other = _SIDES.get(word.lower()) or _TURNS[word.lower()]
        if word.isupper():
            return other.upper()
        return other.capitalize() if word[0].isupper() else other

    return _SIDED_WORD.sub(swap, caption)
