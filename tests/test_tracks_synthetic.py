"""Embedded scenes: exact tracks, and a rule that tells what they do."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.tracks import rules, scene_motions, synthetic
from raydance.tracks.resampling import resample_frames
from raydance.tracks.synthetic import IDENTITY, SIDE

TOLD = ("kind", "direction", "speed")


@pytest.fixture(scope="module")
def scenes() -> list[synthetic.Scene]:
    return list(synthetic.make_scenes(140, seed=7))


def reading(points: np.ndarray) -> tuple[str, str, str]:
    found = rules.read_motion(points, (SIDE, SIDE))
    return found.kind, found.direction, found.speed


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_rule_is_right_on_the_scenes_own_tracks(seed):
    scenes = list(synthetic.make_scenes(210, seed))
    told = [tuple(scene.labels[name] for name in TOLD) for scene in scenes]
    right = [reading(scene.track().points) == labels for scene, labels in zip(scenes, told)]
    assert np.mean(right) >= 0.98
    every = {(k, d) for k, ds in scene_motions.DIRECTIONS.items() for d in ds}
    assert {labels[:2] for labels in told} == every


def test_the_rule_bears_noise_and_another_number_of_frames(scenes):
    right = []
    for scene in scenes:
        track = scene.track()
        points, _ = resample_frames(track.points, track.visible, 45)
        points = points + np.random.default_rng(scene.number).normal(0, 0.5, points.shape)
        right.append(reading(points) == tuple(scene.labels[name] for name in TOLD))
    assert np.mean(right) >= 0.95


def test_the_rule_is_not_always_right(scenes):
    """On reversed and on mirrored tracks it tells something else."""
    moving = [s for s in scenes if s.labels["kind"] in ("moving", "rolling", "bouncing")]
    for scene in moving:
        points = scene.track().points
        kind, direction, _ = reading(points[::-1])
        assert direction != scene.labels["direction"] or kind != scene.labels["kind"]
    orbiting = [s for s in scenes if s.labels["kind"] == "orbiting"]
    for scene in orbiting:
        mirrored = scene.track().points * (-1, 1) + (SIDE, 0)
        assert reading(mirrored)[1] != scene.labels["direction"]


def test_a_still_object_is_called_still():
    assert reading(np.tile(np.random.default_rng(0).uniform(40, 60, (36, 2)), (30, 1, 1))) == (
        "still",
        "",
        "",
    )
    with pytest.raises(InputError, match="8 frames"):
        rules.read_motion(np.zeros((4, 36, 2)), (SIDE, SIDE))


def test_heading():
    way = np.linspace(0, 1, 10)[:, None, None] * np.ones((10, 4, 2))
    assert rules.heading(way * (1, 0)) == "right" and rules.heading(way * (0, -1)) == "up"
    assert rules.heading(way * (-1, 1)) == "down-left"


def test_scenes_follow_from_the_seed(scenes):
    again = list(synthetic.make_scenes(8, seed=7))
    for one, two in zip(scenes, again):
        assert one.labels == two.labels and one.captions == two.captions
        assert (one.track().points == two.track().points).all()
        assert (one.frames() == two.frames()).all()
    other = next(iter(synthetic.make_scenes(1, seed=8)))
    assert other.captions != scenes[0].captions


def test_sentences_tell_scenes_apart(scenes):
    every = [caption for scene in scenes for caption in scene.captions]
    assert len(set(every)) == len(every) == 5 * len(scenes)
    assert len({tuple(s.labels[name] for name in IDENTITY) for s in scenes}) == len(scenes)
    for scene in scenes:
        for word in ("size", "colour", "shape", "start"):
            assert all(scene.labels[word] in caption for caption in scene.captions)


def test_the_labels_vary(scenes):
    for name in ("speed", "size", "start", "colour", "shape", "occluded"):
        counts = Counter(scene.labels[name] for scene in scenes)
        assert len(counts) >= 2 and max(counts.values()) <= 0.8 * len(scenes), counts
    assert 0.15 < np.mean([s.labels["occluded"] == "yes" for s in scenes]) < 0.5


def test_tracks_agree_with_masks_and_frames(scenes):
    """Visible points lie in the mask, hidden ones do not, and the mask has the object's colour."""
    for scene in scenes[:21]:
        track, masks = scene.track(), scene.masks()
        assert ((track.points >= 0) & (track.points <= SIDE)).all()
        assert track.visible[0].all() and masks.any(axis=(1, 2))[0]
        x, y = np.clip(track.points.astype(int), 0, SIDE - 1).transpose(2, 0, 1)
        within = masks[np.arange(track.num_frames)[:, None], y, x]
        assert within[track.visible].mean() > 0.94
        if not track.visible.all():
            assert scene.labels["occluded"] == "yes" and within[~track.visible].mean() < 0.05
        frame = scene.frames()[-1].astype(float)
        if masks[-1].sum() > 40:
            inner = np.median(frame[masks[-1]], axis=0)
            colour = synthetic.scene_drawing.COLOURS[scene.labels["colour"]]
            assert np.abs(inner - colour).max() < 40


def test_points_stay_on_the_object(scenes):
    """A point's place on the object, found back by the affine map, is the same in all frames."""
    for scene in scenes[:14]:
        points = scene.track().points.astype(float)
        local = np.einsum(
            "tij,tnj->tni",
            np.linalg.inv(scene.path.maps),
            points - scene.path.centres[:, None],
        )
        assert np.abs(local - local[0]).max() < 1e-3


def test_scenes_are_quick_to_make():
    """A dataset of thousands is a matter of seconds: without pictures below 20 ms each."""
    start = time.process_time()
    for scene in synthetic.make_scenes(50, seed=3):
        scene.track()
    assert time.process_time() - start < 1.0


def test_more_scenes_than_can_be_told_apart_are_refused():
    with pytest.raises(InputError, match="12"):
        next(synthetic.make_scenes(1, num_frames=5))
