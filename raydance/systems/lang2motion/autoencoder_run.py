"""A run of the paper's way at work: tracks decoded from a CLIP's space, and arithmetic in it.

Dimensions: B tracks, T frames, N points, Z space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from raydance.errors import InputError
from raydance.nn.track_losses import interpolate, transfer_style
from raydance.stages.track_autoencoder import TrackAutoencoder
from raydance.stages.track_flow import TrackPrompt
from raydance.systems.lang2motion.clip_steps import clip_of, overlay_features
from raydance.systems.lang2motion.options import FrameOptions
from raydance.systems.lang2motion.run import Lang2Motion
from raydance.systems.tasks import Input, Task, TaskOptions, TaskRequest, TracksAnswer
from raydance.text.clip import Clip
from raydance.tracks.track import normalised, to_pixels

_CONDITIONS: Final = ("text", "image", "overlay")
_ONLY_TRAILS: Final = "this run's CLIP has seen only trails on black, so a picture tells it little"


class TransferOptions(TaskOptions):
    """How much of a style is added."""

    style: str = Field(min_length=1, max_length=1000, description="Words of the style")
    neutral: str = Field(
        default="an object moves", min_length=1, max_length=1000, description="Words without it"
    )
    strength: float = Field(default=1.0, ge=0.0, le=10.0)


class InterpolateOptions(TaskOptions):
    """Places between two tracks."""

    samples: int = Field(default=5, ge=2, le=64, description="Tracks, both ends among them")


class AutoencoderLang2Motion(Lang2Motion):
    """The paper's autoencoder in the place of the flow; one answer for each sentence and start."""

    def _open_stages(self) -> None:
        self.autoencoder: TrackAutoencoder = self._stage("track_autoencoder", TrackAutoencoder)

    @property
    def _stages(self) -> tuple[torch.nn.Module, ...]:
        return (self.autoencoder,)

    @cached_property
    def clip(self) -> Clip:
        """The frozen CLIP."""
        return clip_of(self.run, self.config)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What the run can do."""
        example = Input(kind="tracks", help="an example")
        tasks = super().tasks
        generate = tasks["generate"]
        conditions = {
            "text": replace(generate.inputs["text"], is_optional=True),
            "image": Input(
                kind="image", help="in place of the sentence, with its mask", is_optional=True
            ),
            "overlay": Input(
                kind="overlay",
                help="drawn trails in place of the sentence: a picture or a GIF",
                is_optional=True,
            ),
        }
        return {
            **tasks,
            "generate": replace(
                generate,
                help="Tracks from a sentence, a picture or drawn trails, and where they start",
                inputs={**generate.inputs, **conditions},
                Options=FrameOptions,
            ),
            "transfer": Task(
                name="transfer",
                help="A track in another style: words are added in the shared space",
                inputs={"tracks": example},
                output="tracks",
                Options=TransferOptions,
                answer=lambda requests: [self._transfer(one) for one in requests],
            ),
            "interpolate": Task(
                name="interpolate",
                help="Tracks between a track and what a sentence says",
                inputs={"tracks": example, "text": Input(kind="text", help="the other end")},
                output="tracks",
                Options=InterpolateOptions,
                answer=lambda requests: [self._interpolate(one) for one in requests],
            ),
        }

    def place_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Points `[B, Z]` of sentences, length 1."""
        if any(not text.strip() for text in texts):
            raise InputError("the sentence is empty; describe a movement in words")
        return self.clip.text_features(texts)

    def place_tracks(
        self, tracks: np.ndarray, visible: np.ndarray, *, with_overlays: bool = False
    ) -> np.ndarray:
        """Points `[B, Z]` of tracks `[B, T, N, 2]` in [-1, 1], length 1.

        Args:
            with_overlays: the encoder also sees the CLIP's features of the drawn tracks.
        """
        features = None
        if with_overlays:
            found = overlay_features(self.clip, tracks, visible, self.config)
            features = torch.from_numpy(found).to(self.device)
        moved = torch.from_numpy(np.array(tracks, dtype=np.float32)).to(self.device)
        with torch.inference_mode():
            latent_BZ = F.normalize(self.autoencoder.encode(moved, features), dim=1)
        points: np.ndarray = latent_BZ.cpu().numpy()
        return points

    def place_pictures(self, pictures: np.ndarray) -> np.ndarray:
        """The point `[Z]` of pictures `[S, H, W, 3]` uint8, such as an overlay's frames.

        The mean of their features, as in eq. 8, of length 1. Each is squeezed into a square, as
        the overlays were that the run has learned from.
        """
        side = self.config.overlays.size
        squares = [Image.fromarray(picture).resize((side, side)) for picture in pictures]
        mean = self.clip.image_features(np.stack([np.array(one) for one in squares])).mean(axis=0)
        point: np.ndarray = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return point

    def prompt(self, texts: Sequence[str], start: np.ndarray) -> TrackPrompt:
        """Sentences in the CLIP's space, and first frames `[B, N, 2]` in [-1, 1]."""
        return TrackPrompt(
            text=torch.from_numpy(self.place_texts(texts)).to(self.device),
            path=torch.zeros(len(texts), 0, device=self.device),
            start=torch.from_numpy(np.array(start, dtype=np.float32)).to(self.device),
        )

    def expected(self, prompt: TrackPrompt) -> np.ndarray:
        """What is decoded, `[B, T, N, 2]` in [-1, 1]."""
        return self._decoded(prompt.text, prompt.start)

    def sample(self, prompt: TrackPrompt, seed: int, **settings: Any) -> np.ndarray:
        """As `expected`: the paper's decoder draws nothing."""
        return self.expected(prompt)

    def spread(self, prompt: TrackPrompt, num: int, seed: int, **settings: Any) -> np.ndarray:
        """`[num, B, T, N, 2]`: the one answer, as often as wanted."""
        return np.repeat(self.expected(prompt)[None], num, axis=0)

    def alternatives(self, prompt: TrackPrompt) -> np.ndarray:
        """`[1, B, T, N, 2]`: the one answer."""
        return self.expected(prompt)[None]

    def _decoded(self, latent_BZ: Tensor, start_BN2: Tensor) -> np.ndarray:
        with torch.inference_mode():
            tracks: np.ndarray = self.autoencoder.decode(latent_BZ, start_BN2).cpu().numpy()
        return tracks

    def _generate(self, request: TaskRequest) -> TracksAnswer:
        answer = super()._generate(request)
        if "image" in request.inputs and self.config.small_clip.enabled:
            return replace(answer, notices=(_ONLY_TRAILS,))
        return answer

    def _made(
        self, request: TaskRequest, place: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, dict[str, Any]]:
        latent = torch.from_numpy(self._condition(request.inputs)[None]).to(self.device)
        start = torch.from_numpy(normalised(place, size)[None]).to(self.device)
        return to_pixels(self._decoded(latent, start), size), {"source": "autoencoder"}

    def _condition(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """The point `[Z]` of the one thing that says how it moves.

        Raises:
            InputError: nothing or several of them, or an image without a mask of its size.
        """
        given = [name for name in _CONDITIONS if name in inputs]
        if len(given) != 1:
            raise InputError(
                f"found {' and '.join(given) or 'neither'}; give one of: text, image (with a mask "
                "of its object), overlay"
            )
        if "overlay" in inputs:
            return self.place_pictures(inputs["overlay"])
        if "text" in inputs:
            return self.place_texts([inputs["text"]])[0]
        image = inputs["image"]
        if "mask" not in inputs:
            raise InputError("image: give a mask of the object in it, too")
        if inputs["mask"].shape != image.shape[:2]:
            (height, width), (of_image, wide) = inputs["mask"].shape, image.shape[:2]
            raise InputError(f"mask: {width} x {height}; allowed: {wide} x {of_image}, the image's")
        return self.place_pictures(image[None])

    def _transfer(self, request: TaskRequest) -> TracksAnswer:
        options = request.options
        words = torch.from_numpy(self.place_texts([options.style, options.neutral]))
        content, start = self._latent(request)
        latent = transfer_style(content, words[:1], words[1:], options.strength)
        return self._answer_of(request, latent, start)

    def _interpolate(self, request: TaskRequest) -> TracksAnswer:
        content, start = self._latent(request)
        other = torch.from_numpy(self.place_texts([request.inputs["text"]]))
        shares = np.linspace(0.0, 1.0, request.options.samples)
        latent = torch.cat([interpolate(content, other, float(share)) for share in shares])
        return self._answer_of(request, latent, start)

    def _latent(self, request: TaskRequest) -> tuple[Tensor, Tensor]:
        tracks, visible = self.row_of(request.inputs["tracks"])
        return torch.from_numpy(self.place_tracks(tracks, visible)), torch.from_numpy(tracks[:, 0])

    def _answer_of(self, request: TaskRequest, latent: Tensor, start: Tensor) -> TracksAnswer:
        track = request.inputs["tracks"]
        made = self._decoded(
            latent.to(self.device), start.expand(len(latent), -1, -1).to(self.device)
        )
        points = to_pixels(made, track.frame_size)
        facts: dict[str, Any] = {"source": "autoencoder"}
        return TracksAnswer(
            points=points,
            visible=np.ones(points.shape[:3], dtype=bool),
            frame_size=track.frame_size,
            fps=(self.num_frames - 1) / max(track.duration_s, 1e-6),
            facts=facts,
        )
