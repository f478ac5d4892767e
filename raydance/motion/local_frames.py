"""Motion of any length as values of each frame that do not depend on place or heading.

Each frame has the joints relative to the point below the pelvis, rotated so that the dancer faces
+z, and the translation and rotation to the next frame. Their sum is the path, so pieces of motion
can be exchanged and joined. (As the features of HumanML3D, Guo et al. 2022,
without their redundant parts.)

Dimensions: N rows, T frames, J joints, F = 3 + 3 J values of a frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from raydance.motion import windows

NUM_ROOT: Final = 3
"""Values before the joints: metres to the side and ahead, and radians turned, until the next
frame."""


def to_local(motion: np.ndarray, joint_mask: np.ndarray) -> np.ndarray:
    """Motion `[N, T, J, 3]`, metres, y up, as `[N, T, 3 + 3 J]` float32; absent joints are zero.

    Args:
        joint_mask: `[N, J]` bool.
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
    flat = joints.reshape(*motion.shape[:2], -1)
    return np.concatenate([np.stack(values, axis=-1), flat], axis=-1).astype(np.float32)


def from_local(
    local: np.ndarray, start: np.ndarray | None = None, angle: np.ndarray | None = None
) -> np.ndarray:
    """Motion `[N, T, J, 3]` float32, metres, of `to_local`'s values.

    Args:
        start: `[N, 2]` metres, x and z of the first pelvis; the origin by default.
        angle: `[N]` radians, the first heading; +z by default.
    """
    step, turn = local[..., :2], local[..., 2]
    joints = local[..., NUM_ROOT:].reshape(*local.shape[:2], -1, 3)
    before = np.zeros((len(local), 1)) if angle is None else np.asarray(angle)[:, None]
    heading = np.concatenate([before, before + np.cumsum(turn[:, :-1], axis=1)], axis=1)
    ahead = np.stack([step[..., 0], np.zeros_like(step[..., 0]), step[..., 1]], axis=-1)
    ahead = windows.rotate_y(ahead[:, :, None].astype(np.float64), heading)[:, :, 0]
    path = np.zeros((*local.shape[:2], 3))
    path[:, 1:] = np.cumsum(ahead[:, :-1], axis=1)
    if start is not None:
        path[..., [0, 2]] += np.asarray(start)[:, None]
    turned = windows.rotate_y(joints.astype(np.float64), heading)
    return (turned + path[:, :, None]).astype(np.float32)
