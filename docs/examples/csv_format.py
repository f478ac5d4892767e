"""CSV of joint positions: a header `NAME.x,NAME.y,NAME.z,...`, a row per frame, metres, y up."""

from pathlib import Path

import numpy as np

from raydance.errors import FormatError
from raydance.motion.clip import Clip
from raydance.motion.formats.text import MAX_FRAMES, check_fps


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = MAX_FRAMES,
) -> Clip:
    """Read a CSV file of positions.

    Args:
        path: the file.
        fps: frames per second; 30 by default.
        units: metres per unit; 1 by default.
        up: the axis that points up; this format knows y alone.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: a header or a row that does not fit; names the line.
        InputError: `fps` is out of range.
    """
    check_fps(fps)
    with open(path, encoding="utf-8") as file:
        header = file.readline().strip().split(",")
        names = tuple(dict.fromkeys(column.rpartition(".")[0] for column in header))
        if header != [f"{name}.{axis}" for name in names for axis in "xyz"]:
            raise FormatError(str(path), "line 1: columns NAME.x, NAME.y, NAME.z are needed")
        rows: list[list[float]] = []
        for number, line in enumerate(file, start=2):
            try:
                row = [float(value) for value in line.split(",")]
            except ValueError:
                raise FormatError(str(path), f"line {number}: not a number") from None
            if len(row) != len(header) or len(rows) == max_frames:
                allowed = f"{len(header)} values and at most {max_frames} frames are allowed"
                raise FormatError(str(path), f"line {number}: {len(row)} values; {allowed}")
            rows.append(row)
    positions = np.array(rows, np.float32).reshape(-1, len(names), 3) * (units or 1.0)
    if not len(positions) or not np.isfinite(positions).all():
        raise FormatError(str(path), "no frames, or positions that are not finite")
    return Clip(
        clip_id=Path(path).stem,
        source=str(path),
        fps=fps or 30.0,
        joint_names=names,
        parents=(-1, *(0 for _ in names[1:])),  # joints are found by their names
        positions=positions,
    )
