"""What would keep Ray from starting or being joined, told at once instead of after minutes.

Ray itself tries an address that does not answer for as long as seven minutes, and ends in a
traceback of its own where a folder's name is too long for its sockets.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from typing import Final

from raydance.errors import InputError

ANSWER_S: Final = 20.0
"""How long a cluster may take to answer."""

_MOST_SOCKET_BYTES: Final = 103 if sys.platform == "darwin" else 107  # of a Unix socket's path
_ADDRESS: Final = re.compile(
    r"(?:ray://)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>\d{1,5})"
)


def check_cluster(address: str | None, *, answer_s: float = ANSWER_S) -> None:
    """Refuse an address at which no cluster answers.

    Args:
        address: of a running cluster; `auto`, or None for what the environment says.
        answer_s: how long it may take.

    Raises:
        InputError: not an address, or nobody answers there.
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
    """Refuse a temporary folder in which the sockets of an embedded cluster have no place.

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
    """The address of a cluster on this machine, as Ray finds it for `auto`."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return canonicalize_bootstrap_address_or_die("auto")
    except ConnectionError:
        raise InputError(
            "no Ray cluster runs on this machine; give --address HOST:PORT, or leave it out for an "
            "embedded one"
        ) from None


def _called(address: str | None, place: str) -> str:
    """An address, and where it came from."""
    if address == place:
        return f"--address {place}"
    if os.environ.get("RAY_ADDRESS") == place:
        return f"RAY_ADDRESS={place}"
    return f"--address auto, found at {place}"


def _why_silent(host: str, port: int, answer_s: float) -> str | None:
    """Why nobody who speaks gRPC, as Ray does, answers; None where somebody does."""
    try:
        with socket.create_connection((host, port), answer_s):
            pass
    except TimeoutError:
        return f"no answer in {answer_s:g} s"
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    if os.environ.get("RAY_USE_TLS", "0") == "1":  # Ray alone knows the certificates
        return None
    import grpc

    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with grpc.insecure_channel(target) as channel:
        try:
            grpc.channel_ready_future(channel).result(answer_s)
        except grpc.FutureTimeoutError:
            return f"what listens there is none: no gRPC in {answer_s:g} s"
    return None
