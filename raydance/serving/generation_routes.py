"""Routes that make motion: generate, of one or several sentences, and interpolate.

Motion leaves through `orjson` instead of FastAPI's response models, which only describe it in the
OpenAPI document: checking thirty thousand numbers one by one takes longer than making them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from raydance.errors import InputError
from raydance.motion.clip import generated_clip
from raydance.motion.contacts import clean_feet
from raydance.serving import progress, replies, schema
from raydance.serving.context import Service, check_json
from raydance.serving.docs import OF_GENERATED, motion_content
from raydance.serving.generator import Generator
from raydance.serving.parts import EncodedText, GeneratedMotion
from raydance.serving.request_schema import MAX_SAMPLES, Generate, Interpolate

router = APIRouter(prefix="/v1", tags=["motion"])

IsJson: Final = Depends(check_json)
_LONGEST_STEM: Final = 60

Made = tuple[EncodedText, GeneratedMotion]


@router.post(
    "/generate",
    dependencies=[IsJson],
    responses=motion_content(schema.Generated, OF_GENERATED, also=(schema.GeneratedMany,)),
)
async def generate(asked: Generate, service: Service) -> Response:
    """A sentence, or several, into motion. One sample in a format other than JSON is a file of that
    format; several are a zip of them with `generation.json`."""
    started = time.perf_counter()
    prompts = asked.prompts()
    await replies.check_format(asked.format)
    progress.report(0, "generating motion")
    every = await service.backend.generate_all(asked.model, prompts, **asked.options())
    values = sum(made.motion[..., 0].size for _, made in every)
    if values > replies.MAX_FILE_VALUES * MAX_SAMPLES:
        raise InputError(
            f"{values} joints in all frames, samples and texts; allowed: up to "
            f"{replies.MAX_FILE_VALUES * MAX_SAMPLES} (ask for less at once)"
        )
    progress.report(0.5, "writing it")
    if asked.format == "json":
        bodies = [await _as_body(asked, text, *one, started) for text, one in zip(prompts, every)]
        if asked.texts is None:
            return await replies.prepare(replies.json_response, bodies[0])
        many = {"model": bodies[0]["model"], "generations": bodies}
        return await replies.prepare(replies.json_response, many)
    if asked.texts is None and asked.num_samples == 1:
        return await _as_file(asked, prompts[0], *every[0])
    return await _as_zip(asked, prompts, every)


async def _as_body(
    asked: Generate,
    text: str,
    encoded: EncodedText,
    made: GeneratedMotion,
    started: float,
) -> dict[str, Any]:
    """The schema's `Generated`."""
    finishing = time.perf_counter()
    samples = await replies.prepare(_samples, made, asked.clean_feet)
    now = time.perf_counter()
    timings = {
        "text": encoded.ms,
        "motion": made.ms,
        "finish": 1000.0 * (now - finishing),
        "total": 1000.0 * (now - started),
    }
    return _facts(asked, text, encoded, made) | {
        "samples": samples,
        "timings_ms": {name: round(value, 3) for name, value in timings.items()},
    }


def _facts(
    asked: Generate, text: str, encoded: EncodedText, made: GeneratedMotion
) -> dict[str, Any]:
    """What is told of a generation beside its motion."""
    return {
        "model": made.entry.name,
        "text": text,
        "seed": asked.seed,
        "notices": encoded.notices,
        "made": made.facts,
        "understood_as": asdict(encoded.understood),
    }


async def _as_file(
    asked: Generate, text: str, encoded: EncodedText, made: GeneratedMotion
) -> Response:
    """The only sample as a file."""
    sample, skate = await replies.prepare(_finish, made, 0, asked.clean_feet)
    clip = generated_clip(sample, made.joint_mask, made.fps, "generated", text)
    notices = encoded.notices + _in_words(skate)
    facts = _facts_in_headers(made, encoded)
    name = _file_name(text)
    return await replies.file_response(clip, asked.format, name, notices, facts, asked.file)


def _file_name(text: str) -> str:
    """The start of a sentence as a file's name, in which a slash is no folder."""
    return text[:_LONGEST_STEM].replace("/", " ")


async def _as_zip(asked: Generate, prompts: Sequence[str], every: Sequence[Made]) -> Response:
    """All samples of all sentences as files in a zip, with their facts."""
    archive, record = replies.Archive(asked.format, asked.file), []
    total = sum(len(made.motion) for _, made in every)
    for row, (text, (encoded, made)) in enumerate(zip(prompts, every), 1):
        files = []
        for number in range(len(made.motion)):
            sample, skate = await replies.prepare(_finish, made, number, asked.clean_feet)
            clip = generated_clip(sample, made.joint_mask, made.fps, f"sample_{number}", text)
            stem = f"{row:02d}_{number + 1}_{_file_name(text)}"
            before, after = (
                0.5 + 0.5 * n / total for n in (archive.num_files, archive.num_files + 1)
            )
            files.append(await archive.add(clip, stem, (before, after)) | skate)
            progress.report(after, f"{archive.num_files} of {total}")
        record.append(_facts(asked, text, encoded, made) | {"files": files})
    return await archive.response({"generations": record}, _file_name(prompts[0]))


def _facts_in_headers(made: GeneratedMotion, encoded: EncodedText) -> dict[str, str]:
    """How motion was made and its sentence understood, for those who get a file."""
    settings = {name: value for name, value in made.facts.items() if name != "constraints"}
    if kept := made.facts.get("constraints"):
        settings["constraints"] = len(kept)
        settings["residual_cm"] = max(constraint["residual_cm"] for constraint in kept)
    facts = {"X-Raydance-Made": "; ".join(f"{k}={v}" for k, v in settings.items())}
    understood = encoded.understood
    facts["X-Raydance-Understood-As"] = f"{understood.caption} ({understood.similarity:.2f})"
    if understood.understanding is not None:
        facts["X-Raydance-Understanding"] = f"{understood.understanding:.2f}"
    return facts


def _finish(
    made: GeneratedMotion, number: int, clean: bool
) -> tuple[np.ndarray, dict[str, float | None]]:
    motion = made.motion[number]
    if not clean or "constraints" in made.facts:  # steered: clean already
        return motion, {"skate_before": None, "skate_after": None}
    cleaned, report = clean_feet(motion, made.fps, made.joint_mask)
    return cleaned, {
        "skate_before": _known(report.skate_before_m_s),
        "skate_after": _known(report.skate_after_m_s),
    }


def _in_words(skate: dict[str, float | None]) -> list[str]:
    """What the clean-up of feet did, for those who get a file; nothing where no foot stood."""
    before, after = skate["skate_before"], skate["skate_after"]
    if before is None or after is None:
        return []
    return [f"feet that stand slid {before:.3f} m/s before they were held, {after:.3f} after"]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _samples(made: GeneratedMotion, clean: bool) -> list[dict[str, Any]]:
    samples = []
    for number in range(len(made.motion)):
        motion, skate = _finish(made, number, clean)
        samples.append(replies.motion_facts(motion, made.joint_mask, made.fps) | skate)
    return samples


@router.post("/interpolate", dependencies=[IsJson], response_model=schema.Interpolated)
async def interpolate(asked: Interpolate, service: Service) -> Response:
    """Motion on the line between two windows of the run's library, in the latent space."""
    if (asked.share is None) == (asked.steps is None):
        raise InputError("share or steps: one of them is needed")
    shares = [asked.share] if asked.share is not None else np.linspace(0, 1, asked.steps or 0)
    places = [(place.clip_id, place.start_s) for place in (asked.start, asked.end)]
    made = await service.backend.ask(
        Generator.between, asked.model, places, [float(s) for s in shares]
    )
    motions = await replies.prepare(_samples, made, asked.clean_feet)
    samples = [motion | {"share": float(share)} for motion, share in zip(motions, shares)]
    return replies.json_response({"model": made.entry.name, "samples": samples})
