"""Ray Serve: the parts of the service as deployments, behind one that speaks HTTP.

    client -> proxy -> Ingress -> Speech -> Generator
                              \\-> Describer, Retriever

Each part has replicas, a queue and an autoscaler of its own. The runs are the parts' user
configuration: when it changes, replicas open the new runs beside the old ones and then change over,
so a roll-out fails no request. Every call may be repeated, so one whose replica died is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from raydance import web
from raydance.errors import ConfigError
from raydance.motion.clip import Clip
from raydance.serving import parts
from raydance.serving.app import Settings, create_app
from raydance.serving.backend import only
from raydance.serving.guard import read_keys
from raydance.serving.motions import ClipPart
from raydance.serving.problems import Busy
from raydance.serving.reader import Limits
from raydance.serving.runs import Entry, Shelf
from raydance.systems.generation import Request

APPLICATION: Final = "raydance"
_TRIES: Final = 4
_REQUEST_S: Final = 120.0
_PAUSE_S: Final = 0.2
_BATCH: Final = 32
_BATCH_WAIT_S: Final = 0.002
_LOADED_RUNS: Final = 4
_PARTS: Final = ("Speech", "Generator", "Describer", "Retriever")


class _Replica:
    """A part in a replica: one thread computes, so that the loop stays free for what arrives."""

    kind: type[parts.Part]

    def __init__(self) -> None:
        self._part: parts.Part | None = None
        self._entries: list[Entry] = []
        self._computing = asyncio.Semaphore(1)

    async def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Change over to other runs; Ray calls it before the first request and when they change."""
        entries = [Entry(**row) for row in config["runs"]]
        if entries == self._entries:
            return
        part = self.kind(Shelf(entries, _LOADED_RUNS))
        await asyncio.to_thread(part.warm_up)  # the old runs answer until these are there
        self._part, self._entries = part, entries

    @serve.multiplexed(max_num_models_per_replica=_LOADED_RUNS)
    async def hold(self, model: str) -> str:
        """Note, for Serve's routing, that this replica has a run loaded."""
        await asyncio.to_thread(self.part.shelf.open, model)
        return model

    @property
    def part(self) -> Any:
        """The part, which is there once Ray has configured the replica."""
        assert self._part is not None
        return self._part

    async def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do the work of one request, or of one batch, in a thread."""
        model = serve.get_multiplexed_model_id()
        if model:
            await self.hold(model)
        async with self._computing:
            return await asyncio.to_thread(work, *arguments)

    async def ready(self) -> bool:
        """Answers once the replica does."""
        return self._part is not None


class Speech(_Replica):
    """Sentences into points, those that arrive together in one batch."""

    kind = parts.Speech

    @serve.batch(max_batch_size=_BATCH, batch_wait_timeout_s=_BATCH_WAIT_S)
    async def encode(self, asked: list[tuple[str | None, str]]) -> list[Any]:
        """See `parts.Speech.encode_together`."""
        return list(await self.compute(self.part.encode_together, asked))


class Generator(_Replica):
    """Points into motion, those that arrive together in one batch."""

    kind = parts.Generator

    @serve.batch(max_batch_size=_BATCH, batch_wait_timeout_s=_BATCH_WAIT_S)  # type: ignore
    async def generate(
        self, models: list[str | None], spoken: list[Any], wanted: list[Mapping[str, Any]]
    ) -> list[Any]:
        """Motion for what `Speech.encode` answered and the further fields of `Request`.

        Answers `(Spoken, Made)` or `Failed` for each.
        """
        answers = list(spoken)
        good = [i for i, one in enumerate(spoken) if not isinstance(one, parts.Failed)]
        requests = [(models[i], Request(words=spoken[i].words, **wanted[i])) for i in good]
        made = await self.compute(self.part.generate_together, requests)
        for i, one in zip(good, made):
            answers[i] = one if isinstance(one, parts.Failed) else (spoken[i], one)
        return answers

    async def between(self, *arguments: Any) -> Any:
        """See `parts.Generator.between`."""
        return await self.compute(self.part.between, *arguments)


class Describer(_Replica):
    """Motion into words and points."""

    kind = parts.Describer

    async def describe(self, *arguments: Any) -> Any:
        """See `parts.Describer.describe`."""
        return await self.compute(self.part.describe, *arguments)

    async def embed(self, *arguments: Any) -> Any:
        """See `parts.Describer.embed`."""
        return await self.compute(self.part.embed, *arguments)


class Retriever(_Replica):
    """Points into clips."""

    kind = parts.Retriever

    async def models(self) -> Any:
        """See `parts.Retriever.models`."""
        return await self.compute(self.part.models)

    async def search(self, *arguments: Any) -> Any:
        """See `parts.Retriever.search`."""
        return await self.compute(self.part.search, *arguments)

    async def part_of(self, *arguments: Any) -> Any:
        """See `parts.Retriever.part_of`."""
        return await self.compute(self.part.part_of, *arguments)

    async def map(self, *arguments: Any) -> Any:
        """See `parts.Retriever.map`."""
        return await self.compute(self.part.map, *arguments)


class Deployments:
    """The deployments as a `raydance.serving.backend.Backend`.

    Args:
        handles: of the parts, by name.
    """

    def __init__(self, handles: Mapping[str, DeploymentHandle]) -> None:
        self._handles = handles
        self._is_many = False

    async def ready(self) -> None:
        """See `Backend`."""
        await asyncio.gather(*(self._ask(name, "ready", None) for name in _PARTS))

    async def models(self) -> list[dict[str, Any]]:
        """See `Backend`."""
        found: list[dict[str, Any]] = await self._ask("Retriever", "models", None)
        self._is_many = len(found) > 1
        return found

    async def speak(self, model: str | None, text: str) -> parts.Spoken:
        """See `Backend`."""
        return only([await self._ask("Speech", "encode", model, (model, text))])

    async def generate(
        self, model: str | None, text: str, **wanted: Any
    ) -> tuple[parts.Spoken, parts.Made]:
        """See `Backend`."""

        def call() -> Any:
            # The answer goes from replica to replica, not by way of this one.
            spoken = self._handle("Speech", model).encode.remote((model, text))
            return self._handle("Generator", model).generate.remote(model, spoken, wanted)

        return only([await _steadily(call)])

    async def between(
        self, model: str | None, places: Sequence[tuple[str, float]], shares: Sequence[float]
    ) -> parts.Made:
        """See `Backend`."""
        return await self._ask("Generator", "between", model, model, places, shares)

    async def describe(self, model: str | None, clip: Clip, k: int) -> dict[str, Any]:
        """See `Backend`."""
        return await self._ask("Describer", "describe", model, model, clip, k)

    async def embed(self, model: str | None, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
        """See `Backend`."""
        return await self._ask("Describer", "embed", model, model, clip)

    async def search(
        self, model: str | None, point_Z: np.ndarray, k: int, in_library: bool | None
    ) -> dict[str, Any]:
        """See `Backend`."""
        return await self._ask("Retriever", "search", model, model, point_Z, k, in_library)

    async def part_of(
        self, model: str | None, clip_id: str, span: tuple[float, float], in_library: bool
    ) -> ClipPart:
        """See `Backend`."""
        return await self._ask("Retriever", "part_of", model, model, clip_id, span, in_library)

    async def map(self, model: str | None, limit: int) -> dict[str, Any]:
        """See `Backend`."""
        return await self._ask("Retriever", "map", model, model, limit)

    def _handle(self, name: str, model: str | None) -> DeploymentHandle:
        handle = self._handles[name]
        # Routing by run costs a little, and says nothing where there is one.
        if self._is_many and model is not None:
            return handle.options(multiplexed_model_id=model)
        return handle

    async def _ask(self, name: str, method: str, model: str | None, *arguments: Any) -> Any:
        handle = self._handle(name, model)
        return await _steadily(lambda: getattr(handle, method).remote(*arguments))


async def _steadily(call: Callable[[], Any]) -> Any:
    """Await a call to a replica; once more, elsewhere, if that replica dies."""
    for attempt in range(_TRIES):
        try:
            return await call()
        except BackPressureError:
            raise Busy("too many requests are waiting; try again soon") from None
        except (RayActorError, DeploymentUnavailableError):
            if attempt == _TRIES - 1:
                raise Busy("this part of the service is being started again") from None
            await asyncio.sleep(_PAUSE_S * 2**attempt)
    raise AssertionError


def build(
    entries: Sequence[Entry],
    settings: Settings,
    *,
    replicas: tuple[int, int] = (1, 1),
    cpus: float = 0.25,
    gpu: bool = False,
) -> serve.Application:
    """The application.

    Args:
        replicas: fewest and most of each part; between them Serve follows the load.
        cpus: processors that a replica reserves; a share lets all parts live on a laptop.
        gpu: whether `Generator` and `Describer` get a GPU each.
    """
    low, high = replicas
    if not 1 <= low <= high:
        raise ConfigError(f"replicas {low}:{high}; allowed: 1 <= MIN <= MAX")
    scale: dict[str, Any] = (
        {"num_replicas": low}
        if low == high
        else {
            "autoscaling_config": {
                "min_replicas": low,
                "max_replicas": high,
                "target_ongoing_requests": 4,
                "upscale_delay_s": 5,
                "downscale_delay_s": 60,
            }
        }
    )
    common = scale | {
        "user_config": {"runs": [entry.to_dict() for entry in entries]},
        "health_check_period_s": 5,
        "health_check_timeout_s": 30,
        "graceful_shutdown_timeout_s": 30,
    }
    bound = {}
    for kind in (Speech, Generator, Describer, Retriever):
        on_gpu = gpu and kind in (Generator, Describer)
        is_batched = kind in (Speech, Generator)
        bound[kind.__name__] = serve.deployment(
            name=kind.__name__,
            max_ongoing_requests=2 * _BATCH if is_batched else 8,
            max_queued_requests=2 * settings.most_requests,
            ray_actor_options={"num_cpus": cpus, "num_gpus": 1 if on_gpu else 0},
            **common,
        )(kind).bind()

    def application() -> Any:
        handles = {name: serve.get_deployment_handle(name, APPLICATION) for name in _PARTS}
        replica = serve.get_replica_context().replica_id.unique_id
        return create_app(lambda: Deployments(handles), replace(settings, replica=replica))

    del common["user_config"]
    ingress = serve.deployment(
        name="Ingress",
        # The gate inside turns requests away in our own words; Serve's bounds are behind it.
        max_ongoing_requests=2 * settings.most_requests,
        max_queued_requests=8 * settings.most_requests,
        ray_actor_options={"num_cpus": cpus},
        **common,
    )(serve.ingress(application)())
    return ingress.bind(**bound)


def start(
    application: serve.Application, *, host: str, port: int, everywhere: bool = False
) -> None:
    """Serve an application, or roll it out over the one that is served; needs a Ray session.

    Args:
        everywhere: listen on every node that has a replica, not on the head alone.

    Raises:
        ConfigError: it did not come up; Serve's log has why.
    """
    serve.start(
        proxy_location="EveryNode" if everywhere else "HeadOnly",
        http_options={"host": host, "port": port, "request_timeout_s": _REQUEST_S},
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )
    try:
        serve.run(
            application,
            name=APPLICATION,
            route_prefix="/",
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
    except RuntimeError as error:
        raise ConfigError(f"the service did not come up: {error}") from None


def from_config(args: Mapping[str, Any]) -> serve.Application:
    """The application of a Serve configuration file (`serve deploy`); see `deploy/serve.yaml`.

    Args:
        args: `runs` (each `name`, `run`, and `library` or `data` where there are), `replicas`
            (`MIN:MAX`), `cpus`, `gpu`, `page`, `limits`, `most_requests`, `origins`, `keys_file`.

    Raises:
        ConfigError: an unknown key, or no run.
    """
    known = {
        "runs",
        "replicas",
        "cpus",
        "gpu",
        "page",
        "limits",
        "most_requests",
        "origins",
        "keys_file",
    }
    unknown = sorted(set(args) - known)
    if unknown or not args.get("runs"):
        raise ConfigError(
            f"args: unknown {', '.join(unknown)}; allowed: {', '.join(sorted(known))}"
            if unknown
            else "args: runs is missing; at least one is needed"
        )
    low, _, high = str(args.get("replicas", "1")).partition(":")
    settings = Settings(
        limits=Limits(**args.get("limits", {})),
        key_digests=read_keys(args["keys_file"]) if args.get("keys_file") else (),
        origins=tuple(args.get("origins", ())),
        page=str(web.dist()) if args.get("page", True) else None,
        most_requests=int(args.get("most_requests", 64)),
    )
    return build(
        [Entry(**row) for row in args["runs"]],
        settings,
        replicas=(int(low), int(high or low)),
        cpus=float(args.get("cpus", 1.0)),
        gpu=bool(args.get("gpu", False)),
    )


def stop() -> None:
    """End the application; what is being answered is answered first."""
    serve.delete(APPLICATION)
