"""JHMDB's joints of real videos: an .npz with `points` `[sum T, 15, 2]`, `lengths` and `labels`.

The data set divided the person's size out and gives positions around the middle of the frame; here
they are placed into its frames of 320 x 240, one unit as half the height, which keeps 99 % of the
joints inside. A label is `action`; the split is that in the file's name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion.formats.numpy_file import NpzReader
from raydance.tracks import bones
from raydance.tracks.formats import base
from raydance.tracks.formats.base import Read, ReadOptions, Skipped
from raydance.tracks.track import SPLITS, Track

_NUM_JOINTS: Final = 15
_SIZE: Final = (320, 240)
_FPS: Final = 25.0


def is_jhmdb(keys: tuple[str, ...]) -> bool:
    """Whether an .npz with these keys is of this kind."""
    return {"points", "lengths", "labels"} <= set(keys)


def read(path: Path, options: ReadOptions) -> Read:
    """A track of points along the bones for each clip."""
    with NpzReader(path) as archive:
        joints, lengths, labels = (archive.read(key) for key in ("points", "lengths", "labels"))
    place = str(path)
    if joints.ndim != 3 or joints.shape[1:] != (_NUM_JOINTS, 2) or joints.dtype.kind != "f":
        reason = f"points {joints.shape} of {joints.dtype}; [sum T, {_NUM_JOINTS}, 2] is needed"
        raise FormatError(place, reason)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or labels.shape != lengths.shape:
        reason = f"lengths {lengths.shape} and labels {labels.shape}; one of each per clip"
        raise FormatError(place, reason)
    if (lengths < 1).any() or lengths.sum() != len(joints) or labels.dtype.kind != "U":
        reason = f"lengths that add up to {lengths.sum()} for {len(joints)} frames"
        raise FormatError(place, f"{reason}, or labels that are no text")
    split = next((name for name in SPLITS if path.stem.endswith(f"_{name}")), None)
    width, height = options.frame_size or _SIZE
    ends = np.cumsum(lengths)
    for number, (start, end) in enumerate(zip(ends - lengths, ends)):
        part = f"{place} [{number}]"
        try:
            pixels = 0.5 * height * joints[start:end].astype(float) + (0.5 * width, 0.5 * height)
            found, known = base.checked(pixels, None, part)
            base.check_length(len(found), options.num_points, part)
            points, visible = bones.points_along(found, known, bones.JHMDB, options.num_points)
            yield Track(
                track_id=f"{path.stem}/{number:04d}",
                source=place,
                points=points,
                visible=visible,
                frame_size=(width, height),
                fps=options.fps or _FPS,
                labels={"action": base.name_of(str(labels[number]), part)},
                split=split,
            )
        except FormatError as error:
            yield Skipped.because(error)
