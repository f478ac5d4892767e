"""Lang2Motion's losses by hand, and what its latents do when they are added."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from raydance.nn import track_losses

TRUE = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 1.0]], [[0.0, 2.0], [1.0, 2.0]]])
MOVED = TRUE.clone()
MOVED[1, 0] += torch.tensor([0.3, -0.4])
"""Three frames of two points; in the second the first point is elsewhere."""


def test_eq_4_divides_by_points_and_frames_and_sums_over_x_and_y() -> None:
    assert float(track_losses.track_error(MOVED[None], TRUE[None])) == pytest.approx(0.7 / 6)
    squared = track_losses.track_error(MOVED[None], TRUE[None], squared=True)
    assert float(squared) == pytest.approx(0.25 / 6)


def test_hidden_points_may_count_less() -> None:
    weight = torch.ones(1, 3, 2)
    weight[0, 1, 0] = 0.5
    found = track_losses.track_error(MOVED[None], TRUE[None], weight)
    assert float(found) == pytest.approx(0.35 / 5.5)
    none = track_losses.track_error(MOVED[None], TRUE[None], torch.zeros(1, 3, 2))
    assert float(none) == 0.0


def test_eq_5_sees_both_steps_beside_the_point() -> None:
    found = track_losses.velocity_error(MOVED[None], TRUE[None])
    assert float(found) == pytest.approx(2 * 0.25 / (2 * 2))
    assert float(track_losses.velocity_error(MOVED[None] + 5.0, MOVED[None])) < 1e-9


def test_eq_6_sums_over_frames_the_change_of_the_box() -> None:
    # The box of the second frame: x from 0.3 to 1 in the place of 0 to 1, y from 0.6 to 1 of 1.
    found = track_losses.range_error(MOVED[None], TRUE[None])
    assert float(found) == pytest.approx(0.3**2 + 0.4**2)
    twice = track_losses.range_error(torch.stack([MOVED, TRUE]), torch.stack([TRUE, TRUE]))
    assert float(twice) == pytest.approx(0.25 / 2)


def test_eq_7_and_8_compare_directions() -> None:
    latent = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert float(track_losses.text_alignment(latent, 7.0 * latent)) == pytest.approx(0.0, abs=1e-6)
    assert float(track_losses.text_alignment(latent, latent.flip(1))) == pytest.approx(1.0)
    # A frame of length 9 does not outweigh one of length 1: their mean is the diagonal.
    feature = torch.tensor([[[9.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    both = track_losses.image_alignment(latent, feature, torch.tensor([True, True]))
    assert float(both) == pytest.approx((1.0 - 0.5**0.5) / 2, abs=1e-6)
    first = track_losses.image_alignment(latent, feature, torch.tensor([True, False]))
    assert float(first) == pytest.approx(1.0 - 0.5**0.5, abs=1e-6)
    none = track_losses.image_alignment(latent, feature, torch.tensor([False, False]))
    assert float(none) == 0.0


def test_interpolation_keeps_to_the_sphere() -> None:
    first, second = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    half = track_losses.interpolate(first, second, 0.5)
    torch.testing.assert_close(half, torch.tensor([[0.5**0.5, 0.5**0.5]]))
    third = track_losses.interpolate(first, second, 1 / 3)
    torch.testing.assert_close(third, torch.tensor([[0.75**0.5, 0.5]]))
    for share, end in ((0.0, first), (1.0, second)):
        found = track_losses.interpolate(first, second, share)
        torch.testing.assert_close(found, F.normalize(end, dim=1))
    torch.testing.assert_close(track_losses.interpolate(first, first, 0.4), first / 2.0)


def test_style_is_added_and_the_length_kept() -> None:
    content, style, neutral = torch.eye(3)[:, None].unbind(0)
    found = track_losses.transfer_style(content, style, neutral, 2.0)
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, -2.0]]) / 3.0)
    torch.testing.assert_close(track_losses.transfer_style(content, style, style), content)
