"""A trained Dance-Language run at work: describe motion, generate it from words, search a library.

Loads from the run folder alone and needs neither Ray nor the training data.

Dimensions: N windows, T frames, J joints, Z latent, D sentence embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raydance.data import index
from raydance.errors import InputError
from raydance.motion.clip import Clip
from raydance.systems.dance_language import generation, long_motion
from raydance.systems.dance_language.answers import Hit, Segment
from raydance.systems.dance_language.spaces import TrainedSpaces
from raydance.systems.dance_language.tasks import tasks_of
from raydance.systems.dance_language.understanding import Understood
from raydance.systems.dance_language.writer_step import Writer, WrittenSegment
from raydance.systems.steering import Sentence, Steering
from raydance.systems.tasks import Task
from raydance.training.run_folder import Run


class DanceLanguage(TrainedSpaces):
    """The composed describer, generator and retriever of one run."""

    def to(self, device: torch.device) -> DanceLanguage:
        """Let the networks work on another device; arrays come and go as before."""
        super().to(device)
        if "writer" in self.__dict__:
            self.writer.stage.to(device)
        return self

    @cached_property
    def _index(self) -> index.Index:
        return index.Index(self.library.embedding, self.metric)

    @cached_property
    def train_index(self) -> index.Index:
        rows = self.library.rows("train")
        return index.Index(self.library.embedding[rows], self.metric)

    @cached_property
    def writer(self) -> Writer:
        """The caption writer; most runs have none, and it is loaded when it is first asked.

        Raises:
            ArtifactError: the run has none.
        """
        writer = Writer(self.run)
        writer.stage.to(self.device)
        return writer

    @property
    def max_frames(self) -> int:
        """Longest motion that can be generated."""
        return long_motion.longest(self.window, self.fps)

    @property
    def derived_captions(self) -> set[int]:
        """Ids of the captions that no person wrote."""
        return self.caption_base.derived

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What the run can do."""
        return tasks_of(self)

    def understand(self, texts: Sequence[str]) -> list[Understood]:
        """How sentences are understood, and what is to be said where they are not.

        Raises:
            InputError: an empty sentence.
        """
        return self.judge.understand(texts, self.encode_text(texts)["text_embedding"])

    # Motion to text

    def describe(self, clip: Clip, k: int = 3) -> list[Segment]:
        """The k best captions of the whole clip first, then of each of its windows.

        A clip shorter than a window is padded (see `short_notice`): its captions have no
        confidence, which is calibrated on motion that fills its window.
        """
        motion, mask, starts = self.windows(clip, pads_short=True)
        is_padded = bool(self.short_notice(clip))
        found = self.encode_motion(motion, mask)
        length_s = self.window / self.fps
        whole_D = index.unit(found["text"]).mean(axis=0)
        main = int(np.bincount(found["cluster"]).argmax())
        text_ND = np.concatenate([whole_D[None], found["text"]])
        cluster_N = np.array([main, *found["cluster"]])
        judged = self.judge.judge_clip(text_ND, cluster_N, found["motion_embedding"])
        ends = [clip.duration_s if is_padded else float(s + length_s) for s in starts]
        times = [(0.0, clip.duration_s), *zip(starts.tolist(), ends)]
        return [
            Segment(
                start_s=start,
                end_s=end,
                cluster=int(cluster),
                captions=self.caption_base.describe(text_D, int(cluster), k),
                confidence=None if is_padded else judged.confidence[i],
                is_unlike_training=judged.is_unlike_training[i],
            )
            for i, ((start, end), text_D, cluster) in enumerate(
                zip(times, text_ND, cluster_N, strict=True)
            )
        ]

    def write(self, clip: Clip, num: int = 3) -> list[WrittenSegment]:
        """At most `num` new sentences for the whole clip first, then for each of its windows.

        The whole clip is the mean of its windows.

        Raises:
            ArtifactError: the run has no caption writer.
            InputError: `num` out of range, or a clip that `windows` refuses.
        """
        writer = self.writer
        motion, mask, starts = self.windows(clip)
        points_NZ = self.encode_motion(motion, mask)[writer.reads]
        points_NZ = np.concatenate([points_NZ.mean(axis=0, keepdims=True), points_NZ])
        whole, *parts = writer.write(points_NZ, num)
        length_s = self.window / self.fps
        return [
            WrittenSegment(start_s=0.0, end_s=clip.duration_s, sentences=whole),
            *(
                WrittenSegment(start_s=float(s), end_s=float(s + length_s), sentences=sentences)
                for s, sentences in zip(starts, parts, strict=True)
            ),
        ]

    # Text to motion

    def generate(self, text: str, **options: Any) -> np.ndarray:
        """Motion for a sentence: `[num_samples, T, 50, 3]`, metres, y up, at `self.fps`.

        Takes what `make` takes, which also tells how the motion was made.
        """
        return self.make(text, **options).motion

    def make(
        self,
        text: str,
        *,
        frames: int | None = None,
        seed: int = 0,
        num_samples: int = 1,
        source: str | None = None,
        clip: Clip | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        candidates: int | None = None,
        steering: Steering | None = None,
        timeline: Sequence[tuple[float, str]] = (),
    ) -> generation.GenerationResult:
        """Motion for a sentence, and how it was made.

        Args:
            frames: T; a window's length by default, at most a minute. Longer motion than a window
                is made of several (`long_motion`).
            source: where the motion comes from, one of `SOURCES`; the run's own by default.
            clip: with `source="clip"`, the motion to start from.
            steps, guidance: of the flow; the run's own by default.
            candidates: motions made for each sample, of which the one that fits the sentence best
                is kept; by default the run's own number, more for a new sentence.
            steering: keyframes, paths, a loop and clips that the motion keeps to.
            timeline: further sentences, each from a time on (seconds), after the first.

        Raises:
            InputError: an empty sentence, a length, source or setting that is not allowed, or
                something wanted that contradicts itself or that no motion can do.
        """
        texts = [text, *(sentence for _, sentence in timeline)]
        encoded = self.encode_text(texts)
        understood, *others = self.judge.understand(texts, encoded["text_embedding"])
        words, *later = (
            {name: values[i] for name, values in encoded.items()} for i in range(len(timeline) + 1)
        )
        request = generation.Request(
            words=words,
            frames=frames,
            seed=seed,
            num_samples=num_samples,
            source=source,
            clip=clip,
            steps=steps,
            guidance=guidance,
            candidates=candidates,
            steering=steering,
            timeline=tuple(
                Sentence(begins_s=begins_s, words=said)
                for (begins_s, _), said in zip(timeline, later)
            ),
        )
        made = generation.generate(self, [request])[0]
        notices = tuple(one.notice for one in (understood, *others) if one.notice)
        return replace(made, understood=understood, notices=notices)

    # Search

    def point_of(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """The point `[Z]` of a sentence (`text`) or of a clip (`motion`) in the shared space.

        Raises:
            InputError: neither or both, or an empty sentence.
        """
        if ("text" in inputs) == ("motion" in inputs):
            raise InputError("what to search for? Give a sentence or a motion")
        if "text" in inputs:
            return self.encode_text([inputs["text"]])["text_projection"][0]
        motion, mask, _ = self.windows(inputs["motion"], pads_short=True)
        return self.encode_motion(motion, mask)["motion_embedding"].mean(axis=0)

    def search(self, query: str | Clip, k: int = 5) -> list[Hit]:
        """The k clips nearest to a sentence or to a clip, each by its best window."""
        kind = "text" if isinstance(query, str) else "motion"
        return self.nearest(self.point_of({kind: query}), k)

    def nearest(self, point_Z: np.ndarray, k: int) -> list[Hit]:
        """The k clips nearest to a point of the shared space.

        Raises:
            InputError: k below 1.
        """
        if k < 1:
            raise InputError(f"k: {k}; at least 1")

        names = self.library.windows["clip_id"]
        found = index.best_of_each(
            lambda count: self._index.search(point_Z, count), names.__getitem__, k, len(names)
        )
        texts, derived = self.captions.texts, self.derived_captions
        return [self.library.hit(row, score, texts, derived) for row, score in found]


def load(path: str | Path) -> DanceLanguage:
    """Open a finished run.

    Raises:
        ArtifactError: not a run, damaged, or not finished.
        InputError: a run of another system.
    """
    from raydance.errors import ArtifactError

    run = Run.open(path)
    if run.facts["system"] != "dance-language":
        raise InputError(
            f"{path}: a run of {run.facts['system']}; this is for runs of dance-language. What the "
            "run can do: `raydance info`, `raydance task`"
        )
    missing = [s for s in ("text_to_motion", "library") if s not in run.facts["steps"]]
    if missing:
        raise ArtifactError(
            f"{path}: not finished ({', '.join(missing)} missing); run `raydance train` again"
        )
    return DanceLanguage(run)
