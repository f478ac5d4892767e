"""`raydance serve` on this machine alone: HTTP in the command's process, the parts on Ray Serve."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from interrupted import environment
from serving import TURN, free_port, load, replicas_of, wait_for
from small_training import descendants

from raydance.client import Client

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.faults]


def _told(folder: Path) -> Path:
    return folder / "service.log"


@pytest.fixture(scope="module")
def command(
    tiny_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command with two replicas of each part, and the address of its service."""
    for _ in range(3):  # a port that was found free may be taken while Ray starts
        port = free_port()
        process = _start(tiny_run, port, _told(tmp_path_factory.getbasetemp()))
        url = f"http://127.0.0.1:{port}"
        try:
            if _comes_up(process, url):
                yield process, url
                break
        finally:
            process.kill()
            process.wait(60)
    else:
        pytest.fail("the service did not come up, with three ports")


def _start(run: Path, port: int, told: Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "raydance", "serve", str(run), "--port", str(port)]
    # A file: a pipe that nobody reads would fill, and stop the service.
    with told.open("w") as file:
        return subprocess.Popen(
            [*line, "--no-page", "--replicas", "2"],
            env=environment("/tmp"),
            stderr=file,
            text=True,
            start_new_session=True,  # Ray ends the whole group of a driver that dies
        )


def _comes_up(process: subprocess.Popen[str], url: str) -> bool:
    """Whether it answers; false once the process has ended."""

    def is_decided() -> bool:
        return process.poll() is not None or requests.get(f"{url}/readyz", timeout=60).ok

    wait_for(is_decided, 400)
    return process.poll() is None


def test_no_proxy_and_no_ingress_stand_between(
    command: tuple[subprocess.Popen[str], str], tiny_run: Path
) -> None:
    import raydance

    process, url = command
    expected = raydance.load(tiny_run).generate(TURN, seed=4)[0]
    clip = Client(url).generate(TURN, seed=4, clean_feet=False)[0]
    np.testing.assert_allclose(clip.positions[:, 0], expected[:, 0], atol=1e-4)
    names = [words for _, words in descendants(process.pid)]
    assert not [words for words in names if "ProxyActor" in words or "Ingress" in words]
    assert len(replicas_of("Generator", process.pid)) == 2


def test_a_killed_part_costs_no_request(command: tuple[subprocess.Popen[str], str]) -> None:
    process, url = command
    victims = replicas_of("Generator", process.pid)
    with load(url) as statuses:
        wait_for(lambda: statuses[200] > 10)
        os.kill(victims[0], signal.SIGKILL)
        before = sum(statuses.values())
        wait_for(lambda: sum(statuses.values()) > before + 20)
        wait_for(lambda: len(set(replicas_of("Generator", process.pid)) - {victims[0]}) == 2)
    assert set(statuses) == {200}, statuses


def test_what_is_being_answered_at_the_end_is_answered(
    command: tuple[subprocess.Popen[str], str],
    tiny_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    process, url = command
    found: list[int] = []

    def ask() -> None:
        wanted = {"text": TURN, "seconds": 60.0, "num_samples": 4}
        found.append(requests.post(f"{url}/v1/generate", json=wanted, timeout=60).status_code)

    def in_flight() -> float:
        lines = requests.get(f"{url}/metrics", timeout=60).text.splitlines()
        return next(float(line.split()[-1]) for line in lines if "in_flight{" in line)

    client = threading.Thread(target=ask)
    client.start()
    wait_for(lambda: in_flight() > 1)  # the question after it is one
    process.send_signal(signal.SIGINT)
    client.join(60)
    process.wait(60)
    told = _told(tmp_path_factory.getbasetemp()).read_text()
    assert found == [200]
    assert process.returncode == 0
    # What nodes of Ray report about their workers is on standard error, too.
    first, second, ready, last = [line for line in told.splitlines() if line.startswith("raydance")]
    assert first == f"raydance: starting {tiny_run}"
    assert second == "raydance: starting the parts of the service on Ray Serve"
    assert ready.startswith("raydance: ready after ")
    assert last == f"raydance: serving run at {url} (Ctrl-C ends it)"
