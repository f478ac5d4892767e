"""Grids in boxes and masks, thin, small and strange ones too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydance.errors import InputError
from raydance.tracks import grid


def inside(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    x, y = points.astype(int).T
    return mask[y, x]


def test_a_grid_in_a_box_leaves_a_margin_and_moves_with_it():
    boxes = np.array([[0, 0, 100, 50], [10, 20, 210, 120]], float)
    points = grid.grid_in_boxes(boxes)
    assert points.shape == (2, 36, 2) and points.dtype == np.float32
    assert points[0].min(axis=0).tolist() == [10, 5] and points[0].max(axis=0).tolist() == [90, 45]
    assert np.allclose(points[1], points[0] * 2 + (10, 20))
    assert (np.diff(points[0, :6, 0]) > 0).all() and np.ptp(points[0, :6, 1]) == 0  # rows
    assert np.allclose(grid.grid_in_boxes(np.array([5, 5, 5, 5.0])), 5)


@pytest.mark.parametrize("side", range(3, 11))
def test_a_round_mask(side):
    y, x = np.mgrid[:100, :120]
    mask = (x - 60) ** 2 + (y - 40) ** 2 < 30**2
    points = grid.grid_in_mask(mask, side)
    assert points.shape == (side * side, 2) and inside(points, mask).all()
    assert len(np.unique(points, axis=0)) == side * side
    assert np.ptp(points, axis=0).min() > 40 and np.abs(points.mean(axis=0) - (60, 40)).max() < 3
    # Eroded by three pixels, so that no point sits on the edge.
    assert np.linalg.norm(points - (60, 40), axis=1).max() < 28.5


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(5, 6), slice(3, 60)), (slice(2, 60), slice(7, 9)), (slice(10, 17), slice(10, 17))],
    ids=["one row", "two columns", "a small square"],
)
def test_thin_and_small_masks_hold_all_points(rows, columns):
    mask = np.zeros((64, 64), bool)
    mask[rows, columns] = True
    points = grid.grid_in_mask(mask)
    assert inside(points, mask).all() and len(np.unique(points, axis=0)) == 36


def test_a_mask_of_two_parts_has_points_in_both_and_none_between():
    mask = np.zeros((60, 100), bool)
    mask[10:50, 5:30] = mask[10:50, 70:95] = True
    points = grid.grid_in_mask(mask)
    assert inside(points, mask).all()
    assert (points[:, 0] < 30).any() and (points[:, 0] > 70).any()


def test_one_pixel_is_enough():
    mask = np.zeros((20, 20), bool)
    mask[0, 19] = True  # in a corner of the frame
    points = grid.grid_in_mask(mask, 3)
    assert len(np.unique(points, axis=0)) == 9
    assert np.abs(points - (19.5, 0.5)).max() <= 3.5
    assert ((points >= 0) & (points < 20)).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), side=st.integers(3, 10))
def test_any_mask_gives_different_points_of_the_frame(seed, side):
    random = np.random.default_rng(seed)
    mask = random.random((24, 31)) < random.random() ** 2
    mask[random.integers(24), random.integers(31)] = True
    points = grid.grid_in_mask(mask, side, seed=seed)
    assert len(np.unique(points, axis=0)) == side * side
    assert ((points >= 0) & (points < (31, 24))).all()
    assert (points == grid.grid_in_mask(mask, side, seed=seed)).all()


def test_mistakes_are_told():
    with pytest.raises(InputError, match="3 to 10"):
        grid.grid_in_mask(np.ones((5, 5), bool), 2)
    with pytest.raises(InputError, match="0 pixels"):
        grid.grid_in_mask(np.zeros((5, 5), bool))
    with pytest.raises(InputError, match="box"):
        grid.grid_in_boxes(np.array([5, 0, 4, 1]))
