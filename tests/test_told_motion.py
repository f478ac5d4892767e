"""Generated scenes read by a rule: each of kind, direction and speed is counted by itself."""

from __future__ import annotations

import json

import numpy as np

from raydance.evaluation.told_motion import told_measures
from raydance.tracks.synthetic import make_scenes
from raydance.tracks.track import normalised


def test_kind_direction_and_speed_are_counted() -> None:
    scenes = list(make_scenes(12))
    tracks = [one.track() for one in scenes]
    real = np.stack([normalised(track.points, track.frame_size) for track in tracks])
    labels = [json.dumps(one.labels) for one in scenes]
    still = np.repeat(real[:, :1], real.shape[1], axis=1)
    found = told_measures([*labels[:-1], "{}"], real, still, real)
    assert [one.name for one in found] == [f"{n} as told" for n in ("kind", "direction", "speed")]
    assert all(one.value == one.target and one.value > 80.0 for one in found)
    assert all(one.baseline == 0.0 for one in found)
    assert "11 tracks" in found[0].group
    backwards = told_measures(labels, real[:, ::-1], still, real)
    assert backwards[1].value < 60.0
    assert told_measures(["{}"] * 12, real, still, real) == []
