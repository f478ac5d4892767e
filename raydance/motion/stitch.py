"""Joins overlapping windows into one motion: place each after the one before, then blend.

A window has no absolute place or heading (`windows.normalise_window`). Both are recovered from the
frames that it shares with the motion so far: the rotation about the vertical and the translation on
the floor that bring its joints closest to theirs (weighted least squares in the plane, in closed
form; the idea of Kovar, Gleicher and Pighin 2002, "Motion Graphs", section 3.1). Windows that were
cut from one motion give it back to rounding; others are blended over all shared frames with a
weight whose first and second derivatives vanish at both ends, so that neither place, speed nor
acceleration jumps.

Dimensions: N windows, L frames of a window, T frames, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from raydance.errors import InputError
from raydance.motion.skeleton import NUM_BODY_JOINTS
from raydance.motion.windows import rotate_y


class Placement(NamedTuple):
    """Placement of a window: rotate it by `angle`, then add `shift`.

    Attributes:
        angle: radians about the vertical; positive turns +z to +x.
        shift: `[3]` metres, level.
        residual_m: weighted root mean square of what distance remains.
    """

    angle: float
    shift: np.ndarray
    residual_m: float

    def apply(self, motion: np.ndarray) -> np.ndarray:
        """Motion `[..., J, 3]` in its place."""
        return rotate_y(motion, np.array(self.angle)) + self.shift


def smooth_step(share: np.ndarray) -> np.ndarray:
    """From 0 to 1 with first and second derivatives of zero at both ends; `share` in [0, 1]."""
    return share**3 * (10.0 - 15.0 * share + 6.0 * share**2)


def blend_weights(num_frames: int) -> np.ndarray:
    """The new window's weights `[num_frames]` over shared frames: 0 just before, 1 just after."""
    return smooth_step(np.arange(1, num_frames + 1) / (num_frames + 1))


def place(before: np.ndarray, after: np.ndarray, joint_mask: np.ndarray | None = None) -> Placement:
    """The placement of `after` that fits the same frames of the motion so far.

    Frames are weighted by the blend of both motions. Fingers are ignored if there is a body: they
    outnumber all other joints.

    Args:
        before, after: `[T, J, 3]`, metres, y up.
        joint_mask: `[J]` bool, the joints that count.
    """
    joints = _joints_to_fit(before.shape[1], joint_mask)
    weight = blend_weights(len(before))
    weight = weight * (1.0 - weight)
    weight /= weight.sum()
    fixed, moved = before[:, joints].astype(np.float64), after[:, joints].astype(np.float64)
    centres = [np.einsum("t,tjk->k", weight, p) / len(joints) for p in (fixed, moved)]
    to, of = fixed - centres[0], moved - centres[1]
    # Turned by a: x' = cos x + sin z, z' = cos z - sin x (`rotate_y`); the best a maximises the
    # weighted sum of to . of'.
    along = np.einsum("t,tjk,tjk->", weight, to[..., ::2], of[..., ::2])
    across = np.einsum("t,tj->", weight, to[..., 0] * of[..., 2] - to[..., 2] * of[..., 0])
    angle = float(np.arctan2(across, along))
    turned = rotate_y(centres[1][None], np.array(angle))[0]
    found = Placement(angle, (centres[0] - turned) * (1.0, 0.0, 1.0), 0.0)
    distance = ((found.apply(moved) - fixed) ** 2).sum(axis=-1).mean(axis=-1)
    return found._replace(residual_m=float(np.sqrt(weight @ distance)))


def best_overlap(
    before: np.ndarray,
    after: np.ndarray,
    overlaps: Sequence[int],
    joint_mask: np.ndarray | None = None,
) -> int:
    """The overlap in frames at which two windows `[L, J, 3]` differ least.

    For windows that were not cut from one motion.
    """
    residuals = [place(before[-n:], after[:n], joint_mask).residual_m for n in overlaps]
    return overlaps[int(np.argmin(residuals))]


def stitch_at(
    windows: np.ndarray, starts: np.ndarray, *, joint_mask: np.ndarray | None = None
) -> np.ndarray:
    """One motion of windows each of which begins before the last one ends.

    Args:
        windows: `[N, L, J, 3]`, metres, y up, each in a place and heading of its own.
        starts: `[N]` rising frame numbers, the first frame of each.
        joint_mask: `[J]` bool; other joints are ignored and become zero.

    Returns:
        `[T, J, 3]` in the first window's place, of the windows' type.

    Raises:
        InputError: no window, or starts that do not rise or leave a gap.
    """
    _check(windows)
    length = windows.shape[1]
    starts = np.asarray(starts) - int(starts[0])
    steps = np.diff(starts)
    if len(starts) != len(windows) or not ((steps > 0) & (steps < length)).all():
        raise InputError(
            f"{len(windows)} windows of {length} frames with first frames {starts.tolist()[:8]}: "
            f"one each is needed, each 1 to {length - 1} after the one before"
        )
    motion = np.zeros((starts[-1] + length, *windows.shape[2:]))
    motion[:length] = windows[0]
    for i in range(1, len(windows)):
        start, end = starts[i], starts[i - 1] + length
        shared = end - start
        placed = place(motion[start:end], windows[i, :shared], joint_mask)
        window = placed.apply(windows[i].astype(np.float64))
        weight = blend_weights(shared)[:, None, None]
        motion[start:end] += (window[:shared] - motion[start:end]) * weight
        motion[end : start + length] = window[shared:]
    if joint_mask is not None:
        motion[:, ~np.asarray(joint_mask, dtype=bool)] = 0.0
    return motion.astype(windows.dtype)


def rebuild(
    windows: np.ndarray,
    start_s: np.ndarray,
    fps: float,
    *,
    joint_mask: np.ndarray | None = None,
) -> list[tuple[float, np.ndarray]]:
    """A clip's motion from its windows, as a dataset's shards hold them.

    A clip has a part for each stretch without a jump (`windows.unbroken_pieces`); where windows do
    not overlap, each is a part. What follows the last window of a part was never stored.

    Args:
        windows: `[N, L, J, 3]`, metres, in any order.
        start_s: `[N]` seconds from the clip's begin (the column `start_s`).

    Returns:
        (begin in seconds, motion `[T, J, 3]`) of each part, in order of time; each is in the place
        and heading of its own first window.
    """
    _check(windows)
    order = np.argsort(start_s, kind="stable")
    times = np.asarray(start_s, dtype=np.float64)[order]
    # Parts are not on one grid of frames: rounding may let neighbours seem to share one frame.
    is_gap = np.diff(times) * fps > windows.shape[1] - 1.5
    parts = np.split(np.arange(len(times)), np.flatnonzero(is_gap) + 1)
    return [
        (
            float(times[part[0]]),
            stitch_at(
                windows[order[part]],
                np.rint((times[part] - times[part[0]]) * fps).astype(int),
                joint_mask=joint_mask,
            ),
        )
        for part in parts
    ]


def _joints_to_fit(num_joints: int, joint_mask: np.ndarray | None) -> np.ndarray:
    joints = np.arange(num_joints) if joint_mask is None else np.flatnonzero(joint_mask)
    body = joints[joints < NUM_BODY_JOINTS]
    return body if len(body) else joints


def _check(windows: np.ndarray) -> None:
    if windows.ndim != 4 or windows.shape[-1] != 3 or 0 in windows.shape:
        raise InputError(
            f"windows have shape {windows.shape}; [windows, frames, joints, 3] is needed"
        )
