"""How well dances fit their music and the ground, and how a set of dances spreads.

Beat alignment: Li et al., "AI Choreographer" (2021), and as Bailando (Siyao et al., 2022) computes
it; physical foot contact: Tseng et al., "EDGE" (2023). Differences: rates other than 60 fps keep
the definitions' widths in seconds, and "fixed" finds a dance's beats between frames.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelextrema
from scipy.spatial.distance import pdist

from raydance.errors import InputError
from raydance.metrics.dance_features import Exact, check_options, checked_joints
from raydance.metrics.distribution import fid

SIGMA_S: Final = 3 / 60
"""Tolerance of beat alignment: 3 frames at 60 fps."""
SMOOTHING_S: Final = 5 / 60
"""Width of the Gaussian over kinetic velocity: 5 frames at 60 fps."""
_FEET: Final = ((7, 10), (8, 11))
"""Ankle and toes, left and right, of SMPL, HumanML3D and the canonical skeleton."""


def kinetic_velocity(joints: np.ndarray, *, fps: float = 60.0) -> np.ndarray:
    """Mean speed of the joints between frames, smoothed.

    Args:
        joints: `[T, J, 3]`, metres, at least 3 frames.
        fps: frames per second.

    Returns:
        `[T - 1]`, metres per frame; value i lies between frames i and i + 1.

    Raises:
        InputError: a wrong shape, too few frames, or values that are not finite.
    """
    joints = checked_joints(joints, min_frames=3)
    check_options(fps, "published")
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1).mean(axis=1)
    return gaussian_filter1d(speed, SMOOTHING_S * fps)


def dance_beats(joints: np.ndarray, *, fps: float = 60.0, exact: Exact = "published") -> np.ndarray:
    """Times in seconds at which the body is slowest: local minima of `kinetic_velocity`.

    Published: value i counts as frame i, half a frame early. Fixed: the middle of its two frames,
    moved to the top of the parabola through the minimum and its neighbours.

    Args and errors as for `kinetic_velocity`; `exact` is "published" or "fixed".
    """
    velocity = kinetic_velocity(joints, fps=fps)
    check_options(fps, exact)
    (index,) = argrelextrema(velocity, np.less)
    if exact == "published" or not index.size:
        return index / fps
    before, here, after = velocity[index - 1], velocity[index], velocity[index + 1]
    return (index + 0.5 + 0.5 * (before - after) / (before - 2 * here + after)) / fps


def beat_alignment(
    music_beats: np.ndarray,
    joints: np.ndarray,
    *,
    fps: float = 60.0,
    over: Literal["music", "dance"] = "music",
    exact: Exact = "published",
) -> float:
    """Mean of exp(-d^2 / (2 sigma^2)), d from each beat of one kind to the nearest of the other.

    Over the music's beats (Bailando, whose figures most tables print) or over the dance's (the
    definition in the paper). Read beside that of real dances, with their own and with other music.

    Args:
        music_beats: `[B]` seconds from the motion's first frame.
        joints: `[T, J, 3]`, metres, at least 3 frames.
        fps: frames per second of the motion.
        over: "music" or "dance".
        exact: how a dance's beats are found, see `dance_beats`.

    Returns:
        In [0, 1]; 0 where the other kind has no beat, NaN where the one averaged over has none.

    Raises:
        InputError: a wrong shape or value.
    """
    music = np.asarray(music_beats, dtype=np.float64)
    if music.ndim != 1 or not np.isfinite(music).all():
        raise InputError(f"music_beats has shape {music.shape}, [beats] finite seconds are needed")
    if over not in ("music", "dance"):
        raise InputError(f"over is {over!r}; allowed: 'music', 'dance'")
    dance = dance_beats(joints, fps=fps, exact=exact)
    ours, other = (music, dance) if over == "music" else (dance, music)
    if not ours.size:
        return float("nan")
    if not other.size:
        return 0.0
    nearest = np.abs(ours[:, None] - other).min(axis=1)
    return float(np.exp(-(nearest**2) / (2 * SIGMA_S**2)).mean())


def physical_foot_contact(
    joints: np.ndarray, *, fps: float = 30.0, up: Literal["y", "z"] = "y"
) -> float:
    """PFC: how much the body accelerates while neither foot stands still; lower is better.

    The acceleration of joint 0, downward part left out, over its largest in the clip, times the
    lesser of the horizontal steps of ankle and toes of each foot; mean over frames, times 10^4.

    Args:
        joints: `[T, J, 3]`, metres, SMPL's order, at least 3 frames.
        fps: frames per second; it cancels out of the acceleration, but steps are per frame, so
            only figures of one rate (30 in the paper) are comparable.
        up: the vertical axis.

    Returns:
        0 for a body that never accelerates.

    Raises:
        InputError: a wrong shape or value.
    """
    joints = checked_joints(joints, min_frames=3)
    check_options(fps, "published")
    if up not in ("y", "z"):
        raise InputError(f"up is {up!r}; allowed: 'y', 'z'")
    if joints.shape[1] < 12:
        raise InputError(f"joints has {joints.shape[1]} joints; the feet are joints {_FEET}")
    vertical = "xyz".index(up)
    horizontal = [axis for axis in range(3) if axis != vertical]
    acceleration = np.diff(joints[:, 0], n=2, axis=0) * fps**2
    acceleration[:, vertical] = np.maximum(acceleration[:, vertical], 0)
    size = np.linalg.norm(acceleration, axis=-1)
    if not size.max() > 0:
        return 0.0
    step = np.linalg.norm(np.diff(joints[..., horizontal], axis=0), axis=-1)[1:]
    left, right = (step[:, foot].min(axis=1) for foot in map(list, _FEET))
    return float((left * right * size / size.max()).mean() * 1e4)


def dance_fid(generated: np.ndarray, real: np.ndarray) -> float:
    """FID of dance features by the AIST++ and Bailando protocol: z-scored by the real set first.

    Args:
        generated, real: `[n, d]` and `[m, d]` features of `kinetic_features` or
            `geometric_features`.

    Raises:
        InputError: as `distribution.fid`.
    """
    generated, real = _standardised(generated, real)
    return fid(generated, real)


def dance_diversity(generated: np.ndarray, real: np.ndarray) -> float:
    """Mean distance of all pairs of generated dances, z-scored by the real set first.

    Args:
        generated, real: `[n, d]` and `[m, d]`, n at least 2. For the figure of real dances, give
            them as both.

    Raises:
        InputError: wrong shapes or values that are not finite.
    """
    return float(pdist(_standardised(generated, real)[0]).mean())


def _standardised(generated: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    generated, real = np.asarray(generated, np.float64), np.asarray(real, np.float64)
    for name, values in (("generated", generated), ("real", real)):
        if values.ndim != 2 or len(values) < 2 or values.shape[1] < 1:
            raise InputError(f"{name} has shape {values.shape}, [at least 2 dances, d] is needed")
        if not np.isfinite(values).all():
            raise InputError(f"{name} holds values that are not finite")
    if generated.shape[1] != real.shape[1]:
        raise InputError(f"generated has {generated.shape[1]} values a row, real {real.shape[1]}")
    mean, scale = real.mean(axis=0), real.std(axis=0) + 1e-10
    return (generated - mean) / scale, (real - mean) / scale
