"""The part of the service that makes motion: of sentences, and between two windows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raydance.errors import InputError, RaydanceError
from raydance.motion.clip import Clip
from raydance.serving.parts import EncodedText, Failed, GeneratedMotion, Part
from raydance.serving.problems import NotHere
from raydance.serving.runs import Entry, OpenRun, RunCache
from raydance.serving.sentence_encoder import SentenceEncoder, TextInput
from raydance.systems.dance_language.generation import Request, generate, warm_up
from raydance.systems.steering import Sentence
from raydance.systems.steering_plan import SteeringPlan


class Generator(Part):
    """Sentences into motion."""

    def __init__(self, run_cache: RunCache, *, encodes: bool = True) -> None:
        super().__init__(run_cache, encodes=encodes)
        self._speech = SentenceEncoder(run_cache)

    def warm_up(self) -> None:
        if self.encodes:
            self._speech.warm_up()
        system = self.run_cache.open(None).system
        point = np.zeros((1, system.config.motion_vae.latent), np.float32)
        system.decode(point)
        warm_up(system)

    def generate_together(
        self, asked: Sequence[tuple[TextInput, Mapping[str, Any]]]
    ) -> list[tuple[EncodedText, GeneratedMotion] | Failed]:
        """Motion for sentences, each with the sentence as it was encoded.

        Args:
            asked: each with further fields of `Request`, or `seconds` in place of `frames`.
        """
        heard = self._speech.hear_together([said for said, _ in asked])
        right = [(i, one) for i, one in enumerate(heard) if isinstance(one, EncodedText)]
        made = self._make_together([(one, asked[i][1]) for i, one in right])
        answers: list[Any] = list(heard)
        for (i, one), motion in zip(right, made):
            answers[i] = motion if isinstance(motion, Failed) else (one, motion)
        return answers

    def _make_together(
        self, asked: Sequence[tuple[EncodedText, Mapping[str, Any]]]
    ) -> list[GeneratedMotion | Failed]:
        """Motion for encoded sentences; what one run is to make is decoded in one batch."""
        answers: list[GeneratedMotion | Failed | None] = [None] * len(asked)
        by_run: dict[Entry, list[int]] = defaultdict(list)
        for i, (encoded, _) in enumerate(asked):
            by_run[encoded.entry].append(i)
        for entry, places in by_run.items():
            started = time.perf_counter()
            try:
                opened = self.run_cache.open(entry)
                system = opened.system
                requests = [_request(*asked[i], opened) for i in places]
                motions = generate(system, requests)
            except RaydanceError as error:
                if len(places) == 1:
                    answers[places[0]] = Failed(error)
                else:  # one that is refused must not take the others with it
                    for i in places:
                        answers[i] = self._make_together([asked[i]])[0]
                continue
            ms = 1000.0 * (time.perf_counter() - started)
            for i, motion in zip(places, motions):
                answers[i] = _made(opened, motion.motion, ms, facts=motion.facts)
        return [answer for answer in answers if answer is not None]

    def between(
        self, model: str | None, places: Sequence[tuple[str, float]], shares: Sequence[float]
    ) -> GeneratedMotion:
        """Motion `[shares, T, 50, 3]` on the line between the latents of two windows.

        Raises:
            NotHere: a clip that the run's library does not have.
        """
        started = time.perf_counter()
        opened = self.run_cache.open(model)
        system = opened.system
        first, last = (
            system.library.latent[_row_of(system.library.windows, *place)] for place in places
        )
        weight = np.asarray(shares, dtype=np.float32)[:, None]
        motion = system.decode((1.0 - weight) * first + weight * last)
        return _made(opened, motion, 1000.0 * (time.perf_counter() - started))


def _made(opened: OpenRun, motion: np.ndarray, ms: float, **more: Any) -> GeneratedMotion:
    return GeneratedMotion(
        entry=opened.entry,
        motion=motion,
        joint_mask=opened.system.joint_mask,
        fps=opened.system.fps,
        ms=ms,
        **more,
    )


def _request(encoded: EncodedText, wanted: Mapping[str, Any], opened: OpenRun) -> Request:
    """The request for a sentence.

    Raises:
        InputError: frames and seconds are given, more seconds than allowed, or a source that the
            run does not have.
    """
    fields = dict(wanted)
    fps, most = opened.system.fps, opened.system.max_frames
    source = fields.get("source")
    if source is not None and source not in opened.sources:
        raise InputError(f"source: {source!r}; allowed: {', '.join(opened.sources)}")
    seconds = fields.pop("seconds", None)
    if seconds is not None:
        if fields.get("frames") is not None:
            raise InputError("frames and seconds: give one of them")
        fields["frames"] = max(2, round(seconds * fps))
        if fields["frames"] > most:
            raise InputError(f"seconds: {seconds:g}; allowed: up to {most / fps:g}")
    plan = fields.pop("steering", None)
    if plan is not None:
        fields |= _steered(SteeringPlan.model_validate(plan), opened.system)
    return Request(words=encoded.words, **fields)


def _steered(plan: SteeringPlan, system: Any) -> dict[str, Any]:
    """The fields of `Request` that a plan fills.

    Raises:
        InputError: a clip that is named: files of the service's machine are not the caller's.
    """

    def refuse(name: str) -> Clip:
        raise InputError(
            f"steering: give clips as motion (fps, joints, parents, positions), not as {name!r}"
        )

    sentences = plan.sentences()
    words = system.encode_text([text for _, text in sentences]) if sentences else {}
    return {
        "steering": plan.steering(refuse),
        "timeline": tuple(
            Sentence(begins_s=begins_s, words={name: rows[i] for name, rows in words.items()})
            for i, (begins_s, _) in enumerate(sentences)
        ),
    }


def _row_of(windows: dict[str, list[Any]], clip_id: str, start_s: float) -> int:
    """The window of a clip that begins nearest to a time."""
    rows = [i for i, name in enumerate(windows["clip_id"]) if name == clip_id]
    if not rows:
        raise NotHere(f"no clip {clip_id!r} in this run's library")
    return min(rows, key=lambda i: abs(windows["start_s"][i] - start_s))
