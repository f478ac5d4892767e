"""A cluster that grows while a library is captioned, and shrinks after: prints what it saw as JSON.

python autoscale.py LIBRARY RUN OUT

Ray's autoscaler runs for real; its provider starts nodes as processes on this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PORT = 6379  # where the provider looks for the head, which it calls ray.head.default
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"


def config() -> dict:
    """At most two workers beside the head, away again after three idle seconds."""
    worker = {"node_config": {}, "min_workers": 0, "max_workers": 2}
    commands = ("initialization", "setup", "head_setup", "worker_setup")
    starts = ("head_start_ray", "worker_start_ray")
    return {
        **{f"{name}_commands": [] for name in (*commands, *starts)},
        "file_mounts": {},
        "cluster_synced_files": [],
        "auth": {},
        "cluster_name": "growing",
        "max_workers": 3,  # with the head
        "idle_timeout_minutes": 0.05,
        "provider": {
            "type": "external",
            "module": PROVIDER,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "head_node_id": "FAKE_HEAD_NODE_ID",
        },
        "available_node_types": {
            "ray.head.default": {"node_config": {}, "resources": {"CPU": 1}, "max_workers": 0},
            "worker": worker | {"resources": {"CPU": 1}},
        },
        "head_node_type": "ray.head.default",
    }


def start_head(place: Path) -> subprocess.Popen:
    file = place / "autoscaling.json"
    file.write_text(json.dumps(config()))
    os.environ.update(
        AUTOSCALER_UPDATE_INTERVAL_S="1",
        RAY_FAKE_CLUSTER="1",
        RAY_enable_autoscaler_v2="1",
        RAY_CLOUD_INSTANCE_ID="FAKE_HEAD_NODE_ID",
        RAY_OVERRIDE_NODE_ID_FOR_TESTING="FAKE_HEAD_NODE_ID",
        RAY_AUTH_MODE="disabled",
        RAY_USAGE_STATS_ENABLED="0",
    )
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block"]
    command += [f"--port={PORT}", "--num-cpus=1", f"--autoscaling-config={file}"]
    command += ["--include-dashboard=false", f"--temp-dir={place / 'r'}"]
    command += ["--object-store-memory=200000000", "--disable-usage-stats"]
    log = (place / "head.log").open("wb")
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def main(library: str, run: str, out: str) -> None:
    place = Path(tempfile.mkdtemp(prefix="ra", dir="/tmp"))
    head = start_head(place)
    try:
        seen = watch(library, run, out)
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        try:
            head.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
        shutil.rmtree(place, ignore_errors=True)
    print(json.dumps(seen))


def watch(library: str, run: str, out: str) -> dict:
    import ray

    from raydance.cluster.session import ray_session

    deadline = time.monotonic() + 60
    while True:
        try:
            ray.init(address=f"127.0.0.1:{PORT}", log_to_driver=False, logging_level="ERROR")
            break
        except ConnectionError:
            assert time.monotonic() < deadline, "the head did not start"
            time.sleep(1)

    def nodes() -> int:
        return sum(node["Alive"] for node in ray.nodes())

    most, stop = [nodes()], threading.Event()

    def look() -> None:
        while not stop.wait(0.5):
            most.append(nodes())

    watcher = threading.Thread(target=look)
    watcher.start()
    with ray_session():
        from raydance.cluster.caption import caption
        from raydance.library import units

        units._GROUP_FILES = 4  # much small work, so that a queue forms
        # Three from the start: Ray Data asks for further nodes by their memory too, and nodes of
        # this provider cannot be said to have any.
        counts = caption([library], run, out, actors=(3, 6))
    deadline = time.monotonic() + 60
    while nodes() > 1 and time.monotonic() < deadline:
        time.sleep(0.5)
    stop.set()
    watcher.join()
    after = nodes()
    ray.shutdown()
    return {"before": most[0], "most": max(most), "after": after, "counts": counts}


if __name__ == "__main__":
    main(*sys.argv[1:])
