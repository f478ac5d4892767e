"""Work in another process of the cluster while the driver goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from raydance.errors import RaydanceError


def begin(work: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    """Start work; needs a Ray session.

    It reserves no processor, so that it starts also where a training has reserved them all.

    Returns:
        What waits for it, and raises what it raised.
    """
    reference = ray.remote(work).options(num_cpus=0, max_retries=1).remote(*arguments)

    def wait() -> None:
        try:
            ray.get(reference)
        except RayTaskError as error:
            raise error.cause from error
        except RayError as error:  # as one that says that memory ran out
            raise RaydanceError(
                f"a process beside was lost: {error}; the same command goes on"
            ) from error

    return wait
