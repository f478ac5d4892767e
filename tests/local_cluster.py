"""The walk-through's cluster and its ports, for tests: a head and workers with a token."""

from __future__ import annotations

import sys
from pathlib import Path

_JOBS = str(Path(__file__).parents[1] / "jobs")

sys.path.append(_JOBS)  # a script's classes are imported from its folder
try:
    from walkthrough import LocalCluster, free_ports
finally:
    sys.path.remove(_JOBS)

__all__ = ["LocalCluster", "free_ports"]
