"""Sentences into motion with a trained run: from the motion flow, or from the paper's decoder.

Requests that come together are made together, in batches of windows.

Dimensions: R requests, S samples, N windows, T frames, J joints, K coefficients, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from raydance.data.index import scores
from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.motion.rows import to_network
from raydance.motion.windows import normalise_window
from raydance.stages.clusters import assign
from raydance.stages.motion_flow import MAX_GUIDANCE, MAX_STEPS, MotionFlow
from raydance.stages.text_to_motion import SOURCES
from raydance.systems.dance_language import long_motion
from raydance.systems.dance_language.steered_windows import steer
from raydance.systems.dance_language.understanding import Understood
from raydance.systems.steering import Sentence, Steering
from raydance.training.loop import derive_seed

if TYPE_CHECKING:
    from raydance.systems.dance_language.run import DanceLanguage

MAX_SAMPLES: Final = 64
MAX_CANDIDATES: Final = 32
MAX_WINDOWS: Final = 4096
"""Windows that one request may have made, candidates included."""

MAX_WINDOW_STEPS: Final = 40_000
"""The same times the steps of the sampler."""

_MAX_DEFAULT_WINDOWS: Final = 32
"""Windows of one sample's candidates where a request asks for no number of them."""

_SAME: Final = 0.9999  # cosine from which on a sentence is a training caption

_NEAREST: Final = 5
_SHARPNESS: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Request:
    """A motion that is wanted.

    Attributes:
        words: one sentence as `DanceLanguage.encode_text` gives it, without the first dimension.
        frames: T; a window's length where None.
        source: where motion comes from, one of `SOURCES`; the run's own, or the clip, where None.
        clip: with the source `clip`, the motion to start from.
        steps, guidance, candidates: of the flow; the run's own where None. A sentence that is no
            training caption may then have `motion_flow.new_candidates` (`_default_candidates`).
        steering: frames, paths and clips that the flow keeps to.
        timeline: further sentences, each from a time on, after the first.
    """

    words: Mapping[str, np.ndarray]
    frames: int | None = None
    seed: int = 0
    num_samples: int = 1
    source: str | None = None
    clip: Clip | None = None
    steps: int | None = None
    guidance: float | None = None
    candidates: int | None = None
    steering: Steering | None = None
    timeline: tuple[Sentence, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """Motion, and how it was made.

    Attributes:
        motion: `[S, T, 50, 3]`, metres, y up, at the run's rate.
        facts: source, and what of the flow's steps, guidance and candidates was used;
            `constraints` with their residuals where there were any.
        understood: how the (first) sentence was understood, where the caller had words for it.
        notices: what was not understood, of all sentences.
    """

    motion: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)
    understood: Understood | None = None
    notices: tuple[str, ...] = ()


def generate(system: DanceLanguage, requests: Sequence[Request]) -> list[GenerationResult]:
    """Motion for each request.

    Raises:
        InputError: a length, a number of samples, a source or a setting that is not allowed.
    """
    plans = [_plan(system, request) for request in requests]
    made: list[GenerationResult | None] = [None] * len(requests)
    decoded = [i for i, plan in enumerate(plans) if plan["source"] != "flow"]
    flowing: dict[tuple[int, float], list[int]] = {}
    for i, plan in enumerate(plans):
        if plan["source"] != "flow":
            continue
        if _goes_by_windows(system, requests[i]):
            made[i] = _by_windows(system, requests[i], plan)
        else:
            flowing.setdefault((plan["steps"], plan["guidance"]), []).append(i)
    if decoded:
        for i, motion in zip(decoded, _from_decoder(system, [requests[i] for i in decoded])):
            made[i] = GenerationResult(motion=motion, facts=plans[i])
    for here in flowing.values():
        asked, how = [requests[i] for i in here], [plans[i] for i in here]
        for i, motion in zip(here, _from_flow(system, asked, how)):
            made[i] = GenerationResult(motion=motion, facts=plans[i])
    return [one for one in made if one is not None]


def sources(system: DanceLanguage) -> tuple[str, ...]:
    """Where a run's motion can come from."""
    return SOURCES if system.motion_flow is not None else SOURCES[1:]


def warm_up(system: DanceLanguage) -> None:
    """Make a motion for a training caption, so that the first request does not wait longer."""
    columns = system.captions.columns
    names = ("text_embedding", "text_latent", "text_projection")
    row = int(system.caption_base.ids[0])
    words = {name: columns[name][row].numpy() for name in names}
    source = "prior" if system.config.text_to_motion.source == "clip" else None
    generate(system, [Request(words=words, source=source)])


def _plan(system: DanceLanguage, request: Request) -> dict[str, Any]:
    """How a request will be answered; refuses what is not allowed."""
    default = "clip" if request.clip is not None else system.config.text_to_motion.source
    source = request.source or default
    allowed = sources(system)
    if source not in allowed:
        raise InputError(f"source {source!r}; allowed: {', '.join(allowed)}")
    frames = system.window if request.frames is None else request.frames
    long_motion.check_length(frames, system.window, system.fps)
    if not 1 <= request.num_samples <= MAX_SAMPLES:
        raise InputError(f"num_samples: {request.num_samples}; allowed: 1 to {MAX_SAMPLES}")
    if (source == "clip") != (request.clip is not None):
        raise InputError("source 'clip' and a clip go together")
    config = system.config.motion_flow
    settings = {
        "steps": (request.steps, config.steps, 1, MAX_STEPS),
        "guidance": (request.guidance, config.guidance, 0.0, MAX_GUIDANCE),
        "candidates": (request.candidates, config.candidates, 1, MAX_CANDIDATES),
    }
    if source != "flow" and (request.steering is not None or request.timeline):
        raise InputError(f"keyframes, paths, loops, clips and timelines: not with source {source}")
    plan: dict[str, Any] = {"source": source}
    for name, (wanted, usual, least, most) in settings.items():
        if wanted is not None and source != "flow":
            raise InputError(f"{name}: {wanted}; allowed with source 'flow', not {source!r}")
        if wanted is not None and not least <= wanted <= most:
            raise InputError(f"{name}: {wanted}; allowed: {least:g} to {most:g}")
        if source == "flow":
            plan[name] = usual if wanted is None else wanted
    windows = long_motion.num_windows(frames, system.window)
    if source == "flow" and request.candidates is None:
        plan["candidates"] = _default_candidates(system, request, windows, plan["steps"])
    tries = plan.get("candidates", 1)
    count = windows * request.num_samples * tries
    if count > MAX_WINDOWS:
        raise InputError(
            f"num_samples {request.num_samples}, candidates {tries} and {frames} frames make "
            f"{count} windows; allowed: up to {MAX_WINDOWS}"
        )
    if count * plan.get("steps", 1) > MAX_WINDOW_STEPS:
        raise InputError(
            f"steps {plan['steps']} for {count} windows; allowed: up to "
            f"{MAX_WINDOW_STEPS // count} steps for so many"
        )
    return plan


# From the motion flow


def _default_candidates(system: DanceLanguage, request: Request, windows: int, steps: int) -> int:
    """More for a new sentence without steering, if motion is short and a linear map explains it."""
    config, flow = system.config.motion_flow, system.motion_flow
    assert flow is not None
    more = max(config.candidates, config.new_candidates)
    can = flow.mean.reading is not None and request.steering is None and not request.timeline
    fits = windows * request.num_samples * more * steps <= MAX_WINDOW_STEPS
    if not can or not fits or windows * more > _MAX_DEFAULT_WINDOWS:
        return config.candidates
    _, cosine = system.caption_base.nearest_sentences(request.words["text_embedding"][None])
    return more if cosine[0] < _SAME else config.candidates


def _goes_by_windows(system: DanceLanguage, request: Request) -> bool:
    """Whether one window without conditions is not enough."""
    frames = request.frames or system.window
    can = system.config.representation != "per_frame"
    wants = request.steering is not None or bool(request.timeline)
    return wants or (can and frames > system.window)


def _by_windows(system: DanceLanguage, request: Request, plan: dict[str, Any]) -> GenerationResult:
    """A motion that keeps to something, or is longer than a window."""
    flow = system.motion_flow
    assert flow is not None
    tries = plan["candidates"]
    count = request.num_samples * tries
    frames = request.frames or system.window

    def noise(number: int) -> np.ndarray:  # a sample's does not depend on how many there are
        parts = (request.seed, number) if number else (request.seed,)
        rng = np.random.default_rng(derive_seed("generate", *parts))
        return rng.standard_normal((count, flow.num_components))

    sentences = (Sentence(begins_s=0.0, words=request.words), *request.timeline)
    steered = steer(
        system,
        sorted(sentences, key=lambda sentence: sentence.begins_s),
        request.steering or Steering(),
        frames,
        count,
        noise,
        steps=plan["steps"],
        guidance=plan["guidance"],
    )
    chosen = np.arange(request.num_samples) * tries
    if tries > 1:
        shaped = steered.made()
        shaped = shaped.reshape(request.num_samples, tries, 1, *shaped.shape[1:])
        chosen = chosen + _best(system, shaped, request.words)
    motion, residuals = steered.finished(chosen)
    facts = plan | ({"constraints": residuals} if residuals else {})
    return GenerationResult(motion=motion, facts=facts)


def _from_flow(
    system: DanceLanguage, requests: Sequence[Request], plans: Sequence[Mapping[str, Any]]
) -> list[np.ndarray]:
    """Motions `[S, T, 50, 3]` of requests whose plans share steps and guidance."""
    flow = system.motion_flow
    assert flow is not None
    noise, text, sizes = [], [], []
    for request, plan in zip(requests, plans, strict=True):
        count = long_motion.num_windows(request.frames or system.window, system.window)
        tries = plan["candidates"]
        rng = np.random.default_rng(derive_seed("generate", request.seed))
        drawn_SNK = long_motion.latent_walk(
            lambda n, rng=rng: rng.standard_normal((n, flow.num_components)),  # type: ignore[misc]
            count,
            request.num_samples * tries,
        )
        noise.append(drawn_SNK.reshape(-1, flow.num_components))
        sizes.append((request.num_samples, tries, count))
        row = np.asarray(request.words["text_embedding"])
        text.append(np.repeat(row[None], len(noise[-1]), axis=0))
    steps, guidance = plans[0]["steps"], plans[0]["guidance"]
    starts, words = (np.concatenate(rows) for rows in (noise, text))
    coefficients = _sample(system, flow, starts, words, steps, guidance)
    motion = decode_coefficients(system, coefficients)
    ends = np.cumsum([len(rows) for rows in noise])[:-1]
    out = []
    for request, (samples, tries, count), windows in zip(requests, sizes, np.split(motion, ends)):
        shaped = windows.reshape(samples, tries, count, *windows.shape[1:])
        best = _best(system, shaped, request.words) if tries > 1 else np.zeros(samples, dtype=int)
        chosen = shaped[np.arange(samples), best]
        frames = request.frames or system.window
        out.append(long_motion.join(chosen, frames, system.joint_mask))
    return out


def _sample(
    system: DanceLanguage,
    flow: MotionFlow,
    noise_RK: np.ndarray,
    text_RD: np.ndarray,
    steps: int,
    guidance: float,
) -> np.ndarray:
    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(system.device)

    found = flow.sample(tensor(noise_RK), tensor(text_RD), steps=steps, guidance=guidance)
    return found.cpu().numpy()


def decode_coefficients(system: DanceLanguage, coefficients_NK: np.ndarray) -> np.ndarray:
    """Windows `[N, T, 50, 3]`, metres, of coefficients of the motion basis."""
    return system.to_metres(system.basis.decode(coefficients_NK))


def _best(
    system: DanceLanguage, windows_SCNTJ3: np.ndarray, words: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Of each sample's C candidates the number of the one that says the words best, `[S]`.

    Where a linear map explains motion, by what is read from it, which holds for new sentences; else
    by the shared space.
    """
    samples, tries, count = windows_SCNTJ3.shape[:3]
    flat = windows_SCNTJ3.reshape(-1, *windows_SCNTJ3.shape[3:])[:, : system.window]
    short = system.window - flat.shape[1]
    flat = np.pad(flat, ((0, 0), (0, short), (0, 0), (0, 0)), mode="edge")
    mask = np.repeat(system.joint_mask[None], len(flat), axis=0)
    flat = normalise_window(flat, mask)
    assert system.motion_flow is not None
    reading = system.motion_flow.mean.reading
    if reading is not None:
        network = to_network(flat, mask, system.statistics, system.config.representation)
        found = torch.from_numpy(system.basis.encode(network, mask)).to(system.device)
        said = torch.from_numpy(words["text_embedding"]).to(system.device)
        score = reading.agreement(found, said).cpu().numpy()
    else:
        points = system.encode_motion(flat, mask)["motion_embedding"]
        score = scores(words["text_projection"][None], points, system.metric)[0]
    return score.reshape(samples, tries, count).mean(axis=2).argmax(axis=1)


# From the paper's decoder (eq. 18-20)


def _from_decoder(system: DanceLanguage, requests: Sequence[Request]) -> list[np.ndarray]:
    latents_SNZ = [_latents(system, request) for request in requests]
    lengths = [r.frames or system.window for r in requests]
    texts_RZ = [
        np.repeat(
            np.asarray(request.words["text_latent"])[None], latents.size // latents.shape[-1], 0
        )
        for request, latents in zip(requests, latents_SNZ)
    ]
    motions: list[np.ndarray] = [np.empty(0)] * len(requests)
    for frames in {min(length, system.window) for length in lengths}:
        here = [i for i, length in enumerate(lengths) if min(length, system.window) == frames]
        decoded = decode(
            system,
            np.concatenate([texts_RZ[i] for i in here]),
            np.concatenate([latents_SNZ[i].reshape(len(texts_RZ[i]), -1) for i in here]),
            frames,
        )
        ends = np.cumsum([len(texts_RZ[i]) for i in here])
        for i, rows in zip(here, np.split(decoded, ends[:-1])):
            windows = rows.reshape(*latents_SNZ[i].shape[:2], *rows.shape[1:])
            motions[i] = long_motion.join(windows, lengths[i], system.joint_mask)
    return motions


def decode(
    system: DanceLanguage, text_RZ: np.ndarray, latent_RZ: np.ndarray, frames: int
) -> np.ndarray:
    """One window of motion for each row of latents, `[R, frames, 50, 3]` metres."""
    with torch.inference_mode():
        network = system.text_to_motion.generate(
            torch.from_numpy(text_RZ).to(system.device),
            torch.from_numpy(latent_RZ).to(system.device),
            frames,
        )
    return system.to_metres(network.cpu().numpy())


def _latents(system: DanceLanguage, request: Request) -> np.ndarray:
    """Motion latents `[S, N, Z]` float32 of a request's samples and windows."""
    source = _plan(system, request)["source"]
    frames = system.window if request.frames is None else request.frames
    count = long_motion.num_windows(frames, system.window)
    if request.clip is not None:
        found_NZ = system.encode_motion(*system.windows(request.clip)[:2])["latent"]
        one_SNZ = long_motion.follow(found_NZ, count, system.window, system.stride)[None]
        return np.repeat(one_SNZ, request.num_samples, axis=0)
    rng = np.random.default_rng(derive_seed("generate", request.seed))
    return long_motion.latent_walk(
        lambda n: _draw(system, request.words, source, n, rng), count, request.num_samples
    )


def _draw(
    system: DanceLanguage,
    words: Mapping[str, np.ndarray],
    source: str,
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Motion latents `[count, Z]` from the prior, the caption's cluster or near windows."""
    if source == "nearest":
        rows, score = system.train_index.search(words["text_projection"], _NEAREST)
        weight = np.exp((score - score.max()) / _SHARPNESS)
        chosen = rng.choice(rows, count, p=weight / weight.sum())
        return system.library.latent[system.library.rows("train")[chosen]]
    noise = rng.standard_normal((count, system.config.motion_vae.latent))
    if source == "prior":
        return noise
    means = system.cluster_mean.numpy()
    cluster = assign(means, np.asarray(words["text_latent"])[None])[0][0]
    return means[cluster] + system.cluster_std[cluster].numpy() * noise
