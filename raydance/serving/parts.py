"""The parts of the service: words to points, points to motion, motion to words, points to clips.

Each works on lists, so that requests that arrive together are answered together, and knows neither
HTTP nor Ray. Arguments and results are plain data and arrays, which cross processes.

Dimensions: N windows, T frames, Z latent, D sentence embedding.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from raydance.errors import InputError, RaydanceError
from raydance.motion.clip import Clip
from raydance.serving.motions import ClipPart
from raydance.serving.problems import NotHere
from raydance.serving.runs import Entry, Opened, Shelf
from raydance.stages.text_to_motion import SOURCES
from raydance.systems.generation import Request, generate

Answer = TypeVar("Answer")

Words = dict[str, np.ndarray]
"""One sentence as `DanceLanguage.encode_text` gives it: arrays `[D]` and `[Z]`."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """Motion that was made.

    Attributes:
        motion: `[n, T, 50, 3]` metres, y up.
        joint_mask: `[50]` bool.
        ms: how long the networks took, for all that were made together.
    """

    motion: np.ndarray
    joint_mask: np.ndarray
    fps: float
    ms: float


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A sentence in a run's spaces.

    Attributes:
        entry: the run, which every later part must use too: points of another mean nothing.
        ms: how long the networks took, for all sentences that were read together.
        num_pieces: above 1, it is longer than the encoder reads at once.
    """

    entry: Entry
    words: Words
    ms: float
    num_pieces: int

    @property
    def notices(self) -> list[str]:
        """What the one who asked should know."""
        if self.num_pieces < 2:
            return []
        return [
            f"the text is longer than the encoder reads at once: {self.num_pieces} parts of it "
            "were encoded and averaged"
        ]


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A clip's windows as points of a run's shared space.

    Attributes:
        entry: the run, as for `Spoken`.
        points: `[N, Z]`.
        start_s: `[N]` seconds.
    """

    entry: Entry
    points: np.ndarray
    start_s: np.ndarray


class Failed:
    """An error among the answers of a batch, for the one who caused it."""

    def __init__(self, error: RaydanceError) -> None:
        self.error = error


def only(answers: Sequence[Answer | Failed]) -> Answer:
    """The one answer of a batch of one, or its error."""
    (answer,) = answers
    if isinstance(answer, Failed):
        raise answer.error
    return answer


class Part:
    """A part of the service.

    Args:
        shelf: the runs that are served.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def warm_up(self) -> None:
        """Load what the first request would wait for."""
        self.shelf.open(None)


class Speech(Part):
    """Sentences into a run's spaces."""

    def warm_up(self) -> None:
        self.encode_together([(None, "a step")])

    def encode_together(self, asked: Sequence[tuple[str | None, str]]) -> list[Spoken | Failed]:
        """Sentences of (model, text), those of one model in one batch."""
        answers: list[Spoken | Failed | None] = [None] * len(asked)
        by_model: dict[str | None, list[int]] = defaultdict(list)
        for i, (model, _) in enumerate(asked):
            by_model[model].append(i)
        for model, places in by_model.items():
            started = time.perf_counter()
            try:
                opened = self.shelf.open(model)
                system = opened.system
                found = system.encode_text([asked[i][1] for i in places])
            except RaydanceError as error:
                if len(places) == 1:
                    answers[places[0]] = Failed(error)
                else:  # one that is refused must not take the others with it
                    for i in places:
                        answers[i] = self.encode_together([asked[i]])[0]
                continue
            ms = 1000.0 * (time.perf_counter() - started)
            for row, i in enumerate(places):
                words = {name: values[row] for name, values in found.items()}
                pieces = system.num_pieces(asked[i][1])
                answers[i] = Spoken(entry=opened.entry, words=words, ms=ms, num_pieces=pieces)
        return [answer for answer in answers if answer is not None]


class _Encoding(Part):
    """A part that can encode the sentences that it is asked for.

    Args:
        encodes: whether it is asked for sentences at all; else the encoder is not loaded.
    """

    def __init__(self, shelf: Shelf, *, encodes: bool = True) -> None:
        super().__init__(shelf)
        self.speech = Speech(shelf)
        self.encodes = encodes

    def warm_up(self) -> None:
        if self.encodes:
            self.speech.warm_up()


class Generator(_Encoding):
    """Sentences, or points, into motion."""

    def make_together(
        self, asked: Sequence[tuple[str | None, str, Mapping[str, Any]]]
    ) -> list[tuple[Spoken, Made] | Failed]:
        """Motion for sentences of (model, text, wanted), with the encoder of this part.

        `wanted` is as for `generate_together`.
        """
        said = self.speech.encode_together([(model, text) for model, text, _ in asked])
        heard = [(i, one) for i, one in enumerate(said) if isinstance(one, Spoken)]
        made = self.generate_together([(one, asked[i][2]) for i, one in heard])
        answers: list[Any] = list(said)
        for (i, one), motion in zip(heard, made):
            answers[i] = motion if isinstance(motion, Failed) else (one, motion)
        return answers

    def warm_up(self) -> None:
        super().warm_up()
        system = self.shelf.open(None).system
        point = np.zeros((1, system.config.motion_vae.latent), np.float32)
        system.decode(point)

    def generate_together(
        self, asked: Sequence[tuple[Spoken, Mapping[str, Any]]]
    ) -> list[Made | Failed]:
        """Motion for sentences; what one run is to make is decoded in one batch.

        Args:
            asked: each with further fields of `Request`, or `seconds` in place of `frames`.
        """
        answers: list[Made | Failed | None] = [None] * len(asked)
        by_run: dict[Entry, list[int]] = defaultdict(list)
        for i, (spoken, _) in enumerate(asked):
            by_run[spoken.entry].append(i)
        for entry, places in by_run.items():
            started = time.perf_counter()
            try:
                system = self.shelf.open(entry).system
                requests = [_request(*asked[i], system.fps) for i in places]
                motions = generate(system, requests)
            except RaydanceError as error:
                if len(places) == 1:
                    answers[places[0]] = Failed(error)
                else:  # one that is refused must not take the others with it
                    for i in places:
                        answers[i] = self.generate_together([asked[i]])[0]
                continue
            ms = 1000.0 * (time.perf_counter() - started)
            for i, motion in zip(places, motions):
                answers[i] = Made(
                    motion=motion, joint_mask=system.joint_mask, fps=system.fps, ms=ms
                )
        return [answer for answer in answers if answer is not None]

    def between(
        self, model: str | None, places: Sequence[tuple[str, float]], shares: Sequence[float]
    ) -> Made:
        """Motion `[shares, T, 50, 3]` on the line between the latents of two windows.

        Raises:
            NotHere: a clip that the run's library does not have.
        """
        started = time.perf_counter()
        system = self.shelf.open(model).system
        first, last = (
            system.library.latent[_row_of(system.library.windows, *place)] for place in places
        )
        weight = np.asarray(shares, dtype=np.float32)[:, None]
        motion = system.decode((1.0 - weight) * first + weight * last)
        ms = 1000.0 * (time.perf_counter() - started)
        return Made(motion=motion, joint_mask=system.joint_mask, fps=system.fps, ms=ms)


def _request(spoken: Spoken, wanted: Mapping[str, Any], fps: float) -> Request:
    """The request for a sentence.

    Raises:
        InputError: frames and seconds are given.
    """
    fields = dict(wanted)
    seconds = fields.pop("seconds", None)
    if seconds is not None:
        if fields.get("frames") is not None:
            raise InputError("frames and seconds: give one of them")
        fields["frames"] = max(2, round(seconds * fps))
    return Request(words=spoken.words, **fields)


def _row_of(windows: dict[str, list[Any]], clip_id: str, start_s: float) -> int:
    """The window of a clip that begins nearest to a time."""
    rows = [i for i, name in enumerate(windows["clip_id"]) if name == clip_id]
    if not rows:
        raise NotHere(f"no clip {clip_id!r} in this run's library")
    return min(rows, key=lambda i: abs(windows["start_s"][i] - start_s))


class Describer(Part):
    """Motion into words and points."""

    def warm_up(self) -> None:
        _ = self.shelf.open(None).system.derived_captions

    def describe(self, model: str | None, clip: Clip, k: int) -> dict[str, Any]:
        """Captions of the whole clip and of each of its windows.

        Raises:
            InputError: shorter than one window, or a skeleton that cannot be mapped.
        """
        segments = self.shelf.open(model).system.describe(clip, k)
        return {"seconds": clip.duration_s, "segments": [asdict(segment) for segment in segments]}

    def embed(self, model: str | None, clip: Clip) -> Placed:
        """A clip's windows as points of the shared space.

        Raises:
            InputError: as for `describe`.
        """
        opened = self.shelf.open(model)
        motion, mask, starts = opened.system.windows(clip)
        points = opened.system.encode_motion(motion, mask)["motion_embedding"]
        return Placed(entry=opened.entry, points=points, start_s=starts)


class Retriever(_Encoding):
    """Sentences, or points, into clips, and clips into their motion."""

    def __init__(self, shelf: Shelf, *, encodes: bool = True) -> None:
        super().__init__(shelf, encodes=encodes)
        self._known: dict[str, dict[str, Any]] = {}

    def warm_up(self) -> None:
        super().warm_up()
        opened = self.shelf.open(None)
        _ = opened.system.library, opened.finder

    def models(self) -> list[dict[str, Any]]:
        """Facts of every run that is served; each is loaded for them once."""
        for name in self.shelf.entries:
            if name not in self._known:
                self._known[name] = self._facts(name)
        return list(self._known.values())

    def _facts(self, name: str) -> dict[str, Any]:
        opened = self.shelf.open(name)
        system, store = opened.system, opened.store
        counts = store.counts() if store is not None else {}
        return {
            "name": name,
            "is_default": name == self.shelf.default,
            "fps": system.fps,
            "window": system.window,
            "stride": system.stride,
            "metric": system.metric,
            "num_windows": len(system.library.cluster),
            "num_clips": len(set(system.library.windows["clip_id"])),
            "clusters": _clusters(opened),
            "sources": [source for source in SOURCES if source != "clip"],
            "max_frames": system.max_frames,
            "library": {"num_windows": counts["windows"], "num_files": counts["read"]}
            if counts
            else None,
        }

    def find_together(
        self, asked: Sequence[tuple[str | None, str, int, bool | None]]
    ) -> list[tuple[Spoken, dict[str, Any]] | Failed]:
        """For (model, text, k, in_library) the k clips nearest to a sentence, as `search` has them.

        The sentences are encoded together, with the encoder of this part.
        """
        answers: list[Any] = list(self.speech.encode_together([row[:2] for row in asked]))
        for i, one in enumerate(answers):
            if isinstance(one, Spoken):
                try:
                    point_Z = one.words["text_projection"]
                    answers[i] = one, self.search(one.entry, point_Z, *asked[i][2:])
                except RaydanceError as error:
                    answers[i] = Failed(error)
        return answers

    def search(
        self, entry: Entry, point_Z: np.ndarray, k: int, in_library: bool | None
    ) -> dict[str, Any]:
        """The k clips nearest to a point, and which library they are of.

        Args:
            entry: the run whose point it is.

        Raises:
            NotHere: there is no captioned library, and one was asked for.
        """
        opened = self.shelf.open(entry)
        if in_library is None:
            in_library = opened.finder is not None
        motions = opened.motions(in_library)
        finder = opened.finder
        if in_library and finder is not None:
            hits = finder.search(point_Z, k)
        else:
            hits = opened.system.nearest(point_Z, k)
        found = []
        for hit in hits:
            row = asdict(hit)
            del row["source"]  # where files lie is not the caller's to know
            row["labels"] = {str(key): str(value) for key, value in hit.labels.items()}
            found.append(row | {"has_motion": motions.has(hit.clip_id)})
        return {"in_library": in_library, "hits": found}

    def part_of(
        self, model: str | None, clip_id: str, span: tuple[float, float], in_library: bool
    ) -> ClipPart:
        """The motion of a clip between two times, in seconds.

        Raises:
            NotHere: no such clip or time, or its motion is not on this machine.
        """
        return self.shelf.open(model).motions(in_library).part(clip_id, *span)

    def map(self, model: str | None, limit: int) -> dict[str, Any]:
        """Windows of the run's library on the two main axes of the latent space (PCA).

        Args:
            limit: most windows to give; spread evenly over the library.
        """
        opened = self.shelf.open(model)
        library = opened.system.library
        centred = library.latent - library.latent.mean(axis=0)
        values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        axes = vectors[:, ::-1][:, :2]
        # The sign of an axis is arbitrary: its largest entry is positive, so maps stay as they are.
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
        rows = np.unique(np.linspace(0, len(centred) - 1, min(limit, len(centred))).astype(int))
        flat = centred[rows] @ axes
        windows, texts = library.windows, opened.system.captions.texts
        points = []
        for i, (x, y) in zip(rows.tolist(), flat.tolist()):
            ids = windows["caption_ids"][i]
            points.append(
                {
                    "clip_id": windows["clip_id"][i],
                    "start_s": windows["start_s"][i],
                    "end_s": windows["end_s"][i],
                    "cluster": int(library.cluster[i]),
                    "x": x,
                    "y": y,
                    "caption": texts[ids[0]] if ids else "",
                }
            )
        total = max(float(values.sum()), 1e-12)
        return {
            "method": "pca",
            "explained": [float(value) / total for value in values[::-1][:2]],
            "points": points,
            "clusters": _clusters(opened),
        }


def _clusters(opened: Opened) -> list[dict[str, Any]]:
    count = np.bincount(opened.system.library.cluster, minlength=len(opened.system.centroids))
    return [
        {"id": i, "description": opened.cluster_words.get(i, ""), "num_windows": int(number)}
        for i, number in enumerate(count)
    ]
