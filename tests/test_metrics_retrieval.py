"""Retrieval metrics by hand, at their edges, and by their properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydance.errors import InputError
from raydance.metrics import retrieval
from raydance.metrics.catalogue import METRICS


def test_ranks_by_hand():
    similarity = np.array([[0.9, 0.1, 0.3], [0.8, 0.2, 0.5], [0.7, 0.7, 0.7]])
    # Row 1: two items stand before the right one. Row 2: a three-way tie shares places 0, 1, 2.
    assert retrieval.ranks(similarity).tolist() == [0.0, 2.0, 1.0]


def test_ranks_take_the_best_of_several_right_items():
    similarity = np.array([[0.9, 0.1, 0.5]])
    relevant = np.array([[False, True, True]])
    assert retrieval.ranks(similarity, relevant).tolist() == [1.0]


def test_summary_by_hand():
    summary = retrieval.summarise(np.array([0.0, 0.5, 2.0, 40.0]))
    # A shared first place (0.5) is within the first one: R01 counts ranks below 1.
    assert summary == {
        "R01": 50.0, "R02": 50.0, "R03": 75.0, "R05": 75.0, "R10": 75.0, "MedR": 2.25, "len": 4.0,
    }  # fmt: skip


def test_perfect_space_is_perfect_both_ways():
    result = retrieval.tmr(np.eye(12))
    assert result["t2m/R01"] == result["m2t/R01"] == 100.0
    assert result["t2m/MedR"] == result["m2t/MedR"] == 1.0


def test_collapsed_space_scores_the_middle_rank_not_the_first():
    result = retrieval.tmr(np.zeros((21, 21)))
    assert result["t2m/R10"] == 0.0
    assert result["t2m/MedR"] == 11.0


def test_the_two_directions_differ():
    similarity = np.array([[0.5, 0.4], [0.6, 0.55]])
    result = retrieval.tmr(similarity)
    # Text 1 prefers motion 0; motion 0 prefers text 1, motion 1 its own.
    assert (result["t2m/R01"], result["m2t/R01"]) == (50.0, 50.0)
    similarity = np.array([[0.5, 0.6], [0.4, 0.7]])
    result = retrieval.tmr(similarity)
    assert (result["t2m/R01"], result["m2t/R01"]) == (50.0, 100.0)


def test_equal_sentences_count_as_right():
    similarity = np.array([[0.1, 0.9], [0.9, 0.1]])  # both texts pick the other's motion
    apart, same = np.eye(2), np.ones((2, 2))
    assert retrieval.tmr(similarity)["t2m/R01"] == 0.0
    assert retrieval.tmr(similarity, sentences=apart)["t2m/R01"] == 0.0
    assert retrieval.tmr(similarity, sentences=same)["t2m/R01"] == 100.0


def test_threshold_is_on_the_halved_scale():
    """0.95 there is a raw cosine of 0.90: 0.89 is another text, 0.91 the same."""
    similarity = np.array([[0.1, 0.9], [0.9, 0.1]])
    for cosine, expected in ((0.89, 0.0), (0.91, 100.0)):
        sentences = np.array([[1.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]])
        assert retrieval.tmr(similarity, sentences=sentences)["t2m/R01"] == expected


def test_small_batches_drop_the_rest_and_ease_the_task():
    rng = np.random.default_rng(0)
    similarity = rng.normal(size=(70, 70)) + 2 * np.eye(70)
    small = retrieval.tmr_small_batches(similarity, batch_size=32)
    assert small["t2m/len"] == 32.0
    assert small["t2m/R10"] > retrieval.tmr(similarity)["t2m/R10"]
    with pytest.raises(InputError, match="20 pairs, at least one batch of 32"):
        retrieval.tmr_small_batches(similarity[:20, :20])


def test_r_precision_by_hand():
    text = np.array([[0.0], [1.0], [5.0], [6.0]])
    motion = np.array([[0.9], [1.2], [5.0], [0.0]])
    # Batches of 2: 0 -> motion 0 (right), 1 -> motion 0 (wrong; second right);
    # 5 -> motion 2 (right), 6 -> motion 2 (wrong; second right).
    assert retrieval.r_precision(text, motion, batch_size=2, top=2) == (0.5, 1.0)
    # A fifth pair makes no whole batch and changes nothing.
    longer = np.vstack([text, [[99.0]]]), np.vstack([motion, [[0.0]]])
    assert retrieval.r_precision(*longer, batch_size=2, top=2) == (0.5, 1.0)


def test_r_precision_may_ask_for_more_than_the_batch_holds():
    points = np.arange(4.0)[:, None]
    assert retrieval.r_precision(points, points, batch_size=2, top=3) == (1.0, 1.0, 1.0)


def test_mm_dist_by_hand():
    assert retrieval.mm_dist(np.zeros((2, 2)), np.array([[3.0, 4.0], [0.0, 1.0]])) == 3.0


def test_r_at_k_by_label_by_hand():
    similarity = np.array([[0.9, 0.8, 0.1], [0.9, 0.8, 0.1]])
    result = retrieval.r_at_k(similarity, ["walk", "jump"], ["walk", "walk", "jump"], ks=(1, 2, 3))
    assert result == {"R01": 50.0, "R02": 50.0, "R03": 100.0, "MedR": 2.0, "len": 2.0}


def test_r_at_k_names_a_query_without_an_answer():
    with pytest.raises(InputError, match=r"1 queries \(first: 1\) have no right gallery item"):
        retrieval.r_at_k(np.zeros((2, 1)), ["walk", "jump"], ["walk"])


def test_chance_by_hand():
    """One right item of four: k/4. Two right of four: 1 - C(2,2)/C(4,2) = 5/6 at k = 2."""
    chance = retrieval.chance_r_at_k(["a"], ["a", "b", "c", "d"], ks=(1, 2, 10))
    assert chance == pytest.approx({"R01": 25.0, "R02": 50.0, "R10": 100.0})
    chance = retrieval.chance_r_at_k(["a"], ["a", "a", "c", "d"], ks=(1, 2, 3))
    assert chance == pytest.approx({"R01": 50.0, "R02": 100 * 5 / 6, "R03": 100.0})


def test_chance_is_the_mean_over_random_orders():
    rng = np.random.default_rng(0)
    query, gallery = rng.integers(0, 4, 400), np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 3])
    drawn = retrieval.r_at_k(rng.normal(size=(400, len(gallery))), query, gallery)
    chance = retrieval.chance_r_at_k(query, gallery)
    for k in ("R01", "R02", "R03", "R05"):
        assert drawn[k] == pytest.approx(chance[k], abs=6.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10_000))
def test_recall_never_falls_with_k_and_order_does_not_matter(num_pairs, seed):
    rng = np.random.default_rng(seed)
    similarity = np.round(rng.normal(size=(num_pairs, num_pairs)), 1)
    result = retrieval.tmr(similarity)
    for side in ("t2m", "m2t"):
        recalls = [result[f"{side}/R{k:02d}"] for k in retrieval.KS]
        assert recalls == sorted(recalls)
    order = rng.permutation(num_pairs)
    shuffled = retrieval.tmr(similarity[np.ix_(order, order)])
    assert shuffled == pytest.approx(result)


def test_cosine_is_independent_of_length_and_survives_zeros():
    a = np.array([[3.0, 0.0], [0.0, 0.0]])
    assert retrieval.cosine_similarity(a, np.array([[5.0, 0.0]])).tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize(
    "call",
    [
        lambda: retrieval.cosine_similarity(np.zeros((2, 3)), np.zeros((2, 4))),
        lambda: retrieval.cosine_similarity(np.full((2, 3), np.nan), np.zeros((2, 3))),
        lambda: retrieval.tmr(np.zeros((2, 3))),
        lambda: retrieval.tmr(np.full((2, 2), np.nan)),
        lambda: retrieval.tmr(np.zeros((0, 0))),
        lambda: retrieval.mm_dist(np.zeros((2, 3)), np.zeros((3, 3))),
    ],
)
def test_wrong_input_is_refused(call):
    with pytest.raises(InputError):
        call()


def test_the_table_lists_documented_functions():
    assert all(function.__doc__ for function in METRICS.values())


def test_mean_reciprocal_rank_by_hand():
    similarity = np.array([[0.9, 0.1, 0.5], [0.2, 0.3, 0.8], [0.7, 0.6, 0.1]])
    # Right items stand at places 1, 2 and 3.
    assert retrieval.mean_reciprocal_rank(similarity) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    relevant = np.ones((3, 3), dtype=bool)
    assert retrieval.mean_reciprocal_rank(similarity, relevant) == 1.0
