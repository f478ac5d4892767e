"""Clips to Biovision Hierarchy (BVH) files that animation tools open.

A clip with rotations is written as it is; one of positions alone gets rotations (see `pose`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.files import replacing
from raydance.motion import rotations as rot
from raydance.motion.clip import Clip
from raydance.motion.export.joint_naming import named
from raydance.motion.export.pose import Pose, pose_of
from raydance.motion.export.written_file import WrittenFile
from raydance.motion.units import LENGTHS

UP: Final[dict[str, np.ndarray]] = {
    "y": rot.IDENTITY,
    "z": rot.from_euler(np.array([90.0]), "x", degrees=True),
}
"""Up axis -> the turn `[4]` from y up to it: who faces +z faces -y where z is up."""

_ORDER: Final = "zxy"


def write(
    path: str | Path,
    clip: Clip,
    *,
    unit: str = "cm",
    up: str = "y",
    names: str = "own",
    limits: bool = True,
    joint_mask: Sequence[bool] | np.ndarray | None = None,
) -> WrittenFile:
    """Write a clip as a BVH file, whole or not at all.

    Joints come in the hierarchy's order; names stay, but for blanks, which become underscores.

    Args:
        path: the file; replaced where it exists.
        clip: with rotations and offsets, or with positions alone.
        unit: of `raydance.motion.units.LENGTHS`.
        up: the axis that points up, `y` or `z`.
        names: of joints, see `joint_naming.NAMINGS`.
        limits, joint_mask: see `pose_of`.

    Raises:
        InputError: an unknown unit or axis, or a clip that `pose_of` refuses.
    """
    if unit not in LENGTHS:
        raise InputError(f"unit: found {unit!r}; allowed: {', '.join(LENGTHS)}")
    if up not in UP:
        raise InputError(f"up: found {up!r}; allowed: {', '.join(UP)}")
    pose = pose_of(clip, limits=limits, joint_mask=joint_mask)
    written_names = _names(named(pose.joint_names, names))
    turn = UP[up]
    # A change of basis: in the new frame everything is where it was, seen from the new axes.
    rotations = rot.multiply(rot.multiply(turn, pose.rotations), rot.conjugate(turn))
    text = _text(
        written_names,
        pose,
        rotations,
        rot.rotate(turn, pose.offsets) / LENGTHS[unit],
        rot.rotate(turn, pose.places) / LENGTHS[unit],
        clip.fps,
    )
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return pose.written()


def _names(joint_names: Sequence[str]) -> list[str]:
    """Joint names as BVH can have them: without blanks and braces, all different."""
    names: list[str] = []
    for joint, given in enumerate(joint_names):
        name = re.sub(r"[\s{}]+", "_", given) or "joint"
        names.append(name if name not in names else f"{name}_{joint}")
    return names


def _text(
    names: list[str],
    pose: Pose,
    rotations: np.ndarray,
    offsets: np.ndarray,
    places: np.ndarray,
    fps: float,
) -> str:
    """The file, from rotations `[T, J, 4]`, offsets `[J, 3]` and places `[T, J, 3]` as in it."""
    parents, moves = pose.parents, pose.moves
    children: list[list[int]] = [[] for _ in names]
    for joint, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(joint)
    still = (np.abs(rotations[..., 0]) > 1.0 - 1e-9).all(axis=0)
    ends = {
        joint
        for joint, parent in enumerate(parents)
        if parent >= 0
        and not children[joint]
        and still[joint]
        and not moves[joint]
        and names[joint] == f"{names[parent]}_end"
    }
    header = ["HIERARCHY"]
    columns: list[np.ndarray] = []
    # Unwrapped, so that tools that interpolate between frames don't spin a joint around.
    degrees = np.unwrap(rot.to_euler(rotations, _ORDER, degrees=True), period=360.0, axis=0)

    def vector(values: np.ndarray) -> str:
        return " ".join(f"{value:.6f}" for value in values)

    def add(joint: int, indent: str) -> None:
        is_end = joint in ends
        word = "ROOT" if parents[joint] < 0 else "JOINT"
        header.append(f"{indent}End Site" if is_end else f"{indent}{word} {names[joint]}")
        header.append(f"{indent}{{")
        header.append(f"{indent}\tOFFSET {vector(offsets[joint])}")
        if not is_end:
            if moves[joint]:
                columns.append(places[:, joint])
            columns.append(degrees[:, joint])
            position = "Xposition Yposition Zposition " if moves[joint] else ""
            turns = " ".join(f"{letter.upper()}rotation" for letter in _ORDER)
            count = 6 if moves[joint] else 3
            header.append(f"{indent}\tCHANNELS {count} {position}{turns}")
            for child in children[joint]:
                add(child, indent + "\t")
            if not children[joint]:  # tools insist on an end site below a last joint
                zero = vector(np.zeros(3))
                header.extend(
                    f"{indent}\t{line}" for line in ("End Site", "{", f"\tOFFSET {zero}", "}")
                )
        header.append(f"{indent}}}")

    add(0, "")
    table = np.concatenate(columns, axis=1)
    header += ["MOTION", f"Frames: {len(table)}", f"Frame Time: {1.0 / fps:.8f}"]
    # Adding zero turns -0.0 into 0.0.
    rows = [" ".join([f"{value:.6f}" for value in row]) for row in (table.round(6) + 0.0).tolist()]
    return "\n".join((*header, *rows, ""))
