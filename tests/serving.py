"""A service for tests: a tiny run with a captioned library, behind a real HTTP server."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import uvicorn
from local_cluster import free_ports
from small_training import descendants

from raydance.client import Client, ServiceError
from raydance.library import units
from raydance.library.describer import Describer
from raydance.library.store import CaptionStore, run_identity
from raydance.motion import synthetic
from raydance.motion.export import bvh
from raydance.serving.app import create_app
from raydance.serving.application import Settings
from raydance.serving.backend import InProcess
from raydance.serving.problems import TYPES
from raydance.serving.runs import Entry, RunCache
from raydance.systems import load_run

TURN = "a dancer turns slowly"


def write_library(folder: Path, run: Path) -> Path:
    """Six BVH files and the captions that a run gives them; returns the captions' folder."""
    files = folder / "files" / "takes"
    files.mkdir(parents=True)
    for movement in synthetic.MOVEMENTS[:6]:
        bvh.write(files / f"{movement.name}.bvh", synthetic.make_clip(movement, 0))
    system = load_run(run)
    facts = {
        "run": {"path": str(run), "identity": run_identity(run)},
        "fps": system.fps,
        "window": system.window,
        "stride": system.stride,
        "k": 2,
        "metric": system.metric,
        "width": system.width,
        "reading": {},
    }
    store = CaptionStore.create(folder / "captions", facts)
    settings = units.settings_of(system.fps, system.window, system.stride, {})
    _, items = units.find_items([folder / "files"])
    describe = Describer(system, 2)
    for group in units.group_items(items, lambda item: False):
        for unit in units.read_units(group, settings, None, "tests"):
            store.commit(unit.name, 1, unit.files, *describe(unit))
    return store.path


BONES = """lhipjoint root 1 -1 0 2.4 | lfemur lhipjoint 0 -1 0 7 | ltibia lfemur 0 -1 0 7
lfoot ltibia 0 -1 1 2 | ltoes lfoot 0 0 1 1 | rhipjoint root -1 -1 0 2.4 | rfemur rhipjoint 0 -1 0 7
rtibia rfemur 0 -1 0 7 | rfoot rtibia 0 -1 1 2 | rtoes rfoot 0 0 1 1 | lowerback root 0 1 0 2
upperback lowerback 0 1 0 2 | thorax upperback 0 1 0 2 | lowerneck thorax 0 1 0 1.5
upperneck lowerneck 0 1 0 1.5 | head upperneck 0 1 0 1.5 | lclavicle thorax 1 0 0 3
lhumerus lclavicle 1 -1 0 5 | lradius lhumerus 1 -1 0 3 | lwrist lradius 1 -1 0 2
rclavicle thorax -1 0 0 3 | rhumerus rclavicle -1 -1 0 5 | rradius rhumerus -1 -1 0 3
rwrist rradius -1 -1 0 2"""
"""Name, parent, direction and length of each bone, as CMU's files have them."""


def write_amc(folder: Path, num_frames: int = 360) -> tuple[Path, Path]:
    """A body that swings its legs and arms, three seconds at 120 fps: its AMC and its ASF file."""
    bones = [bone.split() for bone in BONES.replace("\n", " | ").split(" | ")]
    moved = ("lfemur", "rfemur", "lhumerus", "rhumerus")
    lines = [":units", "length 0.45", "angle deg", ":root", "order TX TY TZ RX RY RZ", "axis XYZ"]
    lines += ["position 0 0 0", "orientation 0 0 0", ":bonedata"]
    for name, _, *direction, length in bones:
        lines += ["begin", f"name {name}", f"direction {' '.join(direction)}", f"length {length}"]
        lines += ["axis 0 0 0 XYZ", *["dof rx"] * (name in moved), "end"]
    lines += [":hierarchy", "begin", *(f"{parent} {name}" for name, parent, *_ in bones), "end"]
    skeleton, motion = folder / "05.asf", folder / "05_02.amc"
    skeleton.write_text("\n".join(lines) + "\n", encoding="utf-8")
    frames = [":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(num_frames):
        swing = 40.0 * math.sin(math.tau * frame / 120)
        frames += [str(frame + 1), f"root 0 17 {0.05 * frame:.3f} 0 0 0"]
        frames += [
            f"{name} {turn:.4f}" for name, turn in zip(moved, (swing, -swing, -swing, swing))
        ]
    motion.write_text("\n".join(frames) + "\n", encoding="utf-8")
    return motion, skeleton


def free_port() -> int:
    """A port that nobody uses."""
    return int(free_ports(1)[0])


@contextmanager
def running(app: Any) -> Iterator[str]:
    """An application behind uvicorn, in a thread; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    # Held while it is used: a port that was found free may be taken by another process.
    with socket.create_server(("127.0.0.1", 0)) as held:
        thread = threading.Thread(target=server.run, args=([held],), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{held.getsockname()[1]}"
        wait_for(lambda: requests.get(f"{address}/readyz", timeout=60).ok)
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join(10)


def plain_service(run: Path, library: Path | None, page: str | None = None, **settings: Any) -> Any:
    """A service without Ray as a context; yields its address."""
    entry = Entry(name="tiny", run=str(run), library=str(library) if library else None)
    app = create_app(lambda: InProcess(RunCache([entry])), Settings(page=page, **settings))
    return running(app)


def wait_for(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while True:
        try:
            if is_so():
                return
        except requests.RequestException:
            pass
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def replicas_of(part: str, ancestor: int) -> list[int]:
    """Processes of the replicas of a service's part, among a process's descendants."""
    return [
        pid
        for pid, words in descendants(ancestor)
        if "ServeReplica" in words and f":{part}" in words
    ]


def generate(client: Client, seed: int, **wanted: Any) -> Any:
    """What `load` asks for."""
    return client.generate(TURN, seed=seed, **wanted)


@contextmanager
def load(
    url: str,
    num_clients: int = 3,
    tries: int = 1,
    timeout_s: float = 60.0,
    ask: Callable[..., Any] = generate,
    **wanted: Any,
) -> Iterator[Counter[int]]:
    """Clients that ask without pause; yields the statuses they got, 0 for no answer in time."""
    statuses: Counter[int] = Counter()
    is_over = threading.Event()

    def run(number: int) -> None:
        with Client(url, tries=tries, timeout_s=timeout_s) as client:
            while not is_over.is_set():
                try:
                    ask(client, number, **wanted)
                    statuses[200] += 1
                except ServiceError as error:
                    statuses[error.status] += 1

    threads = [threading.Thread(target=run, args=(i,)) for i in range(num_clients)]
    for thread in threads:
        thread.start()
    wait_for(lambda: sum(statuses.values()) >= num_clients, 60)
    try:
        yield statuses
    finally:
        is_over.set()
        for thread in threads:
            thread.join(70)


def post(url: str, path: str, body: Any = None, **request: Any) -> requests.Response:
    """A request with a JSON body, or with whatever `request` says."""
    if body is not None:
        request["json"] = body
    return requests.post(url + path, timeout=60, **request)


def problem(answer: requests.Response, status: int) -> str:
    """The detail of an error, after its shape was checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status and body["title"]
    assert body["type"] == f"urn:raydance:{TYPES[status]}"
    detail: str = body["detail"]
    return detail
