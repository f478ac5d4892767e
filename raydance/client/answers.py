"""What the service answers, as Python values."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import requests

from raydance.client.transport import ServiceError, Transport
from raydance.files import replacing
from raydance.motion.clip import Clip

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Generation:
    """Motion for a sentence, how it was made and how the sentence was understood.

    Attributes:
        clips: one for each sample.
        made: source, and the flow's steps, guidance and candidates where it made them.
        caption: the nearest caption of a training clip.
        similarity: cosine between it and the sentence.
        understanding: how far the sentence lies within what the run learned, in [0, 1]; None for
            runs trained before they could tell.
        unknown_words: its words that no training caption has.
        notice: what was not understood, such as a word that was never learned; else empty. It is
            warned of too.
    """

    clips: list[Clip]
    made: dict[str, Any]
    caption: str
    similarity: float
    understanding: float | None
    unknown_words: list[str]
    notice: str


class Job:
    """Work that the service does in the background (`Client.start`).

    Attributes:
        id: names it for whoever follows it from elsewhere.
    """

    def __init__(self, transport: Transport, facts: Mapping[str, Any]) -> None:
        self._transport = transport
        self.id: str = facts["id"]
        self._path: str = facts["url"]

    def state(self) -> dict[str, Any]:
        """How far it is: `state`, `progress`, `doing` and so on.

        Raises:
            ServiceError: it was cancelled, or has expired.
        """
        found: dict[str, Any] = self._transport.ask("GET", self._path).json()
        return found

    def wait(self, timeout_s: float = 1800.0) -> requests.Response:
        """Its answer, once it is there.

        Raises:
            ServiceError: it failed, or is not done in time.
        """
        end, pause_s = time.monotonic() + timeout_s, _FIRST_PAUSE_S
        while (found := self.state())["state"] in ("queued", "running"):
            if time.monotonic() > end:
                raise ServiceError(0, f"job {self.id} is not done within {timeout_s:g} s")
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)
        return self._transport.ask("GET", found["result_url"])

    def save(self, path: str | Path, timeout_s: float = 1800.0) -> Path:
        """Its answer as a file, once it is there.

        Raises:
            ServiceError: as `wait`.
        """
        return write(path, self.wait(timeout_s))

    def cancel(self) -> None:
        """End it, and let the service forget its answer."""
        self._transport.ask("DELETE", self._path)


def write(path: str | Path, answer: requests.Response) -> Path:
    """An answer's content as a file."""
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_bytes(answer.content)
    return path


def generation_of(answer: Mapping[str, Any], stacklevel: int) -> Generation:
    """A generation; its notices are warned of."""
    for notice in answer["notices"]:
        warnings.warn(notice, stacklevel=stacklevel + 1)
    clips = [
        clip_of(sample, f"sample_{number}", (answer["text"],))
        for number, sample in enumerate(answer["samples"])
    ]
    return Generation(clips=clips, made=answer["made"], **answer["understood_as"])


def clip_of(motion: Mapping[str, Any], name: str, captions: tuple[str, ...] = ()) -> Clip:
    """Motion as the service has it, as a clip."""
    return Clip(
        clip_id=name,
        source="service",
        fps=float(motion["fps"]),
        joint_names=tuple(motion["joints"]),
        parents=tuple(motion["parents"]),
        positions=np.array(motion["positions"], dtype=np.float32),
        captions=captions,
    )
