"""Keypoints in COCO's JSON, of videos: images with a video and a frame, annotations with a track.

`images` have `id`, `width`, `height` and what tells their video and order (`video_id` or `vid_id`,
and `frame_id` or `frame_index`); `annotations` have `image_id`, `keypoints` (x, y, v per keypoint)
and `track_id` or `instance_id`. Bones are the category's `skeleton`, or COCO's for 17 keypoints.
An annotation without a track is skipped: in a single picture nothing moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.tracks import bones
from raydance.tracks.formats import base
from raydance.tracks.formats.base import Read, ReadOptions, Skipped
from raydance.tracks.track import Track

_VIDEO: Final = ("video_id", "vid_id")
_FRAME: Final = ("frame_id", "frame_index", "frame_number")
_TRACK: Final = ("track_id", "instance_id")
_FPS: Final = 25.0
_MAX_KEYPOINTS: Final = 500
_COCO_KEYPOINTS: Final = 17


def is_coco(content: Any) -> bool:
    """Whether a JSON file's content is COCO's."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("images"), list)
        and isinstance(content.get("annotations"), list)
    )


def read(path: Path, options: ReadOptions, content: Any) -> Read:
    """A track for each tracked person or animal of each video."""
    place = str(path)
    images: dict[Any, Mapping[str, Any]] = {}
    for number, found in enumerate(content["images"]):
        image = base.mapping(found, f"{place} [images {number}]")
        images[_key(image.get("id"), f"{place} [images {number}]")] = image
    skeletons = _skeletons(content.get("categories"), place)
    tracks: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    facts: dict[tuple[str, str], tuple[Mapping[str, Any], bones.Bones, str]] = {}
    for number, found in enumerate(content["annotations"]):
        part = f"{place} [annotations {number}]"
        try:
            annotation = base.mapping(found, part)
            name, frame, pose, image = _placed(annotation, images, part)
            links, category = _bones(annotation, len(pose), skeletons, part)
            facts.setdefault(name, (image, links, category))
            if len(pose) != len(next(iter(tracks.get(name, {0: pose}).values()))):
                raise FormatError(part, f"{len(pose)} keypoints; the track has another number")
            if frame in tracks.setdefault(name, {}):
                raise FormatError(part, f"frame {frame} of track {name[1]} is there twice")
            tracks[name][frame] = pose
        except FormatError as error:
            yield Skipped.because(error)
    for name, poses in tracks.items():
        try:
            yield _track(path, name, poses, *facts[name], options)
        except FormatError as error:
            yield Skipped.because(error)


def _key(value: Any, place: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise FormatError(place, "id: a number or text is needed")
    return value


def _first(facts: Mapping[str, Any], keys: tuple[str, ...], place: str) -> Any:
    for key in keys:
        if facts.get(key) is not None:
            return facts[key]
    raise FormatError(place, f"no {' or '.join(keys)}: keypoints of videos have one")


def _placed(
    annotation: Mapping[str, Any], images: Mapping[Any, Mapping[str, Any]], place: str
) -> tuple[tuple[str, str], int, np.ndarray, Mapping[str, Any]]:
    """(video, track), frame, keypoints `[K, 3]` and the image of an annotation."""
    track = base.name_of(_first(annotation, _TRACK, place), place)
    image = images.get(_key(annotation.get("image_id"), place))
    if image is None:
        raise FormatError(place, f"image {str(annotation.get('image_id'))[:40]} is not there")
    video = base.name_of(_first(image, _VIDEO, place), place)
    frame = _first(image, _FRAME, place)
    if type(frame) is not int or not 0 <= frame <= 1 << 31:
        raise FormatError(place, f"frame {str(frame)[:40]}; a whole number is needed")
    pose = base.numbers(annotation.get("keypoints"), place, columns=3)
    if not 1 <= len(pose) <= _MAX_KEYPOINTS:
        raise FormatError(place, f"{len(pose)} keypoints; 1 to {_MAX_KEYPOINTS} are allowed")
    usable = np.isfinite(pose).all(axis=1) & (np.abs(pose) <= base.MAX_PLACE).all(axis=1)
    pose = np.where(usable[:, None], pose, 0.0)
    if not (pose[:, 2] > 0).any():
        raise FormatError(place, "no keypoint is labelled")
    return (video, track), frame, pose, image


def _skeletons(categories: Any, place: str) -> dict[Any, tuple[bones.Bones | None, str]]:
    """Category -> bones, counted from 0, and its name."""
    found: dict[Any, tuple[bones.Bones | None, str]] = {}
    for category in categories if isinstance(categories, list) else []:
        facts = base.mapping(category, f"{place} [categories]")
        pairs = facts.get("skeleton")
        links: bones.Bones | None = None
        if isinstance(pairs, list) and pairs:
            if not all(
                isinstance(p, list) and len(p) == 2 and all(type(i) is int and i >= 1 for i in p)
                for p in pairs
            ):
                raise FormatError(f"{place} [categories]", "skeleton: pairs of numbers from 1")
            links = [(first - 1, second - 1) for first, second in pairs]
        name = base.name_of(facts.get("name", ""), f"{place} [categories]")
        found[_key(facts.get("id"), f"{place} [categories]")] = (links, name)
    return found


def _bones(
    annotation: Mapping[str, Any],
    count: int,
    skeletons: Mapping[Any, tuple[bones.Bones | None, str]],
    place: str,
) -> tuple[bones.Bones, str]:
    category = annotation.get("category_id")
    hashable = category if isinstance(category, (int, str)) else None
    links, name = skeletons.get(hashable, (None, ""))
    if links is None:
        links = bones.COCO if count == _COCO_KEYPOINTS else ()
    if any(max(pair) >= count for pair in links):
        raise FormatError(place, f"the skeleton has joints beyond the {count} keypoints")
    return links, name


def _track(
    path: Path,
    name: tuple[str, str],
    poses: dict[int, np.ndarray],
    image: Mapping[str, Any],
    links: bones.Bones,
    category: str,
    options: ReadOptions,
) -> Track:
    video, track = name
    place = f"{path} [video {video}, track {track}]"
    if len(poses) < 2:
        raise FormatError(place, "in 1 frame; at least 2 are needed")
    frames = np.array(sorted(poses))
    # The numbers of sampled frames go up in equal steps.
    step = int(np.gcd.reduce(np.diff(frames)))
    order = (frames - frames[0]) // step
    count = int(order[-1]) + 1
    base.check_length(count, options.num_points, place)
    whole = np.zeros((count, len(poses[int(frames[0])]), 3))
    whole[order] = [poses[int(frame)] for frame in frames]
    points, visible = bones.points_along(
        whole[..., :2], whole[..., 2] > 0, links, options.num_points
    )
    size = [image.get("width"), image.get("height")]
    return Track(
        track_id=f"{video}/{track}",
        source=str(path),
        points=points,
        visible=visible,
        frame_size=base.size_of(None if None in size else size, options, place),
        fps=options.fps or _FPS,
        labels={"class": category} if category else {},
        video=video,
        object_id=track,
        start_frame=int(frames[0]),
    )
