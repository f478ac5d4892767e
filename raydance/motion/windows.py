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

_MOST_REST_FRAMES: Final = 3
_REST_STILL_M: Final = 0.01
_REST_JUMP_M: Final = 0.15
_SPLITS: Final = (("train", 0.70), ("val", 0.85), ("test", 1.0))


def resample(positions: np.ndarray, fps_in: float, fps_out: float) -> np.ndarray:
    """Motion `[T, J, 3]` at another rate, linearly between frames; the first frame's time stays.

    Going down, each new frame is the mean of the old ones around it (about one new frame's span),
    so that jitter above the new rate does not show up as slow motion.
    """
    num_frames = len(positions)
    ratio = fps_in / fps_out
    if num_frames < 2 or abs(ratio - 1.0) < 1e-6:
        return positions
    reach = int(ratio) // 2
    time = np.arange(num_resampled(num_frames, fps_in, fps_out)) * ratio
    before = np.minimum((time + 1e-6).astype(int), num_frames - 2)
    share = np.clip(time - before, 0.0, 1.0).astype(positions.dtype)
    resampled = _mean_around(positions, before, reach)
    between = np.flatnonzero(share > 1e-6)  # none where the rates divide
    if len(between):
        after = _mean_around(positions, before[between] + 1, reach)
        weight = share[between, None, None]
        resampled[between] += (after - resampled[between]) * weight
    return resampled


def num_resampled(num_frames: int, fps_in: float, fps_out: float) -> int:
    """How many frames `resample` makes of so many."""
    return int((num_frames - 1) * fps_out / fps_in + 1e-6) + 1


def _mean_around(positions: np.ndarray, rows: np.ndarray, reach: int) -> np.ndarray:
    """Means of the frames `rows - reach .. rows + reach`; near an end of as many as both sides
    have, so that steady motion stays as it is."""
    possible = np.minimum(np.minimum(rows, len(positions) - 1 - rows), reach)
    total = positions[rows]
    for step in range(1, reach + 1):
        inner = np.flatnonzero(possible >= step)
        total[inner] += positions[rows[inner] - step] + positions[rows[inner] + step]
    return total / (2 * possible + 1).astype(total.dtype)[:, None, None]


def unbroken_pieces(
    positions: np.ndarray, fps: float, max_speed_m_s: float
) -> list[tuple[int, int]]:
    """Ranges of frames between jumps: no joint moves faster than a body can.

    A capture glitch, or the T-pose that converters put before a recording, is a piece of its own.

    Args:
        positions: `[T, J, 3]`, metres, at the source's rate (averaging would hide jumps).

    Returns:
        `(first, end)` of each piece, in order; together they are all frames.
    """
    steps = np.diff(positions, axis=0)
    furthest = np.einsum("tjk,tjk->tj", steps, steps).max(axis=1, initial=0.0)
    is_jump = ~(furthest <= (max_speed_m_s / fps) ** 2)  # what is not a number jumps too
    cuts = [0, *(np.flatnonzero(is_jump) + 1).tolist(), len(positions)]
    return list(zip(cuts[:-1], cuts[1:]))


def num_rest_frames(positions: np.ndarray, joint_mask: np.ndarray) -> int:
    """How many frames at the start are a T-pose that a converter put before the motion.

    Those frames (at most three) stand still with level arms, and the wrists jump from them into
    the motion.

    Args:
        positions: `[T, 50, 3]`, metres, at the source's rate.
        joint_mask: `[50]`.
    """
    names = [f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "wrist")]
    if not all(joint_mask[INDEX[name]] for name in names):
        return 0
    places = positions[: _MOST_REST_FRAMES + 2, [INDEX[name] for name in names]]
    moved = np.linalg.norm(np.diff(places[:, [1, 3]], axis=0), axis=-1).max(axis=1)
    arms = places[0, [1, 3]] - places[0, [0, 2]]
    arms = arms / np.maximum(np.linalg.norm(arms, axis=-1, keepdims=True), 1e-6)
    if np.abs(arms[:, 1]).max() > 0.25 or arms[0] @ arms[1] > -0.85:
        return 0
    for frame in range(min(_MOST_REST_FRAMES, len(moved) - 1)):
        if moved[frame] > _REST_JUMP_M:
            return frame + 1 if moved[frame + 1] < moved[frame] / 3 else 0
        if moved[frame] > _REST_STILL_M:
            return 0
    return 0


def cut(positions: np.ndarray, length: int = 50, stride: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping windows `[N, length, J, 3]` of motion `[T, J, 3]` and their first frames `[N]`.

    N is zero where the motion is shorter than one window.
    """
    starts = window_starts(len(positions), length, stride)
    return positions[starts[:, None] + np.arange(length)], starts


def window_starts(num_frames: int, length: int, stride: int) -> np.ndarray:
    """First frames `[N]` of the windows that fit into so many frames."""
    return np.arange(0, num_frames - length + 1, stride)


def heading(motion: np.ndarray, joint_mask: np.ndarray | None = None) -> np.ndarray:
    """Angle about the vertical, radians, that turns +z to where the dancer faces.

    Forward is level and square to the line between the hips and shoulders.

    Args:
        motion: `[..., J, 3]`, y up.
        joint_mask: `[..., J]`; a pair of joints is used only where both exist.
    """
    across = np.zeros(3, motion.dtype)
    for part in ("hip", "shoulder"):
        left, right = INDEX[f"left_{part}"], INDEX[f"right_{part}"]
        line = motion[..., left, :] - motion[..., right, :]
        if joint_mask is not None:
            line = np.where((joint_mask[..., left] & joint_mask[..., right])[..., None], line, 0.0)
        across = across + line
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

    Heights stay as they are, and joints outside the mask `[N, J]` become zero.
    """
    origin = windows[:, :1, :1] * np.array([1.0, 0.0, 1.0], dtype=windows.dtype)
    moved = rotate_y(windows - origin, -heading(windows[:, 0], joint_mask)[:, None])
    return _without_absent(moved, joint_mask)


def normalise_frames(windows: np.ndarray, joint_mask: np.ndarray | None = None) -> np.ndarray:
    """The paper's literal reading: pelvis at the origin and facing +z in every frame.

    Locomotion and turns are gone. Joints outside the mask `[N, J]` become zero.
    """
    mask = None if joint_mask is None else joint_mask[:, None, :]
    moved = rotate_y(windows - windows[:, :, :1], -heading(windows, mask))
    return _without_absent(moved, joint_mask)


def _without_absent(windows: np.ndarray, joint_mask: np.ndarray | None) -> np.ndarray:
    if joint_mask is None or joint_mask.all():
        return windows
    return np.where(joint_mask[:, None, :, None], windows, windows.dtype.type(0))


def split_of(recording: str, seed: int = 0) -> str:
    """`train` (70 %), `val` (15 %) or `test` (15 %): a stable hash of the recording's name.

    Adding recordings moves none, and all windows of one recording share its split.
    """
    share = share_of(recording, seed)
    return next(name for name, end in _SPLITS if share < end or end == 1.0)


def share_of(recording: str, seed: int = 0) -> float:
    """A stable hash of the recording's name in [0, 1)."""
    digest = hashlib.blake2b(f"{seed}/{recording}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def check_window(length: int, stride: int) -> None:
    """Refuse window settings that make no sense.

    Raises:
        InputError: fewer than 4 frames, more than 1000, or a stride below 1.
    """
    if not 4 <= length <= 1000 or stride < 1:
        raise InputError(f"window {length}, stride {stride}: 4 to 1000 frames, stride at least 1")
