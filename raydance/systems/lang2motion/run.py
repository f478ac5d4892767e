"""A trained Lang2Motion run at work: tracks from a sentence, search both ways, zero-shot names.

Dimensions: B tracks, T frames, N points, K components, Z space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from raydance.data import index
from raydance.errors import ArtifactError, InputError
from raydance.motion.augment import mirror_caption
from raydance.nn.track_choice import representatives
from raydance.stages.track_flow import TrackFlow, TrackPrompt
from raydance.stages.track_path import TrackPath
from raydance.stages.track_text_space import TrackTextSpace
from raydance.systems import text_step
from raydance.systems.base import load_stage
from raydance.systems.lang2motion.constraints import TrackEquations
from raydance.systems.lang2motion.given import given_points, grid_start
from raydance.systems.lang2motion.options import ClassifyOptions, GenerateOptions, SearchOptions
from raydance.systems.lang2motion.stored_tracks import stored_tracks
from raydance.systems.lang2motion.system import LIBRARY, basis_of, build_stage, config_of
from raydance.systems.tasks import Answer, Input, TableAnswer, Task, TaskRequest, TracksAnswer
from raydance.text.encoder import load_text_encoder
from raydance.text.words import path_vector
from raydance.tracks.track import Track, normalised, resampled, to_pixels
from raydance.training.run_folder import Run, load_bundle

_DRAWS: Final = 64
_ROWS_AT_ONCE: Final = 4096


class Lang2Motion:
    """The generator and retriever of one run.

    Args:
        run: a finished run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.config = config_of(run)
        self.basis = basis_of(run)
        self.num_frames, self.num_points = self.basis.mean.shape[:2]
        self.device = torch.device("cpu")
        self._open_stages()

    def _open_stages(self) -> None:
        self.space: TrackTextSpace = self._stage("track_text_space", TrackTextSpace)
        self.path: TrackPath = self._stage("track_path", TrackPath)
        self.flow: TrackFlow = self._stage("track_flow", TrackFlow)

    @property
    def _stages(self) -> tuple[torch.nn.Module, ...]:
        return (self.space, self.path, self.flow)

    def _stage(self, name: str, kind: type) -> Any:
        stage = load_stage(self.run, name, build_stage)
        assert isinstance(stage, kind)
        return stage

    def to(self, device: torch.device) -> Lang2Motion:
        """Let the networks work on another device; arrays come and go as before."""
        for stage in self._stages:
            stage.to(device)
        self.device = device
        return self

    @cached_property
    def _encoder(self) -> Any:
        return load_text_encoder(self.config.texts.encoder)

    @cached_property
    def library(self) -> tuple[np.ndarray, dict[str, list[Any]]]:
        """Points `[N, Z]` of all tracks of the dataset, and their names and captions."""
        tensors, facts = load_bundle(self.run.bundle(LIBRARY))
        return tensors["points"].numpy(), facts

    @cached_property
    def _index(self) -> index.Index:
        return index.Index(self.library[0], "cosine")

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What the run can do."""
        text = Input(kind="text", help="a sentence about movement", is_optional=True)
        tracks = Input(kind="tracks", help="an example", is_optional=True)
        tasks = (
            Task(
                name="generate",
                help="Tracks from a sentence and where they start",
                inputs={
                    "text": Input(kind="text", help="a sentence about movement"),
                    "box": Input(kind="box", help="where the object starts", is_optional=True),
                    "mask": Input(kind="mask", help="where the object starts", is_optional=True),
                    "tracks": Input(
                        kind="tracks", help="its first frame is the start", is_optional=True
                    ),
                },
                output="tracks",
                Options=GenerateOptions,
                answer=lambda requests: [self._generate(one) for one in requests],
            ),
            Task(
                name="search",
                help="The run's tracks nearest to a sentence or an example",
                inputs={"text": text, "tracks": tracks},
                output="table",
                Options=SearchOptions,
                answer=lambda requests: [self._search(one) for one in requests],
            ),
            Task(
                name="classify",
                help="Which of some names fits a track best, without training on them",
                inputs={"tracks": Input(kind="tracks", help="the track")},
                output="table",
                Options=ClassifyOptions,
                answer=lambda requests: [self._classify(one) for one in requests],
            ),
        )
        return {task.name: task for task in tasks}

    # Into the space

    def text_batch(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Sentences as the networks read them."""
        if any(not text.strip() for text in texts):
            raise InputError("the sentence is empty; describe a movement in words")
        unique = list(dict.fromkeys(texts))
        rows = [unique.index(text) for text in texts]
        tokens, mask = self._encoder.encode_tokens(unique, self.config.texts.tokens)
        path = np.stack([path_vector(text) for text in unique])
        arrays = {
            "text_embedding": tokens[:, 0],
            "text_path": path,
            "text_tokens": tokens,
            "text_mask": mask,
        }
        return {k: torch.from_numpy(np.array(v)[rows]).to(self.device) for k, v in arrays.items()}

    def place_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Points `[B, Z]` of sentences, length 1."""
        with torch.inference_mode():
            points: np.ndarray = self.space.project_text(self.text_batch(texts)).cpu().numpy()
        return points

    def place_tracks(self, tracks: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """Points `[B, Z]` of tracks `[B, T, N, 2]` in [-1, 1], length 1."""
        batch = {
            "tracks": torch.from_numpy(np.array(tracks, dtype=np.float32)).to(self.device),
            "visible": torch.from_numpy(np.array(visible)).to(self.device),
        }
        with torch.inference_mode():
            points: np.ndarray = self.space.project_tracks(batch).cpu().numpy()
        return points

    def row_of(self, track: Track) -> tuple[np.ndarray, np.ndarray]:
        """A track `[1, T, N, 2]` in [-1, 1] and its visibility, of this run's size."""
        fixed = resampled(track, frames=self.num_frames, points=self.num_points)
        return normalised(fixed.points, track.frame_size)[None], fixed.visible[None]

    # Generation

    def prompt(self, texts: Sequence[str], start: np.ndarray) -> TrackPrompt:
        """What the generators are told: sentences and first frames `[B, N, 2]` in [-1, 1]."""
        said = self.text_batch(texts)
        mirrored = self.text_batch([mirror_caption(text) for text in texts])
        return TrackPrompt(
            text=said["text_embedding"],
            path=said["text_path"],
            start=torch.from_numpy(np.array(start, dtype=np.float32)).to(self.device),
            tokens=said["text_tokens"],
            mask=said["text_mask"],
            mirrored_text=mirrored["text_embedding"],
            mirrored_path=mirrored["text_path"],
            mirrored_tokens=mirrored["text_tokens"],
            mirrored_mask=mirrored["text_mask"],
        )

    def sample(self, prompt: TrackPrompt, seed: int, **settings: Any) -> np.ndarray:
        """Drawn tracks `[B, T, N, 2]` in [-1, 1]; settings as `TrackFlow.sample`."""
        generator = torch.Generator().manual_seed(seed)
        shape = (len(prompt.start), self.flow.num_components)
        noise_BK = torch.randn(shape, generator=generator).to(self.device)
        with torch.inference_mode():
            coefficients_BK = self.flow.sample(noise_BK, prompt, **settings)
            tracks: np.ndarray = self.flow.tracks(coefficients_BK, prompt.start).cpu().numpy()
        return tracks

    def spread(self, prompt: TrackPrompt, num: int, seed: int, **settings: Any) -> np.ndarray:
        """`[num, B, T, N, 2]`: few tracks of each prompt that stand for many draws.

        Of 64 draws, or twice as many as are wanted, those to which all are nearest (k-medoids of
        the centres' paths); the first stands for most.

        Args:
            num: of tracks; settings as `TrackFlow.sample`.
        """
        draws = max(_DRAWS, 2 * num)
        rows = max(1, _ROWS_AT_ONCE // draws)
        parts = []
        for first in range(0, len(prompt.start), rows):
            part = prompt.rows(slice(first, first + rows))
            drawn = self.sample(part.repeated(draws), seed + first, **settings)
            drawn_SBTN2 = torch.from_numpy(drawn).unflatten(0, (draws, len(part.start)))
            parts.append(representatives(drawn_SBTN2, num).numpy())
        return np.concatenate(parts, axis=1)

    def expected(self, prompt: TrackPrompt) -> np.ndarray:
        """The one expected path of each, `[B, T, N, 2]` in [-1, 1]."""
        with torch.inference_mode():
            path = self.path.expected_path(prompt.text, prompt.path, prompt.start)
        tracks: np.ndarray = path.cpu().numpy()
        return tracks

    def alternatives(self, prompt: TrackPrompt) -> np.ndarray:
        """`[A, B, T, N, 2]` in [-1, 1]: few paths of each, one of which is near; the most likely
        one first."""
        with torch.inference_mode():
            paths = self.path.likely_first(prompt.text, prompt.path, prompt.start)
        tracks: np.ndarray = paths.cpu().numpy()
        return tracks

    def _generate(self, request: TaskRequest) -> TracksAnswer:
        inputs, options = request.inputs, request.options
        given = [name for name in ("box", "mask", "tracks") if name in inputs]
        if len(given) > 1:
            raise InputError(f"{given[0]} and {given[1]}: give one of them as the start")
        size = (options.width, options.height)
        if "tracks" in inputs:
            size = inputs["tracks"].frame_size
        if "mask" in inputs:
            size = inputs["mask"].shape[::-1]
        place = self._start(inputs, size).astype(np.float32)
        points, facts = self._made(request, place, size)
        return TracksAnswer(
            points=points,
            visible=np.ones(points.shape[:3], dtype=bool),
            frame_size=(int(size[0]), int(size[1])),
            fps=(self.num_frames - 1) / options.seconds,
            facts=facts,
        )

    def _made(
        self, request: TaskRequest, place: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Points `[n, T, N, 2]`, pixels, that start at `place` `[N, 2]`, and how they were made."""
        inputs, options = request.inputs, request.options
        start = normalised(place, size)
        equations = self._given(request, place, size)
        count = options.samples if options.kind == "sample" else 1
        prompt = self.prompt([inputs["text"]] * count, np.repeat(start[None], count, axis=0))
        if options.kind == "expected":
            return to_pixels(self.expected(prompt), size), {"source": "expected path"}
        if options.kind == "alternatives":
            return to_pixels(self.alternatives(prompt)[:, 0], size), {"source": "alternatives"}
        settings: dict[str, Any] = {
            "steps": options.steps,
            "guidance": options.guidance,
            "emphasis": options.emphasis,
        }
        facts: dict[str, Any] = {"source": "flow"}
        if equations is None:
            if options.spread and count > 1:
                one = prompt.rows(slice(0, 1))
                made = self.spread(one, count, options.seed, **settings)[:, 0]
            else:
                made = self.sample(prompt, options.seed, **settings)
            return to_pixels(made, size), facts
        target, is_given = equations
        met = TrackEquations(
            self.flow.basis.mean,
            self.flow.basis.components,
            prompt.start,
            torch.from_numpy(normalised(target, size)).expand(count, -1, -1, -1),
            torch.from_numpy(is_given),
        )
        settings |= {"given_BX": met.given(), "correct": met.correction}
        points = to_pixels(self.sample(prompt, options.seed, **settings), size)
        facts["missed_px"] = float(np.abs(points - target)[:, is_given].max())
        return points, facts

    def _given(
        self, request: TaskRequest, start: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """What is to be met: `given_points`.

        Raises:
            InputError: nothing to go on from.
        """
        options, tracks = request.options, request.inputs.get("tracks")
        if options.go_on and tracks is None:
            raise InputError("go_on: give tracks to go on from")
        first = None
        if tracks is not None and options.go_on:
            fixed = resampled(tracks, points=self.num_points)
            first = fixed.points[: options.go_on]
        given = given_points(
            start,
            (self.num_frames, self.num_points),
            first_frames=first,
            through=options.through,
            seconds=options.seconds,
            frame_size=size,
        )
        return given

    def _start(self, inputs: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Points `[N, 2]` of the first frame, pixels."""
        if "tracks" in inputs:
            fixed = resampled(inputs["tracks"], frames=self.num_frames, points=self.num_points)
            return fixed.points[0]
        return grid_start(inputs.get("mask"), inputs.get("box"), self.num_points, size)

    # Search

    def point_of(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """The point `[Z]` of a sentence (`text`) or of a track (`tracks`), length 1.

        Raises:
            InputError: neither or both, or a sentence without words.
        """
        if ("text" in inputs) == ("tracks" in inputs):
            raise InputError("what to search for? Give a sentence or tracks")
        if "text" in inputs:
            return self.place_texts([inputs["text"]])[0]
        return self.place_tracks(*self.row_of(inputs["tracks"]))[0]

    def _search(self, request: TaskRequest) -> Answer:
        rows, scores = self._index.search(self.point_of(request.inputs), request.options.k)
        _, facts = self.library
        return TableAnswer(
            rows=[
                {
                    "score": float(score),
                    "id": facts["id"][row],
                    "split": facts["split"][row],
                    "captions": "; ".join(facts["captions"][row]),
                }
                for score, row in zip(scores, rows)
            ]
        )

    def stored(self, name: str) -> TracksAnswer:
        """A track that `search` names (`stored_tracks`)."""
        return stored_tracks(self.run, name)

    def classify(
        self, tracks: np.ndarray, visible: np.ndarray, labels: Sequence[str], prompt: str
    ) -> np.ndarray:
        """Cosines `[B, L]` of tracks with the sentences that a prompt makes of names."""
        points = self.place_tracks(tracks, visible)
        texts = [prompt.replace("{}", label) if "{}" in prompt else label for label in labels]
        return points @ self.place_texts(texts).T

    def _classify(self, request: TaskRequest) -> Answer:
        options = request.options
        row, visible = self.row_of(request.inputs["tracks"])
        scores = self.classify(row, visible, options.labels, options.prompt)[0]
        order = np.argsort(-scores)[: options.k]
        return TableAnswer(
            rows=[{"score": float(scores[i]), "label": options.labels[i]} for i in order]
        )


def load(path: str | Path) -> Lang2Motion:
    """Open a finished run.

    Raises:
        ArtifactError: not a run, damaged, or not finished.
    """
    run = Run.open(path)
    is_drawn = config_of(run).head == "flow"
    last = "track_flow" if is_drawn else "track_autoencoder"
    if last not in run.facts["steps"] or text_step.STEP not in run.facts["steps"]:
        raise ArtifactError(f"{path}: not finished; train it again with the same command")
    if is_drawn:
        return Lang2Motion(run)
    from raydance.systems.lang2motion.autoencoder_run import AutoencoderLang2Motion

    return AutoencoderLang2Motion(run)
