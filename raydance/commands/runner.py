"""Where a command's training happens: in this process, or on an embedded or running cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from raydance.errors import InputError
from raydance.progress import Progress

if TYPE_CHECKING:
    from raydance.systems.base import Runner


@contextmanager
def runner_of(
    workers: tuple[int, int],
    gpu: bool | None,
    local: bool,
    address: str | None,
    progress: Progress,
    uses_store: bool,
) -> Iterator[Runner]:
    """The runner that trains: this process, or workers of Ray for as long as the context is open.

    Args:
        workers: fewest and most.
        gpu: whether each worker has a GPU; where the cluster has them by default.
        local: train in this process, without Ray.
        address: a running cluster; an embedded one by default.
        uses_store: data or the run lie in object storage.

    Raises:
        InputError: options that do not go together.
    """
    if local:
        if workers != (1, 1) or address or gpu is not None:
            raise InputError(
                "--local is one process on this machine: no --workers, no --gpu, no --address"
            )
        from raydance.systems.base import LocalRunner

        yield LocalRunner(progress)
        return
    from raydance.cluster.session import ray_session, require_shared_cache, starts_nodes

    # Logical processors: more workers than the machine has still run, only not faster.
    with ray_session(address, num_cpus=max(workers[1] + 1, os.cpu_count() or 1)):
        from raydance.cluster.train import RayRunner

        if uses_store:
            require_shared_cache()
        if starts_nodes():
            progress.say("nodes start when they are needed; what waits for them waits minutes")
        yield RayRunner(workers, report=progress, warn=progress.warn, gpu=gpu)
