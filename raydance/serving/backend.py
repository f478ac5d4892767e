"""Who does the work behind the API: parts in this process, or elsewhere.

The API awaits a `Backend`. `InProcess` calls the parts in threads of this process, which is what
tests, a laptop without Ray and the benchmark's bare server use; `raydance.cluster.serve` calls
deployments of Ray Serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from raydance.motion.clip import Clip
from raydance.serving.describer import Describer
from raydance.serving.generator import Generator
from raydance.serving.motions import ClipPart
from raydance.serving.parts import Answer, ClipPoints, EncodedText, GeneratedMotion, only
from raydance.serving.problems import Busy
from raydance.serving.retriever import Retriever
from raydance.serving.runs import Entry, RunCache
from raydance.serving.sentence_encoder import SentenceEncoder


class Backend(Protocol):
    """The parts, awaited; each method is as that of the part that does it."""

    async def ready(self) -> None:
        """Return once everything that answers is loaded."""

    async def models(self) -> list[dict[str, Any]]:
        """Facts of the runs."""

    async def speak_all(self, model: str | None, texts: Sequence[str]) -> list[EncodedText]:
        """Sentences in a run's spaces."""

    async def generate(
        self, model: str | None, text: str, **wanted: Any
    ) -> tuple[EncodedText, GeneratedMotion]:
        """Motion for a sentence; for `wanted` see `Generator.generate_together`."""

    async def generate_all(
        self, model: str | None, texts: Sequence[str], **wanted: Any
    ) -> list[tuple[EncodedText, GeneratedMotion]]:
        """Motion for several sentences, each as `generate` would make it."""

    async def between(
        self, model: str | None, places: Sequence[tuple[str, float]], shares: Sequence[float]
    ) -> GeneratedMotion:
        """Motion between two windows."""

    async def describe(self, model: str | None, clip: Clip, k: int) -> dict[str, Any]:
        """A clip in words."""

    async def embed(self, model: str | None, clip: Clip) -> ClipPoints:
        """A clip's points."""

    async def search(
        self, entry: Entry, point_Z: np.ndarray, k: int, in_library: bool | None
    ) -> dict[str, Any]:
        """Clips near a point."""

    async def find(
        self, model: str | None, text: str, k: int, in_library: bool | None
    ) -> tuple[EncodedText, dict[str, Any]]:
        """Clips near a sentence."""

    async def part_of(
        self, model: str | None, clip_id: str, span: tuple[float, float], in_library: bool
    ) -> ClipPart:
        """A clip's motion."""

    async def map(self, model: str | None, limit: int, offset: int) -> dict[str, Any]:
        """The latent space."""


class InProcess:
    """The parts in this process.

    Args:
        waiting: requests that may wait for the one thread that computes; more are turned away.
        report: told what is being loaded.
    """

    def __init__(
        self,
        run_cache: RunCache,
        *,
        waiting: int = 64,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._report = report
        self._speech, self._generator = SentenceEncoder(run_cache), Generator(run_cache)
        self._describer, self._retriever = Describer(run_cache), Retriever(run_cache)
        # One thread: torch spreads a computation over the processors itself.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="raydance")
        self._waiting = waiting
        self._present = 0
        self._loading = asyncio.Lock()
        self._is_loaded = False

    async def _do(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        if self._present >= self._waiting:
            raise Busy(f"{self._waiting} requests are waiting already; try again soon")
        self._present += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, work, *arguments)
        finally:
            self._present -= 1

    async def ready(self) -> None:
        """Load all parts, once, however many ask."""
        async with self._loading:
            if not self._is_loaded:
                parts = {
                    "text encoder": self._speech,
                    "motion decoder": self._generator,
                    "captions": self._describer,
                    "library": self._retriever,
                }
                for number, (name, part) in enumerate(parts.items(), 1):
                    self._report(f"loading {number} of {len(parts)}: {name}")
                    await self._do(part.warm_up)
                self._is_loaded = True

    async def models(self) -> list[dict[str, Any]]:
        """See `Backend`."""
        return await self._do(self._retriever.models)

    async def speak_all(self, model: str | None, texts: Sequence[str]) -> list[EncodedText]:
        """See `Backend`."""
        answers = await self._do(self._speech.encode_together, [(model, text) for text in texts])
        return [only([answer]) for answer in answers]

    async def generate(
        self, model: str | None, text: str, **wanted: Any
    ) -> tuple[EncodedText, GeneratedMotion]:
        """See `Backend`."""
        return only(await self._do(self._generator.generate_together, [((model, text), wanted)]))

    async def generate_all(
        self, model: str | None, texts: Sequence[str], **wanted: Any
    ) -> list[tuple[EncodedText, GeneratedMotion]]:
        """See `Backend`."""
        asked = [((model, text), wanted) for text in texts]
        answers = await self._do(self._generator.generate_together, asked)
        return [only([answer]) for answer in answers]

    async def between(
        self, model: str | None, places: Sequence[tuple[str, float]], shares: Sequence[float]
    ) -> GeneratedMotion:
        """See `Backend`."""
        return await self._do(self._generator.between, model, places, shares)

    async def describe(self, model: str | None, clip: Clip, k: int) -> dict[str, Any]:
        """See `Backend`."""
        return await self._do(self._describer.describe, model, clip, k)

    async def embed(self, model: str | None, clip: Clip) -> ClipPoints:
        """See `Backend`."""
        return await self._do(self._describer.embed, model, clip)

    async def search(
        self, entry: Entry, point_Z: np.ndarray, k: int, in_library: bool | None
    ) -> dict[str, Any]:
        """See `Backend`."""
        return await self._do(self._retriever.search, entry, point_Z, k, in_library)

    async def find(
        self, model: str | None, text: str, k: int, in_library: bool | None
    ) -> tuple[EncodedText, dict[str, Any]]:
        """See `Backend`."""
        asked = [((model, text), k, in_library)]
        return only(await self._do(self._retriever.find_together, asked))

    async def part_of(
        self, model: str | None, clip_id: str, span: tuple[float, float], in_library: bool
    ) -> ClipPart:
        """See `Backend`."""
        return await self._do(self._retriever.part_of, model, clip_id, span, in_library)

    async def map(self, model: str | None, limit: int, offset: int) -> dict[str, Any]:
        """See `Backend`."""
        return await self._do(self._retriever.map, model, limit, offset)
