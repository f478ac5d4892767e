"""Songs made by rule: exact beats, tempo, breaks, difference of styles."""

from __future__ import annotations

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.music import instruments
from raydance.music.features import music_features
from raydance.music.spectrum import mel_decibels, onset_strength
from raydance.music.styles import STYLES
from raydance.music.synthesis import BPM, Song, make_song


@pytest.fixture(scope="module")
def songs() -> list[Song]:
    """Three of each style, 20 s long."""
    return [make_song(style.name, 20, seed) for style in STYLES for seed in range(3)]


def test_the_same_seed_gives_the_same_song(songs):
    again = make_song(songs[0].style, 20, 0)
    assert np.array_equal(again.samples, songs[0].samples)
    assert np.array_equal(again.beats_s, songs[0].beats_s)
    other = make_song(songs[0].style, 20, 9)
    assert not np.array_equal(other.beats_s[:5], songs[0].beats_s[:5])


def test_songs_are_of_full_length_and_loudness(songs):
    for song in songs:
        assert len(song.samples) == 20 * 22_050 and song.samples.dtype == np.float32
        assert 0.3 < np.abs(song.samples).max() <= 1
        lengths = {
            len(song.beats_s),
            len(song.beat_in_bar),
            len(song.is_break),
            len(song.intensity),
        }
        assert len(lengths) == 1 and song.beats_s[-1] < 20


def test_tempi_span_the_range_and_sometimes_change(songs):
    tempi = [60 / np.diff(song.beats_s) for song in songs]
    assert all(BPM[0] - 1e-6 <= tempo.min() and tempo.max() <= BPM[1] + 1e-6 for tempo in tempi)
    assert min(t.min() for t in tempi) < 85 and max(t.max() for t in tempi) > 155
    changes = [np.ptp(tempo) / tempo.mean() > 0.03 for tempo in tempi]
    assert 0.1 < np.mean(changes) < 0.8
    assert np.ptp(60 / np.diff(make_song("funk", 20, 0, bpm=101).beats_s)) < 1e-9


def test_something_sounds_at_the_stated_beats(songs):
    for song in songs:
        strength = onset_strength(mel_decibels(song.samples, song.rate, 220), delay=1)
        frames = np.round(song.beats_s * song.rate / 220).astype(int)
        played = frames[~song.is_break & (frames > 3) & (frames < len(strength) - 4)]
        at_beats = np.max([strength[played + k] for k in (-1, 0, 1)], axis=0)
        assert np.median(at_beats) > 2 * np.median(strength), song.style


def test_drums_pause_in_breaks(songs):
    for song in songs:
        starts = np.round(song.beats_s * song.rate).astype(int)
        power = np.array([np.std(song.samples[a:b]) for a, b in zip(starts, starts[1:])])
        quiet = song.is_break[:-1]
        assert quiet.any() and not quiet.all()
        assert power[quiet].mean() < 0.6 * power[~quiet].mean(), song.style


def test_metre_and_swing_differ_by_style(songs):
    metre = {song.style: int(song.beat_in_bar.max()) + 1 for song in songs}
    assert metre["waltz"] == 3 and metre["house"] == 4
    swing = {song.style: song.swing for song in songs}
    assert swing["swing_jazz"] >= 0.7 and swing["house"] == 0


def test_styles_can_be_told_apart_by_ear(songs):
    """Nearest neighbour in mean and deviation of features, each song by the other seeds' songs."""
    rows = []
    for song in songs:
        found = music_features(song.samples, song.rate, beats_s=song.beats_s).values[:, :21]
        rows.append(np.concatenate([found.mean(axis=0), found.std(axis=0)]))
    table = np.array(rows)
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    distance = np.linalg.norm(table[:, None] - table, axis=-1) + np.eye(len(table)) * 1e9
    styles = np.array([song.style for song in songs])
    assert (styles[distance.argmin(axis=1)] == styles).mean() > 0.7


@pytest.mark.parametrize("name", instruments.DRUMS)
def test_drums_begin_at_once_and_end(name):
    sound = instruments.drum(name, 22_050)
    assert np.isfinite(sound).all() and np.abs(sound).max() > 0.1
    loud = np.flatnonzero(np.abs(sound) > 0.2 * np.abs(sound).max())
    assert loud[0] < 0.01 * 22_050 and np.abs(sound[-20:]).max() < 0.05


def test_tones_have_their_pitch():
    for name in instruments.TIMBRES:
        sound = instruments.tone(name, 57, 500, 22_050)  # 220 Hz
        spectrum = np.abs(np.fft.rfft(sound, 22_050))
        # The fundamental or one of its harmonics is the strongest.
        assert round(int(spectrum[100:].argmax() + 100) / 220, 1) % 1 in (0, 0.1, 0.9), name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"style": "polka"}, "allowed: house, hip_hop"),
        ({"seconds": 0.5}, "allowed are 2 to 600"),
        ({"bpm": 300}, "allowed are 70 to 170"),
        ({"rate": 8000}, "allowed are 16000"),
    ],
)
def test_mistakes_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        make_song(**arguments)
