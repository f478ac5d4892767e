"""What keeps Ray from starting or being joined is told in one line, and soon."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raydance.cluster import joining
from raydance.cluster.joining import check_cluster, check_temporary_folder
from raydance.cluster.session import is_embedded, messages_on_stderr
from raydance.cluster.signals import processes_apart, signals_wait
from raydance.cluster.token import keep_token_private
from raydance.errors import InputError
from raydance.termination import sigterm_interrupts


@pytest.fixture(autouse=True)
def no_cluster_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_JOB_ID", "RAY_TMPDIR", "TMPDIR", "RAY_USE_TLS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port at which connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


# An address


def test_a_dead_address_is_told(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        dead = f"127.0.0.1:{listening.getsockname()[1]}"  # closed below
    with pytest.raises(InputError, match=f"--address {dead}: no Ray cluster .*refused"):
        check_cluster(dead)
    with pytest.raises(InputError, match=f"--address ray://{dead}: no Ray cluster"):
        check_cluster(f"ray://{dead}")
    monkeypatch.setattr(joining, "_running_here", lambda: dead)  # of a file that a cluster left
    with pytest.raises(InputError, match=f"--address auto, found at {dead}: no Ray"):
        check_cluster("auto")
    monkeypatch.setenv("RAY_ADDRESS", dead)
    for address in (None, "auto"):
        with pytest.raises(InputError, match=f"^RAY_ADDRESS={dead}: no Ray cluster"):
            check_cluster(address)


def test_who_listens_without_a_word_is_no_cluster(silent_port: int):
    with pytest.raises(InputError, match=r"no gRPC in 0\.2 s"):
        check_cluster(f"127.0.0.1:{silent_port}", answer_s=0.2)


def test_who_speaks_grpc_may_be_one():
    import grpc

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        check_cluster(f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(
    "address", ["here", "a b:6379", "host:", "host:70000", "http://h:1", "::1"]
)
def test_what_is_no_address_is_refused(address: str):
    with pytest.raises(InputError, match="allowed: auto, HOST:PORT"):
        check_cluster(address)


def test_which_addresses_mean_a_cluster_of_its_own(monkeypatch: pytest.MonkeyPatch):
    assert is_embedded(None) and is_embedded("local") and not is_embedded("auto")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert is_embedded(None)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert not is_embedded(None) and is_embedded("local")


# The temporary folder


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_temporary_folder_too_deep_for_sockets_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str
):
    monkeypatch.setenv(variable, "/tmp/short")
    check_temporary_folder()
    monkeypatch.setenv(variable, f"/tmp/{'x' * 70}")
    with pytest.raises(InputError, match=f"{variable}=/tmp/x+: .* bytes too long .*RAY_TMPDIR"):
        check_temporary_folder()
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # goes before TMPDIR
    check_temporary_folder()


# The token


def test_the_token_of_an_embedded_ray_is_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    token = tmp_path / ".ray" / "auth_token"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    keep_token_private()
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    keep_token_private()
    assert not token.exists()
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    keep_token_private()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600 and len(token.read_text()) == 64
    assert [path.name for path in token.parent.iterdir()] == ["auth_token"]

    token.write_text("the user's own")
    for before, after in ((0o644, 0o600), (0o640, 0o640), (0o600, 0o600)):
        token.chmod(before)
        keep_token_private()
        assert stat.S_IMODE(token.stat().st_mode) == after
    assert token.read_text() == "the user's own"


def test_a_token_that_another_process_was_first_to_write_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from raydance.cluster import token as module

    path = tmp_path / "auth_token"
    path.write_text("theirs")

    def no_links(*paths: object) -> None:
        raise PermissionError

    for link in (os.link, no_links):
        monkeypatch.setattr(os, "link", link)
        module._write(path)
        assert path.read_text() == "theirs" and list(tmp_path.iterdir()) == [path]
    path.unlink()
    module._write(path)
    assert len(path.read_text()) == 64 and list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# Signals


def test_sigterm_interrupts_as_ctrl_c_does():
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_interrupts() as sigterm:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert sigterm.came
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_wait_until_ray_has_started(number: signal.Signals, request: pytest.FixtureRequest):
    from ray._private import utils

    # A shell that starts tests in the background lets them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    own = utils.set_sigterm_handler
    steps = []
    with sigterm_interrupts(), pytest.raises(KeyboardInterrupt):
        with signals_wait():
            utils.set_sigterm_handler(lambda *arguments: steps.append("Ray's"))
            os.kill(os.getpid(), number)
            steps.append("started")
        steps.append("went on")
    assert steps == ["started"] and utils.set_sigterm_handler is own
    with sigterm_interrupts(), pytest.raises(KeyboardInterrupt):
        with signals_wait():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            steps.append("a second one waits too")
    assert steps == ["started"]


def test_the_processes_of_ray_get_no_signals_of_our_group():
    from ray._private import services, utils

    if not utils.detect_fate_sharing_support():
        pytest.skip("the kernel does not end processes with the one that started them")
    with processes_apart():
        process = services.ConsolePopen(["sleep", "60"])
        group = os.getpgid(process.pid)
    process.kill()
    process.wait()
    assert group == process.pid != os.getpgid(0)
    assert services.ConsolePopen.__name__ == "ConsolePopen"


def test_what_nodes_report_is_not_among_the_results(capfd: pytest.CaptureFixture[str]):
    from ray._private import worker

    before = worker.print_to_stdstream
    with messages_on_stderr():
        lost = {"lines": ["a task was lost"], "pid": "raylet", "is_err": False}
        worker.print_to_stdstream(lost, ignore_prefix=False)
    out, err = capfd.readouterr()
    assert out == "" and "a task was lost" in err
    assert worker.print_to_stdstream is before
