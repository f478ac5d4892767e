"""A trained Dance-Language run at work: describe motion, generate it from words, search a library.

Loads from the run folder alone and needs neither Ray nor the training data.

Dimensions: N windows, T frames, J joints, Z latent, D sentence embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from raydance.data import index
from raydance.data.ingest import windows_of_clip
from raydance.errors import InputError
from raydance.motion import normalise, skeleton
from raydance.motion.body_check import clip_doubts
from raydance.motion.clip import Clip
from raydance.motion.rows import to_network
from raydance.stages.clusters import assign
from raydance.stages.contrastive import Contrastive
from raydance.stages.motion_flow import MotionFlow
from raydance.stages.motion_to_text import MotionToText
from raydance.stages.motion_vae import MotionVae
from raydance.stages.text_encoder import TextEncoder
from raydance.stages.text_to_motion import TextToMotion
from raydance.systems.base import load_stage
from raydance.systems.dance_language import generation, long_motion
from raydance.systems.dance_language.answer_judge import AnswerJudge
from raydance.systems.dance_language.answers import Hit, Segment
from raydance.systems.dance_language.basis_step import basis_of
from raydance.systems.dance_language.calibration_step import caption_base_of
from raydance.systems.dance_language.caption_step import cluster_names
from raydance.systems.dance_language.cluster_space import ClusterSpace
from raydance.systems.dance_language.config import config_of
from raydance.systems.dance_language.library_step import Library, read_library
from raydance.systems.dance_language.stages import build_stage
from raydance.systems.dance_language.statistics_step import statistics_of
from raydance.systems.dance_language.steered_body import Body
from raydance.systems.dance_language.steered_windows import world_basis
from raydance.systems.dance_language.steering import Sentence, Steering
from raydance.systems.dance_language.understanding import Understood
from raydance.systems.dance_language.writer_step import Writer, WrittenSegment
from raydance.text.encoder import load_text_encoder
from raydance.training.caption_table import CaptionTable
from raydance.training.run_folder import Run, load_bundle

_BODY_WINDOWS: Final = 256


class DanceLanguage:
    """The composed describer, generator and retriever of one run.

    Args:
        run: a finished run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.config = config_of(run)
        self.statistics = statistics_of(run)
        self.joint_mask = load_bundle(run.bundle("statistics"))[0]["joint_mask"].numpy()
        """`[50]` bool: joints that the training data has; generated motion has no others."""
        self.fps = float(run.facts["dataset"]["fps"])
        self.window = int(run.facts["dataset"]["window"])
        self.stride = int(run.facts["dataset"]["stride"])
        self.vae = self._stage("motion_vae", MotionVae)
        self.text_encoder = self._stage("text_encoder", TextEncoder)
        self.contrastive = self._stage("contrastive", Contrastive)
        self.motion_to_text = self._stage("motion_to_text", MotionToText)
        self.text_to_motion = self._stage("text_to_motion", TextToMotion)
        self.captions = CaptionTable.load(
            [
                run.bundle("captions"),
                run.bundle("text_encoder_captions"),
                run.bundle("contrastive_captions"),
            ]
        )
        clusters, _ = load_bundle(run.bundle("clusters"))
        self.centroids = clusters["centroids"].numpy()
        self.cluster_names = cluster_names(run)
        """Labels that clusters stand for, where they started from labels."""
        facts, judged = load_bundle(run.bundle("library"))
        self.cluster_mean, self.cluster_std = facts["cluster_mean"], facts["cluster_std"]
        self.caption_base = caption_base_of(
            run, self.config, self.captions, facts["caption_clusters"].numpy()
        )
        self.judge = AnswerJudge(
            judged.get("calibration"),
            self.caption_base,
            lambda: self.library.embedding[self.library.rows("train")],
            self.metric,
        )
        self.cluster_space = ClusterSpace.of(run)
        self.basis = basis_of(run)
        self.motion_flow: MotionFlow | None = None
        if self.config.motion_flow.enabled:
            self.motion_flow = self._stage("motion_flow", MotionFlow)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> DanceLanguage:
        """Let the networks work on another device; arrays come and go as before."""
        for stage in (
            self.vae,
            self.text_encoder,
            self.contrastive,
            self.motion_to_text,
            self.text_to_motion,
            self.motion_flow,
        ):
            if stage is not None:
                stage.to(device)
        if "writer" in self.__dict__:
            self.writer.stage.to(device)
        self.device = device
        return self

    def _stage(self, name: str, kind: type) -> Any:
        stage = load_stage(self.run, name, build_stage)
        assert isinstance(stage, kind)
        return stage

    @cached_property
    def library(self) -> Library:
        """All windows of the training library."""
        return read_library(self.run)

    @cached_property
    def world_basis(self) -> tuple[np.ndarray, np.ndarray]:
        """The motion basis in metres, as steering needs it."""
        return world_basis(self.basis, self.statistics, self.config.representation)

    @cached_property
    def body(self) -> Body:
        """The bones of the training data, from a middle frame of some training windows."""
        rows = self.library.rows("train")
        rows = rows[:: max(1, len(rows) // _BODY_WINDOWS)]
        poses = self.decode(self.library.latent[rows])[:, self.window // 2]
        return Body(poses.astype(np.float64), self.joint_mask)

    @cached_property
    def _index(self) -> index.Index:
        return index.Index(self.library.embedding, self.metric)

    @cached_property
    def train_index(self) -> index.Index:
        rows = self.library.rows("train")
        return index.Index(self.library.embedding[rows], self.metric)

    @cached_property
    def _sentences(self) -> Any:
        return load_text_encoder(self.config.text)

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
    def width(self) -> int:
        """Dimensions of the shared space."""
        return self.config.contrastive.outputs

    @property
    def max_frames(self) -> int:
        """Longest motion that can be generated."""
        return long_motion.longest(self.window, self.fps)

    @property
    def metric(self) -> index.Metric:
        """How points of the shared space compare."""
        return self.contrastive.metric

    @property
    def derived_captions(self) -> set[int]:
        """Ids of the captions that no person wrote."""
        return self.caption_base.derived

    # Into the spaces

    def windows(
        self, clip: Clip, *, pads_short: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A clip's windows `[N, T, 50, 3]` (metres), joint masks `[N, 50]` and start times `[N]` s.

        Args:
            pads_short: see `windows_of_clip`.

        Raises:
            InputError: shorter than one window, or a skeleton that cannot be mapped.
        """
        return windows_of_clip(
            clip, fps=self.fps, length=self.window, stride=self.stride, pads_short=pads_short
        )

    def notices(self, clip: Clip) -> list[str]:
        """Warnings about a motion for its sender: its length, and a body that cannot be."""
        short = [notice] if (notice := self.short_notice(clip)) else []
        return short + clip_doubts(clip)

    def short_notice(self, clip: Clip) -> str:
        """What is to be said of a clip that is shorter than a window; empty of others."""
        seconds, length_s = clip.duration_s, self.window / self.fps
        if seconds * self.fps >= self.window - 0.5:
            return ""
        return (
            f"the motion is {seconds:.1f} s long, and what was learned are parts of {length_s:.1f} "
            "s: its last pose was held for the rest, so take the words with care"
        )

    def encode_motion(self, motion: np.ndarray, joint_mask: np.ndarray) -> dict[str, np.ndarray]:
        """What the stages make of windows `[N, T, 50, 3]` in metres.

        Returns:
            `coefficients [N, K]`, `latent [N, Z]`, `motion_embedding [N, Z]`, `cluster [N]` with
            the point it was chosen by, `cluster_point [N, P]`, and `text [N, D]`, the point that
            captions are ranked by.
        """
        network = to_network(motion, joint_mask, self.statistics, self.config.representation)
        batch = {
            "motion": torch.from_numpy(network).to(self.device),
            "joint_mask": torch.from_numpy(np.asarray(joint_mask)).to(self.device),
        }
        with torch.inference_mode():
            batch |= self.vae.infer(batch)
            batch |= self.contrastive.infer(batch)
            text = batch["motion_embedding"]
            if self.config.motion_to_text.ranking == "sentences":
                text = self.motion_to_text.project(batch[self.config.motion_to_text.motion_input])
        latent = batch["latent"].cpu().numpy()
        coefficients = self.basis.encode(network, np.asarray(joint_mask))
        raw = self.cluster_space.raw(motion, np.asarray(joint_mask), latent, coefficients)
        point = self.cluster_space.scaled(raw)
        return {
            "coefficients": coefficients,
            "latent": latent,
            "motion_embedding": batch["motion_embedding"].cpu().numpy(),
            "cluster": assign(self.centroids, point)[0],
            "cluster_point": point,
            "text": text.cpu().numpy(),
        }

    def encode_text(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """`text_embedding [n, D]`, `text_latent [n, Z]` and `text_projection [n, Z]`.

        Raises:
            InputError: an empty sentence.
        """
        if any(not t.strip() for t in texts):
            raise InputError("the sentence is empty; describe a movement in words")
        sentences = torch.from_numpy(self._sentences.encode(list(texts)))
        batch = {"text_embedding": sentences.to(self.device)}
        with torch.inference_mode():
            batch |= self.text_encoder.infer_captions(batch)
            batch |= self.contrastive.infer_captions(batch)
        return {name: value.cpu().numpy() for name, value in batch.items()}

    def understand(self, texts: Sequence[str]) -> list[Understood]:
        """How sentences are understood, and what is to be said where they are not.

        Raises:
            InputError: an empty sentence.
        """
        return self.judge.understand(texts, self.encode_text(texts)["text_embedding"])

    def num_pieces(self, text: str) -> int:
        """In how many pieces a sentence is read; above 1 it is long, and they are averaged."""
        return int(self._sentences.num_pieces(text))

    # Motion to text

    def describe(self, clip: Clip, k: int = 3) -> list[Segment]:
        """The k best captions of the whole clip first, then of each of its windows.

        A clip shorter than a window is padded (see `short_notice`): its captions have no
        confidence, which was calibrated on motion that fills its window.
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
            candidates: motions made for each sample, of which the one is kept that the shared
                space puts nearest to the sentence.
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

    def decode(self, latent_NZ: np.ndarray) -> np.ndarray:
        """What the motion VAE makes of latents: windows `[N, T, 50, 3]`, metres."""
        latents = torch.from_numpy(np.array(latent_NZ, dtype=np.float32)).to(self.device)
        with torch.inference_mode():
            return self.to_metres(self.vae.decoder(latents, self.window).cpu().numpy())

    def to_metres(self, network: np.ndarray) -> np.ndarray:
        """What networks write, `[N, T, 50, 3]`, back to metres."""
        features = self.statistics.invert(network)
        return normalise.from_features(features, self.config.representation).astype(np.float32)

    # Search

    def point_of(self, query: str | Clip) -> np.ndarray:
        """Where a sentence or a clip lies in the shared space, `[Z]`."""
        if isinstance(query, Clip):
            motion, mask, _ = self.windows(query, pads_short=True)
            return self.encode_motion(motion, mask)["motion_embedding"].mean(axis=0)
        return self.encode_text([query])["text_projection"][0]

    def search(self, query: str | Clip, k: int = 5) -> list[Hit]:
        """The k clips nearest to a sentence or to a clip, each by its best window."""
        return self.nearest(self.point_of(query), k)

    def nearest(self, point_Z: np.ndarray, k: int) -> list[Hit]:
        """The k clips nearest to a point of the shared space.

        Raises:
            InputError: k below 1.
        """
        if k < 1:
            raise InputError(f"k: {k}; at least 1")

        def hits_among(count: int) -> list[Hit]:
            rows, score = self._index.search(point_Z, count)
            found = zip(rows.tolist(), score.tolist())
            return self.library.hits(found, self.captions.texts, self.derived_captions, k)

        return index.look(hits_among, k, len(self.library.cluster))

    def as_clip(self, motion: np.ndarray, name: str, caption: str) -> Clip:
        """Generated motion `[T, 50, 3]` as a clip that writers take, with the joints it has."""
        kept = np.flatnonzero(self.joint_mask)
        return Clip(
            clip_id=name,
            source="generated",
            fps=self.fps,
            joint_names=tuple(skeleton.JOINTS[joint] for joint in kept),
            parents=skeleton.parents_among(kept.tolist()),
            positions=motion[:, kept],
            captions=(caption,),
        )


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
