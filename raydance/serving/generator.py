"""The part of the service that makes motion: of sentences, and between two windows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.serving.parts import EncodedText, GeneratedMotion
from raydance.serving.problems import NotHere
from raydance.serving.runs import OpenRun
from raydance.serving.sentence_encoder import TextPart
from raydance.systems.dance_language.generation import Request, generate, warm_up
from raydance.systems.steering import Sentence
from raydance.systems.steering_plan import SteeringPlan


class Generator(TextPart):
    """Sentences into motion."""

    def warm_up(self) -> None:
        super().warm_up()
        system = self.run_cache.open(None).system
        point = np.zeros((1, system.config.motion_vae.latent), np.float32)
        system.decode(point)
        warm_up(system)

    def answer(
        self, asked: Sequence[tuple[EncodedText, Mapping[str, Any]]]
    ) -> list[GeneratedMotion]:
        """Motion for sentences, decoded in one batch.

        Args:
            asked: each with further fields of `Request`, or `seconds` in place of `frames`.
        """
        started = time.perf_counter()
        opened = self.run_cache.open(asked[0][0].entry)
        motions = generate(opened.system, [_request(*one, opened) for one in asked])
        ms = 1000.0 * (time.perf_counter() - started)
        return [_made(opened, motion.motion, ms, facts=motion.facts) for motion in motions]

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
