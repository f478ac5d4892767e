"""A cluster that grows with the work and shrinks after it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raydance.library.store import CaptionStore
from raydance.motion import synthetic

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_captioning_grows_a_cluster_and_lets_it_go(tiny_run: Path, tmp_path: Path) -> None:
    synthetic.write_corpus(tmp_path / "library" / "a", 40)
    shutil.copytree(tmp_path / "library" / "a", tmp_path / "library" / "b")
    script = Path(__file__).parent / "scripts" / "autoscale.py"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, str(script), tmp_path / "library", tiny_run, tmp_path / "captions"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["before"], seen["most"], seen["after"]) == (1, 3, 1)
    store = CaptionStore.open(tmp_path / "captions")
    assert store.counts()["windows"] == seen["counts"]["windows"] > 0
    assert store.counts()["skipped"] == 0
