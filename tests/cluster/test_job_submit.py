"""The scripts in `jobs/` through `ray job submit`, on a cluster with a token."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests
from local_cluster import LocalCluster

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_jobs_run_through_ray_job_submit(tiny_dataset: Path, tmp_path: Path) -> None:
    clips = tiny_dataset.parent / "clips"
    arguments = [clips, "--captions", clips / "captions.jsonl"]
    out = tmp_path / "bucket" / "data"
    out.parent.mkdir()
    with LocalCluster(num_workers=0, num_cpus=2) as cluster:
        without_token = requests.get(f"{cluster.dashboard}/api/jobs/", timeout=20)
        done = cluster.submit("ingest.py", [*arguments, "--out", out.as_uri()])
        wrong = cluster.submit("train.py", ["dance-language", "--data", "no", "--out", "run"])
    assert without_token.status_code == 401  # nobody gets in without the token

    told = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert done.returncode == 0, told + done.stderr
    assert (out / "manifest.json").exists()
    assert re.search(r"ingest: \d+/\d+ files, \d+ windows", told), "no progress to follow"
    assert "Traceback" not in told

    told = re.sub(r"\x1b\[[0-9;]*m", "", wrong.stdout)
    assert wrong.returncode != 0
    assert "exit code 2" in told and "raydance: no: not a dataset" in told
    assert "Traceback" not in told
