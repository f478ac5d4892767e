"""C3D files by the library ezc3d (extra `c3d`): markers on a body, to joints where labels allow.

Gaps of up to half a second are filled linearly. A marker that is missing for longer is left out,
and so are joints that need it; where labels are not known, the points themselves are the joints,
and a mapping file can name them.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import text as tx
from raydance.motion.formats.arrays import MAX_JOINTS, check_positions
from raydance.motion.formats.markers import joints_of_markers
from raydance.motion.formats.native import read_natively
from raydance.motion.formats.node_motion import unique_names
from raydance.motion.formats.sidecar import facts_beside
from raydance.plain_text import one_line

_MAX_GAP_S: Final = 0.5


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read the points of a C3D file.

    Args:
        path: the file.
        fps: frames per second, if the file's are wrong.
        units: metres per unit; a side-car's, the file's or the body's where None.
        up: the up axis; a side-car's, or detected, where None.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: the file cannot be read, or holds no point that is seen throughout.
        InputError: ezc3d is not installed, or an argument is out of range.
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
    found = read_natively("c3d", path)
    points = found["points"]
    if points.shape[1] > MAX_JOINTS:
        raise FormatError(name, f"{points.shape[1]} points; at most {MAX_JOINTS} are read")
    tx.check_size(name, len(points), points.shape[1], max_frames)
    rate = tx.check_rate(float(found["rate"]), name) if fps is None else float(fps)
    labels = unique_names([one_line(str(label).strip()) for label in found["labels"]])
    markers, lost = _seen(dict(zip(labels, points.swapaxes(0, 1))), round(_MAX_GAP_S * rate))
    if lost:
        shown = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
        reason = f"{len(lost)} points are missing for more than {_MAX_GAP_S} s and left out"
        warnings.warn(f"{name}: {reason}: {shown}", stacklevel=3)
    if not markers:
        raise FormatError(name, "no point that is seen throughout")
    joints = joints_of_markers({_short(label): places for label, places in markers.items()})
    if joints is None:
        names = tuple(markers)
        parents: tuple[int, ...] = (-1,) * len(names)
        positions = np.stack(list(markers.values()), axis=1)
    else:
        names, parents, positions = joints
    positions = check_positions(positions, name, max_frames)
    facts = facts_beside(path)
    scale = un.detect(
        positions,
        parents=parents if joints is not None else None,
        joint_names=names,
        units=facts.get("units") if units is None else units,
        up=up or facts.get("up"),
        declared=un.LENGTHS.get(str(found["unit"][0]).strip().lower()),
    )
    scale.warn(name)
    clip = Clip(
        clip_id=Path(path).stem,
        source=name,
        fps=rate,
        joint_names=names,
        parents=parents,
        positions=scale.vectors(positions),
    )
    return clip, scale


def _short(label: str) -> str:
    """A label without the name of the person before it, in capitals: `Anna:lasi` -> `LASI`."""
    return label.rpartition(":")[2].strip().upper()


def _seen(markers: dict[str, np.ndarray], max_gap: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Markers `[T, 3]` with short gaps filled, and the labels of those with longer ones."""
    kept: dict[str, np.ndarray] = {}
    lost: list[str] = []
    for label, places in markers.items():
        seen = np.flatnonzero(np.isfinite(places).all(axis=-1))
        ends = np.concatenate(([-1], seen, [len(places)]))
        if not len(seen) or np.diff(ends).max() - 1 > max_gap:
            lost.append(label)
            continue
        frames = np.arange(len(places))
        kept[label] = np.stack(
            [np.interp(frames, seen, places[seen, axis]) for axis in range(3)], axis=-1
        )
    return kept, lost
