"""Ray Serve: the parts of the service as deployments, behind one that speaks HTTP.

    client -> proxy -> Ingress -> Generator | Retriever | Describer | SentenceEncoder

On one machine, where the cluster ends with the command that started it, the command is the ingress:

    client -> `raydance serve` -> Generator | Retriever | Describer | SentenceEncoder

Runs that are served by their tasks have one part:

    client -> proxy -> Ingress -> Tasks

Each part has replicas, a queue and an autoscaler of its own. Generator and Retriever encode the
sentences that they are asked for themselves, since a call of another part costs as much as half an
encoding; SentenceEncoder gives points of sentences to those who ask for these. Where the encoder is
large, SentenceEncoder alone can hold it (`encoder_apart`), and is asked first:

    ... -> SentenceEncoder, then Generator or Retriever

When runs are rolled out, new replicas start beside the old ones, which end when the new ones
answer. Meanwhile parts of both kinds are there, so what a part answers names the run that it used,
and the parts after it use that very one, whatever its name stands for by then. Every call may be
repeated, so one whose replica or node died is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final

import grpc
from ray import serve
from ray.exceptions import ObjectLostError, RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from raydance.serving import describer, generator, retriever, sentence_encoder, task_part
from raydance.serving.backend import QUICK_S, Backend
from raydance.serving.parts import EncodedText, Part, only
from raydance.serving.problems import Busy, Changed
from raydance.serving.runs import Entry, RunCache

_TRIES: Final = 4
_PAUSE_S: Final = 0.2
BATCH: Final = 32
_BATCH_WAIT_S: Final = 0.0  # a batch is what came while the one before was computed
_LOADED_RUNS: Final = 4
_STUCK_S: Final = 300.0
_LOST: Final = (
    RayActorError,
    ObjectLostError,
    DeploymentUnavailableError,
    grpc.RpcError,
    TimeoutError,
)
"""How a call fails because of where it ran."""


class _Replica:
    """A part in a replica: one thread computes, so that the loop stays free for what arrives."""

    kind: ClassVar[type[Part]]
    is_batched: ClassVar[bool] = True
    """Whether it answers what arrives together in one batch."""

    def __init__(self) -> None:
        self._part: Part | None = None
        # One thread also when a caller goes away while it computes: parts are not for several.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="raydance")
        self._busy_since: float | None = None

    async def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Open the runs; Ray calls it before the first request."""
        self.answer.set_max_batch_size(config["batch"])  # type: ignore[attr-defined]
        run_cache = RunCache([Entry(**row) for row in config["runs"]], _LOADED_RUNS, self.kind.load)
        part = self.kind(run_cache, encodes=not config["encoder_apart"])
        await self._in_thread(part.warm_up)
        self._part = part

    def check_health(self) -> None:
        """Ray asks now and then, and replaces a replica that raises.

        Raises:
            RuntimeError: one computation has taken longer than any may.
        """
        since = self._busy_since
        if since is not None and time.monotonic() - since > _STUCK_S:
            raise RuntimeError(f"computing for {time.monotonic() - since:.0f} s")

    @serve.multiplexed(max_num_models_per_replica=_LOADED_RUNS)
    async def hold(self, model: str) -> str:
        """Note, for Serve's routing, that this replica has a run loaded."""
        await self._in_thread(self.part.run_cache.open, model)
        return model

    @property
    def part(self) -> Any:
        """The part, which is there once Ray has configured the replica."""
        assert self._part is not None
        return self._part

    async def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do the work of one request, or of one batch, in the thread."""
        model = serve.get_multiplexed_model_id()
        if model:
            await self.hold(model)
        return await self._in_thread(work, *arguments)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        def timed() -> Any:
            self._busy_since = time.monotonic()
            try:
                return work(*arguments)
            finally:
                self._busy_since = None

        return await asyncio.get_running_loop().run_in_executor(self._thread, timed)

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=_BATCH_WAIT_S)
    async def answer(self, asked: list[Any]) -> list[Any]:
        """What the part answers to one of the requests that arrive together."""
        return list(await self.compute(self.part.answer_together, asked))

    async def answer_alone(self, asked: Any) -> Any:
        """`answer` for what takes long, and would hold up all others of its batch."""
        return (await self.compute(self.part.answer_together, [asked]))[0]

    async def do(self, method: str, *arguments: Any) -> Any:
        """What a method of the part answers to one request."""
        return await self.compute(getattr(self.part, method), *arguments)

    async def ready(self) -> bool:
        """Answers once the replica does."""
        return self._part is not None


class SentenceEncoder(_Replica):
    """Sentences into points."""

    kind = sentence_encoder.SentenceEncoder


class Generator(_Replica):
    """Sentences into motion."""

    kind = generator.Generator


class Describer(_Replica):
    """Motion into words and points."""

    kind = describer.Describer
    is_batched = False


class Retriever(_Replica):
    """Sentences or points into clips."""

    kind = retriever.Retriever


class Tasks(_Replica):
    """Runs of every system, by their tasks."""

    kind = task_part.Tasks
    is_batched = False


KINDS: Final = (SentenceEncoder, Generator, Describer, Retriever)


class Deployments(Backend):
    """The deployments behind the API.

    Args:
        handles: of the parts, by name.
        encoder_apart: whether sentences are encoded by SentenceEncoder alone.
        is_many: whether there are several runs, which replicas load when they are asked for one.
    """

    def __init__(
        self,
        handles: Mapping[str, DeploymentHandle],
        *,
        encoder_apart: bool = False,
        is_many: bool = False,
    ) -> None:
        self._handles = handles
        self._encoder_apart = encoder_apart
        self._is_many = is_many

    async def ready(self) -> None:
        """See `Backend`."""
        await asyncio.gather(*(self._call(name, "ready", None) for name in self._handles))

    async def _speak(self, model: str | None, text: str) -> EncodedText:
        answer = await self._call(
            "SentenceEncoder", "answer", model, (model, text), limit_s=QUICK_S
        )
        encoded: EncodedText = only([answer])
        return encoded

    async def speak_all(self, model: str | None, texts: Sequence[str]) -> list[EncodedText]:
        """See `Backend`."""

        async def call() -> list[EncodedText]:
            encoded = await asyncio.gather(*(self._speak(model, text) for text in texts))
            if len({one.entry for one in encoded}) > 1:
                raise Changed("the run was replaced; try again")
            return list(encoded)

        answers: list[EncodedText] = await _steadily(call)
        return answers

    async def ask_with_texts(
        self, part: str, model: str | None, texts: Sequence[str], *more: Any, is_long: bool = False
    ) -> list[Any]:
        """See `Backend`; what arrives together the replicas answer together."""
        method, limit_s = ("answer_alone", None) if is_long else ("answer", QUICK_S)

        async def answer_to(text: str) -> Any:
            async def call() -> Any:
                said = await self._speak(model, text) if self._encoder_apart else (model, text)
                asked = (said, *more)
                return only([await self._call(part, method, model, asked, limit_s=limit_s)])

            return await _steadily(call)

        return await asyncio.gather(*(answer_to(text) for text in texts))

    def _handle(self, name: str, model: str | None) -> DeploymentHandle:
        handle = self._handles[name]
        # Routing by run costs a little, and says nothing where there is one.
        if self._is_many and model is not None:
            return handle.options(multiplexed_model_id=model)
        return handle

    async def call(
        self,
        part: str,
        method: str,
        model: str | None,
        *arguments: Any,
        limit_s: float | None = None,
    ) -> Any:
        """See `Backend`."""
        return await self._call(part, "do", model, method, *arguments, limit_s=limit_s)

    async def _call(
        self,
        part: str,
        method: str,
        model: str | None,
        *arguments: Any,
        limit_s: float | None = None,
    ) -> Any:
        """What a replica answers; another replica is asked where one has not within the limit."""
        handle = self._handle(part, model)

        async def call() -> Any:
            answer = getattr(handle, method).remote(*arguments)
            try:
                async with asyncio.timeout(limit_s):
                    return await answer
            except (asyncio.CancelledError, TimeoutError):
                answer.cancel()  # nobody waits for it: it need not be begun
                raise

        return await _steadily(call)


async def _steadily(call: Callable[[], Awaitable[Any]]) -> Any:
    """Await calls to replicas; again, if one of them or its node dies or its run was replaced.

    A machine that is cut off closes no connection: there, only the caller's limit tells.
    """
    for attempt in range(_TRIES):
        try:
            return await call()
        except BackPressureError:
            raise Busy("too many requests are waiting; try again soon") from None
        except (*_LOST, Changed):
            if attempt == _TRIES - 1:
                raise Busy("this part of the service is being started again") from None
            await asyncio.sleep(_PAUSE_S * 2**attempt)
    raise AssertionError
