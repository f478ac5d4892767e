"""Who does the work behind the API: parts in this process, or elsewhere.

The API awaits a `Backend`. `InProcess` calls the parts in threads of this process, which is what
tests, a laptop without Ray and the benchmark's bare server use; `raydance.cluster.serve` calls
deployments of Ray Serve.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, Final, ParamSpec

from raydance.serving.describer import Describer
from raydance.serving.generator import Generator
from raydance.serving.parts import Answer, EncodedText, GeneratedMotion, Part, only
from raydance.serving.problems import Busy
from raydance.serving.retriever import Retriever
from raydance.serving.runs import Entry, RunCache
from raydance.serving.sentence_encoder import SentenceEncoder

Given = ParamSpec("Given")

PARTS: Final[Mapping[str, type[Part]]] = {
    "text encoder": SentenceEncoder,
    "motion decoder": Generator,
    "captions": Describer,
    "library": Retriever,
}
QUICK_S: Final = 20.0
"""An answer that takes a moment, and is not here by then, will not come."""


class Backend(ABC):
    """The parts, awaited."""

    @abstractmethod
    async def ready(self) -> None:
        """Return once everything that answers is loaded."""

    @abstractmethod
    async def call(
        self,
        part: str,
        method: str,
        model: str | None,
        *arguments: Any,
        limit_s: float | None = None,
    ) -> Any:
        """What a method of a part answers; see `ask`.

        Args:
            part: name of its class.
            model: the run that it is about, where it is about one.
            limit_s: after which another replica is asked, where there are several.
        """

    @abstractmethod
    async def speak_all(self, model: str | None, texts: Sequence[str]) -> list[EncodedText]:
        """Sentences in a run's spaces."""

    @abstractmethod
    async def ask_with_texts(
        self, part: str, model: str | None, texts: Sequence[str], *more: Any, is_long: bool = False
    ) -> list[Any]:
        """What a `TextPart` answers to sentences, each as it would be answered alone.

        Args:
            more: what else its `answer` takes.
            is_long: whether an answer takes longer than a moment.
        """

    async def generate_all(
        self, model: str | None, texts: Sequence[str], **wanted: Any
    ) -> list[tuple[EncodedText, GeneratedMotion]]:
        """Motion for sentences; for `wanted` see `Generator.answer`."""
        is_long = wanted.get("seconds") is not None or wanted.get("frames") is not None
        return await self.ask_with_texts("Generator", model, texts, wanted, is_long=is_long)

    async def find(
        self, model: str | None, text: str, k: int, in_library: bool | None
    ) -> tuple[EncodedText, dict[str, Any]]:
        """Clips near a sentence."""
        (found,) = await self.ask_with_texts("Retriever", model, [text], k, in_library)
        return found

    async def ask(
        self,
        method: Callable[Concatenate[Any, Given], Answer],
        *arguments: Given.args,
        **more: Given.kwargs,
    ) -> Answer:
        """What a method of a part's own class answers, such as `Retriever.map`.

        Args:
            arguments: first the run that it is about, by its name or as another part named it.
        """
        assert not more, "arguments are given by their places"
        part, name = method.__qualname__.split(".")
        run: Any = arguments[0] if arguments else None
        model = run.name if isinstance(run, Entry) else run
        limit_s = QUICK_S if method is Retriever.search else None
        answer: Answer = await self.call(part, name, model, *arguments, limit_s=limit_s)
        return answer


class InProcess(Backend):
    """The parts in this process: one thread computes, as torch spreads a computation over the
    processors itself.

    Args:
        kinds: its parts, by what is told of their loading.
        waiting: requests that may wait for the thread; more are turned away.
        report: told what is being loaded.
    """

    def __init__(
        self,
        run_cache: RunCache,
        kinds: Mapping[str, type[Part]] = PARTS,
        *,
        waiting: int = 64,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._report = report
        self._told = tuple(kinds)
        self._parts: dict[str, Any] = {kind.__name__: kind(run_cache) for kind in kinds.values()}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="raydance")
        self._waiting = waiting
        self._present = 0
        self._loading = asyncio.Lock()
        self._is_loaded = False

    async def call(
        self,
        part: str,
        method: str,
        model: str | None,
        *arguments: Any,
        limit_s: float | None = None,
    ) -> Any:
        """See `Backend`.

        Raises:
            Busy: too many wait for the thread.
        """
        if self._present >= self._waiting:
            raise Busy(f"{self._waiting} requests are waiting already; try again soon")
        self._present += 1
        try:
            work = getattr(self._parts[part], method)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, work, *arguments)
        finally:
            self._present -= 1

    async def ready(self) -> None:
        """Load all parts, once, however many ask."""
        async with self._loading:
            if not self._is_loaded:
                for number, (name, part) in enumerate(zip(self._told, self._parts), 1):
                    self._report(f"loading {number} of {len(self._told)}: {name}")
                    await self.call(part, "warm_up", None)
                self._is_loaded = True

    async def speak_all(self, model: str | None, texts: Sequence[str]) -> list[EncodedText]:
        """See `Backend`."""
        asked = [(model, text) for text in texts]
        answers = await self.call("SentenceEncoder", "answer_together", model, asked)
        return [only([answer]) for answer in answers]

    async def ask_with_texts(
        self, part: str, model: str | None, texts: Sequence[str], *more: Any, is_long: bool = False
    ) -> list[Any]:
        """See `Backend`."""
        asked = [((model, text), *more) for text in texts]
        answers = await self.call(part, "answer_together", model, asked)
        return [only([answer]) for answer in answers]
