"""What a session finds on the cluster that it joins."""

from __future__ import annotations

import logging

import pytest

from raydance.errors import InputError, RaydanceError

pytestmark = pytest.mark.ray


def test_a_session_joins_what_runs(ray_cluster):
    import ray
    import ray.data  # whose logger it is about

    from raydance.cluster.session import ray_session

    with ray_session(num_cpus=1):
        assert ray.cluster_resources()["CPU"] > 1
    assert ray.is_initialized()  # who joins does not end it
    assert logging.getLogger("ray.data").getEffectiveLevel() >= logging.ERROR


def test_a_cluster_that_does_not_start_is_told_in_a_line(monkeypatch):
    import ray

    from raydance.cluster.session import ray_session

    def times_out(**options: object) -> None:
        raise Exception("The current node timed out during startup.\nMore lines")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", times_out)
    with pytest.raises(RaydanceError, match="did not start: The current node timed out") as raised:
        with ray_session():
            pass
    assert "More lines" not in str(raised.value)


def test_a_temporary_folder_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    import ray

    from raydance.cluster.session import ray_session

    (tmp_path / "file").touch()
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", lambda **options: (tmp_path / "file" / "ray").mkdir())
    with pytest.raises(InputError, match="file/ray: Not a directory; set RAY_TMPDIR"):
        with ray_session():
            pass


def test_a_cluster_with_processors_does_not_start_nodes(ray_cluster):
    from raydance.cluster.session import require_shared_cache, starts_nodes
    from raydance.cluster.train import RayRunner

    assert not starts_nodes()
    require_shared_cache()  # one node sees what it has copied
    with pytest.raises(InputError, match="1000 workers on GPUs"):
        RayRunner(1000, gpu=True)


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
    assert RayRunner(64, gpu=True).size.use_gpu
    assert not RayRunner(64).size.use_gpu
    with pytest.raises(InputError, match="RAYDANCE_CACHE"):
        require_shared_cache()
    monkeypatch.setenv("RAYDANCE_CACHE", "/on/a/shared/disk")
    require_shared_cache()
