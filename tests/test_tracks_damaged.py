"""Damaged files of every format end as tracks that are whole, as skipped parts, or as an error
that names the file: never as another error, nor after a long time."""

from __future__ import annotations

import json
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_tracks import (
    coco,
    kinetics,
    write_lasot,
    write_mevis,
    write_openpose,
    write_vid_sentence,
)

from raydance.errors import FormatError
from raydance.tracks import synthetic
from raydance.tracks.export import write_track
from raydance.tracks.formats import ReadOptions, iter_tracks
from raydance.tracks.formats.base import MAX_PLACE
from raydance.tracks.track import Track

POINTS = np.random.default_rng(0).uniform(0, 40, (6, 9, 2)).astype(np.float32)
VISIBLE = np.random.default_rng(1).random((6, 9)) < 0.7


def _own(folder: Path) -> None:
    track = next(iter(synthetic.make_scenes(1))).track(3)
    write_track(folder / "a.npz", track)
    write_track(folder / "b.json", track)


def _tapvid(folder: Path) -> None:
    video = {"points": POINTS.swapaxes(0, 1) / 40, "occluded": ~VISIBLE.T}
    (folder / "a.pkl").write_bytes(pickle.dumps({"goat": video, "cow": video}))


def _jhmdb(folder: Path) -> None:
    joints = np.random.default_rng(0).uniform(-0.5, 0.5, (7, 15, 2)).astype(np.float32)
    np.savez(folder / "a_test.npz", points=joints, lengths=[4, 3], labels=["walk", "run"])


def _cotracker(folder: Path) -> None:
    np.savez(folder / "a.npz", pred_tracks=POINTS, pred_visibility=VISIBLE)
    (folder / "a.json").write_text(json.dumps({"fps": 12, "captions": ["a dog"]}))
    content = {"pred_tracks": torch.tensor(POINTS), "pred_visibility": torch.tensor(VISIBLE)}
    torch.save(content, folder / "b.pt")


def _poses(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps(coco()))
    (folder / "b.json").write_text(json.dumps(kinetics()))


WRITERS: dict[str, Callable[[Path], object]] = {
    "own": _own,
    "cotracker": _cotracker,
    "tapvid": _tapvid,
    "vid_sentence": write_vid_sentence,
    "mevis": write_mevis,
    "lasot": write_lasot,
    "openpose": lambda folder: write_openpose(folder / "walk"),
    "jhmdb": _jhmdb,
    "poses": _poses,
}
_TOKENS = (b"-1", b"1e999", b"null", b"[]", b"{}", b'"x"', b"99999999999", b"true", b"\xff", b"")


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """A few bytes or words of a file changed, or its end cut off."""
    out = bytearray(data)
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(len(out))) if out else 0
        way = random.integers(4)
        if way == 0 and out:
            out[place] = int(random.integers(256))
        elif way == 1:
            del out[place:]
        elif way == 2:
            out[place : place + int(random.integers(12))] = _TOKENS[random.integers(len(_TOKENS))]
        else:
            other = int(random.integers(len(out) + 1))
            out[place:place] = out[other : other + int(random.integers(20))]
    return bytes(out)


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_damaged_files(tmp_path: Path, kind: str):
    random = np.random.default_rng(sorted(WRITERS).index(kind))
    whole = tmp_path / "whole"
    whole.mkdir()
    WRITERS[kind](whole)
    place = whole / "walk" if kind == "openpose" else whole
    options = ReadOptions(frame_size=(64, 48), grid_side=3, num_points=9)
    assert any(isinstance(found, Track) for found in iter_tracks(place, options))
    files = [path.relative_to(whole) for path in sorted(whole.rglob("*")) if path.is_file()]
    refused = 0
    for _ in range(60):
        folder = tmp_path / "damaged"
        shutil.copytree(whole, folder)
        file = folder / files[random.integers(len(files))]
        file.write_bytes(damaged(file.read_bytes(), random))
        start = time.process_time()
        try:
            for found in iter_tracks(folder / "walk" if kind == "openpose" else folder, options):
                if isinstance(found, Track):
                    _check(found)
                else:
                    refused += 1
                    assert str(folder) in found.place and found.reason
        except FormatError as error:
            refused += 1
            assert str(folder) in str(error)
        assert time.process_time() - start < 2
        shutil.rmtree(folder)
    assert refused > 5


def _check(track: Track) -> None:
    assert np.isfinite(track.points).all() and np.abs(track.points).max() <= 100 * MAX_PLACE
    assert track.visible.shape == track.points.shape[:2] and track.num_frames >= 1
    assert all(isinstance(caption, str) and "\n" not in caption for caption in track.captions)
