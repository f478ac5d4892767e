"""A head and nodes on this machine, each a group of processes that is killed as a machine is."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ray
from local_cluster import free_ports

_STORE_BYTES = 100 * 2**20


class Nodes:
    """A head without processors, joined by this process, and the nodes that are added by name."""

    def __init__(self) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="rn", dir="/tmp"))  # socket paths must be short
        self._started: dict[str, subprocess.Popen] = {}
        (self._port,) = free_ports(1)

    def __enter__(self) -> Nodes:
        try:
            head = ["--head", f"--port={self._port}", "--include-dashboard=false", "--num-cpus=0"]
            self._start("head", *head)
            self._wait(self._is_listening)
            ray.init(address=f"127.0.0.1:{self._port}", logging_level="ERROR", log_to_driver=False)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        ray.shutdown()
        for name, process in self._started.items():
            self.kill(name)
            process.wait()
        shutil.rmtree(self._place, ignore_errors=True)

    def add(self, *names: str, num_cpus: int = 1) -> None:
        """Start nodes and wait until they have joined."""
        options = (f"--address=127.0.0.1:{self._port}", f"--num-cpus={num_cpus}")

        def have_joined() -> bool:
            missing = set(names) - alive()
            for name in missing:
                # Ray gives a node 30 seconds to start, too few for a machine under load.
                if self._started[name].poll() is not None:
                    self.kill(name)
                    self._start(name, *options)
            return not missing

        for name in names:
            self._start(name, *options)
        self._wait(have_joined)

    def processes(self, name: str, word: str = "") -> list[int]:
        """Ids of a node's processes whose command line holds a word.

        Ray's workers have groups of their own, in the session of their node.
        """
        listing = subprocess.run(
            ["ps", "-eo", "pid,sid,args"], capture_output=True, text=True, check=True
        )
        rows = [line.split(None, 2) for line in listing.stdout.splitlines()[1:]]
        session = str(self._started[name].pid)
        return [int(row[0]) for row in rows if row[1] == session and word in row[2]]

    def kill(self, name: str) -> None:
        """End a node's processes at once, as when a machine loses power."""
        for pid in self.processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _start(self, name: str, *arguments: str) -> None:
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block", *arguments]
        command += [f"--node-name={name}", f"--object-store-memory={_STORE_BYTES}"]
        # A folder of its own for each, as on machines of their own.
        command += ["--disable-usage-stats", f"--temp-dir={self._place / name}"]
        log = (self._place / f"{name}.log").open("ab")
        self._started[name] = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True
        )

    def _is_listening(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        return False

    def _wait(self, is_so: Callable[[], bool], seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                logs = [path.read_text()[-1000:] for path in self._place.glob("*.log")]
                raise RuntimeError("\n".join(["the nodes did not start", *logs]))
            time.sleep(0.1)


def alive() -> set[str]:
    """Names of the nodes that live, as far as Ray knows."""
    return {node["NodeName"] for node in ray.nodes() if node["Alive"]}
