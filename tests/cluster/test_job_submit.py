"""The scripts in `jobs/` through `ray job submit`, on a cluster with a token."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")
PORTS = (
    "port",
    "ray-client-server-port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
    "node-manager-port",
    "object-manager-port",
)


def free_ports(count: int) -> list[int]:
    """Free ports that no connection or server of another test is given before they are used.

    They lie below those that systems hand out, and above those of Ray's workers.
    """
    ports: list[int] = []
    for port in random.sample(range(20_000, 32_000), 1_000):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("no free ports")


def answer(url: str) -> int | None:
    """The status with which a server answers, without a token."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


class Cluster:
    """A head on this machine, started as `cluster.yaml` starts one."""

    def __init__(self, folder: Path) -> None:
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text("0123456789abcdef" * 3)
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.folder = folder
        self.address = f"http://127.0.0.1:{ports['dashboard-port']}"
        dropped = ("RAY_ADDRESS", "RAY_JOB_ID", "RAY_AUTH_TOKEN")
        self.environment = {k: v for k, v in os.environ.items() if k not in dropped} | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_TMPDIR": str(folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PATH": f"{RAY.parent}{os.pathsep}{os.environ['PATH']}",
        }
        self.output = folder / "head.txt"
        with self.output.open("w") as output:
            self.head = subprocess.Popen(
                [RAY, "start", "--head", "--block", "--dashboard-host=127.0.0.1", "--num-cpus=2"]
                + ["--object-store-memory=200000000"]
                + [f"--{name}={port}" for name, port in ports.items()],
                env=self.environment,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> bool:
        """Whether its job API answers: a head gives up on a machine too busy for its processes."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.head.poll() is None:
            if answer(f"{self.address}/api/jobs/") is not None:
                return True
            time.sleep(0.5)
        return False

    def submit(self, *entrypoint: str) -> tuple[int, str]:
        """Exit code of `ray job submit` and what it wrote."""
        for _ in range(10):
            done = subprocess.run(
                [RAY, "job", "submit", "--address", self.address, "--working-dir", "."]
                + ["--", "python", *entrypoint],
                env=self.environment,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=240,
            )
            told = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
            if "submitted successfully" in told:
                return done.returncode, told
            time.sleep(3)  # a head that has just started may have nobody to start jobs yet
        raise AssertionError(f"{done.stderr}\n{self.output.read_text()}")

    def stop(self) -> None:
        """End the head, and what it leaves behind: processes that name this cluster's folder."""
        self.head.terminate()
        listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True)
        left = [
            line.split()[0] for line in listing.stdout.splitlines() if f"{self.folder}/" in line
        ]
        for pid in {self.head.pid, *map(int, left)}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.head.wait(timeout=30)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    for _ in range(3):
        folder = Path(tempfile.mkdtemp(prefix="rd"))  # short: Ray puts sockets into it
        made = Cluster(folder)
        try:
            if made.wait():
                yield made
                return
            told = made.output.read_text()
        finally:
            made.stop()
            shutil.rmtree(folder, ignore_errors=True)
    raise AssertionError(f"no head: {told}")


def test_jobs_run_through_ray_job_submit(cluster, tiny_dataset, tmp_path):
    assert answer(f"{cluster.address}/api/jobs/") == 401  # nobody gets in without the token
    clips = tiny_dataset.parent / "clips"
    arguments = [str(clips), "--captions", str(clips / "captions.jsonl")]
    out = tmp_path / "bucket" / "data"
    out.parent.mkdir()
    code, told = cluster.submit("jobs/ingest.py", *arguments, "--out", out.as_uri())
    assert code == 0, told
    assert (out / "manifest.json").exists()
    assert re.search(r"ingest: \d+/\d+ files, \d+ windows", told), "no progress to follow"
    assert "Traceback" not in told

    code, told = cluster.submit("jobs/train.py", "dance-language", "--data", "no", "--out", "run")
    assert code != 0
    assert "exit code 2" in told and "raydance: no: not a dataset" in told
    assert "Traceback" not in told
