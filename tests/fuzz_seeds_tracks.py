"""Files of 2-D tracks from which the fuzzer starts, all made here."""

from __future__ import annotations

import io
import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import small_tracks
from fuzz_seeds import Seeds, npz
from PIL import Image


def _tracks_npz() -> Seeds:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (4, 5, 2)).astype("f4")
    seen = rng.random((4, 5)) < 0.8
    size = {"frame_size": [64, 48], "fps": 25, "captions": ["a dog runs"]}
    beside = json.dumps(size).encode()
    yield npz(pred_tracks=points[None], pred_visibility=seen[None, ..., None]), beside
    yield npz(tracks=points, occluded=~seen, fps=np.float64(24), size=np.array([64, 48])), beside
    facts = {"format": "raydance.track", "version": 1, "track_id": "a", "start_frame": 3, **size}
    yield npz(points=points, visible=seen, facts=np.array(json.dumps(facts))), b"{}"
    joints = rng.normal(0, 0.5, (5, 15, 2)).astype("f4")
    yield npz(points=joints, lengths=[2, 3], labels=np.array(["a", "b"])), b"{}"


def _pt() -> Seeds:
    """A .pt file of two tensors, packed as torch does."""
    import torch

    for content in (
        {"pred_tracks": torch.rand(1, 3, 4, 2), "pred_visibility": torch.ones(1, 3, 4, 1).bool()},
        (torch.rand(3, 4, 2).double(), torch.ones(3, 4)),
    ):
        content = (
            {**content, "size": torch.tensor([64, 48])} if isinstance(content, dict) else content
        )
        stream = io.BytesIO()
        torch.save(content, stream)
        # Without compression and checksums of its own, as the fuzzer packs members again.
        with zipfile.ZipFile(stream) as archive:
            members = {m.filename: archive.read(m) for m in archive.infolist()}
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in members.items():
                archive.writestr(zipfile.ZipInfo(name), data)
        yield (out.getvalue(),)


def _tapvid() -> Seeds:
    points = np.random.default_rng(0).random((4, 3, 2)).astype("f4")
    video = {"points": points, "occluded": points[..., 0] > 0.8}
    picture = io.BytesIO()
    Image.new("RGB", (16, 12)).save(picture, "JPEG")
    with_pixels = {**video, "video": np.zeros((3, 12, 16, 3), np.uint8)}
    with_pictures = {**video, "video": [picture.getvalue()] * 3}
    for content in ({"a": with_pixels}, [with_pictures], video):
        for protocol in (0, 2, 4):
            yield (pickle.dumps(content, protocol),)


def _tracks_json() -> Seeds:
    points = np.random.default_rng(0).uniform(0, 40, (3, 4, 2)).round(1).tolist()
    own = {"format": "raydance.track", "version": 1, "track_id": "a", "fps": 25, "labels": {"a": 1}}
    own |= {"frame_size": [64, 48], "points": points, "visible": [[True] * 4] * 3}
    for content in (small_tracks.coco(), small_tracks.kinetics(), own):
        yield (json.dumps(content).encode(),)


def _from_folder(write: Callable[[Path], Any], *files: str) -> Seeds:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "seed"
        if write is not small_tracks.write_openpose:
            folder.mkdir()
        write(folder)
        yield tuple((folder / file).read_bytes() for file in files)


def _lasot() -> Seeds:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48)).save(picture, "PNG")
    boxes = b"0,0,10,10\n2,0,10,10\n0,0,0,0\n6,0,10,10\n"
    yield boxes, b"a cat that walks\n", b"0,1,0,0", b"0,0,1,0", picture.getvalue()


def _openpose_names() -> tuple[str, ...]:
    return tuple(f"walk_{frame:012d}_keypoints.json" for frame in range(3))


TRACKS: Final[Mapping[str, Callable[[], Seeds]]] = {
    "npz": _tracks_npz,
    "pt": _pt,
    "pkl": _tapvid,
    "json": _tracks_json,
    "vid_sentence": lambda: _from_folder(
        small_tracks.write_vid_sentence, "tracks.npz", "tracks.jsonl"
    ),
    "mevis": lambda: _from_folder(
        small_tracks.write_mevis, "mask_dict.json", "meta_expressions.json"
    ),
    "openpose": lambda: _from_folder(small_tracks.write_openpose, *_openpose_names()),
    "lasot": _lasot,
}
