"""A real cluster on this machine, used from outside: ingest, train, sweep and caption as jobs.

python jobs/walkthrough.py [--small] [--out DIR]

Starts a head and two workers with token authentication, each a process of its own as on machines
of their own, submits each job with `ray job submit`, and says what each took. DIR/logs keeps what
the jobs printed. It ends with 1 if a job does not end as it should, also if the cluster lets in
somebody without the token or if a wrong command is not told as one. Everything that it starts ends
with it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[1]
_STORE_BYTES = 200 * 2**20


class LocalCluster:
    """A head and workers on this machine.

    Attributes:
        dashboard: where jobs are submitted to.
        environment: what a client needs to be let in.
    """

    def __init__(self, num_workers: int = 2, num_cpus: int = 1) -> None:
        self.num_workers, self.num_cpus = num_workers, num_cpus
        self.place = Path(tempfile.mkdtemp(prefix="rw", dir="/tmp"))  # socket paths must be short
        token = self.place / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        port, dashboard, self._client_port = free_ports(3)
        self.address = f"127.0.0.1:{port}"
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_TMPDIR")},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAYDANCE_CACHE": str(self.place / "cache"),  # on a disk that all nodes share
            # The jobs' `python` is the one that runs this.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self._port, self._dashboard_port = port, dashboard
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> LocalCluster:
        head = ["--head", f"--port={self._port}"]
        head += ["--dashboard-host=127.0.0.1", f"--dashboard-port={self._dashboard_port}"]
        head += [f"--ray-client-server-port={self._client_port}"]
        try:
            self._start(head)
            self._wait(1, "the head did not start")
            for number in range(self.num_workers):
                self._start([f"--address={self.address}"])
                self._wait(2 + number, "a worker did not start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(self.place, ignore_errors=True)

    def _start(self, arguments: list[str]) -> None:
        agent, grpc, metrics, env = free_ports(4)
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block", *arguments]
        command += [f"--num-cpus={self.num_cpus}", f"--object-store-memory={_STORE_BYTES}"]
        command += [f"--dashboard-agent-listen-port={agent}"]
        command += [f"--dashboard-agent-grpc-port={grpc}", f"--metrics-export-port={metrics}"]
        command += [f"--runtime-env-agent-port={env}", "--disable-usage-stats"]
        # A folder of its own for each: nodes that share one unpack the jobs' code over each other.
        command += [f"--temp-dir={self.place / str(len(self._processes))}"]
        log = (self.place / f"node{len(self._processes)}.log").open("wb")
        # A group of its own: the node ends with all that it started.
        process = subprocess.Popen(
            command, env=self.environment, stdout=log, stderr=log, start_new_session=True
        )
        self._processes.append(process)

    def _ready(self, num_nodes: int) -> bool:
        code = f"import ray; ray.init({self.address!r}, log_to_driver=False, logging_level='ERROR')"
        code += "; print(sum(node['Alive'] for node in ray.nodes()))"
        try:
            asked = subprocess.run(
                [sys.executable, "-c", code],
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=20,
            )
        except subprocess.TimeoutExpired:
            return False
        return asked.returncode == 0 and asked.stdout.strip() == str(num_nodes)

    def _wait(self, num_nodes: int, what: str, seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            has_ended = any(process.poll() is not None for process in self._processes)
            if not has_ended and self._ready(num_nodes):
                return
            if has_ended or time.monotonic() > deadline:
                logs = "\n".join(p.read_text() for p in sorted(self.place.glob("node*.log")))
                raise RuntimeError(f"{what}: {logs[-2000:]}")
            time.sleep(0.5)

    def submit(self, script: str, arguments: Sequence[object]) -> subprocess.CompletedProcess:
        """Submit `python jobs/SCRIPT ARGUMENTS...` and follow it to its end.

        A head that has just started may have nobody to start jobs yet.
        """
        command = [str(Path(sys.executable).parent / "ray"), "job", "submit"]
        command += ["--address", self.dashboard, "--working-dir", ".", "--"]
        command += ["python", f"jobs/{script}", *map(str, arguments)]
        for _ in range(10):
            done = subprocess.run(
                command, cwd=ROOT, env=self.environment, capture_output=True, text=True
            )
            if "submitted successfully" in done.stdout:
                break
            time.sleep(3)
        return done


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses, below those that systems hand out, above those of Ray's workers."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for port in random.sample(range(20_000, 32_000), 1_000):
            one = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                break
        return found


def _short() -> list[str]:
    """Changes with which everything trains in seconds and learns nothing."""
    from raydance.systems.dance_language.config import TRAINED

    sizes = ["motion_vae.hidden=32", "clusters.max_k=4", "clusters.num_seeds=2"]
    return [*(f"{stage}.train.epochs=2" for stage in TRAINED), *sizes]


def steps(place: Path, small: bool) -> Iterator[tuple[str, list[object]]]:
    """The jobs, in order: script and arguments."""
    dataset, run = place / "dataset", place / "run"
    changes = [part for change in _short() for part in ("--set", change)] if small else []
    yield (
        "ingest.py",
        [
            place / "corpus",
            "--out",
            dataset.as_uri(),
            "--captions",
            place / "corpus/captions.jsonl",
        ],
    )
    train = ["dance-language", "--data", dataset, "--out", run, "--preset", "quick", *changes]
    yield "train.py", [*train, "--workers", 2]
    yield "caption.py", [place / "corpus", "--run", run, "--out", place / "captions", "--actors", 2]
    trials = 2 if small else 6
    yield (
        "sweep.py",
        ["clusters", "--trials", trials, "--data", dataset, "--out", place / "sweep"]
        + ["--preset", "quick", *changes],
    )


def walk(place: Path, small: bool) -> list[dict[str, object]]:
    """Do it all; a row for each job: its name, exit code, seconds and last lines."""
    from raydance.motion import synthetic

    synthetic.write_corpus(place / "corpus", 4 if small else 12)
    rows: list[dict[str, object]] = []
    (place / "logs").mkdir(exist_ok=True)

    def job(name: str, script: str, arguments: list[object], code: int, told: str = "") -> bool:
        """Submit a job and add its row; whether it ended and spoke as it should."""
        started = time.monotonic()
        done = cluster.submit(script, arguments)
        printed = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        (place / "logs" / f"{name}.txt").write_text(printed, encoding="utf-8")
        has_failed = done.returncode != 0 and f"exit code {code}" in printed
        ok = (has_failed if code else done.returncode == 0) and told in printed
        ok = ok and "Traceback" not in printed
        row: dict[str, object] = {"job": name, "ok": ok}
        row["seconds"] = round(time.monotonic() - started, 1)
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
        if not ok:
            row["log"] = printed[-3000:]
        return ok

    with LocalCluster() as cluster:
        status = requests.get(f"{cluster.dashboard}/api/jobs/", timeout=20).status_code
        rows.append({"job": "without the token", "ok": status == 401, "status": status})
        wrong = [place / "nothing", "--out", place / "never"]
        job("a wrong command", "ingest.py", wrong, 2, "no such file or folder")
        for script, arguments in steps(place, small):
            if not job(script, script, arguments, 0):
                break
    return rows


def main(arguments: list[str]) -> None:
    """Walk through and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a minute or two, learns nothing")
    parser.add_argument("--out", type=Path, help="keep what the jobs wrote here")
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        place = given.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.mkdir(parents=True, exist_ok=True)
        rows = walk(place.resolve(), given.small)
        if (place / "captions").is_dir():
            from raydance.library.store import CaptionStore

            rows.append(
                {"job": "captions", "ok": True, **CaptionStore.open(place / "captions").counts()}
            )
    print(json.dumps(rows, indent=1))
    sys.exit(0 if all(row["ok"] for row in rows) else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
