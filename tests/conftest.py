"""Fixtures that several test files share."""

from __future__ import annotations

import os
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
