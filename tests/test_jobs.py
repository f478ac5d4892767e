"""The scripts in `jobs/`, run directly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
