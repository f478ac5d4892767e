"""From motion of any length to windows: resampling, cutting, normalising, splitting.

Dance-Language, section II.A: 50 frames, stride 20, root-normalised. Position and heading are those
of a window's first frame, so that locomotion survives; the paper's removal in every frame is
`normalise_frames`.

Dimensions: N windows, T frames, J joints.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion.skeleton import INDEX

_SPLITS: Final = (("train", 0.70), ("val", 0.85), ("test", 1.0))


def resample(positions: np.ndarray, fps_in: float, fps_out: float) -> np.ndarray:
    """Motion `[T, J, 3]` at another rate, linearly between frames; the last time is kept if hit.

    Downsampling averages over the new frame's span first, where that spans two frames or more, so
    that fast jitter does not alias.
    """
    num_frames = len(positions)
    if num_frames < 2 or abs(fps_in - fps_out) < 1e-6 * fps_out:
        return positions
    ratio = fps_in / fps_out
    if ratio >= 2.0:
        width = int(ratio) // 2 * 2 + 1
        padded = np.concatenate(
            [
                np.repeat(positions[:1], width // 2, axis=0),
                positions,
                np.repeat(positions[-1:], width // 2, axis=0),
            ]
        )
        sums = np.cumsum(
            np.concatenate([np.zeros_like(padded[:1]), padded]), axis=0, dtype=np.float64
        )
        positions = ((sums[width:] - sums[:-width]) / width).astype(positions.dtype)
    count = int((num_frames - 1) / ratio + 1e-6) + 1
    time = np.arange(count) * ratio
    before = np.minimum(time.astype(int), num_frames - 2)
    share = (time - before)[:, None, None].astype(positions.dtype)
    return positions[before] * (1 - share) + positions[before + 1] * share


def cut(positions: np.ndarray, length: int = 50, stride: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping windows `[N, length, J, 3]` of motion `[T, J, 3]` and their first frames `[N]`.

    N is zero where the motion is shorter than one window.
    """
    starts = np.arange(0, len(positions) - length + 1, stride)
    rows = starts[:, None] + np.arange(length)[None, :]
    return positions[rows], starts


def heading(motion: np.ndarray, joint_mask: np.ndarray | None = None) -> np.ndarray:
    """Angle about the vertical, radians, that turns +z to where the dancer faces.

    Forward is level and square to the line between the hips and shoulders.

    Args:
        motion: `[..., J, 3]`, y up.
        joint_mask: `[..., J]`; shoulders are used only where both exist.
    """
    across = motion[..., INDEX["left_hip"], :] - motion[..., INDEX["right_hip"], :]
    left, right = INDEX["left_shoulder"], INDEX["right_shoulder"]
    shoulders = motion[..., left, :] - motion[..., right, :]
    if joint_mask is not None:
        both = joint_mask[..., left] & joint_mask[..., right]
        shoulders = np.where(both[..., None], shoulders, 0.0)
    across = across + shoulders
    # forward = across x up = (-across_z, 0, across_x)
    return np.arctan2(-across[..., 2], across[..., 0])


def rotate_y(motion: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn points about the vertical axis.

    Args:
        motion: `[..., J, 3]`.
        angle: `[...]` radians, broadcast; positive turns +z to +x.
    """
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    x, y, z = motion[..., 0], motion[..., 1], motion[..., 2]
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1).astype(motion.dtype)


def normalise_window(windows: np.ndarray, joint_mask: np.ndarray | None = None) -> np.ndarray:
    """Windows `[N, T, J, 3]` moved so that the first frame stands at x = z = 0 and faces +z.

    Heights stay as they are.
    """
    origin = windows[:, :1, :1] * np.array([1.0, 0.0, 1.0], dtype=windows.dtype)
    return rotate_y(windows - origin, -heading(windows[:, 0], joint_mask)[:, None])


def normalise_frames(windows: np.ndarray, joint_mask: np.ndarray | None = None) -> np.ndarray:
    """The paper's literal reading: pelvis at the origin and facing +z in every frame."""
    mask = None if joint_mask is None else joint_mask[:, None, :]
    return rotate_y(windows - windows[:, :, :1], -heading(windows, mask))


def split_of(recording: str, seed: int = 0) -> str:
    """`train` (70 %), `val` (15 %) or `test` (15 %): a stable hash of the recording's name.

    Adding recordings moves none, and all windows of one recording share its split.
    """
    digest = hashlib.blake2b(f"{seed}/{recording}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    return next(name for name, end in _SPLITS if share < end or end == 1.0)


def check_window(length: int, stride: int) -> None:
    """Refuse window settings that make no sense.

    Raises:
        InputError: fewer than 4 frames, more than 1000, or a stride below 1.
    """
    if not 4 <= length <= 1000 or stride < 1:
        raise InputError(f"window {length}, stride {stride}: 4 to 1000 frames, stride at least 1")
