"""The scripts in `jobs/` run directly, and what they take a cluster for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raydance.errors import InputError

ROOT = Path(__file__).parents[1]


def test_a_job_runs_directly_too():
    done = subprocess.run(
        [sys.executable, "jobs/ingest.py", "--nope"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("raydance: No such option: --nope")


@pytest.mark.ray
def test_a_cluster_with_processors_does_not_start_nodes(ray_cluster):
    from raydance.cluster.session import require_shared_cache, starts_nodes
    from raydance.cluster.train import RayRunner

    assert not starts_nodes()
    require_shared_cache()  # one node sees what it has copied
    with pytest.raises(InputError, match="1000 workers on GPUs"):
        RayRunner(1000, gpu=True)


@pytest.mark.ray
def test_a_head_without_processors_starts_nodes(ray_cluster, monkeypatch):
    """Its nodes as Ray lists them; the cluster that grows was tried by hand."""
    import ray

    from raydance.cluster.session import require_shared_cache, starts_nodes
    from raydance.cluster.train import RayRunner

    head = {"Alive": True, "Resources": {"node:__internal_head__": 1.0, "memory": 1.0}}
    monkeypatch.setattr(ray, "nodes", lambda: [head])
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"memory": 1.0})
    monkeypatch.delenv("RAYDANCE_CACHE", raising=False)
    assert starts_nodes()
    assert RayRunner(64, gpu=True).use_gpu
    assert not RayRunner(64).use_gpu
    with pytest.raises(InputError, match="RAYDANCE_CACHE"):
        require_shared_cache()
    monkeypatch.setenv("RAYDANCE_CACHE", "/on/a/shared/disk")
    require_shared_cache()
