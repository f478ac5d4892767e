"""The client: every question of the service as a method."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack
from urllib.parse import quote

import numpy as np
import requests

from raydance.client.answers import Generation, Job, clip_of, generation_of, write
from raydance.client.options import (
    GenerateOptions,
    PartOptions,
    ReadingOptions,
    SearchOptions,
    TaskInputs,
)
from raydance.client.transport import Transport, named, plain, refuse_skeleton
from raydance.errors import InputError
from raydance.motion.clip import Clip

_FILES = ("motion", "music", "tracks", "mask", "image", "overlay")


class Client:
    """A running `raydance serve`. Whatever it refuses is a `ServiceError` that says why.

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
        self._transport = Transport(url, key, timeout_s, tries)
        self._model = model

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def models(self) -> list[dict[str, Any]]:
        """Facts of the runs that are served: name, rate, clusters, or tasks, and so on."""
        found: list[dict[str, Any]] = self._transport.ask("GET", "/v1/models").json()["models"]
        return found

    def generate(self, text: str, **wanted: Unpack[GenerateOptions]) -> list[Clip]:
        """Motion for a sentence, one clip for each sample."""
        return self._generate(text, wanted).clips

    def make(self, text: str, **wanted: Unpack[GenerateOptions]) -> Generation:
        """Motion for a sentence, with how it was made and understood."""
        return self._generate(text, wanted)

    def make_all(self, texts: Sequence[str], **wanted: Unpack[GenerateOptions]) -> list[Generation]:
        """Motion for several sentences, which the service works on together."""
        answer = self._post("/v1/generate", texts=list(texts), **_without_format(wanted))
        return [generation_of(one, 2) for one in answer.json()["generations"]]

    def _generate(self, text: str, wanted: GenerateOptions) -> Generation:
        answer = self._post("/v1/generate", text=text, **_without_format(wanted))
        return generation_of(answer.json(), 3)

    def save(
        self,
        text: str | Sequence[str],
        path: str | Path,
        *,
        format: str | None = None,
        **wanted: Unpack[GenerateOptions],
    ) -> Path:
        """Motion for a sentence, or several, as a file.

        Args:
            path: its suffix (bvh, glb, npz, gif, mp4) says the format; several samples or
                sentences are a `.zip`.
            format: of the files in a zip.
        """
        format = format or Path(path).suffix.lstrip(".").lower()
        sentence = {"text": text} if isinstance(text, str) else {"texts": list(text)}
        return write(path, self._post("/v1/generate", format=format, **sentence, **wanted))

    def interpolate(
        self,
        start: tuple[str, float],
        end: tuple[str, float],
        *,
        share: float | None = None,
        steps: int | None = None,
        clean_feet: bool | None = None,
    ) -> list[Clip]:
        """Motion between two windows (clip, second) of the run's library.

        Args:
            share: 0 the start, 1 the end; or `steps`, evenly spaced shares.
        """
        places = [{"clip_id": name, "start_s": start_s} for name, start_s in (start, end)]
        answer = self._post(
            "/v1/interpolate",
            start=places[0],
            end=places[1],
            share=share,
            steps=steps,
            clean_feet=clean_feet,
        )
        samples = answer.json()["samples"]
        return [clip_of(one, f"share_{one['share']:g}") for one in samples]

    def describe(
        self,
        file: str | Path,
        k: int = 3,
        *,
        skeleton: str | Path | None = None,
        **reading: Unpack[ReadingOptions],
    ) -> list[dict[str, Any]]:
        """A motion file in words: the whole clip first, then each window.

        Each part has its `captions`, their `confidence` (the probability that the first one is
        right) and `is_unlike_training`, with which captions say little.

        Args:
            skeleton: the ASF file of an AMC file.
        """
        answer = self._send("/v1/describe", file, skeleton, k=k, **reading).json()
        segments: list[dict[str, Any]] = answer["segments"]
        return segments

    def convert(
        self,
        file: str | Path,
        path: str | Path | None = None,
        *,
        skeleton: str | Path | None = None,
        **reading: Unpack[ReadingOptions],
    ) -> Clip | Path:
        """A motion file as a clip on the canonical skeleton, or as the file `path`."""
        if path is None:
            answer = self._send("/v1/convert", file, skeleton, **reading)
            return clip_of(answer.json(), Path(file).stem)
        format = Path(path).suffix.lstrip(".").lower()
        return write(path, self._send("/v1/convert", file, skeleton, format=format, **reading))

    def search(
        self,
        query: str | Path,
        k: int = 5,
        *,
        skeleton: str | Path | None = None,
        **wanted: Unpack[SearchOptions],
    ) -> list[dict[str, Any]]:
        """The clips nearest to a sentence (`str`) or to a motion file (`Path`).

        Warns of a sentence that was not understood.

        Args:
            skeleton: the ASF file of an AMC file.
        """
        if isinstance(query, Path):
            answer = self._send("/v1/search", query, skeleton, limit=k, **wanted)
        else:
            refuse_skeleton(skeleton)
            answer = self._post("/v1/search", text=query, limit=k, **wanted)
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
        """
        if isinstance(query, Path):
            answer = self._send("/v1/embed", query, skeleton)
        else:
            refuse_skeleton(skeleton)
            answer = self._post("/v1/embed", texts=list(query))
        return np.array(answer.json()["vectors"], dtype=np.float32)

    def clip(self, clip_id: str, **part: Unpack[PartOptions]) -> Clip:
        """The motion of a clip of a library; `clip.save(path)` writes it."""
        answer = self._get(f"/v1/clips/{quote(clip_id)}", **part).json()
        return clip_of(answer, clip_id, tuple(answer["captions"]))

    def thumbnail(self, clip_id: str, path: str | Path, **part: Unpack[PartOptions]) -> Path:
        """A few poses of a clip of a library, as a PNG."""
        return write(path, self._get(f"/v1/thumbnails/{quote(clip_id)}", **part))

    def map(self, limit: int | None = None, cursor: str | None = None) -> dict[str, Any]:
        """Windows of the run's library on the two main axes of the latent space.

        Args:
            limit: most windows; the others follow with `cursor`, the answer's `next_cursor`.
        """
        found: dict[str, Any] = self._get("/v1/map", limit=limit, cursor=cursor).json()
        return found

    def task(
        self,
        name: str,
        options: dict[str, Any] | None = None,
        *,
        path: str | Path | None = None,
        sample: int = 0,
        **inputs: Unpack[TaskInputs],
    ) -> dict[str, Any] | Path:
        """A task of a run that declares tasks: its answer, or one sample as the file `path`.

        Raises:
            InputError: an input that is also among `signals`.
        """
        fields: dict[str, Any] = dict(inputs)
        signals = fields.pop("signals", None) or {}
        if twice := sorted(fields.keys() & signals.keys()):
            raise InputError(f"signals: {twice[0]} is given twice")
        sent = {kind: fields.pop(kind, None) for kind in _FILES} | dict(signals)
        files = {name: named(file) for name, file in sent.items() if file is not None}
        if path is not None:
            fields |= {"format": Path(path).suffix.lstrip(".").lower(), "sample": sample}
        if files:
            box = fields.pop("box", None)
            fields |= {"options": json.dumps(options or {})}
            if box is not None:
                fields["box"] = ",".join(map(str, box))
            form = {"files": files, "data": plain(self._body(**fields))}
            answer = self._transport.ask("POST", f"/v1/tasks/{quote(name)}", **form)
        else:
            answer = self._post(f"/v1/tasks/{quote(name)}", options=options, **fields)
        if path is not None:
            return write(path, answer)
        found: dict[str, Any] = answer.json()
        return found

    def start(self, route: str, request: dict[str, Any] | None = None) -> Job:
        """Begin long work in the background, such as a GIF or the samples of many sentences.

        Args:
            route: without /v1/, such as `generate`, `tasks/generate` or `clips/CLIP_ID`.
            request: its body, as the API's document has it; of clips its query.
        """
        body = {"route": route, "request": self._body(**(request or {}))}
        return Job(self._transport, self._transport.ask("POST", "/v1/jobs", json=body).json())

    def start_with_file(self, route: str, field: str, file: str | Path, **fields: Any) -> Job:
        """Begin long work with a file, such as a dance to a song.

        Args:
            route: `describe` or `convert` (field `file`), or `tasks/NAME` (field `music`, ...).
        """
        form = {"files": {field: named(file)}, "data": plain(self._body(**fields))}
        answer = self._transport.ask("POST", "/v1/jobs", params={"route": route}, **form)
        return Job(self._transport, answer.json())

    def _body(self, **fields: Any) -> dict[str, Any]:
        own = {} if self._model is None else {"model": self._model}
        return {key: value for key, value in (own | fields).items() if value is not None}

    def _get(self, path: str, **fields: Any) -> requests.Response:
        return self._transport.ask("GET", path, params=plain(self._body(**fields)))

    def _post(self, path: str, **fields: Any) -> requests.Response:
        return self._transport.ask("POST", path, json=self._body(**fields))

    def _send(
        self, path: str, file: str | Path, skeleton: str | Path | None, **fields: Any
    ) -> requests.Response:
        files = {"file": named(file)}
        if skeleton is not None:
            files["skeleton"] = named(skeleton)
        return self._transport.ask("POST", path, files=files, data=plain(self._body(**fields)))


def _without_format(wanted: GenerateOptions) -> GenerateOptions:
    if "format" in wanted:
        raise InputError("format: generate gives clips; use save for files")
    return wanted
