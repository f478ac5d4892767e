"""Augmentation: pure noise, anatomy kept, words swapped with the sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydance.errors import ConfigError
from raydance.motion import augment as aug
from raydance.motion.skeleton import INDEX, NUM_JOINTS, PARENTS
from raydance.motion.synthetic import make_corpus
from raydance.motion.windows import cut, normalise_window
from raydance.text.words import side_vector

CONFIG = aug.Augment()


@pytest.fixture(scope="module")
def motion() -> np.ndarray:
    """24 windows of the procedural dancer: `[24, 50, 50, 3]`."""
    clips = (cut(clip.positions)[0] for clip in make_corpus(1, seed=0))
    return normalise_window(np.concatenate(list(clips))[:24])


@pytest.fixture(scope="module")
def keys() -> np.ndarray:
    return aug.window_keys([f"clip@{i}" for i in range(24)])


def whole_mask(n: int = 24) -> np.ndarray:
    return np.ones((n, NUM_JOINTS), bool)


def only(**strengths: float) -> aug.Augment:
    """Everything off but what is named."""
    off = {"yaw_degrees": 0.0, "scale": 0.0, "mirror_probability": 0.0, "time_warp": 0.0}
    return aug.Augment(**(off | strengths))


def run(motion, keys, config=CONFIG, *, seed=3, epoch=5):
    return aug.augment(motion, whole_mask(len(motion)), keys, seed=seed, epoch=epoch, config=config)


def bone_lengths(motion: np.ndarray) -> np.ndarray:
    return np.linalg.norm(motion[..., 1:, :] - motion[..., PARENTS[1:], :], axis=-1)


def test_noise_is_the_same_whatever_the_batch(motion, keys):
    whole, masks, mirrored = run(motion, keys)
    order = np.random.default_rng(0).permutation(24)[:7]
    some, some_masks, some_mirrored = run(motion[order], keys[order])
    np.testing.assert_array_equal(some, whole[order])
    np.testing.assert_array_equal(some_masks, masks[order])
    np.testing.assert_array_equal(some_mirrored, mirrored[order])
    np.testing.assert_array_equal(mirrored, aug.mirror_flags(keys, seed=3, epoch=5, config=CONFIG))


@pytest.mark.parametrize("change", [{"seed": 4}, {"epoch": 6}])
def test_noise_is_fresh_in_each_epoch_and_for_each_seed(motion, keys, change):
    first, again = run(motion, keys)[0], run(motion, keys)[0]
    other = run(motion, keys, **change)[0]
    np.testing.assert_array_equal(first, again)
    assert (np.abs(first - other).max(axis=(1, 2, 3)) > 1e-3).all()


def test_the_input_is_left_alone(motion, keys):
    before = motion.copy()
    motion.setflags(write=False)  # as Ray's object store hands arrays out
    run(motion, keys)
    np.testing.assert_array_equal(motion, before)
    motion.setflags(write=True)


def test_uniforms_are_uniform_and_independent():
    keys = aug.window_keys([f"w{i}" for i in range(20_000)])
    draws = [aug.uniforms(keys, seed=0, epoch=e, stream=s) for e in (0, 1) for s in (0, 1)]
    for draw in draws:
        assert draw.min() >= 0.0 and draw.max() < 1.0
        counts = np.histogram(draw, bins=20, range=(0, 1))[0]
        assert ((counts - 1000.0) ** 2 / 1000.0).sum() < 50.0  # chi-square, 19 d.o.f., p < 1e-4
    correlations = np.corrcoef(draws) - np.eye(4)
    assert np.abs(correlations).max() < 0.03
    # A counter as key must not show either: neighbours are as unlike as any two.
    counter = aug.uniforms(np.arange(20_000, dtype=np.uint64), seed=0, epoch=0, stream=0)
    assert abs(np.corrcoef(counter[1:], counter[:-1])[0, 1]) < 0.03


def test_keys_are_stable():
    # Stored: if these change, a resumed run no longer repeats an uninterrupted one.
    stored = [3399490119863805404, 6646465149564727374]
    assert aug.window_keys(["a@0", "a@20"]).tolist() == stored
    number = aug.uniforms(np.array([7], np.uint64), seed=1, epoch=2, stream=3)[0]
    assert number == pytest.approx(0.8450995244538628, abs=1e-15)


def test_each_strength_stays_within_its_bound(motion, keys):
    scaled = run(motion, keys, only(scale=0.05))[0]
    ratio = bone_lengths(scaled)[:, 0] / np.maximum(bone_lengths(motion)[:, 0], 1e-6)
    ratio = np.median(ratio, axis=1)
    assert (np.abs(ratio - 1) <= 0.05 + 1e-4).all() and np.ptp(ratio) > 0.05

    turned = run(motion, keys, only(yaw_degrees=15.0))[0]
    np.testing.assert_allclose(bone_lengths(turned), bone_lengths(motion), atol=1e-5)
    np.testing.assert_allclose(turned[..., 1], motion[..., 1])
    across = motion[:, 0, INDEX["left_hip"]] - motion[:, 0, INDEX["right_hip"]]
    new = turned[:, 0, INDEX["left_hip"]] - turned[:, 0, INDEX["right_hip"]]
    cosine = (across[:, [0, 2]] * new[:, [0, 2]]).sum(1) / (across[:, [0, 2]] ** 2).sum(1)
    degrees = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    assert degrees.max() <= 15.01 and degrees.max() > 8.0

    share = run(motion, keys, only(mirror_probability=0.25))[2]
    assert 0 < share.sum() < 14
    assert run(motion, keys, only(mirror_probability=1.0))[2].all()


def test_nothing_happens_when_all_is_off(motion, keys):
    np.testing.assert_allclose(run(motion, keys, only())[0], motion, atol=1e-6)
    out, _, mirrored = run(motion, keys, aug.Augment(enabled=False))
    np.testing.assert_array_equal(out, motion)
    assert not mirrored.any()


def test_mirroring_swaps_the_sides_and_keeps_the_body(motion):
    mask = whole_mask()
    mask[:, INDEX["left_wrist"]] = False
    flipped, flipped_mask = aug.mirror(motion, mask)
    assert not flipped_mask[:, INDEX["right_wrist"]].any()
    assert flipped_mask[:, INDEX["left_wrist"]].all()
    raised = motion[0, :, INDEX["left_elbow"]]
    np.testing.assert_allclose(flipped[0, :, INDEX["right_elbow"]], raised * [-1, 1, 1])
    # The dancer's left must still be on the left: at the start all face +z.
    assert (flipped[:, 0, INDEX["left_hip"], 0] > flipped[:, 0, INDEX["right_hip"], 0]).all()
    back, back_mask = aug.mirror(flipped, flipped_mask)
    np.testing.assert_array_equal(back, motion)
    np.testing.assert_array_equal(back_mask, mask)


def test_time_warp_keeps_ends_and_bounds_the_speed():
    ramp = np.arange(50.0).reshape(1, 50, 1, 1) * np.ones((60, 1, 1, 3))
    strength = np.full(60, 0.1)
    phase = np.linspace(-np.pi, np.pi, 60)
    warped = aug.time_warp(ramp, strength, phase)[:, :, 0, 0]
    np.testing.assert_allclose(warped[:, 0], 0.0, atol=1e-9)
    np.testing.assert_allclose(warped[:, -1], 49.0, atol=1e-9)
    speed = np.diff(warped, axis=1)
    assert speed.min() >= 0.9 - 1e-6 and speed.max() <= 1.1 + 1e-6
    assert speed.min() < 0.91 and speed.max() > 1.09  # and the bound is used


def test_time_warp_ends_where_a_short_clip_does():
    motion = np.random.default_rng(0).normal(size=(3, 50, 2, 3))
    length = np.array([50, 30, 12])
    held = motion[np.arange(3)[:, None], np.minimum(np.arange(50), length[:, None] - 1)]
    strength, phase = np.full(3, 0.1), np.array([0.0, 1.0, 2.0])
    warped = aug.time_warp(held, strength, phase, length)
    np.testing.assert_array_equal(warped[:1], aug.time_warp(held[:1], strength[:1], phase[:1]))
    for row, own in enumerate(length):
        alone = aug.time_warp(motion[row : row + 1, :own], strength[:1], phase[row : row + 1])
        np.testing.assert_allclose(warped[row, :own], alone[0], atol=1e-9)
        np.testing.assert_allclose(warped[row, own:], held[row, own:], atol=1e-9)


@pytest.mark.parametrize("bad", [{"scale": 1.0}, {"time_warp": -0.1}, {"mirror_probability": 2.0}])
def test_strengths_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError):
        aug.Augment(**bad)


@pytest.mark.parametrize(
    ("caption", "mirrored"),
    [
        ("raises the left arm", "raises the right arm"),
        ("Right foot forward, then LEFT.", "Left foot forward, then RIGHT."),
        ("steps leftwards with a right-hand wave", "steps rightwards with a left-hand wave"),
        ("turns clockwise", "turns counterclockwise"),
        ("turns anti-clockwise", "turns clockwise"),
        ("a counter clockwise spin", "a clockwise spin"),
        ("Anticlockwise", "Clockwise"),
        ("the leftmost, left-footed dancer", "the rightmost, right-footed dancer"),
        ("stands upright on the copyright sign", "stands upright on the copyright sign"),
        ("jumps right away at a right angle", "jumps right away at a right angle"),
        ("leftover", "leftover"),
        ("the only one left", "the only one right"),  # words are not understood
    ],
)
def test_captions_by_hand(caption: str, mirrored: str):
    assert aug.mirror_caption(caption) == mirrored


_WORDS = st.sampled_from(
    "left right Left leftward rightwards clockwise counterclockwise arm leg foot turns raises the "
    "and away left-hand righthanded upright slowly".split()
)


@given(st.lists(_WORDS, max_size=12))
def test_mirroring_a_caption_negates_its_sides_and_undoes_itself(words: list[str]):
    caption = " ".join(words)
    mirrored = aug.mirror_caption(caption)
    assert aug.mirror_caption(mirrored) == caption
    np.testing.assert_array_equal(side_vector(mirrored), -side_vector(caption))
