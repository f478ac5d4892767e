"""The independent judge, and generated motion as a set: by hand, properties, a whole run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raydance import evaluation
from raydance.errors import InputError
from raydance.evaluation import generated_set
from raydance.evaluation.motion_classifier import MotionClassifier, mirror_name
from raydance.metrics.distribution import fid

# The judge


def waves(num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Windows that raise the left hand, the right hand, or crouch."""
    rng = np.random.default_rng(seed)
    rest_J3 = np.random.default_rng(5).standard_normal((50, 3)) * 0.3
    motion = np.tile(rest_J3, (num, 20, 1, 1)) + 0.01 * rng.standard_normal((num, 20, 50, 3))
    arc = np.sin(np.pi * np.arange(20) / 19)
    names = []
    for i in range(num):
        name, joints = [
            ("raise the left hand", [20]),
            ("raise the right hand", [21]),
            ("crouch", [0, 15]),
        ][i % 3]
        motion[i, :, joints, 1] += (-1 if name == "crouch" else 1) * rng.uniform(0.4, 0.8) * arc
        names.append(name)
    return motion.astype(np.float32), np.ones((num, 50), bool), names


def fitted(seed: int = 0) -> MotionClassifier:
    motion, mask, names = waves(48)
    return MotionClassifier.fit(
        motion, mask, names, [str(i) for i in range(48)], seed=seed, steps=40
    )


@pytest.fixture(scope="module")
def judge() -> MotionClassifier:
    return fitted()


def test_the_judge_names_motion_that_it_has_not_seen(judge):
    motion, mask, names = waves(30, seed=1)
    assert judge.names == ["crouch", "raise the left hand", "raise the right hand"]
    assert judge.accuracy(motion, mask, names) > 90
    assert judge.accuracy(motion, mask, ["crouch"] * 30) < 50


def test_the_judge_is_a_function_of_its_seed_alone(judge):
    motion, mask, _ = waves(6, seed=2)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = fitted().features(motion, mask)
    np.testing.assert_array_equal(first, judge.features(motion, mask))
    assert torch.equal(torch.get_rng_state(), state)
    assert not np.allclose(fitted(seed=1).features(motion, mask), first)


def test_the_judge_does_not_see_absent_joints(judge):
    motion, mask, _ = waves(4, seed=3)
    mask[:, 21] = False
    moved = motion.copy()
    moved[:, :, 21] += 7.0
    np.testing.assert_array_equal(judge.features(moved, mask), judge.features(motion, mask))
    np.testing.assert_array_equal(judge.features(motion, mask[0]), judge.features(motion, mask))


def test_nothing_named_is_refused():
    with pytest.raises(InputError, match="no training window has a name"):
        MotionClassifier.fit(np.zeros((0, 20, 50, 3)), np.zeros((0, 50), bool), [], [])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kick_left", "kick_right"),
        ("a step to the right", "a step to the left"),
        ("bow", "bow"),
        ("walk-left-turn|old", "walk-right-turn|old"),
    ],
)
def test_names_are_mirrored(name: str, expected: str):
    assert mirror_name(name) == expected
    assert mirror_name(expected) == name


# Frechet distance and diversity


def test_frechet_ratio_by_hand():
    rng = np.random.default_rng(0)
    test = rng.standard_normal((60, 3))
    training = test + (0.0, 2.0, 0.0)  # distance 4
    generated = test + (1.0, 0.0, 0.0)  # distance 1
    assert fid(training, test) == pytest.approx(4.0)
    assert generated_set.frechet_ratio(generated, test, training) == pytest.approx(0.25)
    assert generated_set.frechet_ratio(test, test, training) == pytest.approx(0.0, abs=1e-9)
    assert generated_set.frechet_ratio(training, test, training) == pytest.approx(1.0)


def test_few_windows_have_no_frechet_distance():
    many, few = np.random.default_rng(0).standard_normal((2, 60, 3)), np.zeros((49, 3))
    assert generated_set.frechet_ratio(few, many[0], many[1]) is None
    assert generated_set.frechet_ratio(many[0], few, many[1]) is None


def test_diversity_within_a_caption_by_hand():
    captions, names, clips = ["a", "a", "a", "b", "b"], ["m"] * 5, ["1", "1", "2", "3", "4"]
    pairs, shared = generated_set.pairs_of_captions(captions, names, clips)
    # Windows 0 and 1 are of one clip: they are alike because they overlap.
    assert (sorted(pairs), shared) == ([(0, 2), (1, 2), (3, 4)], "caption")
    points = np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 4.0], [0.0, 0.0], [0.0, 1.0]])
    expected = (5.0 + np.hypot(3, 3) + 1.0) / 3
    assert generated_set.mean_distance(points, pairs) == pytest.approx(expected)


def test_captions_of_their_own_are_paired_by_movement():
    clips = ["1", "2", "3", "4"]
    pairs, shared = generated_set.pairs_of_captions(list("abcc"), ["m", "m", "n", "n"], clips)
    assert shared == "caption"  # half of the windows have a partner
    pairs, shared = generated_set.pairs_of_captions(list("abcd"), ["m", "m", "n", "n"], clips)
    assert (pairs, shared) == ([(0, 1), (2, 3)], "movement")


# Distance to the nearest training window


def test_a_copy_has_no_distance_and_a_shifted_one_has_its_shift():
    rng = np.random.default_rng(0)
    training = rng.standard_normal((9, 4, 50, 3)).astype(np.float32)
    mask = np.ones((9, 50), bool)
    queries = training[[8, 2]].copy()
    queries[1, :, :, 2] += 0.01
    parts = [(training[:4], mask[:4]), (training[4:], mask[4:])]
    found = generated_set.nearest_distances(queries, mask[0], parts)
    np.testing.assert_allclose(found, [0.0, 0.01], atol=1e-6)


def test_only_joints_that_both_have_are_compared():
    training, mask = np.zeros((1, 4, 50, 3), np.float32), np.ones((1, 50), bool)
    mask[0, 10:] = False
    query = np.zeros((1, 4, 50, 3), np.float32)
    query[..., 5, :] = (3.0, 0.0, 4.0)  # one of the five joints 5 to 9
    query[..., 20, :] = 99.0  # absent in training
    query[..., 2, :] = 99.0  # absent in the query
    present = np.arange(50) >= 5
    found = generated_set.nearest_distances(query, present, [(training, mask)])
    np.testing.assert_allclose(found, [np.sqrt(25 / 5)])


def test_distances_do_not_depend_on_the_parts():
    rng = np.random.default_rng(1)
    training, mask = rng.standard_normal((12, 4, 50, 3)), rng.random((12, 50)) < 0.8
    queries, present = rng.standard_normal((3, 4, 50, 3)), rng.random(50) < 0.8
    whole = generated_set.nearest_distances(queries, present, [(training, mask)])
    parts = [(training[i : i + 5], mask[i : i + 5]) for i in range(0, 12, 5)]
    np.testing.assert_allclose(generated_set.nearest_distances(queries, present, parts), whole)
    slow = [
        min(
            np.sqrt(((q - t)[:, m & present] ** 2).sum() / (4 * (m & present).sum()))
            for t, m in zip(training, mask)
        )
        for q in queries
    ]
    np.testing.assert_allclose(whole, slow, rtol=1e-5)


# The lines of the table


def test_a_copying_generator_is_seen():
    lines = generated_set.set_measures(
        "generation",
        frechet=(0.2, 0.3),
        diversity=(2.0, 3.0, 4.0),
        pairs_share="caption",
        nearest=(0.0, 0.1),
        is_own=True,
    )
    frechet, diversity, copying = lines
    assert frechet.beats_baseline and (frechet.value, frechet.baseline) == (0.2, 0.3)
    assert (diversity.value, diversity.baseline, diversity.target) == (0.5, 0.75, 1.0)
    assert not copying.beats_baseline and copying.value == 0.0


def test_what_cannot_be_measured_has_no_line():
    lines = generated_set.set_measures(
        "generation",
        frechet=(None, None),
        diversity=None,
        pairs_share="caption",
        nearest=(0.3, 0.2),
        is_own=False,
    )
    assert [line.value for line in lines] == [pytest.approx(1.5)]
    assert not lines[0].is_main


def test_a_run_is_measured_as_a_set(tiny_run):
    figures = evaluation.evaluate(tiny_run, num_generated=6)
    names = {m["name"]: m for m in figures["measures"] if m["group"] == "generation"}
    assert names["the movement asked for, by kinematic descriptors"]["is_main"] is False
    copying = names["distance to the nearest training window / that of real test windows"]
    assert copying["value"] > 0 and copying["baseline"] == 0 and copying["target"] == 1
    assert not any("Frechet" in name for name in names)
    assert any("6 test windows are too few for a Frechet distance" in n for n in figures["notes"])
