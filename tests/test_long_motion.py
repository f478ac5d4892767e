"""Motion longer than a window: planned, walked through the latents, put together without a jolt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.motion import synthetic
from raydance.motion.stitch import best_overlap
from raydance.systems.dance_language import long_motion
from raydance.systems.dance_language.run import DanceLanguage, load

SENTENCE = "a dancer walks forward"


@pytest.fixture(scope="module")
def system(tiny_run: Path) -> DanceLanguage:
    return load(tiny_run)


def draws(seed: int = 0):
    rng = np.random.default_rng(seed)
    return lambda count: rng.standard_normal((count, 8))


@pytest.mark.parametrize("window", [4, 5, 50, 120])
@pytest.mark.parametrize("frames", [2, 50, 51, 75, 76, 400, 1200])
def test_windows_are_enough_and_none_too_many(window: int, frames: int):
    count, shared = long_motion.num_windows(frames, window), long_motion.overlaps(window)
    assert 1 <= shared[0] <= shared[-1] <= window / 2
    shortest = window + (count - 1) * (window - shared[-1])
    assert shortest >= frames > shortest - (window - shared[-1]) or count == 1 and frames <= window


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_the_walk_is_slow_and_keeps_its_distance(count: int):
    walk = long_motion.latent_walk(draws(), count, 2)
    assert walk.shape == (2, count, 8) and walk.dtype == np.float32
    samples = draws()(2 * 4).reshape(4, 2, 8).swapaxes(0, 1).astype(np.float32)
    np.testing.assert_array_equal(walk[:, ::3], samples[:, : len(range(0, count, 3))])
    sizes, ends = np.linalg.norm(walk, axis=-1), np.linalg.norm(samples, axis=-1)
    assert (sizes >= ends.min(axis=1, keepdims=True) - 1e-5).all()
    assert (sizes <= ends.max(axis=1, keepdims=True) + 1e-5).all()
    if count > 3:
        steps = np.linalg.norm(np.diff(walk, axis=1), axis=-1)[:, :3]
        whole = np.linalg.norm(samples[:, 1] - samples[:, 0], axis=-1)
        assert (steps < 0.75 * whole[:, None]).all()


def test_a_clip_is_followed_in_time_and_its_end_kept():
    latents = np.arange(4.0)[:, None]
    # Windows follow each other by 32.5 frames on average, the clip's by 20.
    assert long_motion.follow(latents, 5, 50, 20)[:, 0].tolist() == [0, 2, 3, 3, 3]


def test_the_overlap_is_where_windows_agree():
    motion = synthetic.make_clip(synthetic.MOVEMENTS[0], 0).positions.astype(np.float64)
    assert best_overlap(motion[:50], motion[33:83], range(10, 26)) == 17


@pytest.mark.parametrize("source", ["nearest", "prior", "cluster"])
def test_stitched_seams_are_nearly_as_smooth_as_the_rest(system: DanceLanguage, source: str):
    motion = system.generate(SENTENCE, frames=300, source=source, num_samples=2, seed=3)
    assert motion.shape == (2, 300, 50, 3) and np.isfinite(motion).all()
    body = np.flatnonzero(system.joint_mask[:22])
    for sample in motion[:, :, body].astype(np.float64):
        jolt = np.linalg.norm(np.diff(sample, n=2, axis=0), axis=-1).max(axis=1) * system.fps**2
        inside = jolt[: system.window - 2 - long_motion.overlaps(system.window)[-1]]
        # The first window's frames that share nothing; a bare cut makes 10 times as much.
        assert jolt[len(inside) :].max() < 3.0 * np.percentile(inside, 95)


def test_a_bare_cut_would_be_seen(system: DanceLanguage):
    """What the test above forbids: windows one behind the other, placed but not blended."""
    window = system.generate(SENTENCE, seed=3)[0].astype(np.float64)
    step = np.diff(np.concatenate([window, window[:3]])[:, :22], n=2, axis=0)
    jolt = np.linalg.norm(step, axis=-1).max(axis=1) * system.fps**2
    assert jolt[-4:].max() > 3.0 * np.percentile(jolt[:-4], 95)


def test_a_long_motion_begins_like_a_short_one_and_follows_its_seed(system: DanceLanguage):
    short = system.generate(SENTENCE, seed=1, num_samples=2)
    long = system.generate(SENTENCE, seed=1, num_samples=2, frames=180)
    alone = system.window - long_motion.overlaps(system.window)[-1]
    mask = system.joint_mask
    np.testing.assert_allclose(long[:, :alone, mask], short[:, :alone, mask], atol=1e-5)
    again = system.generate(SENTENCE, seed=1, num_samples=2, frames=180)
    np.testing.assert_array_equal(again, long)
    other = system.generate(SENTENCE, seed=2, num_samples=2, frames=180)
    assert np.abs(other - long).max() > 1e-3


def test_a_clip_leads_a_long_motion(system: DanceLanguage):
    clip = synthetic.make_clip(synthetic.MOVEMENTS[0], 1)
    assert system.generate(SENTENCE, frames=130, clip=clip, num_samples=2).shape == (2, 130, 50, 3)


@pytest.mark.parametrize("frames", [1, 0, -5, 1201, 10**9])
def test_a_length_out_of_range_is_refused_at_once(system: DanceLanguage, frames: int):
    with pytest.raises(InputError, match=rf"frames: {frames}; allowed: 2 to 1200$"):
        system.generate(SENTENCE, frames=frames)


def test_a_minute_is_made_in_seconds(system: DanceLanguage):
    assert system.generate(SENTENCE, frames=1200).shape == (1, 1200, 50, 3)


def test_a_long_sentence_counts_to_its_end(system: DanceLanguage):
    stem = "the dancer walks slowly and turns " * 60
    with pytest.warns(UserWarning, match="1 of 1 texts exceed 256 tokens; they are embedded in p"):
        high = system.encode_text([stem + "then jumps high"])["text_embedding"]
    with pytest.warns(UserWarning):
        low = system.encode_text([stem + "then lies down flat"])["text_embedding"]
    assert np.abs(high - low).max() > 1e-3
