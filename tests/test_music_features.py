"""Features of music: figures of librosa, known beats, lengths, silence and mistakes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.music import beats, features, spectrum
from raydance.music.synthesis import make_song


def f_measure(found: np.ndarray, true: np.ndarray, tolerance_s: float = 0.07) -> float:
    """Harmonic mean of precision and recall of beats."""
    if not len(found) or not len(true):
        return 0.0
    distance = np.abs(found[:, None] - true)
    hits = min(
        (distance.min(axis=1) < tolerance_s).sum(), (distance.min(axis=0) < tolerance_s).sum()
    )
    return 2 * hits / (len(found) + len(true))


@pytest.fixture(scope="module")
def sweep() -> np.ndarray:
    """Two seconds at 22,050 Hz: a rising tone with two plucks."""
    rate = 22_050
    times = np.arange(2 * rate) / rate
    samples = 0.3 * np.sin(2 * np.pi * (200 * times + 300 * times**2))
    samples = samples.astype(np.float32)
    for begin_s in (0.5, 1.2):
        begin = int(begin_s * rate)
        left = times[: len(times) - begin]
        pluck = 0.5 * np.exp(-left / 0.05) * np.sin(2 * np.pi * 880 * left)
        samples[begin:] += pluck.astype(np.float32)
    return samples


def test_spectra_are_librosas(sweep):
    # librosa 0.11.0: power_to_db(melspectrogram(n_fft=1024, hop_length=256)), mfcc, onset_strength.
    mel = spectrum.mel_decibels(sweep, 22_050, 256)
    found = spectrum.mfcc(mel)
    first = [
        [-564.639, 76.74, 68.645, 56.101, 40.389],
        [-550.848, 79.226, 29.013, -28.755, -69.4],
        [-564.85, 46.908, -22.923, -72.214, -61.606],
    ]
    last = [
        [-25.463, -18.958, -12.672, -6.947, -1.967],
        [-2.759, -13.352, -23.521, -26.939, -19.125],
        [0.268, -20.636, -19.246, -2.491, 11.046],
    ]
    np.testing.assert_allclose(found[[10, 60, 120], :5], first, atol=2e-3)
    np.testing.assert_allclose(found[[10, 60, 120], 15:], last, atol=2e-3)
    strength = spectrum.onset_strength(mel, delay=2)[43:49]
    np.testing.assert_allclose(strength, [0.5006, 24.6516, 6.926, 0.1128, 0.047, 0.153], atol=1e-3)


@pytest.mark.parametrize(("midi", "pitch_class"), [(57, 9), (60, 0), (66, 6), (76, 4)])
def test_chroma_names_the_note(midi, pitch_class):
    hertz = 440 * 2 ** ((midi - 69) / 12)
    tone = np.sin(2 * np.pi * hertz * np.arange(25_600) / 25_600).astype(np.float32)
    found = spectrum.chroma(tone, 25_600, 1280)[3:-3]
    assert (found.argmax(axis=1) == pitch_class).all()
    assert (np.sort(found, axis=1)[:, -2] < 0.75).all()


@pytest.mark.parametrize("fps", [20.0, 25.0, 29.97, 60.0])
def test_rows_are_frames_of_the_motion(fps):
    song = make_song("funk", 10, 0)
    found = features.music_features(song.samples, song.rate, fps=fps)
    assert found.values.shape == (int(10 * fps + 1e-6), 39) == (found.num_frames, len(found.names))
    assert found.values.dtype == np.float32 and np.isfinite(found.values).all()
    assert found.paper.shape[1] == 35
    column = {name: found.values[:, i] for i, name in enumerate(found.names)}
    assert set(np.unique(column["beat"])) == {0, 1}
    marked = np.flatnonzero(column["beat"]) / fps
    assert f_measure(marked, found.beats_s, 0.51 / fps) == 1
    # Strong onsets lie at strokes: more of the strength near half beats than elsewhere.
    halves = np.interp(
        np.arange(found.num_frames) / fps, song.beats_s, np.arange(len(song.beats_s))
    )
    near = np.abs(2 * halves - np.round(2 * halves)) < 0.25
    assert column["onset_strength"][near].mean() > 1.3 * column["onset_strength"][~near].mean()
    assert column["onset_peak"][near].mean() > 1.3 * column["onset_peak"][~near].mean()


def test_phase_and_distance_by_hand():
    columns = features.beat_columns(np.array([1.0, 1.5, 2.5]), fps=4, num_frames=14)
    tempo, sine, cosine, distance = columns.T
    at = {0.0: 0, 1.0: 4, 1.25: 5, 1.5: 6, 2.0: 8, 3.0: 12, 3.25: 13}
    assert tempo[[at[1.25], at[2.0]]].tolist() == [120, 60]
    np.testing.assert_allclose(cosine[[at[1.0], at[1.25], at[1.5], at[2.0]]], [1, -1, 1, -1])
    np.testing.assert_allclose(sine[[at[3.25], at[3.0]]], [-1, 0], atol=1e-9)
    np.testing.assert_allclose(
        distance[[at[0.0], at[1.25], at[2.0], at[3.25]]], [1, 0.25, 0.5, 0.75]
    )


def test_given_beats_win():
    song = make_song("house", 10, 0)
    given = np.array([1.0, 2.0, 3.0])
    found = features.music_features(song.samples, song.rate, beats_s=given)
    assert found.beats_s.tolist() == given.tolist() and found.tempo_bpm == 60
    assert np.flatnonzero(found.values[:, features.NAMES.index("beat")]).tolist() == [20, 40, 60]


def test_the_motions_length_is_met():
    song = make_song("funk", 5, 0)
    for num_frames in (7, 300):
        found = features.music_features(song.samples, song.rate, num_frames=num_frames)
        assert found.num_frames == num_frames and np.isfinite(found.values).all()
    assert found.values[150:, 0].max() == 0  # nothing begins after the end


@pytest.mark.parametrize("samples", [np.zeros(22_050), np.zeros(1), np.full(30_000, 0.3)])
def test_what_has_no_beat_has_none(samples):
    found = features.music_features(samples, 22_050)
    assert np.isfinite(found.values).all()
    assert found.num_frames >= 1
    if not samples.any():
        assert not len(found.beats_s) and found.tempo_bpm == 0
        assert found.values[:, features.NAMES.index("beat_distance_s")].min() == 1


def test_beats_of_songs_are_found():
    scores = {}
    for style in ("house", "hip_hop", "waltz", "funk", "ballad", "swing_jazz"):
        song = make_song(style, 30, 3)
        found = features.music_features(song.samples, song.rate)
        scores[style] = f_measure(found.beats_s, song.beats_s)
    assert np.mean(list(scores.values())) > 0.9, scores


def test_a_jump_in_tempo_is_followed():
    clicks = np.concatenate([np.arange(0.5, 15, 0.5), np.arange(15, 30, 0.4)])
    strength = np.zeros(3000)
    strength[np.round(clicks * 100).astype(int)] = 1
    found = beats.find_beats(strength, 100.0)
    assert f_measure(found, clicks, 0.03) > 0.95
    steady = beats.find_beats(strength, 100.0, start_bpm=120)
    assert f_measure(steady[steady < 15], clicks[clicks < 15], 0.03) > 0.95


def test_a_minute_takes_less_than_a_second():
    song = make_song("latin", 60, 0)
    features.music_features(song.samples[:22_050], song.rate)
    begun = time.process_time()
    features.music_features(song.samples, song.rate)
    assert time.process_time() - begun < 1.0


def test_a_real_recording_has_its_beats(shared_data: Path):
    path = shared_data / "music" / "Kevin_MacLeod_-_Vibe_Ace.ogg"
    if not path.exists():
        pytest.skip(f"no music at {path.parent}")
    found = features.read_features(path, fps=20)
    assert found.num_frames == int(found.duration_s * 20 + 1e-6)
    # librosa 0.11.0 counts half as many, at 64.6 per minute: its beats, once even, are among ours.
    assert found.tempo_bpm == pytest.approx(2 * 64.6, rel=0.02)
    known = [16.21, 17.11, 18.04, 18.97, 19.9, 20.81, 21.73, 22.66, 23.59, 24.5, 25.43, 26.35]
    known += [27.28, 28.19, 29.12, 30.07, 30.98, 31.88, 32.83, 33.74, 34.67, 35.57, 36.52]
    distance = np.abs(np.array(known)[:, None] - found.beats_s).min(axis=1)
    assert distance.max() < 0.07


def test_mistakes_are_named():
    tone = np.sin(np.arange(22_050) / 10)
    for arguments, words in (
        ({"samples": tone[None]}, "shape"),
        ({"samples": tone[:0]}, "at least 1"),
        ({"samples": tone * np.nan}, "not finite"),
        ({"rate": 0}, "0 samples per second"),
        ({"fps": 1}, "allowed are 5 to 240"),
        ({"num_frames": 0}, "0 frames"),
        ({"start_bpm": 900.0}, "900.0 beats per minute"),
        ({"beats_s": np.array([1.0, 1.0])}, "beat 1 at 1 s does not come after 1 s"),
        ({"beats_s": np.array([np.nan])}, "finite seconds"),
    ):
        with pytest.raises(InputError, match=words):
            features.music_features(**({"samples": tone, "rate": 22_050} | arguments))
