"""How `raydance serve` starts and ends: in one plain process, or on Ray Serve."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raydance.errors import RaydanceError
from raydance.plain_text import one_line

if TYPE_CHECKING:
    from raydance.serving.application import Settings
    from raydance.serving.backend import Backend
    from raydance.serving.runs import Entry, RunCache

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What is served, where, and who is told.

    Attributes:
        of_tasks: whether the runs are served by their tasks.
        started: `time.monotonic()` when the command began.
    """

    entries: Sequence[Entry]
    settings: Settings
    host: str
    port: int
    say: Say
    of_tasks: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def names(self) -> str:
        """Of the runs."""
        return ", ".join(entry.name for entry in self.entries)

    def announce(self) -> None:
        """Say where it is."""
        self.say(f"serving {self.names} at http://{self.host}:{self.port} (Ctrl-C ends it)")


def serve_plain(offer: Offer, run_cache: RunCache) -> None:
    """Serve from this process alone, which holds all parts."""
    from raydance.serving.backend import InProcess

    def backend() -> Backend:
        return InProcess(run_cache, report=offer.say)

    _listen(offer, _application(offer, None if offer.of_tasks else backend))


def serve_with_ray(
    offer: Offer, scale: dict[str, Any], address: str | None, *, is_copied: bool
) -> None:
    """Serve with Ray Serve.

    Args:
        scale: fields of `raydance.cluster.serving.Scale`.
        address: of a running cluster; an embedded one on this machine by default.
        is_copied: whether a run was copied here, so that other nodes need the same cache.
    """
    from raydance.cluster.session import is_embedded, ray_session, require_shared_cache

    on_this_machine = is_embedded(address)
    if on_this_machine:
        # Before Serve is imported: handles are used in uvicorn's loop alone, and may route in it.
        os.environ.setdefault("RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP", "0")
    # Parts wait for each other more than they compute: more of them than processors.
    with ray_session(address, num_cpus=max(8, 2 * (os.cpu_count() or 1))):
        if is_copied:
            require_shared_cache()
        if on_this_machine:
            _beside_parts(offer, scale)
        else:
            _on_cluster(offer, scale)


def _beside_parts(offer: Offer, scale: dict[str, Any]) -> None:
    """Speak HTTP in this process, which the embedded cluster does not outlive anyway."""
    from raydance.cluster import serving

    offer.say("starting the parts of the service on Ray Serve")
    backend = serving.start_parts(offer.entries, offer.settings, serving.Scale(**scale))
    _listen(offer, _application(offer, backend))


def _on_cluster(offer: Offer, scale: dict[str, Any]) -> None:
    """Deploy everything, also what speaks HTTP."""
    from raydance.cluster import serving

    host, port = offer.host, offer.port
    application = serving.build(offer.entries, offer.settings, serving.Scale(**scale))
    started = serving.start(application, host=host, port=port, everywhere=True)
    # A command in the background ignores Ctrl-C unless it says otherwise; a job gets SIGTERM.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.default_int_handler)
    try:
        if not _answers(host, port):
            offer.say(
                f"warning: nothing answers at {host}:{port}; Serve keeps the address that it was "
                "first started with on a cluster"
            )
        offer.announce()
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        offer.say("ending: requests that are being answered are finished first")
    finally:
        serving.stop(started)


def _application(offer: Offer, backend: Callable[[], Backend] | None) -> Any:
    from raydance.serving.app import create_app
    from raydance.serving.task_app import create_task_app

    if offer.of_tasks:
        return create_task_app(offer.entries, offer.settings, offer.say, backend)
    assert backend is not None
    return create_app(backend, offer.settings)


def _listen(offer: Offer, application: Any) -> None:
    """Answer until Ctrl-C, and what is being answered then.

    Requests are accepted at once and answered when everything is loaded, which is announced.

    Raises:
        RaydanceError: the address cannot be listened at, or a run cannot be loaded.
    """
    import uvicorn

    failures: list[Exception] = []

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                self._loading = asyncio.create_task(self._load())

        async def _load(self) -> None:
            try:
                await application.state.ready()
            except Exception as error:
                failures.append(error)
                self.should_exit = True
                return
            offer.say(f"ready after {time.monotonic() - offer.started:.1f} s")
            offer.announce()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            self._loading.cancel()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        application,
        host=offer.host,
        port=offer.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=30,
    )
    server = Server(config)
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        server.run()
    if failures:
        raise failures[0]
    if not server.started:
        raise RaydanceError(f"the service did not come up at {offer.host}:{offer.port}")


def _answers(host: str, port: int) -> bool:
    """Whether somebody listens there, in a while."""
    for _ in range(20):
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1.0):
            return True
        time.sleep(0.5)
    return False


def say(line: str) -> None:
    """Tell the user on standard error."""
    print(f"raydance: {one_line(line)}", file=sys.stderr, flush=True)


def say_nothing(line: str) -> None:
    """In place of `say`, with --quiet."""
