"""What failed in a worker, as an error of ours, and which failures are not worth a second try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import ray.train
from ray.train import UserCallback

from raydance.errors import InputError, RaydanceError, StorageError


class StopAtMistakes(UserCallback):
    """Ends a training in whose workers something failed that fails every time.

    What a callback raises in Ray's controller is the one thing that is not tried again.
    """

    def after_exception(
        self, run_context: Any, worker_exceptions: Mapping[int, BaseException]
    ) -> None:
        for failure in worker_exceptions.values():
            for cause in _causes(failure):
                if isinstance(cause, (InputError, StorageError)):
                    raise cause
                if isinstance(cause, PermissionError) and cause.filename is not None:
                    raise _of_file(cause)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from, through Ray's wrappers."""
    while error is not None:
        yield error
        inner = getattr(error, "controller_failure", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__


def cause_of(stage: str, error: ray.train.TrainingFailedError) -> RaydanceError:
    """What a worker said, as an error of ours; a user's mistake stays one."""
    failures = getattr(error, "worker_failures", {})
    for failure in (error, *failures.values()):
        for cause in _causes(failure):
            if isinstance(cause, RaydanceError):
                return cause
            if isinstance(cause, OSError) and cause.filename is not None:
                return _of_file(cause)
    lines = [f"rank {rank}: {_first_line(failure)}" for rank, failure in failures.items()]
    told = "; ".join(lines) or _first_line(next(reversed(list(_causes(error)))))
    return RaydanceError(
        f"training {stage} failed: {told}; the same command goes on from the last checkpoint"
    )


def _of_file(error: OSError) -> StorageError:
    """An error of the operating system that names a file; those of sockets do not."""
    return StorageError(f"{error.filename}: {error.strerror}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
