"""FBX files by the library ufbx (extra `fbx`): bones over the longest animation."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from raydance.errors import FormatError
from raydance.motion import rotations as rot
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import text as tx
from raydance.motion.formats.native import read_natively
from raydance.motion.formats.node_motion import NodeMotion, joints_of, order_of
from raydance.motion.formats.sidecar import facts_beside
from raydance.plain_text import one_line


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read the longest animation of an FBX file.

    Args:
        path: the file.
        fps: frames per second, if the file's are wrong.
        units: metres per unit; a side-car's, the file's or the body's where None.
        up: the up axis; a side-car's or the file's where None.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: the file cannot be read, or holds no animation of a skeleton.
        InputError: ufbx is not installed, or an argument is out of range.
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
    tx.check_fps(fps)
    name = str(path)
    found = read_natively("fbx", path)
    values = found["values"]
    tx.check_size(name, len(values), values.shape[1], max_frames + 1)
    parents = [int(parent) for parent in found["parents"]]
    order = order_of(parents, name)
    place = {node: at for at, node in enumerate(order)}
    values = values[:, order]
    motion = NodeMotion(
        names=tuple(one_line(str(found["names"][node])) for node in order),
        parents=tuple(place[parents[node]] if parents[node] >= 0 else -1 for node in order),
        translations=values[..., :3],
        rotations=rot.normalise(values[..., 3:7]),
        scales=values[..., 7:],
    )
    kept = _kept(found["is_bone"][order], values, motion.parents)
    if not kept:
        raise FormatError(name, "no bones and nothing that moves in the file")
    joints = joints_of(motion, kept, name)
    if len(found["stacks"]) > 1:
        titles = [one_line(str(title)) for title in found["stacks"]]
        read_one = titles.pop(int(found["stack"]))
        warnings.warn(
            f"{name}: {len(titles) + 1} animations; {read_one} is read, the longest, and not "
            f"{', '.join(titles)[:200]}",
            stacklevel=3,
        )
    facts = facts_beside(path)
    declared = float(found["metres_per_unit"])
    scale = un.detect(
        joints.positions,
        parents=joints.parents,
        joint_names=joints.names,
        rest=joints.rest,
        units=facts.get("units") if units is None else units,
        up=up or facts.get("up") or str(found["up"][0]) or None,
        declared=declared if un.MIN_UNIT <= declared <= un.MAX_UNIT else None,
    )
    scale.warn(name)
    clip = Clip(
        clip_id=Path(path).stem,
        source=name,
        fps=tx.check_rate(float(found["rate"]), name) if fps is None else float(fps),
        joint_names=joints.names,
        parents=joints.parents,
        positions=scale.vectors(joints.positions),
        rotations=None if joints.rotations is None else scale.rotations(joints.rotations),
        offsets=None if joints.rotations is None else scale.vectors(joints.offsets),
    )
    return clip, scale


def _kept(is_bone: np.ndarray, values: np.ndarray, parents: tuple[int, ...]) -> list[int]:
    """Bones, or else the nodes that move and what hangs from them."""
    if is_bone.any():
        return [int(node) for node in np.flatnonzero(is_bone)]
    moving = (np.ptp(values[1:, :, :7], axis=0) > 1e-9).any(axis=-1)
    return [i for i, parent in enumerate(parents) if moving[i] or (parent >= 0 and moving[parent])]
