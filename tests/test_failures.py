"""What the driver makes of the errors of Ray Train's workers. Starts no Ray."""

from __future__ import annotations

import pickle
from types import ModuleType

import pytest

from raydance.errors import ArtifactError, RaydanceError, StorageError

pytestmark = pytest.mark.ray

DAMAGED = ArtifactError("a.safetensors: damaged")
LOST = RuntimeError("gloo: connection closed by peer\nat some line of C++")
DENIED = PermissionError(13, "Permission denied", "/data/run.json")


@pytest.fixture
def failures() -> ModuleType:
    from raydance.cluster import failures

    return failures


def as_raised(failures: dict[int, Exception]) -> Exception:
    from ray.train import WorkerGroupError

    return pickle.loads(pickle.dumps(WorkerGroupError("a traceback", failures)))


def test_an_error_of_ours_is_found_among_those_that_it_caused(failures: ModuleType) -> None:
    found = failures.cause_of("motion_vae", as_raised({0: LOST, 1: DAMAGED}))
    assert isinstance(found, ArtifactError) and str(found) == str(DAMAGED)


def test_an_error_of_ours_comes_back_from_the_controller(failures: ModuleType) -> None:
    from ray.train import ControllerError

    full = pickle.loads(pickle.dumps(ControllerError(StorageError("x: could not be written"))))
    assert isinstance(failures.cause_of("motion_vae", full), StorageError)


def test_a_file_that_is_not_allowed_is_named(failures: ModuleType) -> None:
    found = failures.cause_of("motion_vae", as_raised({0: DENIED}))
    assert str(found) == "/data/run.json: Permission denied"


def test_another_failure_is_told_in_one_line_with_the_way_on(failures: ModuleType) -> None:
    found = failures.cause_of("motion_vae", as_raised({1: LOST}))
    assert type(found) is RaydanceError
    assert str(found) == (
        "training motion_vae failed: rank 1: RuntimeError: gloo: connection closed by peer; "
        "the same command goes on from the last checkpoint"
    )


@pytest.mark.parametrize("mistake", [DAMAGED, StorageError("full"), DENIED])
def test_what_fails_every_time_is_not_tried_again(failures: ModuleType, mistake: Exception) -> None:
    with pytest.raises((ArtifactError, StorageError)):
        failures.StopAtMistakes().after_exception(None, {0: LOST, 1: mistake})


@pytest.mark.parametrize("failure", [LOST, ConnectionResetError(104, "reset"), OSError("odd")])
def test_what_may_go_well_the_next_time_is_tried_again(
    failures: ModuleType, failure: Exception
) -> None:
    failures.StopAtMistakes().after_exception(None, {0: failure})
