"""Biovision Hierarchy (BVH) files to clips.

Reads what real files hold: any order of channels, position channels on every joint (which then
replace its OFFSET, unless they are zero or noise), end sites (kept as joints named
`<parent>_end`), tabs, Windows line ends, a byte order mark, decimal commas. Refuses, naming the
line: several roots, frames that are missing or too many, wrong numbers of values, values that are
not finite, and sizes no recording has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from raydance.motion import rotations as rot
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import bvh_text as bt
from raydance.motion.formats import text as tx
from raydance.motion.formats.sidecar import facts_beside

_BLOCK_FRAMES: Final = 4096
_NEAR_ZERO: Final = 1e-3  # of a bone's length


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read a BVH file.

    Args:
        path: the file.
        fps: frames per second, where the header is wrong.
        units: metres per unit; a side-car's, or detected from the body, where None.
        up: the file's up axis, `x`, `y` or `z`; a side-car's, or detected, where None.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: the file cannot be read; names the line.
        InputError: an argument is out of range.
    """
    return read_with_scale(path, fps=fps, units=units, up=up, max_frames=max_frames)[0]


def read_with_scale(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> tuple[Clip, un.Scale]:
    """As `read`, and what was found about the file's unit and up axis."""
    name = str(path)
    tx.check_fps(fps)
    sections = bt.parse(name, tx.read_text(path), max_frames=max_frames, fps_given=fps is not None)
    joints = sections.hierarchy.joints
    parents = tuple(joint.parent for joint in joints)
    offsets = np.array([joint.offset for joint in joints], dtype=np.float64)
    rotations, positions = _motion(joints, parents, offsets, sections.values)
    joint_names = tuple(joint.name for joint in joints)
    facts = facts_beside(path)
    scale = un.detect(
        positions,
        parents=parents,
        joint_names=joint_names,
        rest=un.rest_positions(offsets, parents),
        units=facts.get("units") if units is None else units,
        up=up or facts.get("up"),
    )
    scale.warn(name)
    rate = fps if fps is not None else sections.fps
    assert rate is not None
    clip = Clip(
        clip_id=Path(path).stem,
        source=name,
        fps=float(rate),
        joint_names=joint_names,
        parents=parents,
        positions=scale.vectors(positions),
        rotations=scale.rotations(rotations),
        offsets=scale.vectors(offsets),
    )
    return clip, scale


def _motion(
    joints: list[bt.Joint], parents: tuple[int, ...], offsets: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations `[T, J, 4]` and global positions `[T, J, 3]`, float32, in the file's unit."""
    num_frames, num_joints = len(values), len(joints)
    rotations = np.empty((num_frames, num_joints, 4), dtype=np.float32)
    positions = np.empty((num_frames, num_joints, 3), dtype=np.float32)
    turning, moving = _columns(joints, values)
    for start in range(0, num_frames, _BLOCK_FRAMES):  # keeps the float64 intermediates small
        block = slice(start, start + _BLOCK_FRAMES)
        rows = values[block]
        turns = np.empty((len(rows), num_joints, 4))
        turns[:] = rot.IDENTITY
        for order, (which, columns) in turning.items():
            turns[:, which] = rot.from_euler(rows[:, columns], order, degrees=True)
        places = np.broadcast_to(offsets, (len(rows), num_joints, 3)).copy()
        for joint, axis, column in moving:
            places[:, joint, axis] = rows[:, column]
        rotations[block] = turns
        positions[block] = rot.forward_kinematics(turns, places, parents)
    return rotations, positions


def _columns(
    joints: list[bt.Joint], values: np.ndarray
) -> tuple[dict[str, tuple[list[int], list[list[int]]]], list[tuple[int, int, int]]]:
    """Where each joint's channels are.

    Returns:
        For each order of rotations its joints and their columns, so that joints of one order are
        turned together; and (joint, axis, column) of each position channel.
    """
    turning: dict[str, tuple[list[int], list[list[int]]]] = {}
    moving: list[tuple[int, int, int]] = []
    for index, joint in enumerate(joints):
        order, columns = "", []
        for column, channel in enumerate(joint.channels or (), start=joint.first_channel):
            if channel in bt.ROTATIONS:
                order += channel[0]
                columns.append(column)
            else:
                moving.append((index, bt.POSITIONS.index(channel), column))
        if order:
            which, all_columns = turning.setdefault(order, ([], []))
            which.append(index)
            all_columns.append(columns)
    return turning, _used_positions(joints, values, moving)


def _used_positions(
    joints: list[bt.Joint], values: np.ndarray, moving: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """The position channels that an exporter has filled in.

    Some exporters write six channels on every joint and leave the positions of all but the root
    zero, or nearly so: taken as replacements they would fold the body into one point.
    """
    columns: dict[int, list[int]] = {}
    for index, _, column in moving:
        if joints[index].parent >= 0:
            columns.setdefault(index, []).append(column)
    if not columns:
        return moving
    lengths = [float(np.linalg.norm(j.offset)) for j in joints if j.offset and j.parent >= 0]
    limit = _NEAR_ZERO * float(np.median([length for length in lengths if length > 0] or [0.0]))
    unused = {index for index, its in columns.items() if np.abs(values[:, its]).max() <= limit}
    return [entry for entry in moving if entry[0] not in unused]
