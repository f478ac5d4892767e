"""Tracks as point trackers store them: .npz or .pt with `pred_tracks` and `pred_visibility`.

As CoTracker's demo gives them, `[T, N, 2]` pixels or `[B, T, N, 2]`, visibility `[..., T, N]` or
`[..., T, N, 1]`, bool or probability. Frame size, fps and captions are read from members of the
file, or from a side-car `<stem>.json` with `frame_size`, `fps` and `captions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion.formats import text as tx
from raydance.motion.formats.numpy_file import NpzReader
from raydance.tracks.formats import base, torch_file
from raydance.tracks.formats.base import Read, ReadOptions
from raydance.tracks.track import Track

_TRACKS: Final = ("pred_tracks", "tracks", "trajectories", "points", "coords")
_VISIBLE: Final = ("pred_visibility", "visibility", "visibilities", "visible", "visibles")
_HIDDEN: Final = ("occluded", "occlusion")
_SIZE: Final = ("frame_size", "image_size", "size")
_CAPTIONS: Final = ("captions", "caption", "text")
_DEFAULT_FPS: Final = 24.0
_MAX_BATCH: Final = 10_000


def is_cotracker(keys: tuple[str, ...]) -> bool:
    """Whether an .npz with these keys is a point tracker's."""
    return any(key in keys for key in _TRACKS)


def read_npz(path: Path, options: ReadOptions) -> Read:
    """The tracks of an .npz file, one for each item of the batch."""
    wanted = {*_TRACKS, *_VISIBLE, *_HIDDEN, *_SIZE, *_CAPTIONS, "fps", "width", "height"}
    with NpzReader(path) as archive:
        found = {key: archive.read(key) for key in archive.keys if key in wanted}
    yield from _tracks(path, found, options)


def read_pt(path: Path, options: ReadOptions) -> Read:
    """The tracks of a .pt file: a dict of tensors, (tracks, visibility), or tracks alone."""
    found = torch_file.load(path)
    if isinstance(found, np.ndarray):
        found = {"tracks": found}
    elif isinstance(found, (tuple, list)) and len(found) == 2:
        found = {"tracks": found[0], "visibility": found[1]}
    if not isinstance(found, dict):
        reason = f"found {type(found).__name__}; a dict of tensors or a tensor is needed"
        raise FormatError(str(path), reason)
    yield from _tracks(path, found, options)


def _first(found: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((found[key] for key in keys if found.get(key) is not None), None)


def _tracks(path: Path, found: Mapping[str, Any], options: ReadOptions) -> Read:
    place = str(path)
    side = path.with_suffix(".json")
    beside = base.mapping(base.read_json(side), str(side)) if side.is_file() else {}
    points = _first(found, _TRACKS)
    if not isinstance(points, np.ndarray) or points.ndim not in (3, 4):
        shape = getattr(points, "shape", type(points).__name__)
        reason = f"tracks: found {shape}; an array [T, N, 2] or [B, T, N, 2] is needed"
        raise FormatError(place, reason)
    points = points[None] if points.ndim == 3 else points
    if len(points) > _MAX_BATCH:
        raise FormatError(place, f"{len(points)} tracks; at most {_MAX_BATCH} are allowed")
    visible = _visible(found, points.shape[:-1], place)
    size, fps = _size(found, beside), _first(found, ("fps",))
    fps = _plain(beside.get("fps", _DEFAULT_FPS) if fps is None else fps)
    captions = _first(found, _CAPTIONS)
    captions = beside.get("captions") if captions is None else _plain(captions)
    for number in range(len(points)):
        part = place if len(points) == 1 else f"{place} [{number}]"
        moved, seen = base.checked(
            points[number], None if visible is None else visible[number], part
        )
        yield Track(
            track_id=path.stem if len(points) == 1 else f"{path.stem}/{number}",
            source=place,
            points=moved,
            visible=seen,
            frame_size=base.size_of(size, options, place),
            fps=options.fps or tx.check_rate(fps, place),
            captions=base.captions_of(captions, place),
            video=path.stem,
            object_id=str(number),
        )


def _visible(found: Mapping[str, Any], shape: tuple[int, ...], place: str) -> np.ndarray | None:
    """Visibility of the shape `[B, T, N]`, of which files leave out or add dimensions of 1."""
    visible, hidden = _first(found, _VISIBLE), _first(found, _HIDDEN)
    value = hidden if visible is None else visible
    if value is None:
        return None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise FormatError(place, "visibility: an array of numbers or truth values is needed")
    if [n for n in value.shape if n != 1] != [n for n in shape if n != 1]:
        reason = f"visibility of shape {value.shape}; {shape} is needed"
        raise FormatError(place, reason)
    value = value.reshape(shape)
    return value if visible is not None else value <= 0.5


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _size(found: Mapping[str, Any], beside: Mapping[str, Any]) -> Any:
    for facts in (found, beside):
        size = _first(facts, _SIZE)
        if size is not None:
            return _plain(size)
        if facts.get("width") is not None and facts.get("height") is not None:
            return [_plain(facts["width"]), _plain(facts["height"])]
    return None
