"""AIST++: dance as 3-D keypoints or SMPL rotations in pickles, 60 frames per second, y up.

Keypoint files hold `keypoints3d` and `keypoints3d_optim` `[T, 17, 3]` in centimetres (COCO order);
motion files hold `smpl_poses` `[T, 72]`, `smpl_trans` `[T, 3]` and `smpl_scaling`, by which the
translation is divided to get metres. Rotations become positions of a generic body (see
`smpl_body`). The pickles are read without executing anything (see `safe_pickle`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion import units as un
from raydance.motion.clip import Clip
from raydance.motion.formats import safe_pickle
from raydance.motion.formats import text as tx
from raydance.motion.formats.amass import clip_of_poses
from raydance.motion.formats.arrays import check_positions
from raydance.motion.formats.joint_orders import COCO_JOINTS, COCO_PARENTS
from raydance.motion.formats.sidecar import facts_beside

FPS: Final = 60.0
_KEYPOINTS: Final = ("keypoints3d_optim", "keypoints3d")  # the smoothed ones first


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    units: float | None = None,
    up: str | None = None,
    max_frames: int = tx.MAX_FRAMES,
) -> Clip:
    """Read an AIST++ keypoints or motion pickle.

    Frames in which a keypoint is not finite are filled in linearly between their neighbours, up to
    half a second; longer gaps are refused. A side-car's rate, unit and axis win over the data
    set's.

    Args:
        path: the .pkl file.
        fps: frames per second, if not the data set's 60.
        units: metres per unit, if not .01 (keypoints) or 1 / `smpl_scaling` (motion).
        up: the up axis, if not the data set's y.
        max_frames: files with more frames are refused.

    Raises:
        FormatError: not such a pickle, one that asks for more than arrays, or wrong values.
        InputError: an argument is out of range.
    """
    tx.check_fps(fps)
    name = str(path)
    content = safe_pickle.load(path)
    if not isinstance(content, Mapping):
        raise FormatError(name, f"a pickled {type(content).__name__}; AIST++ has a dict of arrays")
    facts = facts_beside(path)
    rate = facts.get("fps", FPS) if fps is None else float(fps)
    units = facts.get("units") if units is None else units
    up = up or facts.get("up", "y")
    if "smpl_poses" in content:
        poses, translation = (
            _array(content, "smpl_poses", name),
            _array(content, "smpl_trans", name),
        )
        if units is None:
            units = 1.0 / _scaling(content, name)
        return clip_of_poses(
            name, poses, translation, fps=rate, units=units, up=up, max_frames=max_frames
        )
    key = next((key for key in _KEYPOINTS if key in content), None)
    if key is None:
        names = (ascii(key)[1:-1] for key in content if isinstance(key, str))
        found = ", ".join(names) or "nothing"
        reason = f"keys {found[:200]}; AIST++ has keypoints3d or smpl_poses, smpl_trans"
        raise FormatError(name, reason)
    points = _array(content, key, name)
    if points.ndim != 3 or points.shape[1:] != (17, 3):
        raise FormatError(name, f"{key} {list(points.shape)}; [T, 17, 3] is needed")
    points = check_positions(_fill_gaps(points, round(rate / 2)), f"{name} {key}", max_frames)
    scale = un.detect(points, units=0.01 if units is None else units, up=up)
    return Clip(
        clip_id=Path(path).stem,
        source=name,
        fps=rate,
        joint_names=COCO_JOINTS,
        parents=COCO_PARENTS,
        positions=scale.vectors(points),
    )


def _array(content: Mapping[Any, Any], key: str, name: str) -> np.ndarray:
    value = content.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        raise FormatError(name, f"{key}: found {type(value).__name__}, an array is needed")
    return value.astype(np.float64)


def _scaling(content: Mapping[Any, Any], name: str) -> float:
    """The factor between translation and metres, about 93 (the body model is fitted in metres)."""
    if "smpl_scaling" not in content:
        return 1.0
    found = content["smpl_scaling"]
    is_plain = isinstance(found, (int, float, np.generic, np.ndarray))
    value = np.asarray(found if is_plain else None)
    if value.size != 1 or value.dtype.kind not in "iuf" or not 1e-3 < float(value.item()) < 1e6:
        kind = type(found).__name__
        reason = f"smpl_scaling: found {kind} {str(value)[:80]}, one positive number is needed"
        raise FormatError(name, reason)
    return float(value.item())


def _fill_gaps(points: np.ndarray, max_gap: int) -> np.ndarray:
    """`points` `[T, 17, 3]` with short runs of not finite values filled in linearly."""
    points = points.copy()
    flat = points.reshape(len(points), 17 * 3)
    frames = np.arange(len(points))
    for column in flat.T:
        good = np.isfinite(column)
        if good.all() or not good.any():
            continue
        before = np.maximum.accumulate(np.where(good, frames, -1))
        after = np.minimum.accumulate(np.where(good, frames, len(points))[::-1])[::-1]
        short = ~good & (after - before - 1 <= max_gap)
        column[short] = np.interp(frames[short], frames[good], column[good])
    return points
