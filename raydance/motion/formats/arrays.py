"""Joint positions `[T, J, 3]` in .npy and .npz files.

An .npz may say more than positions: `joint_names`, `parents`, `fps`, `joint_mask` (joints that are
False are left out), `metres_per_unit` and `up`, and a skeleton as `ROTATION_KEYS`; so may a
side-car `<stem>.json` (see `sidecar`). What the file itself says wins.
Without names, the number of joints tells the well-known skeletons; any other needs names, for
nothing can be mapped without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import rotations as rot
from raydance.motion import skeleton
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import text as tx
from raydance.motion.formats.joint_orders import SKELETONS, order_of
from raydance.motion.formats.numpy_file import NpzReader, read_npy
from raydance.motion.formats.sidecar import facts_beside
from raydance.plain_text import one_line

POSITION_KEYS: Final = (
    "positions",
    "joints",
    "joint_positions",
    "joints3d",
    "joints_3d",
    "keypoints3d",
    "poses",
    "motion",
)
FPS_KEYS: Final = ("fps", "framerate", "frame_rate", "mocap_framerate", "mocap_frame_rate")
ROTATION_KEYS: Final = ("local_quaternions_wxyz", "rest_offsets")
"""`[T, J, 4]` and `[J, 3]`, as `Clip.rotations` and `Clip.offsets`, in the positions' frame."""

MAX_JOINTS: Final = 1024


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    joint_names: Sequence[str] | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read joint positions from an .npy or .npz file.

    Args:
        path: the file.
        fps: frames per second, if the file does not say or is wrong.
        units: metres per unit; detected from the body where None.
        up: the axis that points up; detected where None.
        joint_names: names of the joints, in the file's order.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: no `[T, J, 3]` array, values that are not finite, a size out of bounds, no
            frame rate, or joints without names.
        InputError: an argument is out of range.
    """
    return read_with_scale(
        path, fps=fps, units=units, up=up, joint_names=joint_names, max_frames=max_frames
    )[0]


def read_with_scale(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    joint_names: Sequence[str] | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> tuple[Clip, un.Scale]:
    """As `read`, and what was found about the file's unit and up axis."""
    tx.check_fps(fps)
    name = str(path)
    facts: dict[str, Any] = facts_beside(path)
    if Path(path).suffix.lower() == ".npz":
        with NpzReader(path) as archive:
            positions, found = _read_archive(archive)
        facts.update(found)
    else:
        positions = read_npy(path)
    if joint_names is not None:
        facts["joint_names"] = joint_names
    positions = check_positions(positions, name, max_frames)
    names, parents = _skeleton(facts, positions, name)
    rate = fps if fps is not None else facts.get("fps")
    if rate is None:
        reason = "no frame rate in the file; give it as fps, or as `fps` in a side-car .json"
        raise FormatError(name, reason)
    rate = tx.check_rate(rate, name)
    mask = facts.get("joint_mask")
    turns = _rotations(facts, positions.shape[:2], name)
    if mask is not None:
        turns = turns if all(mask) else None  # a turn is local to a parent that may be gone
        positions, names, parents = _drop(positions, names, parents, mask, name)
    tree = parents if sum(p < 0 for p in parents) == 1 else None
    scale = un.detect(
        positions,
        parents=tree,
        joint_names=names,
        units=units if units is not None else facts.get("units"),
        up=up or facts.get("up"),
    )
    clip = Clip(
        clip_id=Path(path).stem,
        source=name,
        fps=rate,
        joint_names=names,
        parents=parents,
        positions=scale.vectors(positions),
        rotations=scale.rotations(turns[0]) if turns else None,
        offsets=scale.vectors(turns[1]) if turns else None,
    )
    return clip, scale


def check_positions(positions: np.ndarray, place: str, max_frames: int) -> np.ndarray:
    """`positions` `[T, J, 3]` as float32, after checking shape, bounds and values.

    Raises:
        FormatError: naming the first frame and joint that is wrong.
    """
    if positions.ndim != 3 or positions.shape[2] != 3 or positions.dtype.kind not in "iuf":
        reason = f"an array {list(positions.shape)} of {positions.dtype}; [T, J, 3] numbers"
        raise FormatError(place, reason + " are needed")
    num_frames, num_joints = positions.shape[:2]
    if not 1 <= num_frames <= max_frames:
        raise FormatError(place, f"{num_frames} frames; 1 to {max_frames} are allowed")
    if not 1 <= num_joints <= MAX_JOINTS:
        raise FormatError(place, f"{num_joints} joints; 1 to {MAX_JOINTS} are allowed")
    tx.check_size(place, num_frames, num_joints, max_frames)
    wrong = ~(np.abs(positions.reshape(num_frames, -1)) < tx.MAX_VALUE)  # also true for NaN
    if wrong.any():
        frame, column = divmod(int(wrong.argmax()), num_joints * 3)
        value = positions[frame, column // 3, column % 3]
        reason = f"frame {frame}, joint {column // 3}: found {value}; a finite number below "
        raise FormatError(place, f"{reason}{tx.MAX_VALUE:g} is needed")
    return positions.astype(np.float32)


def _read_archive(archive: NpzReader) -> tuple[np.ndarray, dict[str, Any]]:
    found: dict[str, Any] = {}
    if "joint_names" in archive:
        found["joint_names"] = _texts(archive.read("joint_names"), archive.path, "joint_names")
    for key in ("parents", "joint_mask"):
        if key in archive:
            found[key] = archive.read(key).reshape(-1).tolist()
    for key in FPS_KEYS:
        if key in archive:
            found["fps"] = archive.number(key)
            break
    if "metres_per_unit" in archive:
        found["units"] = archive.number("metres_per_unit")
    if "up" in archive:
        words = _texts(archive.read("up").reshape(-1), archive.path, "up")
        if len(words) != 1 or words[0] not in un.AXES:
            given = ", ".join(map(repr, words[:3])) or "nothing"
            raise FormatError(archive.path, f"up {given}; allowed: {', '.join(un.AXES)}")
        found["up"] = words[0]
    if all(key in archive for key in ROTATION_KEYS):
        found["rotations"] = tuple(archive.read(key) for key in ROTATION_KEYS)
    return archive.read(_position_key(archive)), found


def _rotations(
    facts: Mapping[str, Any], size: tuple[int, ...], place: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Local quaternions `[T, J, 4]`, one long, and rest offsets `[J, 3]`, where there are any."""
    if "rotations" not in facts:
        return None
    for key, array, shape in zip(ROTATION_KEYS, facts["rotations"], ((*size, 4), (size[1], 3))):
        is_good = array.shape == shape and array.dtype.kind == "f"
        if not is_good or not (np.abs(array) <= tx.MAX_VALUE).all():  # false for NaN, too
            reason = f"{key}: {array.dtype} {list(array.shape)}; finite numbers {list(shape)}"
            raise FormatError(place, f"{reason} up to {tx.MAX_VALUE:g} are needed")
    turns, offsets = facts["rotations"]
    return rot.normalise(turns), offsets


def _position_key(archive: NpzReader) -> str:
    def is_motion(key: str) -> bool:
        try:
            shape = archive.shape(key)
        except FormatError:
            return False  # an array of Python objects beside the positions is no harm
        return len(shape) == 3 and shape[2] == 3

    candidates = [key for key in archive.keys if is_motion(key)]
    for key in POSITION_KEYS:
        if key in candidates:
            return key
    if len(candidates) == 1:
        return candidates[0]
    for key in POSITION_KEYS:
        if key in archive.keys:
            shape = archive.shape(key)  # or what is wrong with it
            raise FormatError(archive.path, f"{key}: {list(shape)}; [T, J, 3] is needed")
    found = ", ".join(candidates or archive.keys) or "nothing"
    kind = "several [T, J, 3] arrays" if candidates else "no [T, J, 3] array"
    reason = f"{kind} (found {found}); name one of them {POSITION_KEYS[0]}"
    raise FormatError(archive.path, reason)


def _texts(array: np.ndarray, place: str, key: str) -> list[str]:
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise FormatError(place, f"{key}: {array.dtype} {array.shape}; a list of text")
    width = array.dtype.itemsize // (4 if array.dtype.kind == "U" else 1)
    if width > tx.MAX_NAME:
        raise FormatError(place, f"{key}: {width} characters; at most {tx.MAX_NAME} are allowed")
    if array.dtype.kind == "S":
        return [bytes(v).decode("utf-8", "replace") for v in array]
    return [str(v) for v in array]


def _skeleton(
    facts: Mapping[str, Any], positions: np.ndarray, place: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    num_joints = positions.shape[1]
    names, parents = facts.get("joint_names"), facts.get("parents")
    if names is None:
        if num_joints not in SKELETONS:
            known = ", ".join(map(str, SKELETONS))
            reason = (
                f"{num_joints} joints without names; known without names are {known}. Give "
                "`joint_names` in the .npz or in a side-car .json"
            )
            raise FormatError(place, reason)
        names, known_parents = order_of(positions)
        parents = known_parents if parents is None else parents
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
        raise FormatError(place, "joint_names: a list of text is needed")
    names = [one_line(name) for name in names]
    longest = max(map(len, names), default=0)
    if longest > tx.MAX_NAME:
        reason = f"joint_names: {longest} characters; at most {tx.MAX_NAME} are allowed"
        raise FormatError(place, reason)
    if len(names) != num_joints or len(set(names)) != len(names):
        reason = f"{len(set(names))} different joint names for {num_joints} joints"
        raise FormatError(place, reason)
    if parents is None:
        # A tree is unknown: joints that hang from nothing draw as points and map by name.
        parents = (-1,) * num_joints
    valid = (
        isinstance(parents, (list, tuple))
        and len(parents) == num_joints
        and all(type(p) is int and -1 <= p < i for i, p in enumerate(parents))
    )
    if not valid:
        reason = "parents: one index per joint is needed, -1 or that of an earlier joint"
        raise FormatError(place, reason)
    return tuple(names), tuple(parents)


def _drop(
    positions: np.ndarray,
    names: tuple[str, ...],
    parents: tuple[int, ...],
    mask: Sequence[Any],
    place: str,
) -> tuple[np.ndarray, tuple[str, ...], tuple[int, ...]]:
    """Leave out the joints whose mask is False; their children hang from the next one above."""
    if len(mask) != len(names) or not any(mask):
        raise FormatError(place, f"joint_mask: {len(mask)} values for {len(names)} joints")
    kept = [i for i in range(len(names)) if mask[i]]
    left = skeleton.parents_among(kept, parents)
    return positions[:, kept], tuple(names[i] for i in kept), left
