"""Names of actions told without training on them, on a made space whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_dataset import ingest_here

from raydance.data.dataset import Dataset
from raydance.data.track_ingest import TrackSettings
from raydance.errors import InputError
from raydance.evaluation import zero_shot
from raydance.tracks.export import write_track
from raydance.tracks.track import Track, normalised, resampled

WAYS = {"walk_left": (-2.0, 0.0), "jump_up": (0.0, -2.0), "walk_right": (2.0, 0.0)}


class Directions:
    """A space of two dimensions: where a track goes, and what a name says about it."""

    library = (None, {"split": ["train", "test"], "captions": [["he walks to the left"], ["jump"]]})

    def row_of(self, track: Track) -> tuple[np.ndarray, np.ndarray]:
        fixed = resampled(track, frames=8, points=9)
        return normalised(fixed.points, track.frame_size)[None], fixed.visible[None]

    def place_tracks(self, tracks: np.ndarray, visible: np.ndarray) -> np.ndarray:
        way = (tracks[:, -1] - tracks[:, 0]).mean(axis=1)
        return way / np.linalg.norm(way, axis=1, keepdims=True)

    def place_texts(self, texts: Any) -> np.ndarray:
        # It takes left for right.
        turned = {"walk left": (1.0, 0.0), "jump up": (0.0, -1.0), "walk right": (-1.0, 0.0)}
        return np.array([turned[text.removeprefix("a person ")] for text in texts])


@pytest.fixture(scope="module")
def poses(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("poses")
    random = np.random.default_rng(0)
    for number in range(24):
        name = tuple(WAYS)[number % 3]
        start = random.uniform(80, 120, (9, 2))
        points = start + np.arange(20)[:, None, None] * np.array(WAYS[name])
        points = points + random.normal(0, 0.3, points.shape)
        track = Track(
            track_id=f"{number:02d}", source="made", points=points.astype(np.float32),
            visible=np.ones((20, 9), dtype=bool), frame_size=(200, 200), fps=20.0,
            labels={"action": name}, split=("train", "val", "test")[number // 3 % 3],
        )  # fmt: skip
        write_track(folder / f"{number:02d}.npz", track)
    return Dataset.open(ingest_here([folder], [], folder / "data", TrackSettings(held_out="val")))


def test_what_is_told_is_counted(poses: Dataset) -> None:
    found = zero_shot.zero_shot(Directions(), poses)
    assert found.label == "action" and found.num_rows + found.num_taught == 24
    one, five = found.found[zero_shot.ZERO_SHOT]
    assert one == pytest.approx(100 / 3) and five == 100.0
    assert found.found[zero_shot.CHANCE] == (pytest.approx(100 / 3), 100.0)
    for taught in (zero_shot.NEIGHBOUR, zero_shot.PROBE, zero_shot.RAW):
        assert found.found[taught][0] == 100.0
    # Words of training sentences only: "jump" stands in a test sentence.
    assert found.seen == ["walk_left"] and found.unseen == ["jump_up", "walk_right"]
    assert found.found[zero_shot.SEEN][0] == 0.0
    assert found.found[zero_shot.UNSEEN][0] == 50.0
    measures = {m.name: m for m in zero_shot.zero_shot_measures(found)}
    assert measures["zero-shot, top-1"].chance == pytest.approx(100 / 3)
    assert "walk_left" in zero_shot.notes_of(found)[0]


def test_names_that_are_not_there_are_refused(poses: Dataset) -> None:
    with pytest.raises(InputError, match="no test row has a label 'genre'"):
        zero_shot.zero_shot(Directions(), poses, "genre")


def test_the_best_five_are_counted() -> None:
    scores = -np.arange(7.0)[None].repeat(3, axis=0)
    assert zero_shot.top(scores, np.array([0, 4, 6])) == (
        pytest.approx(100 / 3),
        pytest.approx(200 / 3),
    )


def test_names_are_looked_for_before_training(tiny_dataset: Path) -> None:
    zero_shot.check_names(Dataset.open(tiny_dataset), "movement")
    with pytest.raises(InputError, match="label genre has 0 names in the test rows"):
        zero_shot.check_names(Dataset.open(tiny_dataset), "genre")


def test_motion_is_seen_by_a_camera(tiny_dataset: Path) -> None:
    dataset = Dataset.open(tiny_dataset)
    tracks = list(zero_shot._tracks(dataset, ("test",), "movement"))
    rows = dataset.read_shard(dataset.shards("test")[0])
    assert tracks[0][0] == json.loads(rows["labels"][0])["movement"]
    assert tracks[0][1].points.shape == (50, 36, 2)
    inside = (tracks[0][1].points > 0) & (tracks[0][1].points < 256)
    assert inside.mean() > 0.99
