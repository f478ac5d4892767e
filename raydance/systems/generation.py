"""Sentences into motion with a trained run: latents of the source, decoded, joined to any length.

Requests that come together are decoded together, in one batch of windows.

Dimensions: S samples, N windows, T frames, J joints, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.stages.clusters import assign
from raydance.stages.text_to_motion import SOURCES
from raydance.systems import long_motion
from raydance.training import derive_seed

if TYPE_CHECKING:
    from raydance.systems.dance_language_run import DanceLanguage

MAX_SAMPLES: Final = 64
_NEAREST: Final = 5
_SHARPNESS: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Request:
    """A motion that is wanted.

    Attributes:
        words: one sentence as `DanceLanguage.encode_text` gives it, without the first dimension.
        frames: T; a window's length where None.
        source: where the motion latent comes from, one of `SOURCES`; the run's own, or the clip,
            where None.
        clip: with the source `clip`, the motion to start from.
    """

    words: Mapping[str, np.ndarray]
    frames: int | None = None
    seed: int = 0
    num_samples: int = 1
    source: str | None = None
    clip: Clip | None = None


def generate(system: DanceLanguage, requests: Sequence[Request]) -> list[np.ndarray]:
    """Motion `[S, T, 50, 3]` for each request, metres, y up, at the run's rate.

    Raises:
        InputError: a length, a number of samples or a source that is not allowed.
    """
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
    default = "clip" if request.clip is not None else system.config.text_to_motion.source
    source = request.source or default
    if source not in SOURCES:
        raise InputError(f"source {source!r}; allowed: {', '.join(SOURCES)}")
    frames = system.window if request.frames is None else request.frames
    long_motion.check_length(frames, system.window, system.fps)
    if not 1 <= request.num_samples <= MAX_SAMPLES:
        raise InputError(f"num_samples: {request.num_samples}; allowed: 1 to {MAX_SAMPLES}")
    if (source == "clip") != (request.clip is not None):
        raise InputError("source 'clip' and a clip go together")
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
    cluster = assign(system.centroids, np.asarray(words["text_latent"])[None])[0][0]
    return system.cluster_mean[cluster].numpy() + system.cluster_std[cluster].numpy() * noise
