"""Motion of any length as values of each frame that do not depend on place or heading.

Each frame has the joints relative to the point below the pelvis, rotated so that the dancer faces
+z, and the translation and rotation to the next frame. Their sum is the path, so pieces of motion
can be exchanged and joined. (As the features of HumanML3D, Guo et al. 2022,
without their redundant parts.) Rotations of joints may follow the positions, that of the pelvis
without the heading: with them a joint has nine values.

Dimensions: N rows, T frames, J joints, F = 3 + 3 J or 3 + 9 J values of a frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from raydance.motion import joint_rotations, windows
from raydance.motion.skeleton import NUM_JOINTS

NUM_ROOT: Final = 3
"""Values before the joints: metres to the side and ahead, and radians turned, until the next
frame."""

NUM_PLACES: Final = NUM_ROOT + 3 * NUM_JOINTS
"""Values before the rotations."""


def to_local(
    motion: np.ndarray, joint_mask: np.ndarray, rotations: np.ndarray | None = None
) -> np.ndarray:
    """Motion `[N, T, J, 3]`, metres, y up, as `[N, T, F]` float32; absent joints are zero.

    Args:
        joint_mask: `[N, J]` bool.
        rotations: `[N, T, 50, 6]` of `joint_rotations`, zero where they are not known.
    """
    motion = np.asarray(motion, dtype=np.float32)
    angle = windows.heading(motion, joint_mask[:, None])
    angle = np.unwrap(angle, axis=1)
    root = motion[:, :, 0] * np.array([1.0, 0.0, 1.0], dtype=np.float32)
    joints = windows.rotate_y(motion - root[:, :, None], -angle)
    joints = np.where(joint_mask[:, None, :, None], joints, 0.0)
    step = np.diff(root, axis=1, append=root[:, -1:])
    step = windows.rotate_y(step[:, :, None], -angle)[:, :, 0]
    turn = np.diff(angle, axis=1, append=angle[:, -1:])
    # The last frame goes on as the one before it: a stop there would be an artefact.
    if motion.shape[1] > 1:
        step[:, -1], turn[:, -1] = step[:, -2], turn[:, -2]
    values = [step[..., 0], step[..., 2], turn]
    parts = [np.stack(values, axis=-1), joints.reshape(*motion.shape[:2], -1)]
    if rotations is not None:
        parts.append(joint_rotations.turned(rotations, -angle).reshape(*motion.shape[:2], -1))
    return np.concatenate(parts, axis=-1).astype(np.float32)


def values_known(joint_mask: np.ndarray, rotation_mask: np.ndarray | None = None) -> np.ndarray:
    """`[N, F]` bool: values of a frame that rows with these joints `[N, J]` have.

    Args:
        rotation_mask: `[N, J]`: joints whose rotations are known, where frames have those.
    """
    root = np.ones((len(joint_mask), NUM_ROOT), dtype=bool)
    parts = [root, np.repeat(joint_mask, 3, axis=1)]
    if rotation_mask is not None:
        parts.append(np.repeat(rotation_mask, 6, axis=1))
    return np.concatenate(parts, axis=1)


def joints_known(is_known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`[..., 50]` bool each: joints, and those with rotations, of `[..., F]` values known."""
    places = is_known[..., NUM_ROOT:NUM_PLACES:3]
    rotations = is_known[..., NUM_PLACES::6]
    return places, rotations if rotations.size else np.zeros_like(places)


def from_local(
    local: np.ndarray, start: np.ndarray | None = None, angle: np.ndarray | None = None
) -> np.ndarray:
    """Motion `[N, T, J, 3]` float32, metres, of `to_local`'s values but for rotations.

    Args:
        start: `[N, 2]` metres, x and z of the first pelvis; the origin by default.
        angle: `[N]` radians, the first heading; +z by default.
    """
    step = local[..., :2]
    joints = local[..., NUM_ROOT:NUM_PLACES].reshape(*local.shape[:2], -1, 3)
    heading = _headings(local, angle)
    ahead = np.stack([step[..., 0], np.zeros_like(step[..., 0]), step[..., 1]], axis=-1)
    ahead = windows.rotate_y(ahead[:, :, None].astype(np.float64), heading)[:, :, 0]
    path = np.zeros((*local.shape[:2], 3))
    path[:, 1:] = np.cumsum(ahead[:, :-1], axis=1)
    if start is not None:
        path[..., [0, 2]] += np.asarray(start)[:, None]
    turned = windows.rotate_y(joints.astype(np.float64), heading)
    return (turned + path[:, :, None]).astype(np.float32)


def rotations_from_local(local: np.ndarray) -> np.ndarray:
    """Rotations `[N, T, 50, 6]` of motion that begins facing +z; their columns need not be
    orthonormal."""
    six = local[..., NUM_PLACES:].reshape(*local.shape[:2], NUM_JOINTS, 6)
    return joint_rotations.turned(six, _headings(local, None))


def _headings(local: np.ndarray, angle: np.ndarray | None) -> np.ndarray:
    """`[N, T]` radians, after the first frame's `angle`, `[N]`."""
    before = np.zeros((len(local), 1)) if angle is None else np.asarray(angle)[:, None]
    return np.concatenate([before, before + np.cumsum(local[:, :-1, 2], axis=1)], axis=1)
