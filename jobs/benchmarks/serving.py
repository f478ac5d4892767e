"""The service: latency and throughput through Ray Serve, behind bare uvicorn, and in process."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks.captioning import make_run
from raydance.cluster.session import ray_session

_TEXT = "a dancer turns slowly NUMBER"
_SLOT = b"NUMBER"
"""Of a text, for a number: the encoder remembers texts."""
_NUMBERS = itertools.count(1)
_CLIENTS = 32
_START_S = 180.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # what Ray gives a replica
_WAYS: dict[str, tuple[list[str] | None, dict[str, str]]] = {
    "serve": (["--ray"], {}),
    "apart": (["--encoder-apart"], {}),
    "proxy": (None, {}),
    "haproxy": (None, {"RAY_SERVE_ENABLE_HA_PROXY": "1"}),
}
"""Each way to serve: options, or None for the way of a cluster, and more in its environment."""
_LOADED = {"uvicorn": ["--no-ray"], "serve": ["--ray"], "unbatched": ["--batch", "1"]}
_STARTED = {"plain": ["--no-ray"], "ray": ["--ray"]}
_JSON = {"Content-Type": "application/json"}


def serving(folder: Path, num_windows: int) -> dict[str, Any]:
    """p50 and p99 in ms of generate, describe and search: in process, behind uvicorn, and Serve.

    `raydance serve` runs as it is (`serve`), with the text encoder in a part of its own (`apart`),
    and as on a cluster, behind an ingress replica and Serve's own proxy (`proxy`) or HAProxy. Each
    runs at once with the bare service and is asked in turns with it, so that whatever else the
    machine does slows both; all compute with one thread. `serve_cost_ms` and so on are the median
    of Serve's time less uvicorn's for the same question, the largest of the three;
    `batching_ratio` is the motions per second at 32 clients with batching over those without.

    Args:
        num_windows: stands for the number of requests: a fifth of it each.
    """
    with ray_session():
        run = make_run(folder)
    count = max(20, num_windows // 5)
    bodies = _bodies(folder)
    found: dict[str, Any] = {"requests": count}
    for name, times in in_process(run, folder / "take.bvh", count).items():
        found |= _quantiles(f"in_process_{name}", times)
    for way, (options, extra) in _WAYS.items():
        with (
            _service(run, ["--no-ray"], _ONE_THREAD) as plain,
            _service(run, options, extra) as on_ray,
        ):
            for name, request in bodies.items():
                uvicorn, serve = _in_turns((plain, on_ray), request, count)
                found |= _quantiles(f"{way}_{name}", serve)
                found |= _quantiles(f"uvicorn_beside_{way}_{name}", uvicorn)
                found[f"{way}_cost_{name}_ms"] = float(np.median(serve - uvicorn))
        found[f"{way}_cost_ms"] = max(found[f"{way}_cost_{name}_ms"] for name in bodies)
    for way, arguments in _LOADED.items():
        with _service(run, arguments) as port:
            _in_turns((port,), bodies["generate"], count // 4)
            found[f"{way}_motions_per_s"] = _throughput(port, bodies["generate"], count)
    found["batching_ratio"] = found["serve_motions_per_s"] / found["unbatched_motions_per_s"]
    return found | {"serve_cost_target_ms": 12.0, "in_process_target_ms": 60.0}


def _quantiles(name: str, times: Sequence[float] | np.ndarray) -> dict[str, float]:
    return {
        f"{name}_p50_ms": float(np.median(times)),
        f"{name}_p99_ms": float(np.quantile(times, 0.99)),
    }


def in_process(run: Path, take: Path, count: int) -> dict[str, list[float]]:
    """Milliseconds of each question without HTTP; of generation also by its parts."""
    import torch

    import raydance
    from raydance.motion.clip import generated_clip
    from raydance.motion.contacts import clean_feet
    from raydance.motion.export.pose import pose_of
    from raydance.motion.formats import read_clip
    from raydance.serving import replies
    from raydance.systems.dance_language import generation

    torch.set_num_threads(2)
    system = raydance.load(run)
    times: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        answer = work()
        times.setdefault(name, []).append(1000.0 * (time.perf_counter() - started))
        return answer

    def text() -> str:
        return _numbered(_TEXT.encode()).decode()

    def words() -> dict[str, np.ndarray]:
        found = system.encode_text([text()])
        return {name: values[0] for name, values in found.items()}

    def motion(text: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
        return generation.generate(system, [generation.Request(words=text, seed=seed)])[0].motion[0]

    def encoded(made: np.ndarray) -> bytes:
        facts = replies.motion_facts(made, system.joint_mask, system.fps)
        return bytes(replies.json_response(facts).body)

    def whole(seed: int) -> bytes:
        made = motion(words(), seed)
        return encoded(clean_feet(made, system.fps, system.joint_mask)[0])

    for seed in range(-3, count):
        if seed == 0:
            times.clear()  # the first ones load what all others find
        timed("generate", lambda s=seed: whole(s))
        spoken = timed("generate_text", words)
        made = timed("generate_decoder", lambda t=spoken, s=seed: motion(t, s))
        clean = timed("generate_feet", lambda m=made: clean_feet(m, system.fps, system.joint_mask))
        timed("generate_encoding", lambda c=clean[0]: encoded(c))
        clip = generated_clip(clean[0], system.joint_mask, system.fps, "made")
        timed(
            "rotation_fit",
            lambda c=clip: pose_of(c),
        )
        timed("describe", lambda: system.describe(read_clip(take), 3))
        timed("search", lambda: system.search(text(), 5))
    return times


def library_search(folder: Path, num_windows: int) -> dict[str, Any]:
    """p50 and p99 in ms of an exact search over a hundred times as many windows."""
    import pyarrow as pa

    from raydance.library.describer import CLIP_SCHEMA, window_schema
    from raydance.library.finder import Finder
    from raydance.library.store import CaptionStore

    width, unit_size = 256, 1000
    facts = {"run": {"path": "x", "identity": "x"}, "fps": 20.0, "window": 50, "stride": 20}
    store = CaptionStore.create(
        folder / "captions", facts | {"k": 1, "metric": "cosine", "width": width, "reading": {}}
    )
    rng = np.random.default_rng(0)
    total = 100 * num_windows
    for unit in range(total // unit_size):
        points = rng.standard_normal((unit_size, width)).astype(np.float32)
        starts = [float(i % 5) for i in range(unit_size)]
        rows = {
            "clip_id": [f"clip_{unit}_{i // 5}" for i in range(unit_size)],
            "item": [f"file_{unit}"] * unit_size,
            "source": ["somewhere"] * unit_size,
            "start_s": starts,
            "end_s": [start + 2.5 for start in starts],
            "captions": [["a step"]] * unit_size,
            "scores": [[0.5]] * unit_size,
            "derived": [[False]] * unit_size,
            "cluster": [0] * unit_size,
            "cluster_confidence": [0.5] * unit_size,
            "confidence": [0.5] * unit_size,
            "is_unlike_training": [False] * unit_size,
            "embedding": list(points),
        }
        table = pa.table(rows, schema=window_schema(width))
        files = [{"name": f"file_{unit}", "version": "1", "status": "read", "windows": unit_size}]
        names = sorted(set(rows["clip_id"]))
        clips = pa.Table.from_pylist([{"clip_id": name} for name in names], schema=CLIP_SCHEMA)
        store.commit(f"{unit:020d}", 1, files, table, clips)
    queries = rng.standard_normal((100, width)).astype(np.float32)
    found: dict[str, Any] = {"windows": total, "target_ms": 10.0}
    started = time.perf_counter()
    finder = Finder(CaptionStore.open(store.path), exact_windows=total, keep=False)
    found["build_s"] = time.perf_counter() - started
    if len(finder.search(queries[0], 5)) != 5:  # a search that looks at nothing is fast
        raise AssertionError("the library does not answer")
    times = []
    for query in queries:
        started = time.perf_counter()
        finder.search(query, 5)
        times.append(1000.0 * (time.perf_counter() - started))
    return found | {"p50_ms": float(np.median(times)), "p99_ms": float(np.quantile(times, 0.99))}


def service_start(folder: Path, num_windows: int) -> dict[str, Any]:
    """What `raydance serve` takes on one machine: one plain process, its default, beside Ray Serve.

    Of each way `start_s`, seconds until `/readyz` answers; `cpu_s`, the processors' seconds until
    then, which a busy machine does not stretch; `mib`, resident memory of all its processes after
    the load, pages that several share counted once; `processes`; `motions_per_s` at 32 clients,
    and `cpu_ms_per_motion`, the processors' time for each.

    Args:
        num_windows: stands for the number of requests: a fifth of it.
    """
    with ray_session():
        run = make_run(folder)
    request = _bodies(folder)["generate"]
    count = max(20, num_windows // 5)
    found: dict[str, Any] = {"start_target_s": 15.0, "memory_target_mib": 1024.0}
    for way, arguments in _STARTED.items():
        started = time.monotonic()
        with _service(run, arguments, _ONE_THREAD) as port:
            found[f"{way}_start_s"] = time.monotonic() - started
            found[f"{way}_cpu_s"] = _cpu_seconds(_tree())
            _in_turns((port,), request, 5)
            before = _cpu_seconds(_tree())
            found[f"{way}_motions_per_s"] = _throughput(port, request, count)
            processes = _tree()
            num_motions = _CLIENTS * _each(count)
            found[f"{way}_cpu_ms_per_motion"] = (
                1000.0 * (_cpu_seconds(processes) - before) / num_motions
            )
            found[f"{way}_processes"] = len(processes)
            found[f"{way}_mib"] = sum(map(_own_mib, processes))
    return found


def _tree() -> list[int]:
    """This process's descendants, which are those of the one service that runs."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parents[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
    found = [os.getpid()]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found[1:]


def _own_mib(process: int) -> float:
    """Resident memory; of pages that several processes map, this one's share."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1]) / 1024
    return 0.0


def _cpu_seconds(processes: Sequence[int]) -> float:
    """Seconds of processors that they have used, each with its ended children."""
    ticks = 0
    for process in processes:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


Request = tuple[str, bytes, dict[str, str]]


def _bodies(folder: Path) -> dict[str, Request]:
    """Path, body and headers of each question."""
    from raydance.motion import synthetic
    from raydance.motion.export import write_clip

    take = folder / "take.bvh"
    write_clip(take, synthetic.make_clip(synthetic.MOVEMENTS[0], 0))
    edge = "raydance-benchmark"
    form = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="take.bvh"\r\n\r\n'
    ).encode()
    form += take.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    text = json.dumps({"text": _TEXT}).encode()
    return {
        "generate": ("/v1/generate", text, _JSON),
        "search": ("/v1/search", text, _JSON),
        "describe": (
            "/v1/describe",
            form,
            {"Content-Type": f"multipart/form-data; boundary={edge}"},
        ),
    }


def _numbered(text: bytes) -> bytes:
    return text.replace(_SLOT, b"%07d" % next(_NUMBERS), 1)


def _ask(connection: http.client.HTTPConnection, request: Request) -> None:
    path, body, headers = request
    connection.request("POST", path, _numbered(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == 200, content[:300]


def _in_turns(ports: Sequence[int], request: Request, count: int) -> np.ndarray:
    """Milliseconds `[port, question]` of so many questions, each put to one after the other."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for port in ports]
    times = np.empty((len(ports), count))
    for i in range(-10, count):  # the first ones are not counted
        for row, connection in enumerate(connections):
            started = time.perf_counter()
            _ask(connection, request)
            if i >= 0:
                times[row, i] = 1000.0 * (time.perf_counter() - started)
    for connection in connections:
        connection.close()
    return times


def _each(count: int) -> int:
    """Questions of each client."""
    return max(2, 4 * count // _CLIENTS)


def _throughput(port: int, request: Request, count: int) -> float:
    """Answers per second to many clients at once."""
    each = _each(count)

    def client(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for _ in range(each):
            _ask(connection, request)
        connection.close()

    started = time.perf_counter()
    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(client, range(_CLIENTS)))  # an answer that failed is raised here
    return _CLIENTS * each / (time.perf_counter() - started)


@contextmanager
def _service(
    run: Path, arguments: list[str] | None, extra: Mapping[str, str] = MappingProxyType({})
) -> Iterator[int]:
    """A service in a process of its own, with more in its environment; yields its port.

    Args:
        arguments: of `raydance serve`; None for the way of a cluster.
    """
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    environment = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_JOB_ID")}
    if arguments is None:
        command = [sys.executable, str(Path(__file__).with_name("proxied.py")), str(run), str(port)]
    else:
        command = [sys.executable, "-m", "raydance", "serve", str(run), "--port", str(port)]
        command += ["--no-page", "--quiet", *arguments]
    process = subprocess.Popen(
        command,
        env=environment | dict(extra),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_ready(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        assert process.poll() is None, "the service ended"
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.3)
    raise TimeoutError(f"the service was not ready in {_START_S:g} s")
