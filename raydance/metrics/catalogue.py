"""Names all metrics; a new metric is a function in its family's file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from raydance.metrics import (
    calibration,
    clustering,
    dance,
    dance_features,
    distribution,
    motion,
    retrieval,
    tracks,
)

METRICS: Final[dict[str, Callable[..., Any]]] = {
    # words and motion
    "tmr": retrieval.tmr,
    "tmr_small_batches": retrieval.tmr_small_batches,
    "r_precision": retrieval.r_precision,
    "mm_dist": retrieval.mm_dist,
    "r_at_k": retrieval.r_at_k,
    "chance_r_at_k": retrieval.chance_r_at_k,
    "mean_reciprocal_rank": retrieval.mean_reciprocal_rank,
    # sets of motions
    "fid": distribution.fid,
    "diversity": distribution.diversity,
    "multimodality": distribution.multimodality,
    # single motions
    "mpjpe_cm": motion.mpjpe,
    "velocity_error_m_s": motion.velocity_error,
    "jitter_m_s3": motion.jitter,
    "foot_skate_ratio": motion.foot_skate_ratio,
    "bone_length_variation": motion.bone_length_variation,
    # dances
    "kinetic_features": dance_features.kinetic_features,
    "geometric_features": dance_features.geometric_features,
    "beat_alignment": dance.beat_alignment,
    "physical_foot_contact": dance.physical_foot_contact,
    "dance_fid": dance.dance_fid,
    "dance_diversity": dance.dance_diversity,
    # 2-D tracks
    "ade": tracks.ade,
    "fde": tracks.fde,
    "average_jaccard": tracks.average_jaccard,
    "occlusion_accuracy": tracks.occlusion_accuracy,
    "smoothness": tracks.smoothness,
    # clusters
    "adjusted_rand_index": clustering.adjusted_rand_index,
    "purity": clustering.purity,
    "silhouette": clustering.silhouette,
    "silhouette_by_k": clustering.silhouette_by_k,
    "seed_stability": clustering.seed_stability,
    # stated probabilities
    "expected_calibration_error": calibration.expected_calibration_error,
    "brier": calibration.brier,
    "auroc": calibration.auroc,
}
"""Name (with its unit) -> function."""
