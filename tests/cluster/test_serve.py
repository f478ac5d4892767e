"""The service on Ray Serve, asked by a real client while things happen to it."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from serving import TURN, free_port, generate, load, replicas_of, running, wait_for

import raydance
from raydance.client import Client, ServiceError
from raydance.errors import ConfigError, InputError
from raydance.motion import synthetic

pytestmark = [pytest.mark.ray, pytest.mark.slow]
PARTS = ("Ingress", "SentenceEncoder", "Generator", "Describer", "Retriever")
GROWTH_MIB = 100  # of ten replicas together; measured: 9


class Service:
    """A service of two runs on the shared cluster."""

    def __init__(self, runs: dict[str, Path], **settings: Any) -> None:
        from raydance.serving.application import Settings
        from raydance.serving.runs import Entry

        self.entries = [Entry(name=name, run=str(path)) for name, path in runs.items()]
        self.started_with = list(self.entries)
        self.settings = Settings(**settings)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def deploy(self, replicas: int, *, encoder_apart: bool = False) -> None:
        """Start it, or roll it out."""
        from raydance.cluster import serving

        application = serving.build(
            self.entries,
            self.settings,
            serving.Scale(replicas=(replicas, replicas), cpus=0.1, encoder_apart=encoder_apart),
        )
        serving.start(application, host="127.0.0.1", port=self.port)


@pytest.fixture(scope="module")
def started(ray_cluster: None, tiny_run: Path, tmp_path_factory: Any) -> Iterator[Service]:
    """Two runs behind two replicas of each part."""
    from ray import serve

    other = tmp_path_factory.mktemp("runs") / "other"
    shutil.copytree(tiny_run, other)
    one = Service({"tiny": tiny_run, "other": other}, most_requests=16)
    one.deploy(2)
    wait_for(lambda: requests.get(f"{one.url}/readyz", timeout=60).ok, 120)
    yield one
    serve.shutdown()


@pytest.fixture
def service(started: Service) -> Service:
    """The service as it was started, also after a test that rolled out other runs."""
    if started.entries != started.started_with:
        started.entries = list(started.started_with)
        started.deploy(2)
        wait_for(lambda: Client(started.url).embed([TURN]).shape == (1, 16), 60)
    return started


def pids_of(part: str) -> list[int]:
    """Processes of a part's replicas."""
    return replicas_of(part, os.getpid())


def test_answers_are_those_of_a_plain_process(service: Service, tiny_run: Path):

    expected = raydance.load(tiny_run).generate(TURN, seed=4)[0]
    clip = Client(service.url).generate(TURN, seed=4, clean_feet=False)[0]
    np.testing.assert_allclose(clip.positions[:, 0], expected[:, 0], atol=1e-4)


def test_every_route_answers(service: Service, tmp_path: Path):
    client = Client(service.url, model="other")
    assert {facts["name"] for facts in client.models()} == {"tiny", "other"}
    file = client.save(TURN, tmp_path / "turn.npz", frames=60)
    assert client.describe(file, k=1)
    hit = client.search(TURN, k=1)[0]
    assert client.clip(hit["clip_id"]).num_frames >= 50
    assert client.embed([TURN]).shape[0] == 1
    points = requests.get(f"{service.url}/v1/map?model=other", timeout=60).json()["points"]
    place = {"clip_id": points[0]["clip_id"]}
    answer = requests.post(
        f"{service.url}/v1/interpolate",
        json={"start": place, "end": place, "share": 0.5, "model": "other"},
        timeout=60,
    )
    assert answer.ok, answer.text
    refused = requests.post(
        f"{service.url}/v1/generate", json={"text": "x", "frames": 10**6}, timeout=60
    )
    assert refused.status_code == 422 and "allowed: 2 to 1200" in refused.json()["detail"]


def test_large_uploads_and_answers_pass(service: Service, tmp_path: Path):
    """Serve sends 4 MiB between processes unless it is told otherwise."""
    clip = synthetic.make_clip(synthetic.MOVEMENTS[0], 0)
    repeats = 1 + 9000 // clip.num_frames
    file = tmp_path / "long.npz"
    np.savez(
        file,
        positions=np.tile(clip.positions, (repeats, 1, 1)),
        joint_names=clip.joint_names,
        parents=clip.parents,
        fps=clip.fps,
    )
    assert file.stat().st_size > 5 << 20
    client = Client(service.url)
    whole = client.describe(file, k=1)[0]
    assert whole["end_s"] == pytest.approx(repeats * clip.duration_s, abs=0.2)
    assert len(client.generate(TURN, frames=1000, num_samples=8, clean_feet=False)) == 8


def test_requests_together_get_their_own_answers(service: Service):
    """Batches hold what several clients asked; nobody gets a neighbour's motion."""
    alone = {seed: Client(service.url).generate(TURN, seed=seed)[0] for seed in range(4)}
    found: dict[int, Any] = {}

    def ask(seed: int) -> None:
        found[seed] = Client(service.url).generate(TURN, seed=seed)[0]

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for seed, clip in alone.items():
        assert abs(clip.positions - found[seed].positions).max() < 2e-3


def kill_one(part: str, statuses: Counter[int]) -> None:
    """Kill a replica of a part, and wait until requests went on and it was replaced."""
    victims = pids_of(part)
    assert len(victims) == 2, f"replicas of {part}: {victims}"
    before = sum(statuses.values())
    os.kill(victims[0], signal.SIGKILL)
    wait_for(lambda: sum(statuses.values()) > before + 20, 60)
    wait_for(lambda: len(set(pids_of(part)) - {victims[0]}) == 2, 60)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("part", "ask"),
    [
        ("Generator", generate),
        ("SentenceEncoder", lambda client, seed: client.embed([f"{TURN} {seed}"])),
    ],
)
def test_a_killed_replica_costs_no_request(
    service: Service, part: str, ask: Callable[[Client, int], Any]
):
    with load(service.url, ask=ask) as statuses:
        kill_one(part, statuses)
    assert set(statuses) == {200}, statuses


@pytest.mark.faults
def test_a_replica_that_hangs_costs_no_request(service: Service):
    """As one on a machine that is cut off: no connection is closed, and no answer comes."""
    victims = pids_of("Generator")
    with load(service.url) as statuses:
        wait_for(lambda: statuses[200] > 10, 60)
        os.kill(victims[0], signal.SIGSTOP)
        before = sum(statuses.values())
        wait_for(lambda: sum(statuses.values()) > before + 20, 120)
        os.kill(victims[0], signal.SIGKILL)
        wait_for(lambda: len(set(pids_of("Generator")) - {victims[0]}) == 2, 60)
    assert set(statuses) == {200}, statuses


@pytest.mark.faults
def test_the_client_asks_again_what_a_killed_ingress_held(service: Service):
    """Serve's proxy does not send a request twice, so what an ingress holds goes with it."""
    with load(service.url, tries=5) as statuses:
        kill_one("Ingress", statuses)
    assert set(statuses) == {200}, statuses


def mortal_speech(mark: Path) -> Any:
    """An application whose first call of `SentenceEncoder` ends the replica that it reached."""
    from ray import serve

    # In here, so that they are sent to the replicas, which cannot import this file.
    class SentenceEncoder:
        async def answer(self, asked: Any) -> Any:
            import asyncio

            if not mark.exists():
                mark.touch()
                await asyncio.sleep(0.5)
                os.kill(os.getpid(), signal.SIGKILL)
            return asked

    class Generator:
        async def answer(self, asked: tuple[Any, dict[str, Any]]) -> Any:
            return asked

    class Ingress:
        def __init__(self, **handles: Any) -> None:
            from raydance.cluster.serve import Deployments

            self.backend = Deployments(handles, encoder_apart=True)

        async def __call__(self, text: str) -> Any:
            return (await self.backend.generate_all("tiny", [text], seed=1))[0]

    options: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0.1}}
    handles = {
        "SentenceEncoder": serve.deployment(num_replicas=2, **options)(SentenceEncoder).bind(),
        "Generator": serve.deployment(**options)(Generator).bind(),
    }
    return serve.deployment(**options)(Ingress).bind(**handles)


@pytest.mark.faults
def test_a_replica_that_dies_before_it_answers_is_no_loss(service: Service, tmp_path: Path):
    from ray import serve

    mark = tmp_path / "died"
    try:
        handle = serve.run(mortal_speech(mark), name="mortal", route_prefix=None)
        assert handle.remote(TURN).result(timeout_s=60) == (("tiny", TURN), {"seed": 1})
        assert mark.exists()
    finally:
        serve.delete("mortal")


def test_replicas_do_the_tasks_of_runs(service: Service, tiny_run: Path):
    from ray import serve

    from raydance.cluster import serving
    from raydance.serving.runs import Entry
    from raydance.serving.task_app import create_task_app

    entries = [Entry(name="mine", run=str(tiny_run))]
    scale = serving.Scale(cpus=0.1, of_tasks=True)
    backend = serving.start_parts(entries, service.settings, scale)
    try:
        with running(create_task_app(entries, service.settings, backend=backend)) as url:
            with Client(url) as client:
                found = client.task("search", {"k": 2}, text=TURN)
                with pytest.raises(ServiceError, match="it can: describe, generate, search"):
                    client.task("fly", text=TURN)
            assert len(pids_of("Tasks")) == 1
    finally:
        serve.delete("raydance-Tasks")
    wanted = raydance.load(tiny_run).search(TURN, 2)
    assert isinstance(found, dict)
    assert [row["clip_id"] for row in found["rows"]] == [hit.clip_id for hit in wanted]


def test_a_redeploy_with_other_settings_fails_no_request(service: Service):
    """The ingress is started anew, a replica at a time; the parts lose one and get it back."""
    from dataclasses import replace

    client = Client(service.url)
    expected = client.generate(TURN, seed=7)[0].positions, client.search(TURN, k=3)
    settings, ingress = service.settings, set(pids_of("Ingress"))
    with load(service.url, num_clients=2) as statuses:
        for replicas, most_requests in ((1, 12), (2, settings.most_requests)):
            service.settings = replace(settings, most_requests=most_requests)
            old = set(pids_of("Ingress"))
            service.deploy(replicas, encoder_apart=replicas == 1)
            wanted = sum(statuses.values()) + 10
            wait_for(lambda wanted=wanted: sum(statuses.values()) > wanted, 60)
            wait_for(lambda old=old: not old & set(pids_of("Ingress")), 60)
            # Whoever encodes the sentence, the answer is the same.
            found = client.generate(TURN, seed=7)[0].positions
            np.testing.assert_allclose(found, expected[0], atol=2e-3)
            hits = client.search(TURN, k=3)
            assert [hit["clip_id"] for hit in hits] == [hit["clip_id"] for hit in expected[1]]
    assert set(statuses) == {200}, statuses
    wait_for(lambda: [len(pids_of(part)) for part in PARTS] == [2] * len(PARTS), 60)
    assert not ingress & set(pids_of("Ingress"))


def private_mib() -> float:
    """Memory that the replicas have for themselves."""
    total = 0
    for pid in pids_of("raydance"):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1])
    return total / 1024


def test_overload_is_turned_away_and_passes(service: Service, tmp_path: Path):
    """Long motions for 64 clients, twice: what the first time takes is not taken again."""
    wanted: dict[str, Any] = {"text": TURN, "seconds": 10.0, "format": "bvh"}

    def post() -> requests.Response:
        return requests.post(f"{service.url}/v1/generate", json=wanted, timeout=60)

    def ask(client: Client, seed: int) -> Path:
        # Not read here: clients that are slower than the service overload nothing.
        return client.save(TURN, tmp_path / f"{seed}.bvh", seconds=10.0)

    taken = []
    for seconds in (5.0, 15.0):
        end = time.monotonic() + seconds
        with load(service.url, num_clients=64, ask=ask) as statuses:
            answer = post()
            while answer.ok or time.monotonic() < end:
                answer = post()
                assert time.monotonic() < end + 60, f"nobody is turned away: {statuses}"
            wait_for(lambda: statuses[503] > 5 and statuses[200] > 5, 90)
        assert set(statuses) == {200, 503}, statuses
        assert answer.status_code == 503 and answer.headers["Retry-After"] == "1"
        time.sleep(1.0)
        taken.append(private_mib())
    assert taken[1] < taken[0] + GROWTH_MIB, taken
    answer = requests.post(f"{service.url}/v1/generate", json={"text": TURN}, timeout=60)
    assert answer.ok


def test_a_slow_client_and_one_that_goes_away_harm_nobody(service: Service):
    import socket

    slow = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(8)]
    for one in slow:
        one.sendall(b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    gone = socket.create_connection(("127.0.0.1", service.port))
    body = b'{"text": "a long dance", "seconds": 60}'
    gone.sendall(
        b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    gone.close()
    started = time.monotonic()
    assert requests.post(f"{service.url}/v1/generate", json={"text": TURN}, timeout=60).ok
    assert time.monotonic() - started < 30
    for one in slow:
        one.close()


def test_new_runs_are_rolled_out_without_a_failed_request(service: Service, wider_run: Path):
    """Parts change over one after the other: none may take the points of another run.

    Its name is another too: who names none is answered by the first that there is by then. The last
    test of the service, so that nothing has to be rolled back.
    """
    from raydance.serving.runs import Entry

    client = Client(service.url)
    assert client.embed([TURN]).shape == (1, 16)
    with load(service.url, num_clients=2) as statuses:
        service.entries = [Entry(name="newer", run=str(wider_run)), service.entries[1]]
        service.deploy(1)  # also with one replica of each part
        done = sum(statuses.values())
        wait_for(lambda: sum(statuses.values()) > done + 10, 60)
        wait_for(lambda: client.embed([TURN]).shape == (1, 24), 60)
    assert set(statuses) == {200}, statuses
    assert client.search(TURN, k=1)
    assert {facts["name"] for facts in client.models()} == {"newer", "other"}


def test_a_configuration_file_is_read_strictly(tiny_run: Path):
    import yaml

    from raydance.cluster.serving import from_config

    root = Path(__file__).parents[2]
    file = yaml.safe_load((root / "deploy" / "serve.yaml").read_text(encoding="utf-8"))
    (application,) = file["applications"]
    assert application["import_path"] == "raydance.cluster.serving:from_config"
    args = application["args"] | {"page": False}
    from_config(args)  # opens nothing: that is the replicas' work
    with pytest.raises(ConfigError, match="args.replica"):
        from_config(args | {"replica": "1:2"})
    with pytest.raises(ConfigError, match="replicas_per_node 0; allowed: 1 to 100"):
        from_config(args | {"replicas_per_node": 0})
    with pytest.raises(ConfigError, match="cpus -1; allowed: 0 or more"):
        from_config(args | {"cpus": -1})
    with pytest.raises(InputError, match="MIN <= MAX"):
        from_config(args | {"replicas": "3:1"})
    with pytest.raises(ConfigError, match="at least one"):
        from_config({"runs": [], "page": False})
