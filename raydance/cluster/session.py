"""Starting, joining and leaving Ray."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from raydance.cluster.joining import check_cluster, check_temporary_folder
from raydance.cluster.signals import processes_apart, signals_wait
from raydance.cluster.token import keep_token_private
from raydance.data.storage import CACHE_VARIABLE
from raydance.errors import InputError, RaydanceError
from raydance.plain_text import well_formed

SERVE_ENVIRONMENT = {
    # Serve's proxies and replicas call each other by gRPC instead of through Ray's object store.
    # Messages may be large: an upload or a long motion exceeds gRPC's default of 4 MiB.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(2**31 - 1),
}
"""Environment variables that every node of a serving cluster should have."""

EMBEDDED_ENVIRONMENT = {
    # Keep idle worker processes (Ray's default is one per processor): loading torch again for
    # every step took a third of a short training.
    "RAY_num_workers_soft_limit": "8",
    # Nobody reads the logs or the metrics of these processes. Polling for log files ten times a
    # second and measuring every process every five seconds took a sixteenth of a test run's
    # processor time. The interval applies above this number of files only.
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "3600",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
}
"""Environment variables that reduce the overhead of an embedded cluster."""

# For the nodes of an embedded cluster only.
_NODES_ENVIRONMENT = {
    **EMBEDDED_ENVIRONMENT,
    # Serve's proxies then choose replicas in the calling event loop. The driver is not affected:
    # its handles must also work outside an event loop.
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # Above this number of starting processes Ray prints a warning to standard output, where
    # results go. Its default is the number of processors; a service starts four times as many.
    "RAY_worker_maximum_startup_concurrency": "16",
}

# Read when Ray is imported, and inherited by every process that it starts. Measured: a tiny
# training takes 12 s instead of 20 s when the controller polls its workers more often.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_STATE_ACTOR_RECONCILIATION": "0",
    # Otherwise Ray's core prints its stack at SIGTERM. Python's fault handler still reports
    # crashes.
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DATA_LOG_LEVEL": "ERROR",  # otherwise every execution prints its plan
    # Otherwise Ray's C++ core prints between our lines, even at level error; its log files keep
    # everything. The one line that acknowledges this variable cannot be avoided.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    **SERVE_ENVIRONMENT,
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

_OBJECT_STORE_BYTES = 1 << 30
_HEAD = "node:__internal_head__"  # a resource that only the head node has


@contextmanager
def ray_session(address: str | None = None, num_cpus: int | None = None) -> Iterator[None]:
    """Start or join Ray for the duration of the block; does nothing if Ray is initialised already.

    Args:
        address: of a running cluster; an embedded one on this machine by default.
        num_cpus: logical processors of the embedded cluster; the machine's by default.

    Raises:
        InputError: no cluster answers at the address or it refuses us, or the path of the
            temporary folder is too long for Ray or cannot be written.
        RaydanceError: the embedded cluster did not start.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    for name in ("ray.data", "ray.train"):  # their progress output would interrupt ours
        logging.getLogger(name).setLevel(logging.ERROR)
    with messages_on_stderr():
        try:
            with signals_wait(), _well_formed_command_line():
                if is_embedded(address):
                    _start(num_cpus)
                else:
                    _join(address)
            yield
        finally:
            ray.shutdown()


def _start(num_cpus: int | None) -> None:
    import ray

    check_temporary_folder()
    keep_token_private()
    with _set_if_absent(_NODES_ENVIRONMENT), processes_apart():
        try:
            ray.init(
                address="local",  # otherwise a stale address file makes it look for a cluster
                num_cpus=num_cpus or max(2, os.cpu_count() or 2),
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
        except Exception as error:  # Ray raises a bare `Exception` where its processes do not start
            if isinstance(error, OSError) and error.filename is not None:
                raise InputError(
                    f"{error.filename}: {error.strerror}; set RAY_TMPDIR to a folder that can be "
                    "written, such as /tmp"
                ) from error
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RaydanceError(
                f"the embedded Ray cluster did not start: {reason} Try again when the machine is "
                "less busy; `train --local` and `serve --no-ray` need no Ray"
            ) from error


def _join(address: str | None) -> None:
    import ray

    check_cluster(address)
    try:
        ray.init(address=address or "auto", logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the Ray cluster answers but cannot be joined: {reason} (needed are a node of it on "
            "this machine, its token, and its versions of Ray and Python)"
        ) from error


@contextmanager
def messages_on_stderr() -> Iterator[None]:
    """Let Ray write what its nodes report, such as lost tasks, beside the results, not among them.

    Ray writes it to standard output even where it is not to write logs.
    """
    from ray._private import worker

    before = worker.print_to_stdstream

    def write(data: dict[str, Any], *arguments: Any, **options: Any) -> None:
        before(data | {"is_err": True}, *arguments, **options)

    worker.print_to_stdstream = write
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def _well_formed_command_line() -> Iterator[None]:
    """Let Ray record the driver's command line even where names in it are not valid UTF-8."""
    from ray._private import utils

    before = utils.get_entrypoint_name
    utils.get_entrypoint_name = lambda: well_formed(before())
    try:
        yield
    finally:
        utils.get_entrypoint_name = before


@contextmanager
def _set_if_absent(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for processes started in the block, unless they are set already."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


def is_embedded(address: str | None) -> bool:
    """Whether a session at this address starts an embedded cluster instead of joining one."""
    named = os.environ.get("RAY_ADDRESS")
    if address is None:
        return named == "local" or not (named or os.environ.get("RAY_JOB_ID"))
    return address == "local"


def starts_nodes() -> bool:
    """Whether the cluster has an autoscaler, which we recognise by a head node without processors.

    Ray does not tell a driver which nodes its autoscaler could add. Requires a Ray session.
    """
    import ray

    heads = [node["Resources"] for node in ray.nodes() if _HEAD in node["Resources"]]
    return bool(heads) and not any(resources.get("CPU") for resources in heads)


def require_shared_cache() -> None:
    """Refuse a local cache of a bucket on a cluster whose nodes do not share the cache folder.

    Raises:
        InputError: several nodes, and `RAYDANCE_CACHE` does not name a folder that they share.
    """
    import ray

    num_nodes = sum(node["Alive"] for node in ray.nodes())
    if (num_nodes > 1 or starts_nodes()) and not os.environ.get(CACHE_VARIABLE):
        raise InputError(
            f"a URI on a cluster of several nodes: set {CACHE_VARIABLE} to a folder on a disk that "
            "all nodes share; copies are kept there"
        )
