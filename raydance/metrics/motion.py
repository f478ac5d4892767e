"""How right and how natural motion is: position and velocity error, jitter, foot skate, bones.

Motions are `[..., T, J, 3]`, metres, y up, with any leading dimensions. A `joint_mask`, `[J]` or
`[..., J]` (one row per clip), takes joints that a source lacks out of every figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter1d

from raydance.errors import InputError
from raydance.motion.skeleton import INDEX, PARENTS

FEET = (INDEX["left_foot"], INDEX["right_foot"])
"""Toe joints of the canonical skeleton, also of SMPL and HumanML3D: 10 and 11."""


def mpjpe(
    predicted: np.ndarray,
    true: np.ndarray,
    *,
    joint_mask: np.ndarray | None = None,
    root_aligned: bool = False,
) -> float:
    """Mean per-joint position error, in centimetres.

    Args:
        predicted, true: `[..., T, J, 3]`, metres.
        joint_mask: `[J]` or `[..., J]` bool, True where the joint is real.
        root_aligned: move each frame's joint 0 to the origin first, in both.

    Raises:
        InputError: shapes that do not fit, values that are not finite, or no joint left.
    """
    predicted, true = _motion_pair(predicted, true)
    if root_aligned:
        predicted = predicted - predicted[..., :1, :]
        true = true - true[..., :1, :]
    return 100.0 * _masked_mean(np.linalg.norm(predicted - true, axis=-1), joint_mask)


def velocity_error(
    predicted: np.ndarray, true: np.ndarray, *, fps: float, joint_mask: np.ndarray | None = None
) -> float:
    """Mean length of the difference of joint velocities, in m/s.

    Args and errors as for `mpjpe`; `fps` are the frames per second; at least 2 frames.
    """
    predicted, true = _motion_pair(predicted, true, min_frames=2)
    difference = np.diff(predicted - true, axis=-3) * fps
    return _masked_mean(np.linalg.norm(difference, axis=-1), joint_mask)


def jitter(motion: np.ndarray, *, fps: float, joint_mask: np.ndarray | None = None) -> float:
    """Mean length of the joints' jerk (third difference of position), in m/s^3.

    Read beside the figure of real motion at the same rate: too low is over-smooth.

    Args:
        motion: `[..., T, J, 3]`, metres, at least 4 frames.
        fps: frames per second.
        joint_mask: `[J]` or `[..., J]` bool.

    Raises:
        InputError: a wrong shape, too few frames, values that are not finite, or no joint left.
    """
    jerk = np.diff(_motion("motion", motion, min_frames=4), n=3, axis=-3) * fps**3
    return _masked_mean(np.linalg.norm(jerk, axis=-1), joint_mask)


def foot_skate_ratios(
    motion: np.ndarray,
    *,
    fps: float = 20.0,
    joint_mask: np.ndarray | None = None,
    floor_m: float = 0.0,
    max_height_m: float = 0.05,
    min_speed_m_s: float = 0.5,
) -> np.ndarray:
    """Share of each clip's steps from frame to frame in which a foot on the floor slides.

    A foot is on the floor when it is below `max_height_m` in both frames, and slides when its
    horizontal speed and the speed's mean over 5 steps (zeros beyond the ends) both exceed
    `min_speed_m_s`. Definition of GMD (Karunratanakul et al. 2023), made for 20 fps.

    Args:
        motion: `[..., T, J, 3]`, metres, y up, canonical (or SMPL) joint order.
        fps: frames per second.
        joint_mask: `[J]` or `[..., J]` bool; a foot that is not there cannot slide.
        floor_m: height of the floor.

    Returns:
        `[...]`, in [0, 1]; NaN for a clip that has neither foot.

    Raises:
        InputError: a wrong shape, fewer than 2 frames, or values that are not finite.
    """
    motion = _motion("motion", motion, min_frames=2)
    if motion.shape[-2] <= max(FEET):
        raise InputError(f"motion has {motion.shape[-2]} joints; the feet are joints {FEET}")
    present = _mask(joint_mask, motion)[..., FEET]  # [..., 2]
    feet = motion[..., FEET, :]  # [..., T, 2, 3]
    speed = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=-3), axis=-1) * fps
    mean_speed = uniform_filter1d(speed, size=5, axis=-2, mode="constant")
    low = feet[..., 1] - floor_m < max_height_m
    on_floor = low[..., :-1, :] & low[..., 1:, :] & present[..., None, :]
    slides = on_floor & (speed > min_speed_m_s) & (mean_speed > min_speed_m_s)
    return np.where(present.any(axis=-1), slides.any(axis=-1).mean(axis=-1), np.nan)


def foot_skate_ratio(
    motion: np.ndarray,
    *,
    fps: float = 20.0,
    joint_mask: np.ndarray | None = None,
    floor_m: float = 0.0,
) -> float:
    """Mean of `foot_skate_ratios` over the clips that have a foot; NaN if none has."""
    ratios = foot_skate_ratios(motion, fps=fps, joint_mask=joint_mask, floor_m=floor_m)
    known = ratios[np.isfinite(ratios)]
    return float(known.mean()) if known.size else float("nan")


def bone_length_variation(
    motion: np.ndarray,
    *,
    joint_mask: np.ndarray | None = None,
    parents: Sequence[int] = PARENTS,
) -> float:
    """How much bones change length within a clip: mean standard deviation over mean length.

    0 for a rigid skeleton. Means are over bones first, so that a bone of length zero (two joints
    in one place) does no harm.

    Args:
        motion: `[..., T, J, 3]`, metres.
        joint_mask: `[J]` or `[..., J]` bool; a bone counts if both its ends are there.
        parents: J indices, -1 for a root.

    Raises:
        InputError: a wrong shape, values that are not finite, or no bone left.
    """
    motion = _motion("motion", motion)
    if motion.shape[-2] != len(parents):
        raise InputError(f"motion has {motion.shape[-2]} joints, parents names {len(parents)}")
    child = np.flatnonzero(np.asarray(parents) >= 0)
    parent = np.asarray(parents)[child]
    mask = _mask(joint_mask, motion)
    present = mask[..., child] & mask[..., parent]
    length = np.linalg.norm(motion[..., child, :] - motion[..., parent, :], axis=-1)
    total = float(length.mean(axis=-2)[present].sum())
    if not total > 0:
        raise InputError("no bone of any length is left after masking")
    return float(length.std(axis=-2)[present].sum()) / total


def _masked_mean(values: np.ndarray, joint_mask: np.ndarray | None) -> float:
    # values: [..., T, J]; every real joint of every frame counts alike.
    mask = _mask(joint_mask, values[..., None])
    count = int(mask.sum()) * values.shape[-2]
    if count == 0:
        raise InputError("no joint is left after masking")
    return float(np.where(mask[..., None, :], values, 0.0).sum() / count)


def _mask(joint_mask: np.ndarray | None, motion: np.ndarray) -> np.ndarray:
    shape = (*motion.shape[:-3], motion.shape[-2])
    if joint_mask is None:
        return np.ones(shape, dtype=bool)
    joint_mask = np.asarray(joint_mask, dtype=bool)
    if joint_mask.shape not in (shape, shape[-1:]):
        raise InputError(f"joint_mask has shape {joint_mask.shape}; allowed: {shape[-1:]}, {shape}")
    return np.broadcast_to(joint_mask, shape)


def _motion_pair(
    predicted: np.ndarray, true: np.ndarray, min_frames: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    predicted = _motion("predicted", predicted, min_frames)
    true = _motion("true", true, min_frames)
    if predicted.shape != true.shape:
        raise InputError(f"predicted has shape {predicted.shape}, true {true.shape}")
    return predicted, true


def _motion(name: str, motion: np.ndarray, min_frames: int = 1) -> np.ndarray:
    motion = np.asarray(motion, dtype=np.float64)
    if motion.ndim < 3 or motion.shape[-1] != 3 or 0 in motion.shape:
        raise InputError(f"{name} has shape {motion.shape}, [..., frames, joints, 3] is needed")
    if motion.shape[-3] < min_frames:
        raise InputError(f"{name} has {motion.shape[-3]} frames, at least {min_frames} are needed")
    if not np.isfinite(motion).all():
        raise InputError(f"{name} holds values that are not finite")
    return motion
