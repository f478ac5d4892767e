"""The space of clusters: each kind's points, their scale, and the way from a window to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

from raydance.data.columns import read_columns
from raydance.data.dataset import Dataset
from raydance.motion.descriptor_space import describe
from raydance.stages.clusters import assign
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language.basis_step import basis_of
from raydance.systems.dance_language.cluster_space import COLUMN, ClusterSpace
from raydance.systems.dance_language.run import load
from raydance.systems.dance_language.system import SYSTEM
from raydance.systems.shared_steps import copy_steps
from raydance.training.run_folder import Run, load_bundle


@pytest.fixture(scope="module", params=["descriptors", "coefficients", "latent"])
def run(request: pytest.FixtureRequest, tiny_run: Path, tmp_path_factory) -> Run:
    """Clusters of each kind; those of a whole run where that is its kind."""
    if request.param == "descriptors":
        return Run.open(tiny_run)
    out = tmp_path_factory.mktemp("space") / "run"
    config = SYSTEM.resolve("quick", [*TINY, f"clusters.space={request.param}"])
    copy_steps(SYSTEM, tiny_run, out, config, ("statistics", "motion_basis", "motion_vae"))
    place = Run.open(tiny_run).facts["dataset"]["path"]
    return SYSTEM.train(out, place, config, LocalRunner(), only="clusters")


def test_points_are_what_their_kind_says(run: Run) -> None:
    dataset = Dataset.open(run.facts["dataset"]["path"])
    shard = dataset.shards("test")[0]
    rows = dataset.read_shard(shard, columns=["window_id", "motion", "joint_mask"])

    def column(step: str, name: str) -> np.ndarray:
        path = run.columns(step) / f"{shard.name}.parquet"
        return np.asarray(read_columns(path, [name], list(rows["window_id"]))[name])

    kind = run.config["clusters"]["space"]
    if kind == "descriptors":
        tensors, _ = load_bundle(run.bundle("clusters"))
        measured = describe(rows["motion"], rows["joint_mask"], float(dataset.fps))
        mean, std = tensors["point_mean"].numpy(), tensors["point_std"].numpy()
        expected = np.clip((measured - mean) / std, -5.0, 5.0)
    elif kind == "coefficients":
        weight = np.sqrt(basis_of(run).scale)
        expected = column("motion_basis", "coefficients")[:, 0] * weight
    else:
        expected = column("motion_vae", "latent")
    points = column("clusters", COLUMN)
    np.testing.assert_allclose(points, expected, atol=1e-4)
    centroids = load_bundle(run.bundle("clusters"))[0]["centroids"].numpy()
    assert centroids.shape[1] == points.shape[1]
    np.testing.assert_array_equal(column("clusters", "cluster"), assign(centroids, points)[0])


def test_descriptors_of_training_windows_are_on_one_scale(tiny_run: Path) -> None:
    run = Run.open(tiny_run)
    dataset = Dataset.open(run.facts["dataset"]["path"])
    folder = run.columns("clusters")
    points = np.concatenate(
        [
            np.asarray(read_columns(folder / f"{shard.name}.parquet", [COLUMN])[COLUMN])
            for shard in dataset.shards("train")
        ]
    )
    assert np.abs(points).max() <= 5.0
    np.testing.assert_allclose(np.median(points, axis=0), 0.0, atol=1.0)
    deviation = points.std(axis=0)
    assert 0.7 < np.median(deviation[deviation > 0]) <= 1.01


def test_a_run_finds_a_window_where_its_training_put_it(tiny_run: Path) -> None:
    system = load(tiny_run)
    dataset = Dataset.open(system.run.facts["dataset"]["path"])
    shard = dataset.shards("test")[0]
    rows = dataset.read_shard(shard, columns=["window_id", "motion", "joint_mask"])
    found = system.encode_motion(rows["motion"], rows["joint_mask"])
    path = system.run.columns("clusters") / f"{shard.name}.parquet"
    stored = read_columns(path, ["cluster", COLUMN], list(rows["window_id"]))
    np.testing.assert_allclose(found["cluster_point"], stored[COLUMN], atol=1e-3)
    np.testing.assert_array_equal(found["cluster"], stored["cluster"])
    basis = system.run.columns("motion_basis") / f"{shard.name}.parquet"
    coefficients = np.asarray(read_columns(basis, ["coefficients"])["coefficients"])[:, 0]
    np.testing.assert_allclose(found["coefficients"], coefficients, atol=1e-4)


def test_a_space_that_is_not_fitted_yet_does_not_scale() -> None:
    raw = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(ClusterSpace("descriptors", 20.0).scaled(raw), raw)
    by_scale = ClusterSpace("coefficients", 20.0, scale=np.array([2.0, 1.0, 0.5]))
    nothing = np.empty(0)
    np.testing.assert_array_equal(
        by_scale.raw(nothing, nothing, nothing, raw), raw * [2.0, 1.0, 0.5]
    )
