"""Each equation: a value by hand, an edge case, a property, and a public reference where one is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.nn import functional as F

from raydance.nn import losses

FEW = settings(max_examples=40, deadline=None)
ALL = torch.ones(2, 4, 3, dtype=torch.bool)
PAPER = {"start": 0.01, "end": 0.2, "warmup": 0.4}


def vectors(low: float = -8.0, high: float = 8.0) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, (3, 5), elements=st.floats(low, high, width=32))


# Eq. 5 and 6 -----------------------------------------------------------------------------------


def test_eq5_mixes_mse_and_l1_by_hand() -> None:
    x = torch.zeros(2, 4, 3, 3)
    y = torch.full_like(x, 2.0)
    assert losses.reconstruction(x, y, ALL, 0.7).item() == pytest.approx(0.7 * 4.0 + 0.3 * 2.0)
    assert losses.reconstruction(x, y, ALL, 1.0).item() == pytest.approx(4.0)


def test_eq5_agrees_with_torch_where_every_joint_exists() -> None:
    x, y = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    expected = 0.7 * F.mse_loss(y, x) + 0.3 * F.l1_loss(y, x)
    torch.testing.assert_close(losses.reconstruction(x, y, ALL, 0.7), expected)


def test_eq6_sees_movement_only() -> None:
    still = torch.zeros(2, 4, 3, 3)
    moving = torch.arange(4.0)[None, :, None, None].expand(2, 4, 3, 3)
    assert losses.velocity(still, still + 5.0, ALL).item() == 0.0
    assert losses.velocity(still, moving, ALL).item() == pytest.approx(1.0)
    assert losses.velocity(moving, 3.0 * moving, ALL).item() == pytest.approx(4.0)


def test_eq6_of_a_single_frame_is_zero() -> None:
    still, moved = torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)
    assert losses.velocity(still, moved, ALL[:, :1]).item() == 0.0


def test_absent_joints_and_held_frames_count_for_nothing() -> None:
    joints = torch.tensor([[True, False, True], [False, False, True]])
    mask = losses.real_joints(joints, torch.tensor([4, 2]), 4)
    assert mask.sum(dim=(1, 2)).tolist() == [2 * 4, 1 * 2]
    x, y = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    torn = y.clone()
    torn[~mask] = 1e6
    torn.requires_grad_(True)
    for loss in (
        lambda target: losses.reconstruction(x, target, mask, 0.7),
        lambda target: losses.velocity(x, target, mask),
    ):
        torch.testing.assert_close(loss(torn), loss(y))
        (gradient,) = torch.autograd.grad(loss(torn), torn)
        assert not gradient[~mask].any()


def test_a_masked_mean_weighs_joints_and_not_clips() -> None:
    value = torch.zeros(2, 1, 3, 3)
    value[1] = 8.0
    mask = torch.tensor([[[True, True, True]], [[True, False, False]]])
    assert losses.masked_mean(value, mask).item() == pytest.approx(8.0 / 4)
    assert losses.masked_mean(value, torch.zeros_like(mask)).item() == 0.0


# Eq. 7 -----------------------------------------------------------------------------------------


def test_eq7_by_hand() -> None:
    mu, logvar = torch.ones(2, 4), torch.zeros(2, 4)
    assert losses.kl_divergence(mu, logvar).item() == pytest.approx(0.5)
    assert losses.kl_divergence(mu, logvar, reduction="sum").item() == pytest.approx(2.0)
    assert losses.kl_divergence(mu, logvar, literal_eq7=True).item() == pytest.approx(-1.0)
    assert losses.kl_divergence(torch.zeros(1, 4), torch.zeros(1, 4)).item() == 0.0


def test_eq7_is_the_divergence_of_torch() -> None:
    mu, logvar = torch.randn(6, 5), torch.randn(6, 5)
    reference = torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, (0.5 * logvar).exp()), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(losses.kl_divergence(mu, logvar), reference.mean())
    torch.testing.assert_close(
        losses.kl_divergence(mu, logvar, reduction="sum"), reference.sum(1).mean()
    )


@FEW
@given(vectors(), vectors())
def test_kl_is_never_negative_and_the_printed_formula_never_positive(
    mu: np.ndarray, logvar: np.ndarray
) -> None:
    mean, spread = torch.from_numpy(mu), torch.from_numpy(logvar)
    rounding = 1e-5
    assert losses.kl_divergence(mean, spread).item() >= -rounding
    assert losses.kl_divergence(mean, spread, literal_eq7=True).item() <= rounding


def test_minimising_the_printed_eq7_leaves_the_prior_and_the_mended_one_returns() -> None:
    for literal, grows in ((True, True), (False, False)):
        mu = torch.full((1, 4), 0.5, requires_grad=True)
        logvar = torch.full((1, 4), 0.5, requires_grad=True)
        losses.kl_divergence(mu, logvar, literal_eq7=literal).backward()
        assert mu.grad is not None and logvar.grad is not None
        assert bool(((mu - 0.1 * mu.grad).abs() > mu.abs()).all()) == grows
        assert bool(((logvar - 0.1 * logvar.grad).abs() > logvar.abs()).all()) == grows


# Eq. 8's schedule ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "progress", "expected"),
    [
        ("linear", 0.0, 0.01),
        ("linear", 0.2, 0.105),
        ("linear", 0.4, 0.2),
        ("linear", 1.0, 0.2),
        ("cosine", 0.2, 0.105),
        ("cosine", 0.1, 0.01 + 0.19 * (0.5 - 0.5 * math.cos(math.pi / 4))),
        ("cyclical", 0.05, 0.105),  # four cycles: a fifth of the first one, half of its rise
        ("cyclical", 0.2, 0.2),
        ("cyclical", 0.25, 0.01),
        ("cyclical", 1.0, 0.2),
        ("constant", 0.0, 0.2),
    ],
)
def test_beta_by_hand(shape: str, progress: float, expected: float) -> None:
    assert losses.beta_at(progress, shape=shape, **PAPER) == pytest.approx(expected)


def test_beta_without_warm_up_and_outside_the_training() -> None:
    assert losses.beta_at(0.0, start=0.01, end=0.2, warmup=0.0, shape="linear") == 0.2
    assert losses.beta_at(-1.0, shape="linear", **PAPER) == pytest.approx(0.01)
    assert losses.beta_at(7.0, shape="cosine", **PAPER) == pytest.approx(0.2)


@given(
    st.floats(0, 1), st.floats(0, 1), st.sampled_from(["linear", "cosine", "cyclical", "constant"])
)
def test_beta_stays_in_its_range_and_only_cycles_fall(a: float, b: float, shape: str) -> None:
    early, late = (losses.beta_at(p, shape=shape, **PAPER) for p in sorted((a, b)))
    assert 0.01 - 1e-9 <= early <= 0.2 + 1e-9
    assert shape == "cyclical" or early <= late + 1e-9


# Eq. 12 ----------------------------------------------------------------------------------------


def test_eq12_by_hand() -> None:
    text, dance = torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]])
    mean = losses.hybrid_alignment(text, dance)
    assert mean["cosine"].item() == pytest.approx(1.0 - 24.0 / 25.0, abs=1e-6)
    assert mean["mse"].item() == pytest.approx(1.0)
    assert mean["total"].item() == pytest.approx(0.52, abs=1e-6)
    printed = losses.hybrid_alignment(text, dance, reduction="sum")
    assert printed["mse"].item() == pytest.approx(2.0)
    assert printed["total"].item() == pytest.approx(1.02, abs=1e-6)
    only_cosine = losses.hybrid_alignment(text, dance, alpha=1.0)
    assert only_cosine["total"].item() == pytest.approx(0.04, abs=1e-6)


@FEW
@given(vectors(-5, 5), st.floats(0.5, 4.0))
def test_eq12_its_cosine_ignores_length_and_its_error_does_not(
    z: np.ndarray, factor: float
) -> None:
    dance = torch.from_numpy(z) + 0.1
    terms = losses.hybrid_alignment(factor * dance, dance)
    assert terms["cosine"].abs().max().item() < 1e-4
    torch.testing.assert_close(terms["mse"], (factor - 1.0) ** 2 * dance.square().mean(1))


def test_eq12_of_a_zero_vector_has_a_finite_gradient() -> None:
    text = torch.zeros(2, 4, requires_grad=True)
    losses.hybrid_alignment(text, torch.randn(2, 4))["total"].sum().backward()
    assert text.grad is not None and text.grad.isfinite().all()


# Eq. 14 ----------------------------------------------------------------------------------------


def mined(points: torch.Tensor, labels: list[int], **options: float) -> dict[str, torch.Tensor]:
    label = torch.tensor(labels)
    same = label[:, None] == label[None, :]
    other = ~torch.eye(len(label), dtype=torch.bool)
    distance = losses.pairwise_distance(points, points)
    return losses.batch_hard_triplet(distance, same & other, ~same, **options)


def test_eq14_by_hand() -> None:
    # Anchors at 0 and 1 are satisfied, the one at 3 costs 4 - 2 + 1, the one at 7 nothing.
    terms = mined(torch.tensor([[0.0], [1.0], [3.0], [7.0]]), [0, 0, 1, 1])
    assert terms["triplet"].item() == pytest.approx(0.75, abs=1e-5)
    assert terms["d_pos"].item() == pytest.approx(2.5, abs=1e-5)
    assert terms["d_neg"].item() == pytest.approx(3.25, abs=1e-5)
    wide = mined(torch.tensor([[0.0], [1.0], [3.0], [7.0]]), [0, 0, 1, 1], margin=4.0)
    assert wide["triplet"].item() == pytest.approx((2.0 + 3.0 + 6.0 + 2.0) / 4, abs=1e-5)


def test_eq14_an_anchor_is_not_its_own_positive() -> None:
    # The third point has no fellow: were it its own positive at distance 0, it would count with
    # 0 - 0.5 + 1 and the mean would be over three anchors.
    terms = mined(torch.tensor([[0.0], [1.0], [1.5]]), [0, 0, 1])
    assert terms["triplet"].item() == pytest.approx(((1 - 1.5 + 1) + (1 - 0.5 + 1)) / 2, abs=1e-5)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_eq14_without_a_pair_is_zero_and_keeps_the_graph(labels: list[int]) -> None:
    points = torch.randn(3, 2, requires_grad=True)
    terms = mined(points, labels)
    assert terms["triplet"].item() == 0.0
    terms["triplet"].backward()  # DDP needs a gradient from every rank, even an empty one
    assert points.grad is not None and not points.grad.any()


def test_eq14_soft_mining_tends_to_the_hardest_pair() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(12, 3, generator=generator)
    labels = [0, 1, 2] * 4
    hard = mined(points, labels)
    for name in hard:
        soft = mined(points, labels, tau=1e-4)
        torch.testing.assert_close(soft[name], hard[name], atol=1e-4, rtol=0)
    gaps = []
    for tau in (0.05, 0.5, 5.0):
        soft = mined(points, labels, tau=tau)
        assert soft["d_pos"] < hard["d_pos"] and soft["d_neg"] > hard["d_neg"]
        gaps.append((hard["d_pos"] - soft["d_pos"]).item())
    assert gaps == sorted(gaps)


@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_eq14_gradients_are_finite_where_points_coincide(tau: float) -> None:
    points = torch.ones(6, 4, requires_grad=True)
    terms = mined(points, [0, 0, 0, 1, 1, 1], tau=tau)
    terms["triplet"].backward()
    assert terms["triplet"].item() == pytest.approx(1.0, abs=1e-5)  # the margin, as in Table IV
    assert points.grad is not None and points.grad.isfinite().all()


@FEW
@given(vectors(), vectors())
def test_distances_are_those_of_torch(a: np.ndarray, b: np.ndarray) -> None:
    first, second = torch.from_numpy(a), torch.from_numpy(b)
    found = losses.pairwise_distance(first, second)
    reference = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
    # The quick form loses digits where two points nearly coincide: about 1e-7 of their square.
    torch.testing.assert_close(found, reference, atol=2e-2, rtol=1e-4)


# InfoNCE ---------------------------------------------------------------------------------------


def test_infonce_with_one_right_pair_each_is_cross_entropy() -> None:
    logits = torch.randn(7, 7)
    target = torch.arange(7)
    expected = 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
    torch.testing.assert_close(losses.info_nce(logits, torch.eye(7, dtype=torch.bool)), expected)


def test_infonce_with_several_right_pairs_by_hand() -> None:
    logits = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    both = torch.ones(2, 2, dtype=torch.bool)
    rows = [-(1 + 0) / 2 + math.log(math.e + 1), -(2 + 0) / 2 + math.log(math.e**2 + 1)]
    columns = [-(1 + 2) / 2 + math.log(math.e + math.e**2), math.log(2)]
    assert losses.info_nce(logits, both).item() == pytest.approx((sum(rows) + sum(columns)) / 4)


def test_infonce_leaves_ignored_pairs_out_but_never_right_ones() -> None:
    logits = torch.randn(3, 3)
    right = torch.eye(3, dtype=torch.bool)
    everything = torch.ones(3, 3, dtype=torch.bool)
    assert losses.info_nce(logits, right, everything).item() == pytest.approx(0.0, abs=1e-6)
    torch.testing.assert_close(
        losses.info_nce(logits, everything, everything), losses.info_nce(logits, everything)
    )
    # Ignoring one wrong pair is the same as its logit falling to minus infinity.
    alike = torch.zeros(3, 3, dtype=torch.bool)
    alike[0, 2] = True
    far = logits.clone()
    far[0, 2] = -1e4
    torch.testing.assert_close(losses.info_nce(logits, right, alike), losses.info_nce(far, right))


def test_nt_xent_by_hand() -> None:
    # Two motions and two captions on the axes of a plane, one motion on the wrong one.
    motion = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    own = torch.eye(2, dtype=torch.bool)
    e = math.e
    rows = [
        -1 + math.log(e + e + 1),  # motion 0: motion 1, text 0 (right), text 1
        -0 + math.log(e + e + 1),  # motion 1: motion 0, text 0, text 1 (right)
        -1 + math.log(e + e + 1),  # text 0: motions 0 (right) and 1, text 1
        -0 + math.log(1 + 1 + 1),  # text 1: motions 0 and 1 (right), text 0
    ]
    found = losses.nt_xent(motion, text, own, torch.zeros_like(own), temperature=1.0)
    assert found.item() == pytest.approx(sum(rows) / 4, rel=1e-6)
    # Where all clips are alike only the right one is left.
    everything = torch.ones(2, 2, dtype=torch.bool)
    assert losses.nt_xent(motion, text, own, everything, temperature=1.0).item() == pytest.approx(0)


def test_infonce_gradients_are_finite_with_everything_ignored() -> None:
    logits = torch.zeros(4, 4, requires_grad=True)
    right = torch.eye(4, dtype=torch.bool)
    losses.info_nce(logits / 0.07, right, ~right).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


@FEW
@given(hnp.arrays(np.float32, (4, 4), elements=st.floats(-20, 20, width=32)), st.data())
def test_infonce_is_not_negative_and_does_not_depend_on_the_order(
    values: np.ndarray, data: st.DataObject
) -> None:
    logits = torch.from_numpy(values)
    label = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=4, max_size=4)))
    order = torch.tensor(data.draw(st.permutations(range(4))))
    right = label[:, None] == label[None, :]
    loss = losses.info_nce(logits, right)
    assert loss.item() >= -1e-6
    shuffled = losses.info_nce(logits[order][:, order], right[order][:, order])
    torch.testing.assert_close(shuffled, loss, atol=1e-5, rtol=1e-5)


def test_embedding_spread_finds_a_collapse() -> None:
    spread = losses.embedding_spread(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    assert spread.item() == pytest.approx(math.sqrt(2.0) / 2)
    assert losses.embedding_spread(torch.ones(8, 3)).item() == 0.0
    assert losses.embedding_spread(torch.ones(1, 3)).item() == 0.0
