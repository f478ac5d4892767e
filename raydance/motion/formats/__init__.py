"""One reader for each file format: a path to a clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from raydance.errors import FormatError, InputError
from raydance.motion.clip import Clip
from raydance.motion.formats import (
    aistpp,
    amass,
    amc,
    arrays,
    bvh,
    c3d,
    fbx,
    finedance,
    gltf,
    humanml3d,
    kit,
)
from raydance.motion.formats.numpy_file import NpzReader, shape_of_npy
from raydance.motion.formats.sidecar import facts_beside
from raydance.motion.formats.text import MAX_FRAMES

Reader = Callable[..., Clip]


def _npy_reader(path: Path) -> Reader:
    """Features in an .npy are those of a data set, and so are joints that no side-car names."""
    shape = shape_of_npy(path)
    if shape[1:] == (humanml3d.NUM_FEATURES,):
        return humanml3d.read
    if shape[1:] == (kit.NUM_FEATURES,):
        return kit.read
    if finedance.is_finedance(shape):
        return finedance.read
    readers = {humanml3d.NUM_JOINTS: humanml3d.read, kit.NUM_JOINTS: kit.read}
    reader = readers.get(shape[1], arrays.read) if len(shape) == 3 else arrays.read
    return arrays.read if "joint_names" in facts_beside(path) else reader


def _npz_reader(path: Path) -> Reader:
    with NpzReader(path) as archive:
        return amass.read if amass.is_amass(archive.keys) else arrays.read


SUFFIXES: Final[Mapping[str, Callable[[Path], Reader]]] = {
    ".bvh": lambda path: bvh.read,
    ".amc": lambda path: amc.read,
    ".npy": _npy_reader,
    ".npz": _npz_reader,
    ".pkl": lambda path: aistpp.read,
    ".glb": lambda path: gltf.read,
    ".gltf": lambda path: gltf.read,
    ".fbx": lambda path: fbx.read,
    ".c3d": lambda path: c3d.read,
}
"""Suffix (lower case) -> which reader a file of that suffix needs."""

SKELETONS: Final[Mapping[str, str]] = {".amc": ".asf"}
"""Suffix of a motion file -> that of the skeleton file without which it says nothing."""


def read_clip(
    path: str | Path,
    *,
    skeleton: str | Path | None = None,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = MAX_FRAMES,
) -> Clip:
    """Read a motion file of any known format.

    Args:
        path: the file; its suffix says the format, and for .npy and .npz also what is inside.
        skeleton: the ASF file of an AMC file.
        fps: frames per second, where the file is silent or wrong.
        units: metres per unit; the format's own, or detected from the body, where None.
        up: the axis that points up, `x`, `y` or `z`; the format's own, or detected, where None.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: an unknown suffix or a file that cannot be read; says where and why.
        InputError: an argument is out of range or makes no sense for the format.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise FormatError(str(path), f"suffix {suffix or 'missing'}; motion files end in {known}")
    if not path.is_file():
        raise FormatError(str(path), "is a folder" if path.is_dir() else "no such file")
    reader = SUFFIXES[suffix](path)
    if skeleton is None:
        return reader(path, fps=fps, units=units, up=up, max_frames=max_frames)
    if reader is not amc.read:
        raise InputError(f"{path}: a skeleton file ({skeleton}) belongs to .amc files only")
    return amc.read(path, skeleton=skeleton, fps=fps, units=units, up=up, max_frames=max_frames)
