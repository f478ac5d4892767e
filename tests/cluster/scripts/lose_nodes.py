"""Takes nodes away from trainings, a captioning and a service. Prints what was seen as JSON.

    lose_nodes.py DATASET RUN LIBRARY FOLDER

One head and its nodes serve all four: to start them takes longer than what is done on them.
FOLDER/replaced and FOLDER/lost are trained. FOLDER/disturbed is captioned by an actor on each of
two nodes, one of which dies, and is then asked for again; FOLDER/calm is captioned undisturbed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_health_check_period_ms"] = "500"  # a dead node is noticed in 2.5 s, not in 15

import raydance.cluster  # noqa: F401, before Ray: it sets what Ray reads when it is imported

# isort: split
import ray.data
import requests
from local_nodes import Nodes
from ray import serve as ray_serve
from serving import free_port, load, wait_for
from small_training import BEFORE, CHANGES, metrics_of, train_vae, wait_until

from raydance.cluster import serve, serving
from raydance.cluster.caption import caption
from raydance.cluster.train import RayRunner
from raydance.library import units
from raydance.library.store import CaptionStore
from raydance.serving.application import Settings
from raydance.serving.runs import Entry
from raydance.systems.base import LocalRunner
from raydance.systems.dance_language.system import SYSTEM

LATE_S = 20.0  # what the lost machine held is never answered

PARTS = ("Ingress", *(kind.__name__ for kind in serve.KINDS))


@contextmanager
def in_thread(train: Callable[[], Any]) -> Iterator[None]:
    """Nodes are added and killed in the main thread, so the training has another."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            train()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(timeout=240)
    assert not thread.is_alive(), "the training stands still"
    if failed:
        raise failed[0]


def replace_the_node(nodes: Nodes, dataset: Path, out: Path) -> list[str]:
    """One worker; its node goes and, once the driver has said so, another comes."""
    said: list[str] = []
    nodes.add("first", num_cpus=2)
    runner = RayRunner(1, checkpoint_every_s=0.0, warn=said.append)
    with in_thread(lambda: train_vae(out, dataset, runner, "motion_vae.train.epochs=10")):
        wait_until(lambda: len(metrics_of(out)) >= 3)
        nodes.kill("first")
        wait_until(lambda: bool(said))
        nodes.add("second", num_cpus=2)
    nodes.kill("second")
    wait_until(lambda: "CPU" not in ray.cluster_resources())
    return said


def lose_a_node(nodes: Nodes, lost: str, dataset: Path, out: Path) -> list[str]:
    """One to two workers on a node each; one node goes for good."""
    said: list[str] = []
    runner = RayRunner((1, 2), checkpoint_every_s=0.0, resize_every_s=2.0, warn=said.append)
    changes = ("motion_vae.train.epochs=30", "motion_vae.train.patience=0")
    with in_thread(lambda: train_vae(out, dataset, runner, *changes)):
        wait_until(lambda: len(metrics_of(out)) >= 3)
        nodes.kill(lost)
    return said


def caption_on(nodes: Nodes, names: list[str], library: Path, run: Path, out: Path) -> Any:
    """An actor on each of two nodes; the second dies between two commits."""
    units._GROUP_FILES = 4  # many units, so that the death falls between the first and the last
    ray.data.DataContext.get_current().wait_for_min_actors_s = 60  # both begin together
    seen: dict[str, Any] = {}

    def kill(state: Mapping[str, Any]) -> None:
        if "actors" in seen or state["files"] < state["of"] // 4:
            return
        seen["actors"] = [len(nodes.processes(name, "_ReadAndDescribe")) for name in names]
        nodes.kill(names[1])
        seen["done"] = CaptionStore.open(out / "disturbed").counts()["files"]

    seen["counts"] = caption([library], run, out / "disturbed", actors=(2, 2), progress=kill)
    seen["again"] = caption([library], run, out / "disturbed", actors=(1, 1))
    caption([library], run, out / "calm", actors=(1, 1), threads=1)
    return seen


def serve_on(nodes: Nodes, names: list[str], new: str, run: Path) -> Any:
    """One replica of each part on each of two nodes; the second dies under load, and another comes.

    One client asks again when it should, the other never.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def replicas(*names: str) -> list[list[int]]:
        """How many each part has on each node."""
        return [[len(nodes.processes(name, f":{part}")) for name in names] for part in PARTS]

    entries = [Entry(name="tiny", run=str(run))]
    application = serving.build(
        entries, Settings(), serving.Scale(replicas=(2, 2), cpus=0.1, replicas_per_node=1)
    )
    serving.start(application, host="127.0.0.1", port=port)
    wait_for(lambda: requests.get(f"{url}/readyz", timeout=60).ok, 120)
    seen: dict[str, Any] = {"before": replicas(*names)}
    with load(url, 1, 6, LATE_S) as steady, load(url, 1, 1, LATE_S) as raw:

        def go_on(count: int) -> None:
            both: list[Counter[int]] = [steady, raw]
            wanted = [sum(statuses.values()) + count for statuses in both]
            wait_for(lambda: all(sum(s.values()) >= w for s, w in zip(both, wanted)), 150)

        go_on(20)
        nodes.kill(names[1])
        go_on(40)
        nodes.add(new)
        wait_for(lambda: replicas(names[0], new) == [[1, 1]] * len(PARTS), 180)
        go_on(20)
    seen |= {"after": replicas(names[0], new), "steady": steady, "raw": raw}
    ray_serve.shutdown()
    return seen


def main(dataset: Path, run: Path, library: Path, folder: Path) -> None:
    config = SYSTEM.resolve("quick", list(CHANGES))
    for name in ("replaced", "lost"):  # what comes before needs no cluster
        for step in BEFORE:
            SYSTEM.train(folder / name, dataset, config, LocalRunner(), only=step)
    seen: dict[str, Any] = {}
    with Nodes() as nodes:
        seen["replaced"] = replace_the_node(nodes, dataset, folder / "replaced")
        nodes.add("stays", "trains")
        seen["lost"] = lose_a_node(nodes, "trains", dataset, folder / "lost")
        nodes.add("captions")
        seen["captioned"] = caption_on(nodes, ["stays", "captions"], library, run, folder)
        nodes.add("serves")
        seen["served"] = serve_on(nodes, ["stays", "serves"], "new", run)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:]))
