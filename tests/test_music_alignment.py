"""Whether music and motion are in step: known offsets, ratios, and other songs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_dataset import ingest_here
from small_recordings import write_captions, write_npz

from raydance.data.dataset import Dataset
from raydance.data.ingest import Settings
from raydance.data.signals.in_step import signal_counts
from raydance.errors import InputError
from raydance.music.alignment import find_step
from raydance.music.audio import write_wav
from raydance.music.dance_corpus import make_dances
from raydance.music.features import music_features


@pytest.fixture(scope="module")
def pairs():
    made = make_dances(6, 24.0, seed=2)
    return [
        (music_features(song.samples, song.rate, beats_s=song.beats_s), clip.positions, song)
        for song, clip in made
    ]


def _off_beat(offset_s: float, song) -> float:
    """Seconds from whole beats; a steady song allows no more."""
    period_s = float(np.median(np.diff(song.beats_s)))
    return abs((offset_s + period_s / 2) % period_s - period_s / 2)


def test_a_dance_is_in_step_with_its_song(pairs):
    found = [find_step(music, joints, fps=20) for music, joints, _ in pairs]
    assert np.mean([f.is_in_step for f in found]) >= 0.75, found
    assert min(f.confidence for f in found) > 0.8
    assert max(abs(f.tempo_ratio - 1) for f in found) < 0.005


@pytest.mark.parametrize("late_s", [0.15, -0.15])
def test_an_offset_is_found(pairs, late_s):
    frames = round(abs(late_s) * 20)
    for music, joints, song in pairs:
        if late_s > 0:
            moved = np.concatenate([np.repeat(joints[:1], frames, axis=0), joints])
        else:
            moved = joints[frames:]
        found = find_step(music, moved, fps=20)
        assert _off_beat(found.offset_s - late_s, song) < 0.07, song.style
        assert not found.is_in_step


def test_a_wrong_frame_rate_is_found(pairs):
    ratios = [find_step(music, joints, fps=21).tempo_ratio for music, joints, _ in pairs]
    assert np.median(ratios) == pytest.approx(1.05, abs=0.005)
    assert np.mean(np.abs(np.array(ratios) - 1.05) < 0.01) >= 0.75


def test_other_songs_are_not_in_step(pairs):
    found = [
        find_step(pairs[(i + 2) % len(pairs)][0], joints, fps=20)
        for i, (_, joints, _) in enumerate(pairs)
    ]
    assert not any(f.is_in_step for f in found)
    assert np.median([f.confidence for f in found]) < 0.5


def test_what_cannot_be_compared_has_no_confidence(pairs):
    music, joints, _ = pairs[0]
    still = np.zeros_like(joints)
    silence = music_features(np.zeros(22_050 * 30), 22_050)
    for one, other in ((music, still), (silence, joints), (music, joints[:60])):
        found = find_step(one, other, fps=20)
        assert found.confidence == 0 and not found.is_in_step
    assert find_step(music, np.zeros((2, 50, 3)), fps=0.3).confidence == 0
    with pytest.raises(InputError, match="shape"):
        find_step(music, joints[0], fps=20)


def test_motion_after_the_end_of_the_song_does_not_count(pairs):
    music, joints, _ = pairs[0]
    short = replace(music, values=music.values[: round(12 * music.fps)], duration_s=12.0)
    assert find_step(short, joints, fps=20) == find_step(short, joints[:240], fps=20)


def test_ingestion_tells_what_is_out_of_step(pairs, tmp_path: Path):
    _, joints, song = pairs[1]
    for name, fps in (("fine", 20), ("fast", 21), ("part", 20), ("brief", 20)):
        write_npz(tmp_path / f"{name}.npz", joints[: 90 if name == "brief" else None], fps)
        write_wav(tmp_path / f"{name}.wav", song.samples, song.rate)
    write_npz(tmp_path / "silent.npz", joints[:90])
    captions = write_captions(tmp_path / "c.jsonl", {"file": "part.npz", "start_frame": 110})
    settings = Settings(whole_clips=True, window=300, music=str(tmp_path))
    made = Dataset.open(ingest_here([tmp_path], [captions], tmp_path / "made", settings))
    counts = signal_counts(made.manifest["files"])["music"]
    (worst,) = counts.pop("worst")
    assert counts == {"clips": 4, "without": 1, "checked": 3, "in_step": 2, "out_of_step": 1}
    assert worst["file"].endswith("fast.npz") and abs(worst["tempo_ratio"] - 1.05) < 0.01
    warned, silent = made.warned()
    assert warned["file"] == worst["file"] and "out of step with its music" in warned["notes"][0]
    assert "without music: no file of its name" in silent["notes"][0]
