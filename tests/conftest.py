"""Fixtures that several test files share."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that lie beside a developer's checkout; skips where they are absent."""
    folder = Path(
        os.environ.get("RAYDANCE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")
    )
    if not (folder / "cmu_bvh").is_dir():
        pytest.skip(f"no real recordings at {folder} (set RAYDANCE_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def shared_golden() -> Path:
    """What public references return on stored inputs; skips where they are absent."""
    folder = Path(
        os.environ.get("RAYDANCE_TEST_GOLDEN", Path(__file__).parents[2] / "shared" / "golden")
    )
    if not (folder / "metrics_golden.json").is_file():
        pytest.skip(f"no reference figures at {folder} (set RAYDANCE_TEST_GOLDEN)")
    return folder


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One small embedded cluster for all tests marked `ray`; `ray_session` joins it."""
    # Imported first: it sets what Ray reads from the environment when it is imported.
    from raydance.cluster import session  # noqa: F401

    folder = tempfile.mkdtemp(prefix="rd", dir="/tmp")  # socket paths must stay short
    os.environ["RAY_TMPDIR"] = folder
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        object_store_memory=200 * 2**20,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    yield
    ray.shutdown()
    os.environ.pop("RAY_TMPDIR")
    shutil.rmtree(folder, ignore_errors=True)
