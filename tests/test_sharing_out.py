"""How tests are shared out over processes."""

from __future__ import annotations

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="all in one process (-n 0)")
def test_tests_of_one_file_or_cluster_stay_in_one_process(request: pytest.FixtureRequest) -> None:
    """Otherwise each process would start a cluster, and train the run of every file anew."""
    assert request.node.nodeid.endswith(f"@{request.path.name}")
    for item in request.session.items:
        if "ray_cluster" in getattr(item, "fixturenames", ()):
            assert item.nodeid.endswith("@ray_cluster")
