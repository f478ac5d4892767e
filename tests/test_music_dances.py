"""Dances made by rule: in time with their own song, different by style, read like a library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_dataset import ingest_here

from raydance.data.dataset import Dataset
from raydance.errors import FormatError, InputError
from raydance.metrics.dance import beat_alignment
from raydance.metrics.dance_features import kinetic_features
from raydance.metrics.motion import bone_length_variation
from raydance.motion import rotations as rot
from raydance.motion.formats import read_clip
from raydance.motion.skeleton import PARENTS
from raydance.motion.synthetic_body import PoseTrack
from raydance.music import pose_tracks
from raydance.music.dance_corpus import beats_beside, make_dances, read_beats, write_dances
from raydance.music.dance_styles import DANCES
from raydance.music.dances import make_dance
from raydance.music.features import read_features
from raydance.music.songs import song_of
from raydance.music.styles import STYLE_OF
from raydance.music.synthesis import make_song


@pytest.fixture(scope="module")
def pairs():
    return list(make_dances(16, 20.0, seed=5))


def test_every_style_has_its_dance():
    assert set(DANCES) == set(STYLE_OF)
    with pytest.raises(InputError, match="allowed are 10 to 240"):
        make_dance(make_song("funk", 5, 0), fps=1)


def test_dances_follow_their_own_beats(pairs):
    def alignment(song, clip):
        return beat_alignment(song.beats_s, clip.positions, fps=20, exact="fixed")

    own = np.array([alignment(song, clip) for song, clip in pairs])
    other = [
        alignment(pairs[(i + step) % len(pairs)][0], clip)
        for i, (_, clip) in enumerate(pairs)
        for step in (1, 3, 5)
    ]
    assert own.mean() > 0.7 and own.min() > 0.45, own
    assert own.mean() > 2.5 * np.mean(other)


def test_dancers_pause_in_breaks(pairs):
    for song, clip in pairs:
        speed = np.linalg.norm(np.diff(clip.positions, axis=0), axis=-1).mean(axis=1)
        beat = np.searchsorted(song.beats_s, np.arange(len(speed)) / 20 + 0.025) - 1
        known = beat >= 0
        paused = song.is_break[np.maximum(beat, 0)]
        assert speed[known & paused].mean() < 0.6 * speed[known & ~paused].mean(), song.style


def test_dances_are_whole_bodies(pairs):
    for song, clip in pairs:
        assert clip.num_frames == 400 and clip.fps == 20
        assert bone_length_variation(clip.positions) < 1e-4
        assert clip.positions[..., 1].min() > -1e-4
        speed = np.linalg.norm(np.diff(clip.positions[:, :22], axis=0), axis=-1) * 20
        assert speed.max() < 14, (song.style, speed.max())  # the corpus itself reaches 14 m/s
        translations = np.broadcast_to(clip.offsets, clip.positions.shape).copy()
        translations[:, 0] = clip.positions[:, 0]
        again = rot.forward_kinematics(clip.rotations, translations, PARENTS)
        np.testing.assert_allclose(again, clip.positions, atol=1e-3)


def test_genre_can_be_told_from_the_dance(pairs):
    """Nearest neighbour on kinetic features: the other dance of the same genre is often found."""
    pairs = [*pairs, *make_dances(8, 20.0, seed=6)]
    table = np.log(
        [kinetic_features(c.positions[:, :22], fps=20, exact="fixed") + 1e-3 for _, c in pairs]
    )
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    distance = np.linalg.norm(table[:, None] - table, axis=-1) + np.eye(len(table)) * 1e9
    genres = np.array([song.style for song, _ in pairs])
    assert (genres[distance.argmin(axis=1)] == genres).mean() > 0.4  # by chance .1


def test_the_same_seed_gives_the_same_dance(pairs):
    song, clip = next(make_dances(1, 20.0, seed=5))
    assert np.array_equal(song.samples, pairs[0][0].samples)
    assert np.array_equal(clip.positions, pairs[0][1].positions)
    assert not np.array_equal(make_dance(song, 99).positions, clip.positions)


def test_mirrored_twice_is_the_same():
    track = PoseTrack(5)
    rng = np.random.default_rng(0)
    for values in vars(track).values():
        values += rng.normal(size=values.shape).astype(values.dtype)
    once = pose_tracks.mirrored(track)
    twice = pose_tracks.mirrored(once)
    for name, values in vars(track).items():
        np.testing.assert_array_equal(getattr(twice, name), values)
    np.testing.assert_array_equal(once.foot[:, 0], track.foot[:, 1] * (-1, 1, 1))
    np.testing.assert_array_equal(once.arm[:, 0], track.arm[:, 1])


def test_a_placed_track_is_where_it_should_be():
    track = PoseTrack(3)
    track.pelvis[:] = [[0, 0, 0], [1, 0, 0], [1, 0, 2]]
    moved = pose_tracks.placed(track, 1, (5.0, 5.0), 90.0)
    assert pose_tracks.heading_at(moved, 1) == pytest.approx(90)
    np.testing.assert_allclose(moved.pelvis[1], (5, 0, 5))
    # Turned to the left, what was ahead (+z) is now on the left of before (+x).
    np.testing.assert_allclose(moved.pelvis[2], (7, 0, 5), atol=1e-9)


def test_one_foot_stands_while_the_other_steps():
    before, after = PoseTrack(41), PoseTrack(41, width=0.3)
    joined = pose_tracks.join(before, after, np.linspace(-0.5, 1.5, 41), 2)
    moves = np.abs(np.diff(joined.foot, axis=0)).max(axis=-1) > 1e-12
    assert moves.any(axis=0).all() and not moves.all(axis=1).any()
    np.testing.assert_allclose(joined.foot[:10], before.foot[:10])
    assert joined.foot[-1, 0, 0] - joined.foot[-1, 1, 0] == pytest.approx(0.6)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dances")
    assert write_dances(folder, num_songs=2, seconds=8.0, seed=1) == 2
    return folder


def test_a_library_of_dances_is_ingested(library, tmp_path):
    dataset = Dataset.open(
        ingest_here([library], [library / "captions.jsonl"], tmp_path / "dataset")
    )
    assert not (tmp_path / "dataset" / "skipped.jsonl").read_text()
    assert all(clip["num_windows"] for clip in dataset.clips()) and len(dataset.clips()) == 2
    clip = read_clip(library / "hip_hop_0001.npz")
    assert clip.positions.shape == (160, 50, 3) and clip.rotations is not None
    entry = json.loads((library / "captions.jsonl").read_text().splitlines()[1])
    assert entry["file"] == "hip_hop_0001.npz" and "hip hop" in entry["captions"][0]


def test_song_beats_and_motion_lie_side_by_side(library):
    song = song_of(library / "house_0000.npz", library)
    assert song == library / "house_0000.wav"
    beats = read_beats(beats_beside(song))
    found = read_features(song, beats_s=beats, num_frames=160)
    clip = read_clip(library / "house_0000.npz")
    assert found.num_frames == clip.num_frames
    assert beat_alignment(found.beats_s, clip.positions, fps=20, exact="fixed") > 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "no list beats_s"),
        ("{", "not readable as JSON"),
        ('{"beats_s": [1, "x"]}', r"beats_s\[1\] is 'x'"),
        ('{"beats_s": [2, 1]}', "not rising"),
        ('{"beats_s": [1, NaN]}', "not rising"),
        (f'{{"beats_s": [1, 1{"0" * 400}]}}', "seconds are needed"),
    ],
)
def test_damaged_beats_are_refused(tmp_path, text, words):
    (tmp_path / "a.beats.json").write_text(text)
    with pytest.raises(FormatError, match=words):
        read_beats(tmp_path / "a.beats.json")
