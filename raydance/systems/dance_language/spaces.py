"""The spaces of a trained Dance-Language run: motion and words into them, and motion out of them.

Dimensions: N windows, T frames, J joints, Z latent, D sentence embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import torch

from raydance.data import index
from raydance.data.ingest import windows_of_clip
from raydance.errors import InputError
from raydance.motion import normalise
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
from raydance.systems.dance_language.answer_judge import AnswerJudge
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
from raydance.text.encoder import load_text_encoder
from raydance.training.caption_table import CaptionTable
from raydance.training.run_folder import Run, load_bundle

_BODY_WINDOWS: Final = 256


class TrainedSpaces:
    """The trained stages of one run, with motion and words into their spaces and back.

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

    def to(self, device: torch.device) -> Self:
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
    def _sentences(self) -> Any:
        return load_text_encoder(self.config.text)

    @property
    def width(self) -> int:
        """Dimensions of the shared space."""
        return self.config.contrastive.outputs

    @property
    def metric(self) -> index.Metric:
        """How points of the shared space compare."""
        return self.contrastive.metric

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

    def num_pieces(self, text: str) -> int:
        """In how many pieces a sentence is read; above 1 it is long, and they are averaged."""
        return int(self._sentences.num_pieces(text))

    def decode(self, latent_NZ: np.ndarray) -> np.ndarray:
        """What the motion VAE makes of latents: windows `[N, T, 50, 3]`, metres."""
        latents = torch.from_numpy(np.array(latent_NZ, dtype=np.float32)).to(self.device)
        with torch.inference_mode():
            return self.to_metres(self.vae.decoder(latents, self.window).cpu().numpy())

    def to_metres(self, network: np.ndarray) -> np.ndarray:
        """What networks write, `[N, T, 50, 3]`, back to metres."""
        features = self.statistics.invert(network)
        return normalise.from_features(features, self.config.representation).astype(np.float32)
