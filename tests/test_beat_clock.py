"""Motion and music sampled at the beats of a song."""

from __future__ import annotations

import numpy as np
import pytest

from raydance.music.beat_clock import BeatClock, most_ticks
from raydance.music.features import NAMES, beat_columns

FPS = 20.0


def heard(beats_s: np.ndarray, num_frames: int) -> np.ndarray:
    """Features of a song of which only the beats are known."""
    columns = beat_columns(beats_s, FPS, num_frames)
    values = np.zeros((num_frames, len(NAMES)))
    first = NAMES.index("tempo_bpm")
    values[:, first : first + columns.shape[1]] = columns
    return values


@pytest.mark.parametrize(("bpm", "ticks"), [(50, 16), (75, 8), (120, 8), (190, 8)])
def test_every_beat_is_on_the_same_tick_of_a_patch(bpm: float, ticks: int) -> None:
    beats = 0.33 + np.arange(40) * 60 / bpm
    clock = BeatClock.of_music(heard(beats, 200), FPS)
    on_beat = clock.frame_of_tick[::ticks] / FPS
    inside = on_beat[(on_beat > beats[0]) & (on_beat < 9.5)]
    assert len(inside) > 6
    assert np.abs(inside[:, None] - beats).min(axis=1).max() < 0.01
    assert clock.num_ticks <= most_ticks(200)


def test_it_follows_a_song_that_slows_down() -> None:
    beats = np.cumsum(np.linspace(0.4, 0.7, 30))
    clock = BeatClock.of_music(heard(beats, 240), FPS)
    on_beat = clock.frame_of_tick[::8] / FPS
    inside = on_beat[(on_beat > beats[0]) & (on_beat < 11.5)]
    assert np.abs(inside[:, None] - beats).min(axis=1).max() < 0.02


def test_motion_comes_back_from_ticks() -> None:
    clock = BeatClock.of_music(heard(0.2 + 0.5 * np.arange(30), 200), FPS)
    times = np.arange(200) / FPS
    motion = np.stack([np.sin(3 * times), np.cos(2 * times)], axis=1)
    back = clock.to_frames(clock.to_ticks(motion))
    assert back.shape == motion.shape
    assert np.abs(back - motion)[2:-2].max() < 0.01


def test_silence_counts_frames() -> None:
    clock = BeatClock.of_music(np.zeros((50, len(NAMES))), FPS)
    assert np.array_equal(clock.frame_of_tick, np.arange(50))
    assert clock.num_ticks == 50


def test_ticks_before_the_first_go_on_at_its_pace() -> None:
    clock = BeatClock.of_music(heard(0.5 * np.arange(30), 200), FPS)
    frames = clock.frames_at(np.array([-8, 0, 8]))
    assert np.allclose(frames, [-10, 0, 10], atol=1e-6)
