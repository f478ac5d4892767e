"""The service on Ray Serve: built, started, rolled out, ended; also from a Serve config file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ray import serve

from raydance import config, web
from raydance.cluster import serve as deployments
from raydance.cluster.session import SERVE_ENVIRONMENT
from raydance.errors import ConfigError
from raydance.serving.access_control import read_keys
from raydance.serving.app import create_app
from raydance.serving.application import Settings
from raydance.serving.backend import Backend
from raydance.serving.reader import Limits
from raydance.serving.runs import Entry
from raydance.serving.task_app import create_task_app

APPLICATION: Final = "raydance"
_REQUEST_S: Final = 120.0
_ON_GPU: Final = ("Generator", "Describer", "Tasks")
_AS_IN_SCALE: Final = "replicas_per_node", "cpus", "gpu", "batch", "encoder_apart", "of_tasks"
_LOGGING: Final = {"log_level": "WARNING", "enable_access_log": False}
# Read by Serve where a replica starts. Measured: they halve what Serve adds to a request.
_ENVIRONMENT: Final = {
    **SERVE_ENVIRONMENT,
    # The parts compute in a thread of their own anyway, so Serve needs none for their code,
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    # nor for the choice of a replica: handles are used in the event loop alone.
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a service is.

    Attributes:
        replicas: fewest and most of each part; between them Serve follows the load.
        replicas_per_node: of each part at most, so that a lost node leaves others; further ones
            wait for a node. Serve spreads them at first in any case, but starts one that died
            wherever there is room, also beside the last.
        cpus: processors that a replica reserves; a share lets all parts live on a laptop.
        gpu: whether `Generator` and `Describer`, or `Tasks`, get a GPU each.
        batch: most sentences, motions and searches that are worked on together; 1 for each alone.
        encoder_apart: whether `SentenceEncoder` alone encodes sentences, rather than `Generator`
            and `Retriever` each theirs: one large encoder in memory, for a longer way.
        of_tasks: whether the runs are served by their tasks, as those of every system can be.

    Raises:
        ConfigError: a value that is not allowed.
    """

    replicas: tuple[int, int] = (1, 1)
    replicas_per_node: int | None = None
    cpus: float = 0.25
    gpu: bool = False
    batch: int = deployments.BATCH
    encoder_apart: bool = False
    of_tasks: bool = False

    def __post_init__(self) -> None:
        low, high = self.replicas
        if self.of_tasks and (self.encoder_apart or self.batch != deployments.BATCH):
            raise ConfigError("of_tasks: tasks have no encoder_apart and no batch; leave them out")
        if not 1 <= self.batch <= 1024:
            raise ConfigError(f"batch: {self.batch}; allowed: 1 to 1024")
        if not 1 <= low <= high:
            raise ConfigError(f"replicas {low}:{high}; allowed: 1 <= MIN <= MAX")
        if not self.cpus >= 0:
            raise ConfigError(f"cpus {self.cpus:g}; allowed: 0 or more")
        if self.replicas_per_node is not None and not 1 <= self.replicas_per_node <= 100:
            raise ConfigError(f"replicas_per_node {self.replicas_per_node}; allowed: 1 to 100")


def build(entries: Sequence[Entry], settings: Settings, scale: Scale) -> serve.Application:
    """The application: the parts, behind replicas that speak HTTP."""
    bound = _parts(entries, settings, scale)
    backend = _backend({part: (part, APPLICATION) for part in bound}, entries, scale)

    def application() -> Any:
        replica = serve.get_replica_context().replica_id.unique_id
        is_alone = scale.replicas == (1, 1)
        own = replace(settings, replica=replica, has_jobs=is_alone)
        if scale.of_tasks:
            return create_task_app(entries, own, backend=backend)
        return create_app(backend, own)

    ingress = serve.deployment(
        name="Ingress",
        # The concurrency limit turns requests away in our own words; Serve's bounds are behind it.
        max_ongoing_requests=2 * settings.most_requests,
        max_queued_requests=8 * settings.most_requests,
        ray_actor_options=_actor(scale.cpus),
        **_common(scale),
    )(serve.ingress(application)())
    return ingress.bind(**bound)


def _parts(
    entries: Sequence[Entry], settings: Settings, scale: Scale
) -> dict[str, serve.Application]:
    """The parts by name, each of which can stand alone."""
    user_config = {
        "runs": [entry.to_dict() for entry in entries],
        "batch": scale.batch,
        "encoder_apart": scale.encoder_apart,
    }
    bound = {}
    for kind in (deployments.Tasks,) if scale.of_tasks else deployments.KINDS:
        on_gpu = scale.gpu and kind.__name__ in _ON_GPU
        bound[kind.__name__] = serve.deployment(
            name=kind.__name__,
            max_ongoing_requests=2 * max(scale.batch, deployments.BATCH) if kind.is_batched else 8,
            max_queued_requests=2 * settings.most_requests,
            ray_actor_options=_actor(scale.cpus, 1 if on_gpu else 0),
            user_config=user_config,
            **_common(scale),
        )(kind).bind()
    return bound


def _common(scale: Scale) -> dict[str, Any]:
    """What is the same for all deployments."""
    return _number(*scale.replicas) | {
        "max_replicas_per_node": scale.replicas_per_node,
        # New replicas are there before old ones end, where there is room for both.
        "max_surge_percent": 100 if scale.replicas_per_node is None else 0,
        "health_check_period_s": 5,
        "health_check_timeout_s": 30,
        "graceful_shutdown_timeout_s": 30,
    }


def _number(low: int, high: int) -> dict[str, Any]:
    """How many replicas a part has."""
    if low == high:
        return {"num_replicas": low}
    return {
        "autoscaling_config": {
            "min_replicas": low,
            "max_replicas": high,
            "target_ongoing_requests": 4,
            "upscale_delay_s": 5,
            "downscale_delay_s": 60,
        }
    }


def _actor(cpus: float, gpus: int = 0) -> dict[str, Any]:
    """What Ray needs to know of a replica's process."""
    return {"num_cpus": cpus, "num_gpus": gpus, "runtime_env": {"env_vars": dict(_ENVIRONMENT)}}


def start(
    application: serve.Application, *, host: str, port: int, everywhere: bool = False
) -> float:
    """Serve an application, or roll it out over the one that is served; needs a Ray session.

    Args:
        everywhere: listen on every node that has a replica, not on the head alone.

    Returns:
        When it was deployed, for `stop`.

    Raises:
        ConfigError: it did not come up; Serve's log has why.
    """
    with _told():
        serve.start(
            proxy_location="EveryNode" if everywhere else "HeadOnly",
            http_options={"host": host, "port": port, "request_timeout_s": _REQUEST_S},
            logging_config=_LOGGING,
        )
        serve.run(application, name=APPLICATION, route_prefix="/", logging_config=_LOGGING)
    return _deployed_at()


def start_parts(
    entries: Sequence[Entry], settings: Settings, scale: Scale
) -> Callable[[], Backend]:
    """Start the parts alone, for an application in this process; needs a Ray session.

    One hop less than `start`: what arrives is read here, and no proxy passes it on.

    Returns:
        What makes the backend, in the event loop that uses it.

    Raises:
        ConfigError: they did not come up; Serve's log has why.
    """
    parts = _parts(entries, settings, scale)
    # Applications of their own: one that holds them all would be a process more.
    names = {part: f"{APPLICATION}-{part}" for part in parts}
    with _told():
        serve.start(proxy_location="Disabled", logging_config=_LOGGING)
        serve.run_many(
            [
                serve.RunTarget(
                    target=application,
                    name=names[part],
                    route_prefix=None,
                    logging_config=_LOGGING,
                )
                for part, application in parts.items()
            ]
        )

    return _backend({part: (part, names[part]) for part in parts}, entries, scale)


def _backend(
    places: Mapping[str, tuple[str, str]], entries: Sequence[Entry], scale: Scale
) -> Callable[[], Backend]:
    """Makes the backend: what each part's deployment and application are called.

    Called in the event loop that will use it, where handles may route without another thread.
    """
    encoder_apart, is_many = scale.encoder_apart, len(entries) > 1

    def make() -> Backend:
        handles = {part: serve.get_deployment_handle(*place) for part, place in places.items()}
        return deployments.Deployments(handles, encoder_apart=encoder_apart, is_many=is_many)

    return make


@contextmanager
def _told() -> Iterator[None]:
    """Say what went wrong as an error of ours, and leave Serve's own lines to its log."""
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    try:
        yield
    except RuntimeError as error:
        raise ConfigError(f"the service did not come up: {error}") from None


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """The `args` of a Serve configuration file; see `deploy/serve.yaml`.

    Attributes:
        runs: the first is the default.
        replicas: `N` or `MIN:MAX` of each part.
        replicas_per_node, cpus, gpu, batch, encoder_apart, of_tasks: as in `Scale`.
        page: whether the web page is at /.
        most_requests: answered at once by each ingress replica; more are turned away.
        keys_file: API keys, one a line; none, and no key is asked for.
        origins: of pages elsewhere that may call the API.
    """

    runs: tuple[Entry, ...]
    replicas: str = "1"
    cpus: float = 1.0
    gpu: bool = False
    batch: int = deployments.BATCH
    replicas_per_node: int | None = None
    encoder_apart: bool = False
    of_tasks: bool = False
    page: bool = True
    most_requests: int = 64
    keys_file: str | None = None
    origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


def from_config(args: Mapping[str, Any]) -> serve.Application:
    """The application of a Serve configuration file (`serve deploy`).

    Args:
        args: a `ServiceConfig` as plain data.

    Raises:
        ConfigError: an unknown key, a wrong type, no run, or a size that `Scale` refuses.
        InputError: `replicas` is no range.
    """
    wanted = config.from_dict(ServiceConfig, args, "args")
    if not wanted.runs:
        raise ConfigError("args.runs: at least one is needed")
    settings = Settings(
        limits=wanted.limits,
        key_digests=tuple(read_keys(wanted.keys_file)) if wanted.keys_file else (),
        origins=wanted.origins,
        page=str(web.dist()) if wanted.page else None,
        most_requests=wanted.most_requests,
    )
    scale = Scale(
        replicas=config.parse_range("args.replicas", wanted.replicas),
        **{name: getattr(wanted, name) for name in _AS_IN_SCALE},
    )
    return build(wanted.runs, settings, scale)


def stop(started: float | None = None) -> None:
    """End the application; what is being answered is answered first.

    Args:
        started: end it only if it is still the one that `start` returned this for.
    """
    if started is None or _deployed_at() == started:
        serve.delete(APPLICATION)


def _deployed_at() -> float:
    """When the application was last deployed."""
    return float(serve.status().applications[APPLICATION].last_deployed_time_s)
