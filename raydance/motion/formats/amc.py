"""Acclaim motion files (AMC) with their skeletons (ASF) to clips.

A joint is named after the bone that begins at it, as in the BVH conversions of the same data:
`lfemur` is the left hip, `ltibia` the left knee; the tip of a bone without children is
`<bone>_end`. A bone turns by C M C^-1, where C is its axes' frame in the rest pose and M the
motion's turns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import rotations as rot
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import asf
from raydance.motion.formats import text as tx
from raydance.motion.formats.acclaim_facts import stated_fps
from raydance.motion.formats.sidecar import facts_beside

DEFAULT_FPS: Final = 120.0
"""Most AMC files don't state their rate; nearly all of CMU's are recorded at this one."""


def read(
    path: str | Path,
    *,
    skeleton: str | Path | None = None,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read an AMC file and its skeleton.

    Args:
        path: the AMC file.
        skeleton: the ASF file; where None, see `find_skeleton`.
        fps: frames per second; where None, what the head of the file or a side-car states, else
            120.
        units: metres per unit; where None, what a side-car says, or what the ASF declares if that
            makes a body of human size, else detected.
        up: the file's up axis, `x`, `y` or `z`; a side-car's, or detected, where None.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: one of the files cannot be read; names the line.
        InputError: an argument is out of range.
    """
    clip, _ = read_with_scale(
        path, skeleton=skeleton, fps=fps, units=units, up=up, max_frames=max_frames
    )
    return clip


def read_with_scale(
    path: str | Path,
    *,
    skeleton: str | Path | None = None,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> tuple[Clip, un.Scale]:
    """As `read`, and what was found about the unit and the up axis."""
    name = str(path)
    tx.check_fps(fps)
    text = tx.read_text(path)
    body = asf.read(skeleton if skeleton is not None else find_skeleton(path))
    values, degrees = _parse(name, text, body, max_frames)
    names, parents, offsets = _joints(body)
    rotations, positions = _motion(body, values, degrees, offsets, parents)
    facts = facts_beside(path)
    scale = un.detect(
        positions,
        parents=parents,
        joint_names=names,
        rest=un.rest_positions(offsets, parents),
        units=facts.get("units") if units is None else units,
        up=up or facts.get("up"),
        declared=body.declared_unit,
        is_stated=body.stated_unit is not None,
    )
    if fps is None:
        fps = stated_fps(name, text) or facts.get("fps", DEFAULT_FPS)
    scale.warn(name)
    clip = Clip(
        clip_id=Path(path).stem,
        source=name,
        fps=float(fps),
        joint_names=names,
        parents=parents,
        positions=scale.vectors(positions),
        rotations=scale.rotations(rotations),
        offsets=scale.vectors(offsets),
    )
    return clip, scale


def find_skeleton(path: str | Path) -> Path:
    """The ASF file of an AMC file: of the same name, of its subject (`05_02` -> `05`), or the
    only one in the folder.

    Raises:
        FormatError: there is none, or several of which none has the name.
    """
    path = Path(path)
    found = sorted(p for p in path.parent.glob("*") if p.suffix.lower() == ".asf")
    for stem in (path.stem, path.stem.split("_")[0]):
        for candidate in found:
            if candidate.stem.lower() == stem.lower():
                return candidate
    if len(found) == 1:
        return found[0]
    have = ", ".join(p.name for p in found[:5]) or "none"
    reason = f"an AMC file needs its ASF skeleton; .asf files beside it: {have}"
    raise FormatError(str(path), reason)


def _parse(
    path: str, text: str, body: asf.Skeleton, max_frames: int
) -> tuple[dict[str, np.ndarray], bool]:
    """The values `[T, num_dof]` of each bone that has any, and whether angles are in degrees."""
    degrees = body.degrees
    num_values = {bone.name: len(bone.dof) for bone in body.bones if bone.dof}
    if not num_values:
        raise FormatError(path, f"no bone of {body.path} has degrees of freedom")
    table: dict[str, list[list[float]]] = {name: [] for name in num_values}
    num_frames, first_line = 0, 1
    lines = text.split("\n")

    def close_frame(line: int) -> None:
        for name, rows in table.items():
            if len(rows) != num_frames:
                reason = f"frame {num_frames} (from line {first_line}) has no values for {name!r}"
                raise FormatError(path, reason, line)

    for number, line in enumerate(lines, start=1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        word = words[0]
        if word.startswith(":"):
            if word.lower() in (":degrees", ":radians"):
                degrees = word.lower() == ":degrees"
            continue
        if len(words) == 1 and word.isascii() and word.isdigit():
            close_frame(number)
            num_frames, first_line = num_frames + 1, number
            if num_frames > max_frames:
                raise FormatError(path, f"more than the {max_frames} frames allowed", number)
            continue
        if num_frames == 0:
            raise FormatError(path, f"found {word[:40]!r}, a frame number is needed", number)
        if word not in table:
            reason = f"{word[:40]!r} is no bone with degrees of freedom in {body.path}"
            raise FormatError(path, reason, number)
        if len(words) - 1 != num_values[word]:
            reason = f"{len(words) - 1} values for {word!r}, its skeleton has {num_values[word]}"
            raise FormatError(path, reason, number)
        if len(table[word]) == num_frames:
            raise FormatError(path, f"{word!r} twice in frame {num_frames}", number)
        try:
            table[word].append([float(value) for value in words[1:]])
        except ValueError:
            _refuse_values(path, words, number)
            raise
    close_frame(len(lines))
    if num_frames == 0:
        raise FormatError(path, "no frames")
    num_all = sum(num_values.values())
    tx.check_size(path, num_frames, len(body.bones), max_frames, num_all)
    values = {name: np.array(rows, dtype=np.float64) for name, rows in table.items()}
    if not all((np.abs(rows) <= tx.MAX_VALUE).all() for rows in values.values()):
        for number, line in enumerate(lines, start=1):
            words = line.split("#", 1)[0].split()
            if len(words) > 1 and words[0] in table:
                _refuse_values(path, words, number)
    return values, degrees


def _refuse_values(path: str, words: list[str], line: int) -> None:
    for word in words[1:]:
        tx.to_number(path, word, line, words[0])


def _joints(body: asf.Skeleton) -> tuple[tuple[str, ...], tuple[int, ...], np.ndarray]:
    """Names, parents and rest offsets `[J, 3]` of the joints: bones first, then the tips."""
    index = {bone.name: i for i, bone in enumerate(body.bones)}
    names = [bone.name for bone in body.bones]
    parents = [-1, *(index[bone.parent] for bone in body.bones[1:])]
    offsets = [bone.direction * bone.length for bone in body.bones]
    starts = [body.position, *(offsets[parent] for parent in parents[1:])]
    for i, bone in enumerate(body.bones):
        if i not in parents:
            tip = f"{bone.name}_end"
            while tip in index:
                tip += "_"
            names.append(tip)
            parents.append(i)
            starts.append(offsets[i])
    return tuple(names), tuple(parents), np.array(starts)


def _motion(
    body: asf.Skeleton,
    values: dict[str, np.ndarray],
    degrees: bool,
    offsets: np.ndarray,
    parents: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations `[T, J, 4]` and positions `[T, J, 3]` in the file's unit, float32."""
    num_frames = len(next(iter(values.values())))
    rotations = np.empty((num_frames, len(parents), 4))
    rotations[:] = rot.IDENTITY
    places = np.broadcast_to(offsets, (num_frames, *offsets.shape)).copy()
    for i, bone in enumerate(body.bones):
        if not bone.dof:
            continue
        columns = {name: values[bone.name][:, k] for k, name in enumerate(bone.dof)}
        for axis, name in enumerate(("tx", "ty", "tz")):
            places[:, i, axis] += columns.get(name, 0.0)
        # First letter first about fixed axes: the product is written backwards.
        order = "".join(letter for letter in reversed(bone.axis_order) if f"r{letter}" in columns)
        if order:
            angles = np.stack([columns[f"r{letter}"] for letter in order], axis=-1)
            turn = rot.from_euler(angles, order, degrees=degrees)
            frame = bone.axis
            rotations[:, i] = rot.multiply(rot.multiply(frame, turn), rot.conjugate(frame))
    positions = rot.forward_kinematics(rotations, places, parents)
    return rotations.astype(np.float32), positions.astype(np.float32)
