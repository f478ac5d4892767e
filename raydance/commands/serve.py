"""`raydance serve`: runs behind HTTP, with the page."""

from __future__ import annotations

import errno
import re
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raydance.commands import service
from raydance.commands.options import AddressOption, QuietOption, local
from raydance.commands.service import Say
from raydance.config import parse_range
from raydance.errors import ArtifactError, InputError

if TYPE_CHECKING:
    from raydance.serving.runs import Entry

_KEYS_VARIABLE = "RAYDANCE_API_KEYS_FILE"
_BATCH = 32
_LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Trained runs, each RUN or NAME=RUN; the first is the default."
        ),
    ],
    library: Annotated[
        str | None,
        typer.Option(metavar="CAPTIONS", help="A captioned library to search in (first run)."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET", help="The first run's dataset, where it is not where it was."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8000,
    replicas: Annotated[
        str, typer.Option(metavar="N|MIN:MAX", help="Of each part; follows the load.")
    ] = "1",
    replicas_per_node: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            metavar="N",
            help="Of each part on one node at most; further ones wait for a node.",
        ),
    ] = None,
    encoder_apart: Annotated[
        bool,
        typer.Option(
            "--encoder-apart",
            help="Encode all sentences in one part: for encoders too large to be held thrice.",
        ),
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar=_KEYS_VARIABLE,
            help="API keys, one a line; without it whoever reaches the port may ask.",
        ),
    ] = None,
    origins: Annotated[
        list[str] | None,
        typer.Option("--cors", metavar="ORIGIN", help="A page elsewhere that may call the API."),
    ] = None,
    max_upload: Annotated[
        int, typer.Option(min=1, max=4096, metavar="MIB", help="Largest upload.")
    ] = 64,
    max_requests: Annotated[
        int,
        typer.Option(
            min=1,
            help="Answered at once (on a cluster by each replica that speaks HTTP); more get 503 "
            "and Retry-After.",
        ),
    ] = 64,
    batch: Annotated[
        int, typer.Option(min=1, max=1024, help="Most requests that are answered together.")
    ] = _BATCH,
    page: Annotated[bool, typer.Option(help="Offer the web page at /.")] = True,
    ray: Annotated[
        bool | None,
        typer.Option(
            "--ray/--no-ray",
            help="Ray Serve, or one plain process without Ray; by default Ray on a cluster, and "
            "where replicas or another option of Ray ask for it.",
        ),
    ] = None,
    address: AddressOption = None,
    quiet: QuietOption = False,
) -> None:
    """Serve runs over HTTP: generate, describe, search, and a page to do it on.

    Listens until Ctrl-C or SIGTERM, and then answers what it has begun. The API's document is at
    /v1/openapi.json. On one machine it is one plain process, unless --replicas or another option
    of Ray asks for more. On a running cluster (--address) the same command rolls new runs out over
    the old ones; there, prefer `serve deploy` with a file (see deploy/serve.yaml), which does not
    need this process.

    \b
    Examples:
      raydance serve runs/mine
      raydance serve runs/mine --library captions/mocap --port 9000
      raydance serve new=runs/b old=runs/a --replicas 1:4 --keys keys.txt --host 0.0.0.0
      raydance serve runs/mine --address auto --replicas 2:8 --replicas-per-node 1
    """
    started = time.monotonic()
    from raydance.cluster.session import is_embedded
    from raydance.data.storage import is_uri
    from raydance.serving.access_control import read_keys

    pool = parse_range("--replicas", replicas)
    of_ray = {
        "--replicas": pool != (1, 1),
        "--replicas-per-node": replicas_per_node is not None,
        "--encoder-apart": encoder_apart,
        "--batch": batch != _BATCH,
        "--address": address is not None,
    }
    if ray is False and any(of_ray.values()):
        given = ", ".join(option for option, is_given in of_ray.items() if is_given)
        raise InputError(f"{given}: for Ray alone; leave it out, or --no-ray")
    if replicas_per_node is not None and replicas_per_node < pool[0]:
        _need_nodes(replicas_per_node, pool[0], address)
    say = service.say_nothing if quiet else service.say
    digests = read_keys(keys) if keys else []
    _check_origins(origins or ())
    if host not in _LOCAL and not digests:
        say(f"warning: {host} is reached from elsewhere, and no API key is asked for (--keys)")
    if is_embedded(address):  # on a cluster it may be our own service that listens there
        _check_free(host, port)
    say(f"starting {', '.join(runs)}")
    from raydance.serving.application import Settings  # loads torch, which takes a while
    from raydance.serving.reader import Limits
    from raydance.serving.runs import RunCache, entries_of

    kept = (str(local(place, say)) if place else None for place in (library, data))
    entries = entries_of([_fetched(run, say) for run in runs], *kept)
    of_tasks = not all(map(_has_service, entries))
    for_others = {"--library": bool(library), "--data": bool(data)}
    for_others |= {name: of_ray[name] for name in ("--encoder-apart", "--batch")}
    if of_tasks and any(for_others.values()):
        given = ", ".join(option for option, is_given in for_others.items() if is_given)
        raise InputError(f"{given}: for runs of Dance-Language alone; leave it out")
    run_cache = RunCache(entries)
    for entry in () if of_tasks else entries:  # a mistake is told here, not in a replica's log
        run_cache.open(entry.name)
    offer = service.Offer(
        entries=entries,
        settings=Settings(
            limits=Limits(upload_bytes=max_upload << 20),
            key_digests=digests,
            origins=tuple(origins or ()),
            page=_page(say) if page else None,
            most_requests=max_requests,
        ),
        host=host,
        port=port,
        say=say,
        of_tasks=of_tasks,
        started=started,
    )
    if ray or (ray is None and (any(of_ray.values()) or not is_embedded(address))):
        places = [run.partition("=")[2] or run for run in runs] + [library or "", data or ""]
        scale = {
            "replicas": pool,
            "replicas_per_node": replicas_per_node,
            "batch": batch,
            "encoder_apart": encoder_apart,
            "of_tasks": of_tasks,
        }
        service.serve_with_ray(offer, scale, address, is_copied=any(map(is_uri, places)))
    else:
        service.serve_plain(offer, run_cache)


def _has_service(entry: Entry) -> bool:
    """Whether a run's system has a service of its own; that of others follows from their tasks."""
    from raydance.systems import system_of_run

    try:
        return system_of_run(entry.run).has_service
    except ArtifactError:
        return True  # what is no run is told when it is opened


def _need_nodes(per_node: int, fewest: int, address: str | None) -> None:
    """Refuse replicas that one machine may not hold where there will never be another.

    Raises:
        InputError: the cluster would be this machine alone.
    """
    from raydance.cluster.session import is_embedded

    if is_embedded(address):
        raise InputError(
            f"--replicas-per-node {per_node}: this machine alone is one node, and --replicas needs "
            f"{fewest} of each part; give --address for a cluster, or --replicas {per_node}"
        )


def _fetched(run: str, say: Say) -> str:
    name, mark, place = run.partition("=")
    if mark and "/" not in name:
        return f"{name}={local(place, say)}"
    return str(local(run, say))


def _page(say: Say) -> str | None:
    from raydance import web
    from raydance.errors import RaydanceError

    try:
        return str(web.dist())
    except RaydanceError as error:
        say(f"warning: no page at / ({error})")
        return None


def _check_origins(origins: Sequence[str]) -> None:
    """Refuse what no browser sends as the origin of a page.

    Raises:
        InputError: says what one looks like.
    """
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s?#@]+", origin):
            raise InputError(f"--cors {origin}: SCHEME://HOST[:PORT] without a path, or *")


def _check_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened at.

    Raises:
        InputError: it is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, port))
        except OSError as error:
            other = "--host" if error.errno == errno.EADDRNOTAVAIL else "--port"
            raise InputError(f"{host}:{port}: {error.strerror}; choose another {other}") from None
