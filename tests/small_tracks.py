"""Small files of tracks, one writer for each format that is more than an array."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def write_vid_sentence(folder: Path) -> np.ndarray:
    boxes = np.array([[0, 0, 10, 10], [10, 0, 30, 20], [5, 5, 15, 25], [9, 9, 9, 9]], np.int16)
    frames = np.array([3, 4, 6, 1], np.int16)
    np.savez(folder / "tracks.npz", box=boxes, frame=frames, occluded=np.array([1, 0, 0, 0], bool))
    common = {"video": "v", "class": "cat", "width": 64, "height": 48, "split": "train"}
    lines = [
        {**common, "track": 0, "start": 0, "length": 3, "sentences": ["a cat\u0000 runs"]},
        {**common, "track": 1, "start": 2, "length": 9, "sentences": []},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\nnot json\n"
    (folder / "tracks.jsonl").write_text(text)
    return boxes


def encoded(mask: np.ndarray) -> dict[str, Any]:
    """Run lengths in plain numbers, columns first."""
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    edges = np.flatnonzero(np.diff(flat.astype(int)))
    bounds = np.concatenate([[0], edges, [mask.size]])
    return {"size": list(mask.shape), "counts": np.diff(bounds).tolist()}


def write_mevis(folder: Path) -> None:
    masks = []
    for shift in range(4):
        mask = np.zeros((48, 64), bool)
        mask[10:30, 5 + 6 * shift : 25 + 6 * shift] = True
        masks.append(encoded(mask))
    masks[2] = None
    expressions = {
        "0": {"exp": "a dog walks right", "obj_id": [0], "anno_id": [7]},
        "1": {"exp": "it goes to the right", "obj_id": [0], "anno_id": [7]},
        "2": {"exp": "two dogs", "obj_id": [0, 1], "anno_id": [7, 8]},
        "3": {"exp": "the one without masks", "obj_id": [1], "anno_id": [9]},
    }
    (folder / "mask_dict.json").write_text(json.dumps({"7": masks, "8": [None]}))
    content = {"videos": {"v": {"expressions": expressions, "frames": ["0", "1", "2", "3"]}}}
    (folder / "meta_expressions.json").write_text(json.dumps(content))


def person(shift: float, count: int = 25, missing: int | None = None) -> list[float]:
    random = np.random.default_rng(3)
    pose = np.column_stack([random.uniform(0, 100, (count, 2)) + (shift, 50), np.full(count, 0.9)])
    if missing is not None:
        pose[missing] = 0
    return pose.ravel().tolist()


def write_openpose(folder: Path) -> None:
    """Two people who pass in the file's order, one of them absent for a frame."""
    folder.mkdir(parents=True)
    for frame in range(6):
        people = [person(10 + 4 * frame), person(400 - 4 * frame, missing=3)]
        if frame % 2:
            people = people[::-1]
        if frame == 2:
            people = people[:1]
        content = {"people": [{"pose_keypoints_2d": pose} for pose in people]}
        (folder / f"walk_{frame:012d}_keypoints.json").write_text(json.dumps(content))


def coco() -> dict[str, Any]:
    images = [
        {"id": i, "width": 640, "height": 480, "vid_id": "v", "frame_id": 10 + 2 * i}
        for i in range(4)
    ]
    annotations = [
        {
            "id": i,
            "image_id": i,
            "category_id": 1,
            "track_id": 5,
            "keypoints": person(3 * i, 17),
        }
        for i in (0, 1, 3)
    ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "skeleton": [[6, 8], [8, 10]]}],
    }


def kinetics() -> dict[str, Any]:
    """A clip of one person who is absent in the fourth of five frames."""
    start = np.random.default_rng(0).uniform(0.2, 0.6, (18, 2))
    frames = []
    for frame in range(5):
        pose = start + 0.01 * frame
        pose[4] = 0
        people = [{"pose": pose.ravel().tolist(), "score": [0.8] * 18}]
        frames.append({"frame_index": frame + 1, "skeleton": people if frame != 3 else []})
    return {"data": frames, "label": "dancing"}


def write_lasot(folder: Path) -> None:
    """Two sequences of a cat, the second with a word among its numbers."""
    from PIL import Image

    first, second = folder / "cat" / "cat-1", folder / "cat" / "cat-2"
    (first / "img").mkdir(parents=True)
    Image.new("RGB", (64, 48)).save(first / "img" / "00000001.jpg")
    (first / "groundtruth.txt").write_text("0,0,10,10\n2,0,10,10\n0,0,0,0\n6,0,10,10\n")
    (first / "nlp.txt").write_text("a cat that walks\n")
    (first / "full_occlusion.txt").write_text("0,1,0,0")
    second.mkdir()
    (second / "groundtruth.txt").write_text("0,0,10,10\n2,0,ten,10\n")
