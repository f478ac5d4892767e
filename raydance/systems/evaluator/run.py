"""A trained evaluator at work: points of motion and of sentences in one space.

Dimensions: N rows, T frames, J joints, Z outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from raydance.errors import ArtifactError
from raydance.nn.convolutions import STRIDE
from raydance.stages.text_motion_evaluator import TextMotionEvaluator
from raydance.systems.base import load_stage
from raydance.systems.evaluator.system import STAGE, build_stage, config_of, statistics_of
from raydance.systems.step import MAIN
from raydance.systems.tasks import Task
from raydance.text.encoder import load_text_encoder
from raydance.training.run_folder import Run

_BATCH: Final = 64


class Evaluator:
    """The evaluator of one run; it measures and answers no task.

    Args:
        run: a finished run.

    Attributes:
        fps: of the motion that it reads.
        joint_mask: `[J]` bool: joints that it has learned.
        notes: what its own evaluation could not measure.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.config = config_of(run)
        self.statistics = statistics_of(run)
        self.joint_mask = self.statistics.joint_mask
        self.fps = float(run.facts["dataset"]["fps"])
        self.notes: list[str] = []
        stage = load_stage(run, STAGE, build_stage)
        assert isinstance(stage, TextMotionEvaluator)
        self.stage = stage
        self.device = torch.device("cpu")

    @property
    def tasks(self) -> Mapping[str, Task]:
        """None: an evaluator is for `raydance evaluate RUN --evaluator`."""
        return {}

    def to(self, device: torch.device) -> Evaluator:
        """Let the network work on another device; arrays come and go as before."""
        self.stage.to(device)
        self.device = device
        return self

    @property
    def training_recordings(self) -> set[str]:
        """Recordings that it was trained on, as far as its dataset is still there."""
        from raydance.data.dataset import Dataset

        place = Path(self.run.datasets[MAIN]["path"])
        if not (place / "manifest.json").exists():
            return set()
        clips = Dataset.open(place).clips()
        return {clip["recording"] for clip in clips if clip["split"] == "train"}

    @cached_property
    def _encoder(self) -> Any:
        return load_text_encoder(self.config.texts.encoder)

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Points `[N, Z]` float64 of sentences."""
        unique = list(dict.fromkeys(texts))
        place = {text: i for i, text in enumerate(unique)}
        embedding_UD = torch.from_numpy(np.asarray(self._encoder.encode(unique), np.float32))
        with torch.inference_mode():
            points_UZ = self.stage.embed_text(embedding_UD.to(self.device)).cpu().numpy()
        return points_UZ[[place[text] for text in texts]].astype(np.float64)

    def nearest(self, texts: Sequence[str], known: Sequence[str]) -> dict[str, str]:
        """For each text the known one that the frozen sentence encoder puts nearest, or itself."""
        query_ND, known_UD = (
            found / np.linalg.norm(found, axis=1, keepdims=True).clip(min=1e-9)
            for found in (self._encoder.encode(list(texts)), self._encoder.encode(list(known)))
        )
        best_N = (query_ND @ known_UD.T).argmax(axis=1)
        own = set(known)
        return {text: text if text in own else known[i] for text, i in zip(texts, best_N)}

    def embed_motion(self, motions: Sequence[np.ndarray], joint_mask: np.ndarray) -> np.ndarray:
        """Points `[N, Z]` float64 of motions of any lengths.

        Args:
            motions: N times `[T, J, 3]`, metres, y up, at the evaluator's rate.
            joint_mask: `[J]` or `[N, J]` bool.
        """
        num_joints = len(self.joint_mask)
        mask_NJ = np.broadcast_to(joint_mask, (len(motions), num_joints))
        lengths = np.array([len(motion) for motion in motions], dtype=np.int64)
        points = np.zeros((len(motions), self.stage.config.outputs))
        order = np.argsort(lengths, kind="stable")  # alike lengths together
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            frames = -(-int(lengths[rows].max()) // STRIDE) * STRIDE
            # The last frame is repeated, as in a dataset's rows.
            padded = np.stack(
                [motions[i][np.minimum(np.arange(frames), lengths[i] - 1)] for i in rows]
            )
            local_BTF = torch.from_numpy(self.statistics.frames(padded, mask_NJ[rows]))
            length_B = torch.from_numpy(lengths[rows]).to(self.device)
            with torch.inference_mode():
                found = self.stage.embed_motion(local_BTF.to(self.device), length_B)
            points[rows] = found.cpu().numpy()
        return points


def load(path: str | Path) -> Evaluator:
    """Open a finished run.

    Raises:
        ArtifactError: not a run, damaged, or not finished.
    """
    run = Run.open(path)
    if STAGE not in run.facts["steps"]:
        raise ArtifactError(f"{path}: not finished; train it again with the same command")
    return Evaluator(run)
