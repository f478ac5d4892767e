"""Starting, joining and leaving Ray."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from raydance.cluster.joining import check_cluster, check_temporary_folder
from raydance.cluster.signals import signals_wait
from raydance.cluster.token import keep_token_private
from raydance.data.storage import CACHE_VARIABLE
from raydance.errors import InputError
from raydance.plain_text import well_formed

SERVE_ENVIRONMENT = {
    # Serve's proxies and replicas call each other directly, not by way of Ray's object store, and
    # as much at once as by way of it: an upload, or a long motion, is above the usual 4 MiB.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(2**31 - 1),
}
"""What every node of a cluster that serves should have in its environment."""

EMBEDDED_ENVIRONMENT = {
    # Processes that wait are kept, not one a processor: loading torch anew for every step took a
    # third of a short training.
    "RAY_num_workers_soft_limit": "8",
    # Nobody follows the logs or the metrics of its processes. Looking for new log files ten times
    # a second, and at every process each five, took a sixteenth of a test run's processors. The
    # interval counts above so many files only; the first look comes after it.
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "3600",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
}
"""What spares the processors of an embedded cluster."""

# For the nodes of an embedded cluster alone.
_NODES_ENVIRONMENT = {
    **EMBEDDED_ENVIRONMENT,
    # Serve's proxies then choose replicas in the loop that asks. A driver keeps handles that work
    # outside of a loop, unless it sets this itself.
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # Ray warns of processes by this number, on standard output, where results are; by itself it is
    # the number of processors, and a service or a few workers have four times as many processes.
    "RAY_worker_maximum_startup_concurrency": "16",
}

# Read when Ray is imported and inherited by every process that it starts. Measured: a tiny
# training falls from 20 s to 12 s when the controller looks after its workers more often.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_STATE_ACTOR_RECONCILIATION": "0",
    # Ray's core would print its stack at SIGTERM. Python's fault handler still tells of crashes.
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DATA_LOG_LEVEL": "ERROR",  # else every execution prints its plan
    # Ray's C++ core would write lines of its own between ours, at level error too; they stay in its
    # log files. One line, that it has read this, cannot be helped.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    **SERVE_ENVIRONMENT,
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

_OBJECT_STORE_BYTES = 1 << 30
_HEAD = "node:__internal_head__"  # a resource that Ray gives to the head alone


@contextmanager
def ray_session(address: str | None = None, num_cpus: int | None = None) -> Iterator[None]:
    """Ray for the length of the block: joined if it runs in this process, else started.

    Args:
        address: of a running cluster; an embedded one on this machine by default.
        num_cpus: logical processors of the embedded cluster; the machine's by default.

    Raises:
        InputError: no cluster answers at the address or lets us in, or the temporary folder's name
            is too long for Ray.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    for name in ("ray.data", "ray.train"):  # their own progress would tear ours apart
        logging.getLogger(name).setLevel(logging.ERROR)
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
    with _set_if_absent(_NODES_ENVIRONMENT):
        ray.init(
            address="local",  # a stale address file would send it looking for a running one
            num_cpus=num_cpus or max(2, os.cpu_count() or 2),
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )


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
def _well_formed_command_line() -> Iterator[None]:
    """A driver tells Ray its command line, and fails where names in it are not UTF-8."""
    from ray._private import utils

    before = utils.get_entrypoint_name
    utils.get_entrypoint_name = lambda: well_formed(before())
    try:
        yield
    finally:
        utils.get_entrypoint_name = before


@contextmanager
def _set_if_absent(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for what is started in the block."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


def is_embedded(address: str | None) -> bool:
    """Whether a session at this address is a cluster of this machine alone, not one that runs."""
    named = os.environ.get("RAY_ADDRESS")
    if address is None:
        return named == "local" or not (named or os.environ.get("RAY_JOB_ID"))
    return address == "local"


def starts_nodes() -> bool:
    """Whether nodes start when they are asked for, which is said by a head without processors.

    Ray itself does not tell a driver which nodes its autoscaler could add. Needs a Ray session.
    """
    import ray

    heads = [node["Resources"] for node in ray.nodes() if _HEAD in node["Resources"]]
    return bool(heads) and not any(resources.get("CPU") for resources in heads)


def require_shared_cache() -> None:
    """Refuse copies of a store where only one of several nodes would see them.

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
