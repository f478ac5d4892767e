"""Dances as a set: feature-space FID beside real to real, diversity and foot contact."""

from __future__ import annotations

import numpy as np
import pytest

from raydance.evaluation.dance_features import MOST_REAL_TO_REAL, feature_measures
from raydance.evaluation.measure import Measure
from raydance.metrics.dance import physical_foot_contact
from raydance.music.dance_corpus import make_dances

FPS = 20.0
FIXED = "FID of {} features (fixed) over real to real; goal: at most 1.5"


@pytest.fixture(scope="module")
def dances() -> list[np.ndarray]:
    return [clip.positions for _, clip in make_dances(24, 4.0)]


def by_name(made: list[np.ndarray], dances: list[np.ndarray]) -> dict[str, Measure]:
    real, copies, training = dances[:8], dances[16:], dances[8:]
    found = feature_measures(made, real, copies, training, fps=FPS)
    return {measure.name: measure for measure in found}


def test_real_dances_reach_the_goal_but_noisy_ones_do_not(dances: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    noisy = [motion + rng.normal(0.0, 0.02, motion.shape) for motion in dances[:8]]
    for kind in ("kinetic", "geometric"):
        own, other, rough = (
            by_name(made, dances)[FIXED.format(kind)].value
            for made in (dances[:8], dances[8:16], noisy)
        )
        assert abs(own) < 1e-4 < other < MOST_REAL_TO_REAL < rough


def test_figures_stand_beside_those_of_real_dances(dances: list[np.ndarray]) -> None:
    found = by_name(dances[8:16], dances)
    kinds = [
        f"{kind} features ({exact})"
        for kind in ("kinetic", "geometric")
        for exact in ("fixed", "published")
    ]
    for kind in kinds:
        ratio = found[f"FID of {kind} over real to real; goal: at most {MOST_REAL_TO_REAL}"]
        whole = found[f"FID of {kind}"]
        assert ratio.target == 1.0 and whole.target is not None
        np.testing.assert_allclose(ratio.value, whole.value / whole.target)
        assert ratio.is_main == ("fixed" in kind)
    diversity = found["diversity of geometric features (fixed)"]
    assert diversity.value > 0.0 and diversity.value != diversity.target
    still = by_name([np.tile(motion[:1], (80, 1, 1)) for motion in dances[8:16]], dances)
    assert still["physical foot contact (PFC)"].value == 0.0
    contact = found["physical foot contact (PFC)"]
    mean = np.mean([physical_foot_contact(motion[:, :22], fps=FPS) for motion in dances[:8]])
    assert contact.target == pytest.approx(mean)
    assert contact.better == "target"  # a body that stands still has the lowest of all


def test_one_dance_is_no_set(dances: list[np.ndarray]) -> None:
    assert feature_measures(dances[:1], dances[1:2], dances[2:3], dances[3:], fps=FPS) == []
