"""OpenPose's output, a folder of `*_keypoints.json` (one per frame), and Kinetics' skeletons.

OpenPose gives pixels and no frame size, so that the user must give it; 25 joints (BODY_25) or 18.
A file of the Kinetics skeletons (Yan and others 2018) holds a whole clip: `data`, a list of frames
with `skeleton`s of 18 joints in [0, 1], and a `label`. People are told apart by where they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.tracks import bones
from raydance.tracks.formats import base, linking
from raydance.tracks.formats.base import Read, ReadOptions, Skipped
from raydance.tracks.track import Track

SUFFIX: Final = "_keypoints.json"
_BONES: Final = {25: bones.OPENPOSE_25, 18: bones.OPENPOSE_18}
_FPS: Final = 30.0
_KINETICS_SIZE: Final = (340, 256)
_MIN_FRAMES: Final = 2
_MAX_FRAME_BYTES: Final = 4 << 20


def is_openpose(path: Path) -> bool:
    """Whether a folder holds frames of OpenPose."""
    return path.is_dir() and next(_names(path), None) is not None


def is_kinetics(content: Any) -> bool:
    """Whether a JSON file's content is a clip of the Kinetics skeletons."""
    return isinstance(content, dict) and isinstance(content.get("data"), list)


def read(path: Path, options: ReadOptions) -> Read:
    """A track for each person of a folder of frames."""
    size = base.size_of(None, options, str(path))
    frames: list[list[np.ndarray]] = []
    for name in sorted(_names(path)):
        if len(frames) >= base.MAX_FRAMES:
            raise FormatError(str(path), f"more than {base.MAX_FRAMES} frames")
        try:
            frames.append(_people(path / name))
        except FormatError as error:
            frames.append([])
            yield Skipped.because(error)
    yield from _tracks(path, path.name, frames, size, {}, options)


def read_kinetics(path: Path, options: ReadOptions, content: Any) -> Read:
    """A track for each person of a clip of the Kinetics skeletons."""
    size = options.frame_size or _KINETICS_SIZE
    places: dict[int, list[np.ndarray]] = {}
    for number, found in enumerate(content["data"]):
        place = f"{path} [data {number}]"
        frame = base.mapping(found, place)
        index = frame.get("frame_index", number)
        if type(index) is not int or not 0 <= index < base.MAX_FRAMES:
            reason = f"frame_index {str(index)[:40]}; 0 to {base.MAX_FRAMES} is allowed"
            raise FormatError(place, reason)
        places[index] = [
            _normalised_pose(person, size, place) for person in _list(frame.get("skeleton"), place)
        ]
    if not places:
        raise FormatError(str(path), "data: no frames")
    first = min(places)
    frames = [places.get(index, []) for index in range(first, max(places) + 1)]
    label = content.get("label")
    labels = {} if label is None else {"action": base.name_of(label, str(path))}
    yield from _tracks(path, path.stem, frames, size, labels, options)


def _names(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                yield entry.name


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > linking.MAX_PEOPLE:
        raise FormatError(place, f"a list of at most {linking.MAX_PEOPLE} people is needed")
    return value


def _people(path: Path) -> list[np.ndarray]:
    """Poses `[J, 3]` of a frame's file."""
    place = str(path)
    content = base.mapping(base.read_json(path, _MAX_FRAME_BYTES), place)
    poses = []
    for person in _list(content.get("people"), place):
        values = base.mapping(person, place).get("pose_keypoints_2d")
        pose = base.numbers(values, place, columns=3)
        if len(pose) not in _BONES:
            allowed = " or ".join(map(str, _BONES))
            raise FormatError(place, f"{len(pose)} joints; {allowed} are known")
        poses.append(_usable(pose))
    return poses


def _normalised_pose(person: Any, size: tuple[int, int], place: str) -> np.ndarray:
    facts = base.mapping(person, place)
    points = base.numbers(facts.get("pose"), place, columns=2)
    scores = base.numbers(facts.get("score"), place)
    if len(points) != 18 or len(scores) != 18:
        raise FormatError(place, f"{len(points)} joints and {len(scores)} scores; 18 are needed")
    # Joints that were not found are at (0, 0).
    found = scores * (points != 0).any(axis=1)
    return _usable(np.column_stack([points * size, found]))


def _usable(pose: np.ndarray) -> np.ndarray:
    """The pose with score 0 where a value is no place."""
    usable = np.isfinite(pose).all(axis=1) & (np.abs(pose) <= base.MAX_PLACE).all(axis=1)
    return np.where(usable[:, None], pose, 0.0)


def _tracks(
    path: Path,
    video: str,
    frames: list[list[np.ndarray]],
    size: tuple[int, int],
    labels: dict[str, str],
    options: ReadOptions,
) -> Read:
    kinds = {len(pose) for poses in frames for pose in poses}
    if len(kinds) > 1:
        raise FormatError(str(path), f"skeletons of {sorted(kinds)} joints in one clip")
    for number, person in enumerate(linking.link(frames)):
        place = f"{path} [person {number}]"
        if len(person.poses) < _MIN_FRAMES:
            yield Skipped(place, f"found in 1 frame; at least {_MIN_FRAMES} are needed")
            continue
        joints, known = person.arrays()
        points, visible = bones.points_along(
            joints, known, _BONES[joints.shape[1]], options.num_points
        )
        yield Track(
            track_id=f"{video}/{number}",
            source=str(path),
            points=points,
            visible=visible,
            frame_size=size,
            fps=options.fps or _FPS,
            labels=labels,
            video=video,
            object_id=str(number),
            start_frame=person.start,
        )
