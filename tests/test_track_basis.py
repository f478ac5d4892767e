"""The basis of tracks' displacements, and the few tracks that stand for many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_track_batches import N, T, track_basis, track_batch

from raydance.errors import InputError
from raydance.nn.track_choice import geometric_median, path_distances, representatives
from raydance.tracks.basis import TrackBasis, fit_track_basis

TRACKS = track_batch(64)["tracks"].numpy()


def test_coefficients_are_white_and_the_first_frame_is_exact() -> None:
    basis = track_basis(3)
    found = basis.encode(TRACKS)
    np.testing.assert_allclose(np.cov(found.T), np.eye(3), atol=1e-3)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-4)
    rebuilt = basis.decode(found, TRACKS[:, 0])
    np.testing.assert_allclose(rebuilt[:, 0], TRACKS[:, 0], atol=1e-6)
    assert np.abs(rebuilt - TRACKS).mean() < 0.02  # the noise of each point stays out
    assert 0.99 < basis.explained <= 1.0


def test_all_components_rebuild_a_track() -> None:
    tracks = TRACKS[:10]
    basis = fit_track_basis(tracks, 100)
    assert basis.num_components <= 9
    np.testing.assert_allclose(basis.decode(basis.encode(tracks), tracks[:, 0]), tracks, atol=1e-4)
    other = TrackBasis.of(basis.tensors(), basis.explained)
    assert np.array_equal(other.encode(tracks), basis.encode(tracks))


def test_the_scale_is_what_a_component_adds() -> None:
    basis = track_basis(2)
    expected = np.sqrt(np.square(basis.components).sum(axis=-1).mean(axis=(1, 2)))
    np.testing.assert_allclose(basis.scale, expected, rtol=1e-4)
    assert basis.scale[0] >= basis.scale[1]


def test_too_few_or_still_tracks_make_no_basis() -> None:
    with pytest.raises(InputError, match="2 training tracks make no basis"):
        fit_track_basis(TRACKS[:2], 4)
    with pytest.raises(InputError, match="all training tracks move alike"):
        fit_track_basis(np.repeat(TRACKS[:1], 5, axis=0), 4)


def test_the_geometric_median_ignores_how_far_an_outlier_is() -> None:
    places = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [9.0, 9.0]])
    samples = places[:, None, None, None, :].expand(-1, 2, T, N, -1)
    assert float(geometric_median(samples, iterations=200).abs().max()) < 0.01
    weight = torch.tensor([0.0, 0.0, 0.0, 1.0])[:, None].expand(-1, 2)
    torch.testing.assert_close(geometric_median(samples, weight), samples[3])


def test_distances_of_paths_by_hand() -> None:
    samples = torch.zeros(2, 1, T, N, 2)
    samples[1, :, :, :, 0] = 3.0
    samples[1, :, 0, :, 1] = 4.0
    expected = (5.0 + 3.0 * (T - 1)) / T
    torch.testing.assert_close(path_distances(samples)[0, 0, 1], torch.tensor(expected))


def test_representatives_stand_for_the_groups_largest_first() -> None:
    generator = torch.Generator().manual_seed(0)
    group = torch.tensor([2] * 10 + [0] * 7 + [1] * 3)
    centre = torch.tensor([[5.0, 0.0], [0.0, 5.0], [0.0, 0.0]])[group]
    noise = 0.1 * torch.randn(20, 1, T, N, 2, generator=generator)
    samples = centre[:, None, None, None, :] + noise
    for medians in (False, True):
        found = representatives(samples, 3, medians=medians)
        expected = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
        torch.testing.assert_close(found.mean(dim=(1, 2, 3)), expected, atol=0.1, rtol=0.0)
    alone = representatives(samples, 3)
    assert all(any(torch.equal(one, sample) for sample in samples) for one in alone)


def test_representatives_shorten_the_distance_to_all_samples() -> None:
    generator = torch.Generator().manual_seed(1)
    samples = torch.randn(40, 5, T, N, 2, generator=generator)
    samples = samples.mean(dim=(2, 3), keepdim=True) + 0.01 * samples

    def cost(chosen: torch.Tensor) -> float:
        both = torch.cat([chosen, samples])
        between = path_distances(both)[:, : len(chosen), len(chosen) :]
        return float(between.amin(dim=1).mean())

    assert cost(representatives(samples, 6)) < 0.9 * cost(samples[:6])


def test_representatives_of_equal_samples() -> None:
    samples = torch.zeros(4, 2, T, N, 2)
    assert torch.equal(representatives(samples, 3, medians=True), samples[:3])
    with pytest.raises(InputError, match="5 representatives of 4 samples; allowed: 1 to 4"):
        representatives(samples, 5)
