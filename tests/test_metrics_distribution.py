"""FID, Diversity and MultiModality by hand, at their edges, and by their properties."""

from __future__ import annotations

import numpy as np
import pytest

from raydance.errors import InputError
from raydance.metrics import distribution


def test_fid_by_hand_in_one_dimension():
    """Gaussians with means 0 and 3, standard deviations 1 and 2: 9 + (2 - 1)^2 = 10."""
    unit = np.array([-1.0, 1.0]) / np.sqrt(2.0)  # sample variance 1
    a, b = unit[:, None], 3.0 + 2.0 * unit[:, None]
    assert distribution.fid(b, a) == pytest.approx(10.0)


def test_fid_of_a_shift_is_its_square():
    points = np.random.default_rng(0).normal(size=(50, 8))
    assert distribution.fid(points + 0.5, points) == pytest.approx(8 * 0.25)


def test_fid_against_the_general_matrix_root():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(90, 6))
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    shift = a.mean(0) - b.mean(0)
    expected = shift @ shift + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    assert distribution.fid(a, b) == pytest.approx(expected, rel=1e-8)


def test_fid_is_symmetric_zero_on_itself_and_finite_when_rank_deficient():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(5, 20)), rng.normal(size=(6, 20))  # far fewer rows than dimensions
    assert distribution.fid(a, b) == pytest.approx(distribution.fid(b, a))
    assert distribution.fid(a, a) == pytest.approx(0.0, abs=1e-6)
    assert np.isfinite(distribution.fid(np.ones((4, 3)), np.zeros((4, 3))))


def test_diversity_by_hand():
    """With two rows and two pairs a draw is either matched with itself or crossed."""
    rows = np.array([[0.0], [3.0]])
    values = {distribution.diversity(rows, num_pairs=2, seed=seed) for seed in range(20)}
    assert values == {0.0, 3.0}


def test_diversity_scales_and_repeats():
    rows = np.random.default_rng(0).normal(size=(40, 4))
    value = distribution.diversity(rows, num_pairs=30, seed=3)
    assert distribution.diversity(rows, num_pairs=30, seed=3) == value
    assert distribution.diversity(rows, num_pairs=30, seed=4) != value
    assert distribution.diversity(2 * rows + 1, num_pairs=30, seed=3) == pytest.approx(2 * value)


def test_multimodality_by_hand():
    """Repeats that are all alike have none; only distances within a text count."""
    alike = np.repeat(np.array([[[0.0]], [[100.0]]]), 5, axis=1)
    assert distribution.multimodality(alike, num_pairs=5) == 0.0
    crossed = np.array([[[0.0], [1.0]], [[0.0], [3.0]]])
    values = {distribution.multimodality(crossed, num_pairs=2, seed=seed) for seed in range(20)}
    assert values == {0.0, 2.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distribution.fid(np.zeros((1, 3)), np.zeros((5, 3))), "at least 2 rows"),
        (lambda: distribution.fid(np.zeros((4, 3)), np.zeros((5, 2))), "3 values a row, real 2"),
        (lambda: distribution.fid(np.full((4, 3), np.inf), np.zeros((5, 3))), "not finite"),
        (lambda: distribution.diversity(np.zeros((10, 2))), "300 pairs of 10 rows"),
        (lambda: distribution.multimodality(np.zeros((10, 2))), "texts, repeats"),
        (lambda: distribution.multimodality(np.zeros((2, 3, 4))), "10 pairs of 3 repeats"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
