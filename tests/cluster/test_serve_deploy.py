"""The service on a running cluster: `serve deploy` with our file, `raydance serve --address`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from local_cluster import LocalCluster
from serving import TURN, free_port, load, wait_for

from raydance.client import Client

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head with token authentication and a dashboard, which takes Serve's files."""
    with LocalCluster(num_workers=0, num_cpus=12) as one:
        yield one


def deploy(cluster: Any, place: Path, port: int, run: Path, **changes: Any) -> None:
    """`serve deploy` with our file, edited as it says."""
    file = yaml.safe_load((ROOT / "deploy" / "serve.yaml").read_text(encoding="utf-8"))
    file["http_options"]["port"] = port
    args = file["applications"][0]["args"]
    args |= {"runs": [{"name": "mine", "run": str(run)}], "replicas": "1", "cpus": 0.5}
    args |= {"page": False, **changes}
    path = place / "serve.yaml"
    path.write_text(yaml.safe_dump(file), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("serve")), "deploy", str(path)]
    done = subprocess.run(
        [*command, "--address", cluster.dashboard],
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_is_deployed_and_rolled_out_and_served_over(
    cluster: Any, tiny_run: Path, wider_run: Path, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    client = Client(url)

    def width() -> int:
        return int(client.embed([TURN]).shape[1])

    deploy(cluster, tmp_path, port, tiny_run)
    wait_for(lambda: requests.get(f"{url}/readyz", timeout=60).ok, 180)
    assert width() == 16 and [facts["name"] for facts in client.models()] == ["mine"]

    with load(url, num_clients=2) as statuses:
        deploy(cluster, tmp_path, port, wider_run, encoder_apart=True)
        wait_for(lambda: width() == 24, 180)
        done = sum(statuses.values())
        wait_for(lambda: sum(statuses.values()) > done + 10)
    assert set(statuses) == {200}, statuses

    # Started as in the background, where a shell has it ignore SIGINT.
    line = ["bash", "-c", 'trap \'\' INT; exec "$0" "$@"', sys.executable, "-m", "raydance"]
    line += ["serve", f"mine={tiny_run}", "--no-page"]
    told = tmp_path / "told.txt"
    with load(url, num_clients=2) as statuses, told.open("w") as stream:
        command = subprocess.Popen(
            [*line, "--address", cluster.address, "--port", str(port)],
            env=cluster.environment,
            stderr=stream,
        )
        try:
            wait_for(lambda: f"serving mine at {url}" in told.read_text(), 180)
            assert width() == 16
            done = sum(statuses.values())
            wait_for(lambda: sum(statuses.values()) > done + 10)
            assert set(statuses) == {200}, statuses
        finally:
            command.send_signal(signal.SIGINT)
            command.wait(120)
    assert "finished first" in told.read_text() and "Traceback" not in told.read_text()
    assert command.returncode == 0
