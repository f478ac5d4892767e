"""Tracks into a dataset: splits by video, rows of one size, what cannot be read is listed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_dataset import ingest_here

from raydance.data.dataset import Dataset
from raydance.data.track_ingest import TrackSettings
from raydance.errors import InputError
from raydance.tracks.rows import TrackNoise, TrackRows


def write_boxes(folder: Path, splits: tuple[str, ...], video: str = "v{}") -> None:
    """VID-Sentence's layout: 40 videos of two boxes each, which move right by 2 px a frame."""
    folder.mkdir(parents=True)
    boxes, lines = [], []
    for number in range(80):
        start = len(boxes)
        for frame in range(20):
            left = 10 + number + 2 * frame
            boxes.append([left, 20, left + 30, 60])
        lines.append(
            {
                "video": video.format(number // 2),
                "track": f"{number}",
                "split": splits[number // 2 % len(splits)],
                "class": "dog",
                "start": start,
                "length": 20,
                "width": 320,
                "height": 240,
                "sentences": [f"a dog runs to the right {number}"],
            }
        )
    rows = len(boxes)
    np.savez(
        folder / "tracks.npz",
        box=np.array(boxes, np.int16),
        occluded=np.zeros(rows, bool),
        frame=np.tile(np.arange(1, 21), 80),
    )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "tracks.jsonl").write_text(text + "no line of JSON\n", encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("tracks")
    write_boxes(folder / "boxes", ("train", "train", "train", "val"))
    return Dataset.open(ingest_here([folder / "boxes"], [], folder / "set", TrackSettings()))


def test_rows_have_one_size_and_keep_place_and_words(made: Dataset) -> None:
    assert made.modality.name == "tracks" and made.arrays["tracks"] == (30, 36, 2)
    rows = made.read_shard(made.shards("train")[0])
    place = rows["clip_id"].index("v0/0")
    pixels = (rows["tracks"][place] + 1.0) * (160.0, 120.0)
    assert pixels[0].min(axis=0) == pytest.approx([10, 20], abs=5)  # the grid lies inside the box
    steps = np.diff(pixels.mean(axis=1), axis=0)
    assert steps[:, 0] == pytest.approx(2 * 19 / 29, abs=1e-3)
    assert rows["captions"][place] == ["a dog runs to the right 0"]
    assert json.loads(rows["labels"][place])["class"] == "dog"
    assert rows["end_s"][place] == pytest.approx(19 / 30)


def test_published_validation_is_tested_on_where_there_is_no_test(made: Dataset) -> None:
    places: dict[str, set[str]] = {}
    for clip in made.clips():
        places.setdefault(clip["recording"], set()).add(clip["split"])
    assert all(len(splits) == 1 for splits in places.values())
    assert {name for name, splits in places.items() if splits == {"test"}} == {
        f"v{i}" for i in range(3, 40, 4)
    }
    assert 0 < sum(splits == {"val"} for splits in places.values()) < 15


def test_snippets_of_one_recording_share_a_split(tmp_path: Path) -> None:
    write_boxes(tmp_path / "boxes", ("train",), video="ILSVRC2015_train_{:08d}")
    write_boxes(tmp_path / "more", ("train",), video="ILSVRC2015_train_00001{:03d}")
    made = Dataset.open(ingest_here([tmp_path], [], tmp_path / "set", TrackSettings()))
    splits: dict[str, set[str]] = {}
    for clip in made.clips():
        splits.setdefault(clip["recording"], set()).add(clip["split"])
    assert {name.rpartition("/")[2] for name in splits} == {
        "ILSVRC2015_train_00000",
        "ILSVRC2015_train_00001",
    }
    assert all(len(found) == 1 for found in splits.values())


def test_camera_motion_is_taken_out_where_objects_of_a_video_show_it(tmp_path: Path) -> None:
    write_boxes(tmp_path / "all", ("train",), video="all")  # 80 boxes that move alike
    write_boxes(tmp_path / "two", ("train",))  # too few in each video
    settings = TrackSettings(without_camera_motion=True)
    made = Dataset.open(ingest_here([tmp_path], [], tmp_path / "set", settings))
    assert made.manifest["without_camera_motion"]
    assert [file["camera"] for file in made.manifest["files"]] == [
        {"tracks": 80, "videos": 1, "of_videos": 1},
        {"tracks": 0, "videos": 0, "of_videos": 40},
    ]
    for split in ("train", "val", "test"):
        for shard in made.shards(split):
            rows = made.read_shard(shard)
            moved = np.ptp(rows["tracks"], axis=1).max(axis=(1, 2))
            is_still = np.array(["all/" in name for name in rows["clip_id"]])
            assert (moved[is_still] < 1e-5).all() and (moved[~is_still] > 0.1).all()


def test_what_cannot_be_read_is_noted(made: Dataset) -> None:
    (record,) = made.manifest["files"]
    assert "line 81" in record["notes"][0] and record["windows"] == 80


def test_noise_flips_and_keeps_shape(made: Dataset) -> None:
    rows = made.read_shard(made.shards("train")[0])
    keys = np.arange(len(rows["window_id"]), dtype=np.uint64)
    transform = TrackRows(noise=TrackNoise(shift=0.0, scale=0.0))
    moved, flipped = transform.training(rows, keys, seed=1, epoch=2)
    assert 0 < flipped.sum() < len(keys)
    sign = np.where(flipped, -1.0, 1.0)[:, None, None]
    np.testing.assert_allclose(moved["tracks"][..., 0], rows["tracks"][..., 0] * sign)
    np.testing.assert_array_equal(flipped, transform.mirror_flags(keys, seed=1, epoch=2))
    np.testing.assert_array_equal(
        transform.plain(rows, mirrored=True)["tracks"][..., 0], -rows["tracks"][..., 0]
    )


def test_captions_beside_tracks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave out --captions"):
        TrackSettings().find_jobs([tmp_path], [tmp_path / "c.jsonl"])
    with pytest.raises(InputError, match="no tracks in"):
        TrackSettings().find_jobs([tmp_path])


def test_nothing_below_a_folder_is_left_out_in_silence(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0, 40, (5, 6, 2)).astype(np.float32)
    lib, store = tmp_path / "lib", tmp_path / "store"
    for path in (lib / "a.npz", lib / "deep/er/a.npz", store / "c.npz", lib / ".hidden.npz"):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, pred_tracks=points, frame_size=[64, 48])
    (lib / "a.json").write_text('{"captions": ["a side-car"]}')
    (lib / "linked").symlink_to(store)
    (lib / "deep/round").symlink_to(lib)
    (lib / "gone.npz").symlink_to(tmp_path / "nowhere")
    write_boxes(lib / "deep/boxes", ("train",))
    made = Dataset.open(ingest_here([lib], [], tmp_path / "made", TrackSettings()))
    clips = {clip["clip_id"] for clip in made.clips()}
    assert {"a", "deep/er/a", "linked/c", "deep/v0/0"} <= clips and len(clips) == 83
    assert {clip["recording"] for clip in made.clips()} >= {"a", "deep/er/a", "linked/c"}
    (gone,) = made.skipped()
    assert gone["file"].endswith("gone.npz") and "leads nowhere" in gone["reason"]
