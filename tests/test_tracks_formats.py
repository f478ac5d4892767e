"""Readers of tracks: point trackers, TAP-Vid, boxes and masks with sentences."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_tracks import encoded, write_lasot, write_mevis, write_vid_sentence

from raydance.errors import FormatError, InputError
from raydance.tracks.formats import ReadOptions, iter_tracks, read_tracks, rle, torch_file
from raydance.tracks.grid import grid_in_boxes
from raydance.tracks.track import Track, to_row

T, N = 7, 5
SIZE = ReadOptions(frame_size=(64, 48))


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 48, (T, N, 2)).astype(np.float32)


@pytest.fixture
def visible() -> np.ndarray:
    return np.random.default_rng(1).random((T, N)) < 0.7


def test_npz_of_a_point_tracker(tmp_path: Path, points, visible):
    path = tmp_path / "clip.npz"
    np.savez(path, pred_tracks=points[None], pred_visibility=visible[None], fps=12.0)
    (tmp_path / "clip.json").write_text(json.dumps({"frame_size": [64, 48], "captions": "a dog"}))
    (track,) = read_tracks(path).tracks
    assert (track.points == points).all() and (track.visible == visible).all()
    assert track.frame_size == (64, 48) and track.fps == 12 and track.captions == ("a dog",)
    assert len(read_tracks(tmp_path).tracks) == 1  # the side-car is no track by itself
    np.savez(path, tracks=points, occluded=~visible, width=32, height=32)
    (track,) = read_tracks(path, SIZE).tracks
    assert (track.visible == visible).all() and track.frame_size == (64, 48)


@pytest.mark.parametrize("shape", ["batch", "column", "pair", "bare", "strided"])
def test_pt_of_a_point_tracker(tmp_path: Path, points, visible, shape):
    path = tmp_path / "clip.pt"
    tracks, seen = torch.tensor(points), torch.tensor(visible)
    content = {
        "batch": {"pred_tracks": tracks[None], "pred_visibility": seen[None].float()},
        "column": {"tracks": tracks[None], "visibility": seen[None, ..., None], "fps": 12},
        "pair": (tracks[None], seen[None]),
        "bare": tracks.double(),
        "strided": {"tracks": tracks.permute(1, 0, 2).contiguous().permute(1, 0, 2)},
    }[shape]
    torch.save(content, path)
    (track,) = read_tracks(path, SIZE).tracks
    assert (track.points == points).all()
    assert (track.visible == (visible if shape in ("batch", "column", "pair") else True)).all()


def test_a_batch_gives_a_track_each(tmp_path: Path, points):
    torch.save({"tracks": torch.tensor(np.stack([points, points + 1]))}, tmp_path / "a.pt")
    one, two = read_tracks(tmp_path / "a.pt", SIZE).tracks
    assert one.video == two.video == "a" and (two.points == points + 1).all()


@pytest.mark.parametrize("kind", ["float16", "int32", "uint8", "bool", "int64"])
def test_tensors_of_all_kinds(tmp_path: Path, kind):
    tensor = (torch.arange(12) % 2).reshape(3, 4).to(getattr(torch, kind))
    torch.save({"a": tensor, "b": [tensor.T, 2, "text"], "c": tensor[1:, 2]}, tmp_path / "a.pt")
    read = torch_file.load(tmp_path / "a.pt")
    assert (read["a"] == tensor.numpy()).all() and read["a"].dtype == tensor.numpy().dtype
    assert (read["b"][0] == tensor.T.numpy()).all() and read["b"][1:] == [2, "text"]
    assert (read["c"] == tensor[1:, 2].numpy()).all()


class _Attack:
    def __reduce__(self):
        return (print, ("executed",))


def _changed(path: Path, change) -> Path:
    """A .pt file with changed members."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    out = path.with_name("changed.pt")
    with zipfile.ZipFile(out, "w") as new:
        for name, data in members.items():
            data = change(name, data)
            if data is not None:
                new.writestr(name, data)
    return out


def test_pt_files_execute_nothing_and_take_no_more_than_they_hold(tmp_path: Path, points, capsys):
    torch.save({"tracks": torch.tensor(points), "further": _Attack()}, tmp_path / "attack.pt")
    with pytest.raises(FormatError, match="the pickle asks for .*print"):
        read_tracks(tmp_path / "attack.pt", SIZE)
    torch.save({"tracks": torch.tensor(points)}, tmp_path / "a.pt")
    short = _changed(tmp_path / "a.pt", lambda name, d: d[:-4] if "/data/" in name else d)
    with pytest.raises(FormatError, match="size"):
        read_tracks(short, SIZE)
    none = _changed(tmp_path / "a.pt", lambda name, d: None if "/data/" in name else d)
    with pytest.raises(FormatError, match="not in the file"):
        read_tracks(none, SIZE)
    torch.save({"tracks": torch.zeros(1).expand(10**6, 10**3, 2)}, tmp_path / "wide.pt")
    with pytest.raises(FormatError, match="bytes of tensors"):
        read_tracks(tmp_path / "wide.pt", SIZE)
    (tmp_path / "old.pt").write_bytes(pickle.dumps(_Attack()))
    with pytest.raises(FormatError, match="torch 1.6"):
        read_tracks(tmp_path / "old.pt", SIZE)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packed_pt_members_that_are_damaged_are_refused(tmp_path: Path, points, way: int):
    torch.save({"tracks": torch.tensor(points)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member), way)
    assert read_tracks(tmp_path / "b.pt", SIZE).tracks
    whole = (tmp_path / "b.pt").read_bytes()
    for place in range(30, len(whole) - 200, 7):
        (tmp_path / "b.pt").write_bytes(whole[:place] + b"\xff\xff\xff" + whole[place + 3 :])
        try:
            read_tracks(tmp_path / "b.pt", SIZE)
        except FormatError as error:
            assert "b.pt" in str(error)


def test_tapvid(tmp_path: Path, points, visible, capsys):
    share = points.swapaxes(0, 1) / (64, 48)
    picture = io.BytesIO()
    Image.new("RGB", (64, 48)).save(picture, format="JPEG")
    good = {"points": share, "occluded": ~visible.T, "video": np.zeros((T, 48, 64, 3), np.uint8)}
    content = {"goat": good, "broken": {"points": share}, "odd": {**good, "occluded": share}}
    (tmp_path / "davis.pkl").write_bytes(pickle.dumps(content))
    read = read_tracks(tmp_path / "davis.pkl")
    (track,) = read.tracks
    assert track.track_id == "goat" and track.frame_size == (64, 48)
    assert np.allclose(track.points, points, atol=1e-4) and (track.visible == visible).all()
    assert len(read.skipped) == 2 and "broken" in str(read.skipped[0])
    encoded = [{**good, "video": [picture.getvalue()] * T}]
    (tmp_path / "kinetics.pkl").write_bytes(pickle.dumps(encoded))
    (track,) = read_tracks(tmp_path / "kinetics.pkl").tracks
    assert track.frame_size == (64, 48) and track.track_id == "kinetics/0"
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps([good, _Attack()]))
    with pytest.raises(FormatError, match="nothing is executed"):
        read_tracks(tmp_path / "bad.pkl")
    assert "executed" not in capsys.readouterr().out


def test_boxes_with_sentences(tmp_path: Path):
    boxes = write_vid_sentence(tmp_path)
    for path in (tmp_path, tmp_path / "tracks.npz"):
        read = read_tracks(path)
        (track,) = read.tracks
        assert track.num_frames == 4 and track.start_frame == 2 and track.split == "train"
        assert track.visible.all(axis=1).tolist() == [True, True, False, True]
        assert np.allclose(track.points[1], grid_in_boxes(boxes[1]))
        assert np.allclose(track.points[2], grid_in_boxes(boxes[1:3].mean(axis=0)))  # between
        assert track.captions == ("a cat  runs",)
        assert track.labels == {"class": "cat", "occluded_share": "0.33"}
        assert "line 2: rows 2 to 11 of 4" in str(read.skipped[0])
        assert "line 3: not JSON" in str(read.skipped[1])
    assert read_tracks(tmp_path, ReadOptions(grid_side=4)).tracks[0].num_points == 16


def test_real_boxes_with_sentences(shared_data: Path):
    folder = shared_data / "vid_sentence"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    right = []
    for number, track in enumerate(iter_tracks(folder, ReadOptions(grid_side=3))):
        assert isinstance(track, Track)
        if number < 100:
            row = to_row(track)
            assert row["points"].shape == (30, 36, 2) and np.abs(row["points"]).max() < 1.02
            assert track.captions and track.labels["class"] and track.split in ("train", "val")
        if "left to right" in track.captions[0].lower():
            right.append(track.points[-1, :, 0].mean() > track.points[0, :, 0].mean())
        if number == 2000:
            break
    assert number == 2000 and 0.6 < np.mean(right) < 0.8  # cameras move


def test_lasot(tmp_path: Path):
    write_lasot(tmp_path)
    read = read_tracks(tmp_path)
    (track,) = read.tracks
    assert track.captions == ("a cat that walks",) and track.labels == {"class": "cat"}
    assert track.visible.all(axis=1).tolist() == [True, False, False, True]
    assert track.points[:, 0, 0].tolist() == [1, 3, 5, 7] and track.frame_size == (64, 48)
    assert "cat-2/groundtruth.txt line 2: found 'ten'" in str(read.skipped[0])
    assert read_tracks(tmp_path / "cat" / "cat-1").tracks[0].track_id == "cat-1"


def test_mevis(tmp_path: Path):
    write_mevis(tmp_path)
    read = read_tracks(tmp_path)
    (track,) = read.tracks
    assert track.captions == ("a dog walks right", "it goes to the right")
    assert track.frame_size == (64, 48) and track.track_id == "v/7"
    assert track.visible.all(axis=1).tolist() == [True, True, False, True]
    moved = track.points - track.points[0]
    assert np.allclose(moved[..., 0], 6 * np.arange(4)[:, None], atol=1e-4)
    assert np.allclose(moved[..., 1], 0, atol=1e-4)
    assert sorted("2 objects" in s.reason for s in read.skipped) == [False, True]


def test_any_text_may_name_a_video_and_an_object(tmp_path: Path):
    write_mevis(tmp_path)
    for name, key in (("mask_dict.json", '"7"'), ("meta_expressions.json", '"v"')):
        content = (tmp_path / name).read_text()
        (tmp_path / name).write_text(content.replace(key, '"\\udc80\\u001b[2J"'))
    content = (tmp_path / "meta_expressions.json").read_text()
    (tmp_path / "meta_expressions.json").write_text(content.replace("[7]", '["\\udc80\\u001b[2J"]'))
    read = read_tracks(tmp_path)
    (track,) = read.tracks
    assert (track.video, track.object_id) == ("\\x80\\x1b[2J", "\\x80\\x1b[2J")
    for text in (track.track_id, *map(str, read.skipped)):
        assert text.encode().isascii() and "\x1b" not in text


def test_run_lengths_are_those_of_pycocotools():
    coco = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(0)
    for _ in range(30):
        shape = random.integers(1, 200, 2)
        mask = random.random(shape) < random.random()
        if random.random() < 0.5:  # long runs
            mask = np.kron(mask[:9, :9], np.ones((20, 17), bool)) > 0
        value = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        value["counts"] = value["counts"].decode()
        value["size"] = [int(side) for side in value["size"]]
        assert (rle.decode(value, "a") == mask).all()
        assert (rle.decode(encoded(mask), "a") == mask).all()
        box, size = rle.box(value, "a")
        assert size == mask.shape[::-1]
        if not mask.any():
            assert box is None
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"size": [8, 8], "counts": "0" * 10}, "runs of"),
        ({"size": [8, 8], "counts": ""}, "ASCII"),
        ({"size": [8, 8], "counts": "oooooo"}, "cut off"),
        ({"size": [8, 8], "counts": "o" * 40 + "1"}, "digits"),
        ({"size": [8, 8], "counts": "\u00e4"}, "ASCII"),
        ({"size": [8, 8], "counts": [70, -6]}, "run outside"),
        ({"size": [8, 8], "counts": [64.0]}, "whole numbers"),
        ({"size": [10**9, 8], "counts": [8]}, "frame size"),
        ({"size": [16000, 16000], "counts": [256000000]}, "pixels"),
        ([1], "object"),
    ],
)
def test_damaged_run_lengths(value, words):
    with pytest.raises(FormatError, match=words):
        rle.decode(value, "a")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pred_tracks": np.zeros((3, 2, 2), np.float32)}, "no frame size"),
        ({"pred_tracks": np.full((3, 2, 2), np.nan), "size": [64, 48]}, "frame 0, point 0"),
        ({"tracks": np.zeros((3, 2, 3)), "size": [64, 48]}, "N, 2"),
        ({"tracks": np.zeros((0, 2, 2)), "size": [64, 48]}, "none"),
        ({"tracks": np.zeros((3, 2, 2)), "size": [0, 48]}, "frame size"),
        ({"tracks": np.zeros((3, 2, 2)), "visible": np.ones((2, 2)), "size": [9, 9]}, "visib"),
        ({"tracks": np.zeros((3, 2, 2)), "fps": 0.0, "size": [9, 9]}, "fps"),
        ({"tracks": np.zeros((100_001, 1, 2)), "size": [9, 9]}, "at most 100000"),
        ({"other": np.zeros(3)}, "members other"),
    ],
)
def test_damaged_arrays_are_told_with_their_file(tmp_path: Path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FormatError, match=words) as error:
        read_tracks(tmp_path / "a.npz")
    assert "a.npz" in str(error.value)


def test_hidden_points_may_be_anything(tmp_path: Path, points):
    points[2, 1] = np.nan
    visible = np.isfinite(points[..., 0])
    np.savez(tmp_path / "a.npz", tracks=points, visible=visible, size=[64, 48])
    (track,) = read_tracks(tmp_path / "a.npz").tracks
    assert np.allclose(track.points[2, 1], (points[1, 1] + points[3, 1]) / 2)
    assert not track.visible[2, 1]


def test_what_cannot_be_read_is_told(tmp_path: Path):
    with pytest.raises(FormatError, match="no such file"):
        read_tracks(tmp_path / "absent.npz")
    with pytest.raises(FormatError, match="too long"):
        read_tracks("a" * 5000)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(FormatError, match="suffix .txt"):
        read_tracks(tmp_path / "a.txt")
    with pytest.raises(FormatError, match="no tracks in this folder"):
        read_tracks(tmp_path)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "b.json").write_text('{"a": NaN}')
    read = read_tracks(tmp_path)
    assert not read.tracks and len(read.skipped) == 2
    with pytest.raises(InputError, match="frame_size"):
        ReadOptions(frame_size=(0, 4))
    with pytest.raises(InputError, match="3 to 10"):
        ReadOptions(grid_side=11)
