"""Every job through `ray job submit`, on a head and two workers with a token."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.ray
@pytest.mark.slow
def test_the_walk_through(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "jobs/walkthrough.py", "--small", "--out", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    rows = {row["job"]: row for row in json.loads(done.stdout)}
    jobs = ["ingest.py", "train.py", "caption.py", "sweep.py"]
    assert list(rows) == ["without the token", "a wrong command", *jobs, "captions"]
    assert rows["captions"]["windows"] > 0 and rows["captions"]["skipped"] == 0
    told = (tmp_path / "logs" / "ingest.py.txt").read_text(encoding="utf-8")
    assert re.search(r"ingest: \d+/\d+ files, \d+ windows", told), "no progress to follow"
    assert (tmp_path / "run" / "run.json").exists() and (tmp_path / "sweep" / "best.yaml").exists()
