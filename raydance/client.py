"""A client of the HTTP service: the same questions from another program or machine.

    from raydance.client import Client
    service = Client("http://127.0.0.1:8000")
    clip = service.generate("a dancer turns slowly", seed=1)[0]
    service.save("sharp kicks", "kicks.glb")

Needs neither torch nor Ray. When the service is busy, the client waits as long as it is told to, up
to 30 s; when the process that was answering dies, it asks again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack
from urllib.parse import quote

import numpy as np
import requests

from raydance.errors import InputError, RaydanceError
from raydance.files import replacing
from raydance.motion.clip import Clip

_LONGEST_WAIT_S: Final = 30.0
_PAUSE_S: Final = 0.2


class ServiceError(RaydanceError):
    """The service refused or failed.

    Attributes:
        status: of HTTP; 0 where the service was not reached.
        detail: what was wrong, and what is allowed.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class GenerateOptions(TypedDict, total=False):
    """What can be asked of a generation beside its sentence; the service's own where absent.

    Attributes:
        frames, seconds: the length; one of them.
        source: one of the model's `sources`: `flow`, `prior`, `cluster` or `nearest`.
        steps, guidance, candidates: of the source `flow` alone.
        clean_feet: keep feet that stand from sliding.
        steering: keyframes, paths, a loop, clips and a timeline, as the API's document has them.
    """

    frames: int | None
    seconds: float | None
    seed: int
    num_samples: int
    source: str | None
    steps: int | None
    guidance: float | None
    candidates: int | None
    clean_feet: bool
    steering: dict[str, Any] | None


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
        notice: what was not understood; empty where the sentence was. It is warned of too.
    """

    clips: list[Clip]
    made: dict[str, Any]
    caption: str
    similarity: float
    understanding: float | None
    unknown_words: list[str]
    notice: str


class Client:
    """A running `raydance serve`.

    Args:
        url: where it listens, such as `http://127.0.0.1:8000`.
        key: an API key, where the service asks for one.
        model: the run to ask; the service's first by default.
        timeout_s: until an answer must have begun; what a lost machine held never begins.
        tries: how often a service that is busy, late or breaks off is asked before giving up.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        model: str | None = None,
        timeout_s: float = 60.0,
        tries: int = 5,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(f"url {url!r}: http:// or https:// is needed")
        self._url = url.rstrip("/")
        self._model = model
        self._timeout_s = timeout_s
        self._tries = tries
        self._session = requests.Session()
        if key is not None:
            self._session.headers["X-API-Key"] = key

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def models(self) -> list[dict[str, Any]]:
        """Facts of the runs that are served: name, rate, window, clusters and so on."""
        found: list[dict[str, Any]] = self._ask("GET", "/v1/models").json()["models"]
        return found

    def generate(self, text: str, **wanted: Unpack[GenerateOptions]) -> list[Clip]:
        """Motion for a sentence.

        Args:
            wanted: see `GenerateOptions`.

        Raises:
            ServiceError: refused; says why.
            InputError: a `format`, which is what `save` is for.
        """
        return self._generate(text, wanted).clips

    def make(self, text: str, **wanted: Unpack[GenerateOptions]) -> Generation:
        """Motion for a sentence, with how it was made and understood.

        Raises:
            ServiceError, InputError: as `generate`.
        """
        return self._generate(text, wanted)

    def _generate(self, text: str, wanted: GenerateOptions) -> Generation:
        if "format" in wanted:
            raise InputError("format: generate gives clips; use save for files")
        answer = self._ask("POST", "/v1/generate", json=self._body(text=text, **wanted)).json()
        for notice in answer["notices"]:
            warnings.warn(notice, stacklevel=3)
        clips = [
            _clip(sample, f"sample_{number}", (text,))
            for number, sample in enumerate(answer["samples"])
        ]
        understood = answer["understood_as"]
        return Generation(clips=clips, made=answer["made"], **understood)

    def save(self, text: str, path: str | Path, **wanted: Unpack[GenerateOptions]) -> Path:
        """Motion for a sentence as a file; its suffix (bvh, glb, npz, gif, mp4) says the format.

        Raises:
            ServiceError: refused; says why.
        """
        path = Path(path)
        body = self._body(text=text, format=path.suffix.lstrip(".").lower(), **wanted)
        answer = self._ask("POST", "/v1/generate", json=body)
        with replacing(path) as temporary:
            temporary.write_bytes(answer.content)
        return path

    def describe(
        self, file: str | Path, k: int = 3, *, skeleton: str | Path | None = None, **reading: Any
    ) -> list[dict[str, Any]]:
        """A motion file in words: the whole clip first, then each window.

        Each part has its `captions`, their `confidence` (the probability that the first one is
        right) and `is_unlike_training`, with which captions say little.

        Args:
            skeleton: the ASF file of an AMC file.
            reading: `fps`, `units`, `up`, where the file is silent or wrong.

        Raises:
            ServiceError: refused; says why.
        """
        answer = self._send("/v1/describe", file, skeleton, k=k, **reading).json()
        segments: list[dict[str, Any]] = answer["segments"]
        return segments

    def search(
        self, query: str | Path, k: int = 5, *, skeleton: str | Path | None = None, **wanted: Any
    ) -> list[dict[str, Any]]:
        """The clips nearest to a sentence (`str`) or to a motion file (`Path`).

        Warns of a sentence that was not understood.

        Args:
            skeleton: the ASF file of an AMC file.
            wanted: `library`: in the captioned library or not.

        Raises:
            ServiceError: refused; says why.
            InputError: a skeleton for a sentence.
        """
        if isinstance(query, Path):
            answer = self._send("/v1/search", query, skeleton, k=k, **wanted)
        else:
            _refuse_skeleton(skeleton)
            answer = self._ask("POST", "/v1/search", json=self._body(text=query, k=k, **wanted))
        found = answer.json()
        for notice in found["notices"]:
            warnings.warn(notice, stacklevel=2)
        hits: list[dict[str, Any]] = found["hits"]
        return hits

    def embed(
        self, query: Sequence[str] | Path, *, skeleton: str | Path | None = None
    ) -> np.ndarray:
        """Points `[N, Z]` of sentences, or of the windows of a motion file (`Path`).

        Args:
            skeleton: the ASF file of an AMC file.

        Raises:
            ServiceError: refused; says why.
            InputError: a skeleton for sentences.
        """
        if isinstance(query, Path):
            answer = self._send("/v1/embed", query, skeleton)
        else:
            _refuse_skeleton(skeleton)
            answer = self._ask("POST", "/v1/embed", json=self._body(texts=list(query)))
        return np.array(answer.json()["vectors"], dtype=np.float32)

    def clip(self, clip_id: str, **part: Any) -> Clip:
        """The motion of a clip of a library.

        Args:
            part: `start_s`, `end_s`, and `library` for the captioned one.

        Raises:
            ServiceError: not there; says why.
        """
        query = self._body(**part)
        answer = self._ask("GET", f"/v1/clips/{quote(clip_id)}", params=_plain(query)).json()
        return _clip(answer, clip_id, tuple(answer["captions"]))

    def _body(self, **fields: Any) -> dict[str, Any]:
        own = {} if self._model is None else {"model": self._model}
        return {key: value for key, value in (own | fields).items() if value is not None}

    def _send(
        self, path: str, file: str | Path, skeleton: str | Path | None, **fields: Any
    ) -> requests.Response:
        files = {"file": _named(file)}
        if skeleton is not None:
            files["skeleton"] = _named(skeleton)
        return self._ask("POST", path, files=files, data=_plain(self._body(**fields)))

    def _ask(self, method: str, path: str, **request: Any) -> requests.Response:
        for attempt in range(self._tries):
            is_last = attempt == self._tries - 1
            try:
                answer = self._session.request(
                    method,
                    self._url + path,
                    timeout=self._timeout_s,
                    allow_redirects=False,  # a key is for this service alone
                    **request,
                )
            except requests.RequestException as error:
                if is_last:
                    raise ServiceError(0, f"{self._url}: not reached ({error})") from None
                time.sleep(_PAUSE_S * 2**attempt)
                continue
            if is_last or not (answer.status_code == 503 or _is_lost(answer)):
                break
            time.sleep(_wait_s(answer) if answer.status_code == 503 else _PAUSE_S)
        if not answer.ok:
            raise ServiceError(answer.status_code, _detail(answer))
        return answer


def _named(file: str | Path) -> tuple[str, bytes]:
    """A file as a part of a form."""
    try:
        return Path(file).name, Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None


def _refuse_skeleton(skeleton: str | Path | None) -> None:
    if skeleton is not None:
        raise InputError(f"skeleton: {skeleton} belongs to an .amc file; the query is words")


def _is_lost(answer: requests.Response) -> bool:
    """Whether the process that was answering died: then nobody wrote the error's details.

    Every question of the API may be asked again.
    """
    is_ours = answer.headers.get("Content-Type", "").startswith("application/problem+json")
    return answer.status_code >= 500 and not is_ours


def _plain(fields: Mapping[str, Any]) -> dict[str, str]:
    """Values as a form or a query has them."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in fields.items()
    }


def _wait_s(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "1")
    return min(float(text), _LONGEST_WAIT_S) if text.isdigit() else 1.0


def _detail(answer: requests.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {answer.status_code}"


def _clip(motion: Mapping[str, Any], name: str, captions: tuple[str, ...]) -> Clip:
    return Clip(
        clip_id=name,
        source="service",
        fps=float(motion["fps"]),
        joint_names=tuple(motion["joints"]),
        parents=tuple(motion["parents"]),
        positions=np.array(motion["positions"], dtype=np.float32),
        captions=captions,
    )
