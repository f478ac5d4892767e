"""The metrics beside the figures that the public reference implementations return."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydance.metrics import distribution, motion, retrieval


@pytest.fixture(scope="module")
def golden(shared_golden: Path) -> dict[str, Any]:
    return json.loads((shared_golden / "metrics_golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def inputs(shared_golden: Path) -> dict[str, np.ndarray]:
    with np.load(shared_golden / "metrics_inputs.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def similarity(inputs: dict[str, np.ndarray]) -> np.ndarray:
    return retrieval.cosine_similarity(inputs["text_embeddings"], inputs["motion_embeddings"])


def rounded(metrics: dict[str, float]) -> dict[str, float]:
    """As the reference prints them."""
    return {name: round(value, 2) for name, value in metrics.items()}


def test_tmr_all(golden, similarity):
    assert rounded(retrieval.tmr(similarity)) == golden["tmr_all"]


def test_tmr_threshold(golden, inputs, similarity):
    result = retrieval.tmr(similarity, sentences=inputs["sentence_embeddings"], threshold=0.95)
    assert rounded(result) == golden["tmr_threshold_0.95"]


def test_tmr_small_batches(golden, similarity):
    result = retrieval.tmr_small_batches(similarity)
    assert rounded(result) == golden["tmr_guo_batches"]


def test_tmr_averages_ties(golden, similarity):
    """The reference's figures for 64 pairs whose similarities were rounded to force ties."""
    result = retrieval.tmr(np.round(similarity[:64, :64], 1))
    assert rounded(result) == golden["tmr_ties_avg"]


def test_guo_retrieval(golden, inputs):
    text, moved = inputs["text_embeddings"], inputs["motion_embeddings"]
    assert retrieval.r_precision(text, moved) == pytest.approx(golden["guo_rprecision"], abs=1e-9)
    assert retrieval.mm_dist(text, moved) == pytest.approx(golden["guo_mmdist"], abs=1e-9)


def test_fid(golden, inputs):
    value = distribution.fid(inputs["motion_embeddings"], inputs["real_motion_embeddings"])
    assert value == pytest.approx(golden["guo_fid"], rel=1e-6)


def test_diversity_and_multimodality(golden, inputs):
    value = distribution.diversity(inputs["motion_embeddings"], num_pairs=300, seed=7)
    assert value == pytest.approx(golden["guo_diversity300_seed7"], abs=1e-9)
    value = distribution.multimodality(inputs["multimodality_activations"], num_pairs=10, seed=7)
    assert value == pytest.approx(golden["guo_multimodality10_seed7"], abs=1e-9)


def test_foot_skate(golden, inputs):
    """The reference keeps clips as [clips, joints, 3, frames]."""
    clips = inputs["skate_joints"].transpose(0, 3, 1, 2)
    ratios = motion.foot_skate_ratios(clips, fps=20.0)
    assert ratios == pytest.approx(golden["gmd_skating_ratio"], abs=1e-9)
    assert motion.foot_skate_ratio(clips) == pytest.approx(
        np.mean(golden["gmd_skating_ratio"]), abs=1e-9
    )
