"""Checks before Ray is started or joined, so that mistakes are reported at once.

Ray itself retries an address that does not answer for up to seven minutes, and fails with a
traceback if the path of its temporary folder is too long for a socket.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from typing import Final

from raydance.errors import InputError

ANSWER_S: Final = 20.0
"""Timeout for an answer of a cluster, seconds."""

_MOST_SOCKET_BYTES: Final = 103 if sys.platform == "darwin" else 107  # of a Unix socket's path
_ADDRESS: Final = re.compile(
    r"(?:ray://)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>\d{1,5})"
)


def check_cluster(address: str | None, *, answer_s: float = ANSWER_S) -> None:
    """Refuse an address at which no cluster answers.

    Args:
        address: of a running cluster; with `auto` or None the environment decides.
        answer_s: timeout, seconds.

    Raises:
        InputError: not an address, or no cluster answers there.
    """
    given = address if address not in (None, "auto") else os.environ.get("RAY_ADDRESS")
    place = given if given and given != "auto" else _running_here()
    parts = _ADDRESS.fullmatch(place)
    if parts is None or not 0 < int(parts["port"]) < 1 << 16:
        raise InputError(f"{_called(address, place)}; allowed: auto, HOST:PORT or ray://HOST:PORT")
    reason = _why_silent(parts["v6"] or parts["host"], int(parts["port"]), answer_s)
    if reason is not None:
        raise InputError(f"{_called(address, place)}: no Ray cluster answers there ({reason})")


def check_temporary_folder() -> None:
    """Refuse a temporary folder whose path is too long for the sockets of an embedded cluster.

    Raises:
        InputError: names the variable to change.
    """
    named = [name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ]
    if not named:
        return
    folder = os.path.abspath(os.environ[named[0]])
    session = f"session_2000-01-01_00-00-00_000000_{os.getpid()}"
    deepest = os.path.join(folder, "ray", session, "sockets", "plasma_store")
    over = len(os.fsencode(deepest)) - _MOST_SOCKET_BYTES
    if over > 0:
        raise InputError(
            f"{named[0]}={folder}: {over} bytes too long for the sockets of Ray; set RAY_TMPDIR to "
            "a folder with a shorter name, such as /tmp"
        )


def _running_here() -> str:
    """The address of the cluster on this machine that Ray would join for `auto`."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return canonicalize_bootstrap_address_or_die("auto")
    except ConnectionError:
        raise InputError(
            "no Ray cluster runs on this machine; give --address HOST:PORT, or leave it out for an "
            "embedded one"
        ) from None


def _called(address: str | None, place: str) -> str:
    """An address and its origin, for messages."""
    if address == place:
        return f"--address {place}"
    if os.environ.get("RAY_ADDRESS") == place:
        return f"RAY_ADDRESS={place}"
    return f"--address auto, found at {place}"


def _why_silent(host: str, port: int, answer_s: float) -> str | None:
    """Why no gRPC server answers at the address; None if one does."""
    try:
        with socket.create_connection((host, port), answer_s):
            pass
    except TimeoutError:
        return f"no answer in {answer_s:g} s"
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    if os.environ.get("RAY_USE_TLS", "0") == "1":  # only Ray knows the certificates
        return None
    import grpc

    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with grpc.insecure_channel(target) as channel:
        try:
            grpc.channel_ready_future(channel).result(answer_s)
        except grpc.FutureTimeoutError:
            return f"what listens there is none: no gRPC in {answer_s:g} s"
    return None
