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
from typing import Any, Final

import numpy as np

from raydance.motion.clip import Clip
from raydance.serving.describer import Describer
from raydance.serving.generator import Generator
from raydance.serving.motions import ClipPart
from raydance.serving.parts import Answer, ClipPoints, EncodedText, GeneratedMotion, Part, only
from raydance.serving.problems import Busy
from raydance.serving.retriever import Retriever
from raydance.serving.runs import Entry, RunCache
from raydance.serving.sentence_encoder import SentenceEncoder

PARTS: Final[Mapping[str, type[Part]]] = {
    "text encoder": SentenceEncoder,
    "motion decoder": Generator,
    "captions": Describer,
    "library": Retriever,
}
QUICK_S: Final = 20.0
"""An answer that takes a moment, and is not here by then, will not come."""


class Backend(ABC):
    """The parts, awaited; each method is as that of the part that does it."""

    @abstractmethod
    async def ready(self) -> None:
        """Return once everything that answers is loaded."""

    @abstractmethod
    async def ask(
        self,
        part: str,
        method: str,
        model: str | None,
        *arguments: Any,
        limit_s: float | None = None,
    ) -> Any:
        """What a method of a part answers.

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

    async def generate(
        self, model: str | None, text: str, **wanted: Any
    ) -> tuple[EncodedText, GeneratedMotion]:
        """Motion for a sentence; for `wanted` see `Generator.answer`."""
        return (await self.generate_all(model, [text], **wanted))[0]

    async def generate_all(
        self, model: str | None, texts: Sequence[str], **wanted: Any
    ) -> list[tuple[EncodedText, GeneratedMotion]]:
        """Motion for several sentences, each as `generate` would make it."""
        is_long = wanted.get("seconds") is not None or wanted.get("frames") is not None
        return await self.ask_with_texts("Generator", model, texts, wanted, is_long=is_long)

    async def find(
        self, model: str | None, text: str, k: int, in_library: bool | None
    ) -> tuple[EncodedText, dict[str, Any]]:
        """Clips near a sentence."""
        (found,) = await self.ask_with_texts("Retriever", model, [text], k, in_library)
        return found

    async def models(self) -> list[dict[str, Any]]:
        """Facts of the runs."""
        found: list[dict[str, Any]] = await self.ask("Retriever", "models", None)
        return found

    async def between(
        self, model: str | None, places: Sequence[tuple[str, float]], shares: Sequence[float]
    ) -> GeneratedMotion:
        """Motion between two windows."""
        return await self.ask("Generator", "between", model, model, places, shares)

    async def describe(self, model: str | None, clip: Clip, k: int) -> dict[str, Any]:
        """A clip in words."""
        return await self.ask("Describer", "describe", model, model, clip, k)

    async def embed(self, model: str | None, clip: Clip) -> ClipPoints:
        """A clip's points."""
        return await self.ask("Describer", "embed", model, model, clip)

    async def search(
        self, entry: Entry, point_Z: np.ndarray, k: int, in_library: bool | None
    ) -> dict[str, Any]:
        """Clips near a point."""
        arguments = (entry, point_Z, k, in_library)
        return await self.ask("Retriever", "search", entry.name, *arguments, limit_s=QUICK_S)

    async def part_of(
        self, model: str | None, clip_id: str, span: tuple[float, float], in_library: bool
    ) -> ClipPart:
        """A clip's motion."""
        return await self.ask("Retriever", "part_of", model, model, clip_id, span, in_library)

    async def map(self, model: str | None, limit: int, offset: int) -> dict[str, Any]:
        """The latent space."""
        return await self.ask("Retriever", "map", model, model, limit, offset)


class ComputingThread:
    """The one thread that computes, as torch spreads a computation over the processors itself.

    Args:
        waiting: requests that may wait for it; more are turned away.
    """

    def __init__(self, waiting: int = 64) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="raydance")
        self._waiting = waiting
        self._present = 0

    async def do(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        """Compute in the thread.

        Raises:
            Busy: too many wait for it.
        """
        if self._present >= self._waiting:
            raise Busy(f"{self._waiting} requests are waiting already; try again soon")
        self._present += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, work, *arguments)
        finally:
            self._present -= 1


class InProcess(Backend):
    """The parts in this process.

    Args:
        kinds: its parts, by what is told of their loading.
        waiting: as of `ComputingThread`.
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
        self._thread = ComputingThread(waiting)
        self._loading = asyncio.Lock()
        self._is_loaded = False

    async def ask(
        self,
        part: str,
        method: str,
        model: str | None,
        *arguments: Any,
        limit_s: float | None = None,
    ) -> Any:
        """See `Backend`."""
        return await self._thread.do(getattr(self._parts[part], method), *arguments)

    async def ready(self) -> None:
        """Load all parts, once, however many ask."""
        async with self._loading:
            if not self._is_loaded:
                for number, (name, part) in enumerate(zip(self._told, self._parts.values()), 1):
                    self._report(f"loading {number} of {len(self._told)}: {name}")
                    await self._thread.do(part.warm_up)
                self._is_loaded = True

    async def speak_all(self, model: str | None, texts: Sequence[str]) -> list[EncodedText]:
        """See `Backend`."""
        asked = [(model, text) for text in texts]
        answers = await self.ask("SentenceEncoder", "answer_together", model, asked)
        return [only([answer]) for answer in answers]

    async def ask_with_texts(
        self, part: str, model: str | None, texts: Sequence[str], *more: Any, is_long: bool = False
    ) -> list[Any]:
        """See `Backend`."""
        asked = [((model, text), *more) for text in texts]
        answers = await self.ask(part, "answer_together", model, asked)
        return [only([answer]) for answer in answers]
