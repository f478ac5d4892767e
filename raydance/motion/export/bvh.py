"""Clips to Biovision Hierarchy (BVH) files that animation tools open.

A clip with rotations is written as it is. A clip of positions alone (generated motion) gets
rotations fitted to it: bones of their mean lengths, turned as little as possible. `write` reports
how far the file's joints are from the clip's.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import InputError
from raydance.motion import rotations as rot
from raydance.motion.clip import Clip
from raydance.motion.export.fit import fit_rotations

UNITS: Final[dict[str, float]] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
"""Metres per unit of the units that can be written."""

_ORDER: Final = "zxy"
_STRETCH_M: Final = 1e-4  # a bone that moves more than this in its parent's frame gets positions


@dataclass(frozen=True)
class Residual:
    """How far a written file's joints are from the clip's, over all frames and joints, metres."""

    mean_m: float
    max_m: float


def write(
    path: str | Path,
    clip: Clip,
    *,
    unit: str = "cm",
    joint_mask: Sequence[bool] | np.ndarray | None = None,
) -> Residual:
    """Write a clip as a BVH file, y up, whole or not at all.

    Joints come in the hierarchy's order; names stay, but for blanks, which become underscores.

    Args:
        path: the file; replaced where it exists.
        clip: with rotations and offsets, or with positions alone.
        unit: `m`, `cm`, `mm` or `inch`.
        joint_mask: `[J]`, for a clip of positions: joints that are False are left out, and their
            children hang from the nearest joint above that is there.

    Raises:
        InputError: an unknown unit, no frames, values that are not finite, several roots, or a
            mask without a root.
    """
    if unit not in UNITS:
        raise InputError(f"unit: found {unit!r}; allowed: {', '.join(UNITS)}")
    if not (np.isfinite(clip.fps) and clip.fps > 0):
        raise InputError(f"{clip.clip_id}: {clip.fps} frames per second; above 0 is needed")
    names, parents, positions = _present(clip, joint_mask)
    if clip.rotations is not None and clip.offsets is not None:
        if len(names) < len(clip.joint_names):
            raise InputError("joint_mask: for clips of positions; this one has rotations")
        rotations = rot.normalise(clip.rotations)
        offsets = np.array(clip.offsets, dtype=np.float64)
        is_free = None
    else:
        rotations, offsets, is_free = fit_rotations(positions, parents, names)
    places = _places(rotations, offsets, positions, parents, is_free)
    written = rot.forward_kinematics(rotations, places, parents)
    error = np.linalg.norm(written - positions, axis=-1)
    offsets = np.concatenate((np.zeros((1, 3)), offsets[1:]))
    text = _text(names, parents, rotations, offsets, places, clip.fps, UNITS[unit])
    _replace(Path(path), text)
    return Residual(float(error.mean()), float(error.max()))


def _present(
    clip: Clip, joint_mask: Sequence[bool] | np.ndarray | None
) -> tuple[list[str], tuple[int, ...], np.ndarray]:
    """Names, parents and positions `[T, J, 3]` of the joints to be written."""
    num_joints = len(clip.joint_names)
    mask = np.ones(num_joints, bool) if joint_mask is None else np.asarray(joint_mask, dtype=bool)
    if mask.shape != (num_joints,):
        raise InputError(f"joint_mask: {mask.size} values, the clip has {num_joints} joints")
    kept = np.flatnonzero(mask)
    place = {int(joint): i for i, joint in enumerate(kept)}
    parents = []
    for joint in kept:
        parent = clip.parents[joint]
        while parent >= 0 and parent not in place:
            parent = clip.parents[parent]
        parents.append(place.get(parent, -1))
    if parents.count(-1) != 1:
        raise InputError(f"{clip.clip_id}: {parents.count(-1)} root joints, BVH needs exactly one")
    positions = np.asarray(clip.positions[:, kept], dtype=np.float64)
    if not len(positions):
        raise InputError(f"{clip.clip_id}: no frames to write")
    if not np.isfinite(positions).all():
        raise InputError(f"{clip.clip_id}: positions must be finite")
    names: list[str] = []
    for joint in kept:
        name = re.sub(r"[\s{}]+", "_", clip.joint_names[joint]) or "joint"
        names.append(name if name not in names else f"{name}_{joint}")
    return names, tuple(parents), positions


def _places(
    rotations: np.ndarray,
    offsets: np.ndarray,
    positions: np.ndarray,
    parents: tuple[int, ...],
    is_free: np.ndarray | None,
) -> np.ndarray:
    """Each joint's place in its parent's frame `[T, J, 3]`.

    That is its offset, but for free joints, which are where the positions say. Where `is_free` is
    None they are found: the clip's own bones that stretch, as those of files with position
    channels on every joint may.
    """
    places = np.broadcast_to(offsets, positions.shape).copy()
    places[:, 0] = positions[:, 0]
    turns, _ = rot.global_transforms(rotations, places, parents)
    above = list(parents[1:])
    local = rot.rotate(rot.conjugate(turns[:, above]), positions[:, 1:] - positions[:, above])
    if is_free is None:
        free = np.linalg.norm(local - offsets[1:], axis=-1).max(axis=0) > _STRETCH_M
    else:
        free = is_free[1:]
    places[:, 1:][:, free] = local[:, free]
    return places


def _text(
    names: list[str],
    parents: tuple[int, ...],
    rotations: np.ndarray,
    offsets: np.ndarray,
    places: np.ndarray,
    fps: float,
    metres_per_unit: float,
) -> str:
    children: list[list[int]] = [[] for _ in names]
    for joint, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(joint)
    moves = np.abs(places - offsets).max(axis=(0, 2)) > 0
    moves[0] = True
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
        return " ".join(f"{value:.6f}" for value in values / metres_per_unit)

    def add(joint: int, indent: str) -> None:
        is_end = joint in ends
        word = "ROOT" if parents[joint] < 0 else "JOINT"
        header.append(f"{indent}End Site" if is_end else f"{indent}{word} {names[joint]}")
        header.append(f"{indent}{{")
        header.append(f"{indent}\tOFFSET {vector(offsets[joint])}")
        if not is_end:
            if moves[joint]:
                columns.append(places[:, joint] / metres_per_unit)
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


def _replace(path: Path, text: str) -> None:
    """Write beside the target and rename, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's own files are private
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
