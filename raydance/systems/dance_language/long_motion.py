"""Motion longer than the decoder's window: several windows of one sentence, put together.

The decoder was trained on one window; asked for five it runs away, at 2.5 times the speed. So a
long motion is made of windows that share the sentence, while the motion latent walks slowly from
one sample of the source to the next: a window resembles its neighbours, and the whole does not
repeat itself. Neighbours share as many frames as makes them differ least (`best_overlap`), since
each begins with a pose of its own, and `raydance.motion.stitch` places and blends them. With a
fixed two fifths of a window shared, movement at the seams is up to a tenth slower; with a fifth,
jitter there is 50 to 70 % above the rest; this way speeds are even and jitter 10 to 30 % above
(quickly trained runs on the corpus and on recordings).

Dimensions: N windows, S samples, L frames of a window, T frames, J joints, Z latent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion.stitch import best_overlap, stitch_at

MAX_SECONDS: Final = 60.0
WINDOWS_PER_SAMPLE: Final = 3
"""Steps of the walk from one sample of the source to the next."""

_OVERLAPS: Final = (0.2, 0.5)


def overlaps(window: int) -> range:
    """Allowed numbers of shared frames: a fifth to half of a window, so that three never meet."""
    low, high = (max(1, round(share * window)) for share in _OVERLAPS)
    return range(low, min(high, window // 2) + 1)


def longest(window: int, fps: float) -> int:
    """Most frames that can be generated: a minute, or a window if that is longer."""
    return max(int(MAX_SECONDS * fps), window)


def check_length(frames: int, window: int, fps: float) -> None:
    """Refuse lengths that cannot be generated.

    Raises:
        InputError: fewer than 2 frames, or more than `longest`.
    """
    most = longest(window, fps)
    if not 2 <= frames <= most:
        raise InputError(f"frames: {frames}; allowed: 2 to {most}")


def num_windows(frames: int, window: int) -> int:
    """Windows that are enough for so many frames, however many frames neighbours share."""
    if frames <= window:
        return 1
    return 1 + math.ceil((frames - window) / (window - overlaps(window)[-1]))


def latent_walk(draw: Callable[[int], np.ndarray], count: int, num_samples: int) -> np.ndarray:
    """Motion latents of successive windows, `[S, N, Z]`.

    Every third window has a sample of its own, those between lie on the way, at the samples'
    distance from the origin (the mean of two samples of a Gaussian would be too small).

    Args:
        draw: so many latents `[n, Z]` of the source; more begin with the same ones as fewer, so
            that a longer motion begins as a shorter one does.
        count: N.
    """
    num_anchors = 1 + math.ceil((count - 1) / WINDOWS_PER_SAMPLE)
    anchors = draw(num_anchors * num_samples).reshape(num_anchors, num_samples, -1)
    steps = np.arange(count) / WINDOWS_PER_SAMPLE
    first = np.minimum(steps.astype(int), max(num_anchors - 2, 0))
    share = (steps - first)[:, None, None]
    a, b = anchors[first], anchors[np.minimum(first + 1, num_anchors - 1)]
    mixed = (1.0 - share) * a + share * b
    sizes = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b, mixed)]
    wanted = (1.0 - share) * sizes[0] + share * sizes[1]
    walk = mixed * (wanted / np.maximum(sizes[2], 1e-9))
    return walk.swapaxes(0, 1).astype(np.float32)


def follow(latents: np.ndarray, count: int, window: int, stride: int) -> np.ndarray:
    """Motion latents `[N, Z]` that follow a clip's windows `[n, Z]` in time, and stay at its end.

    Args:
        window, stride: frames of the clip's windows.
    """
    allowed = overlaps(window)
    hop = window - (allowed[0] + allowed[-1]) / 2
    return latents[
        np.minimum(np.rint(np.arange(count) * hop / stride).astype(int), len(latents) - 1)
    ]


def seams(windows: np.ndarray, joint_mask: np.ndarray) -> np.ndarray:
    """First frames `[N]` of generated windows `[N, L, J, 3]`, in the motion they make."""
    allowed = overlaps(windows.shape[1])
    steps = [
        windows.shape[1] - best_overlap(before, after, allowed, joint_mask)
        for before, after in zip(windows, windows[1:])
    ]
    return np.cumsum([0, *steps])


def join(windows: np.ndarray, frames: int, joint_mask: np.ndarray) -> np.ndarray:
    """Generated windows `[S, N, L, J, 3]` -> motions `[S, frames, J, 3]`, metres."""
    if windows.shape[1] == 1:
        return windows[:, 0, :frames]
    motions = [stitch_at(w, seams(w, joint_mask), joint_mask=joint_mask) for w in windows]
    return np.stack([motion[:frames] for motion in motions])
