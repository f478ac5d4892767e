"""Twists that positions leave open, chosen for a whole motion at once.

Where a bone points tells nothing of its twist. Three things speak for one: the hinge below (a knee
bends forwards, and hardly sideways), the range of the joint, and the twist of the frame before.
Frame by frame the first two jump, as where a limb passes through straight to bend a little
backwards. So the path with the least cost over all frames is taken (Viterbi 1967 on a grid of
angles), then refined by least squares around it.

Twists are compared in a frame that is carried along the bone's way without turning about it
(parallel transport), so that the cost of a change is what the joint turns more than its bone asks.

Dimensions: T frames, K joints, A angles of the grid.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.linalg import solveh_banded

from raydance.motion import rotations as rot

_NUM_ANGLES: Final = 36
_FARTHEST: Final = 4  # steps of the grid between two frames: 40 degrees
_FREE: Final = np.deg2rad(10.0)  # changes up to this cost nothing on the grid
_STRAIGHT: Final = 0.1  # the sine of a bend of a limb that is straight
_CHANGE: Final = 0.3  # cost of a squared radian of change beyond that
_SMALL_CHANGE: Final = 1e-3  # of each step, so that what is left open stays
_RANGE: Final = 1.0  # of a squared radian outside of the joint's range
_SIDEWAYS: Final = 4.0  # of a squared sine of a hinge that bends sideways
_BACKWARDS: Final = 1.0  # of one that bends backwards beyond its range
_REST: Final = 1e-4  # of not staying as the T-pose has it
_STIFFNESS: Final = 0.015  # refinement: a squared sine of bend counts as much as this does


def smooth_twists(
    swings: np.ndarray,
    bones: np.ndarray,
    bends: np.ndarray,
    backwards: np.ndarray,
    ranges: np.ndarray,
) -> np.ndarray:
    """Angles `[T, K]`, radians, by which each joint turns about its own bone before it swings.

    Args:
        swings: `[T, K, 4]` turns without twist from the rest pose, local.
        bones: `[K, 3]` unit directions at rest.
        bends: `[T, K]` complex: its angle is the twist with which the hinge below bends forwards,
            its size the sine of that bend; 0 where nothing below tells.
        backwards: `[K]` the sine of the bend backwards that a hinge allows; inf: any.
        ranges: `[K]` greatest twist either way, radians; inf: any.
    """
    # Bones at rest are not quite in line: what is hardly a bend tells nothing.
    bends = bends * np.abs(bends) / np.hypot(np.abs(bends), _STRAIGHT)
    step = rot.multiply(rot.conjugate(swings[:-1]), swings[1:])
    added = 2.0 * np.arctan2(np.sum(step[..., 1:] * bones, axis=-1), step[..., 0])
    # What parallel transport adds: a twist plus this is constant where nothing turns needlessly.
    carried = np.concatenate((np.zeros((1, len(bones))), np.cumsum(added, axis=0)))
    # Opposite to its rest direction a bone tells nothing of what is no twist.
    across = 1.0 - np.sum(swings[..., 1:] ** 2, axis=-1)
    grid = np.arange(_NUM_ANGLES) * (2.0 * np.pi / _NUM_ANGLES)
    cost = _costs(grid - carried[..., None], across, bends, backwards, ranges)
    path = grid[_cheapest(cost)]
    return _refined(np.unwrap(path, axis=0), carried, across, bends) - carried


def _costs(
    twist: np.ndarray,
    across: np.ndarray,
    bends: np.ndarray,
    backwards: np.ndarray,
    ranges: np.ndarray,
) -> np.ndarray:
    """Cost `[T, K, A]` of each twist `[T, K, A]` by itself."""
    cosine, sine = np.cos(twist), np.sin(twist)
    real, imaginary = bends.real[..., None], bends.imag[..., None]
    forwards = real * cosine + imaginary * sine
    sideways = imaginary * cosine - real * sine
    cost = _SIDEWAYS * sideways**2
    cost += _BACKWARDS * np.maximum(-forwards - backwards[:, None], 0.0) ** 2
    cost += _REST * across[..., None] * (1.0 - cosine)
    if np.isfinite(ranges).any():
        size = np.abs(np.arctan2(sine, cosine))
        cost += _RANGE * across[..., None] * np.maximum(size - ranges[:, None], 0.0) ** 2
    return cost


def _cheapest(cost: np.ndarray) -> np.ndarray:
    """Indices `[T, K]` of the path through `cost` `[T, K, A]` that costs least with its changes."""
    num_frames, num_joints, num_angles = cost.shape
    shifts = np.arange(-_FARTHEST, _FARTHEST + 1)
    change = np.maximum(np.abs(shifts) * (2.0 * np.pi / num_angles) - _FREE, 0.0)
    change = _CHANGE * change**2 + _SMALL_CHANGE * np.abs(shifts)
    before = (np.arange(num_angles)[:, None] + shifts) % num_angles
    came = np.empty((num_frames, num_joints, num_angles), np.int8)
    total = cost[0]
    for frame in range(1, num_frames):
        options = total[:, before]
        options += change
        best = options.argmin(axis=-1)
        came[frame] = best
        total = np.take_along_axis(options, best[..., None], axis=-1)[..., 0]
        total += cost[frame]
    path = np.empty((num_frames, num_joints), np.int64)
    path[-1] = total.argmin(axis=-1)
    joints = np.arange(num_joints)
    for frame in range(num_frames - 1, 0, -1):
        path[frame - 1] = before[path[frame], came[frame, joints, path[frame]]]
    return path


def _refined(
    path: np.ndarray, carried: np.ndarray, across: np.ndarray, bends: np.ndarray
) -> np.ndarray:
    """Least squares around `path` `[T, K]`: hinges that bend true, rest, and smooth changes."""
    # A hinge's axis is the same whether it bends forwards or a little backwards.
    off = np.angle(bends) + carried - path
    off = off - np.pi * np.round(off / np.pi)
    weight = np.abs(bends) ** 2 * np.cos(off) ** 2
    idle = carried - path
    idle = np.arctan2(np.sin(idle), np.cos(idle))
    rest = 0.5 * _REST * across
    wanted = weight * off + rest * idle
    change = np.diff(path, axis=0)
    wanted[:-1] += _STIFFNESS * change
    wanted[1:] -= _STIFFNESS * change
    banded = np.zeros((min(2, len(path)), len(path)))
    result = np.empty_like(path)
    for joint in range(path.shape[1]):
        banded[0] = weight[:, joint] + rest[:, joint] + 2.0 * _STIFFNESS
        banded[0, [0, -1]] -= _STIFFNESS
        banded[0] += 1e-9
        banded[1:, :-1] = -_STIFFNESS
        result[:, joint] = path[:, joint] + solveh_banded(
            banded, wanted[:, joint], lower=True, check_finite=False
        )
    return result
