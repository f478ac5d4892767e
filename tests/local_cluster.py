"""The walk-through's cluster: a head and workers with a token and a dashboard, for tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def local_cluster(**sizes: int) -> Any:
    """A `jobs.walkthrough.LocalCluster`; a script's classes are imported from its folder."""
    sys.path.append(str(ROOT / "jobs"))
    try:
        from walkthrough import LocalCluster
    finally:
        sys.path.remove(str(ROOT / "jobs"))
    return LocalCluster(**sizes)
