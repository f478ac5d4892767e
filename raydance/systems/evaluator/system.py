"""The evaluator: the steps from real clips with captions to a space that generators are judged in.

    frame_statistics, texts -> text_motion_evaluator

It is trained on real training clips alone, on any skeleton and any captions, and never sees what a
generator makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from raydance import config as configs
from raydance.data.chunks import BatchSpec, StoredColumn
from raydance.data.dataset import Dataset
from raydance.data.schema import CAPTION_IDS, MOTION
from raydance.errors import InputError
from raydance.motion.local_frames import NUM_ROOT, to_local
from raydance.stages.text_motion_evaluator import TextMotionEvaluator
from raydance.systems import text_step
from raydance.systems.engine import System
from raydance.systems.evaluator.config import PRESETS, EvaluatorConfig
from raydance.systems.evaluator.rows import EvaluatorRows, FrameStatistics
from raydance.systems.step import MAIN, Step, StepContext, column_folder
from raydance.training.batches import seed_for
from raydance.training.run_folder import Run, load_bundle, save_bundle

STATISTICS: str = "frame_statistics"
STAGE: str = TextMotionEvaluator.name


def config_of(run: Run) -> EvaluatorConfig:
    """The configuration that a run was made with."""
    return configs.from_dict(EvaluatorConfig, run.config)


def statistics_of(run: Run) -> FrameStatistics:
    """What frames of the training clips are like."""
    tensors, _ = load_bundle(run.bundle(STATISTICS))
    return FrameStatistics(**{name: tensor.numpy() for name, tensor in tensors.items()})


def build_stage(run: Run, name: str) -> TextMotionEvaluator:
    """The untrained stage."""
    assert name == STAGE, name
    width = load_bundle(run.bundle(text_step.STEP))[1]["width"]
    own = config_of(run).text_motion_evaluator
    return TextMotionEvaluator(own, len(statistics_of(run).mean), width)


def batch_spec(run: Run) -> BatchSpec:
    """How batches are read."""
    config = config_of(run)
    own = config.text_motion_evaluator
    dataset = Dataset.open(run.datasets[MAIN]["path"])
    folder = str(run.columns(column_folder(text_step.STEP, MAIN)))
    return BatchSpec(
        dataset=str(dataset.path),
        reads=TextMotionEvaluator.reads,
        transform=EvaluatorRows(
            statistics=statistics_of(run),
            mirror=config.mirror if own.train.augment else 0.0,
        ),
        columns={CAPTION_IDS.name: StoredColumn(column=CAPTION_IDS, folder=folder)},
        captions=(str(run.bundle(text_step.STEP)),),
        seed=seed_for(config.seed, STAGE),
        batch_size=own.train.batch_size,
    )


class FrameSums:
    """Sums of the values of frames of training shards."""

    def __init__(self, dataset: str) -> None:
        self.dataset = Dataset.open(dataset)

    def __call__(self, index: int) -> np.ndarray:
        """Count, sum and sum of squares of each value, `[3, F]`, where its joint is there."""
        shard = self.dataset.shards("train")[index]
        rows = self.dataset.read_shard(shard, columns=["motion", "joint_mask", "length"])
        mask = rows["joint_mask"]
        local = to_local(rows["motion"], mask).astype(np.float64)
        in_time = np.arange(local.shape[1]) < rows["length"][:, None]
        there = np.concatenate([np.ones((len(mask), NUM_ROOT)), np.repeat(mask, 3, axis=1)], axis=1)
        weight = in_time[..., None] * there[:, None]
        parts = [weight, local * weight, np.square(local) * weight]
        return np.stack([part.sum(axis=(0, 1)) for part in parts])


def _frame_statistics(context: StepContext) -> None:
    dataset = context.dataset
    shards = list(range(len(dataset.shards("train"))))
    found = context.runner.map(FrameSums, (str(dataset.path),), shards)
    # In a fixed order, whatever worker was first: sums of floats depend on it.
    count, total, squares = np.sum(sorted(found, key=lambda one: one.tobytes()), axis=0)
    mean = total / count.clip(min=1.0)
    std = np.sqrt((squares / count.clip(min=1.0) - np.square(mean)).clip(min=0.0))
    arrays = {
        "mean": mean.astype(np.float32),
        # Values that hardly change would turn rounding into motion.
        "std": std.clip(min=1e-3).astype(np.float32),
        "joint_mask": count[NUM_ROOT::3] > 0.0,
    }
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    save_bundle(context.run.bundle(STATISTICS), tensors, {})


def _texts(context: StepContext) -> dict[str, Any]:
    return text_step.write_texts(context, context.config.texts)


def _train(context: StepContext) -> None:
    own = context.config.text_motion_evaluator
    context.fit(STAGE, build_stage, own.train, batch_spec(context.run))


def _depends_on(*names: str) -> Any:
    return lambda context: [configs.to_dict(context.config)[name] for name in names]


STEPS = (
    Step(name=STATISTICS, run=_frame_statistics, depends_on=lambda context: None),
    Step(name=text_step.STEP, run=_texts, depends_on=_depends_on("texts"), columns=("texts",)),
    Step(
        name=STAGE,
        run=_train,
        needs=(STATISTICS, text_step.STEP),
        depends_on=_depends_on(STAGE, "mirror"),
    ),
)


def _check(config: EvaluatorConfig, datasets: Mapping[str, Dataset]) -> EvaluatorConfig:
    """Refuse a dataset without captions.

    Raises:
        InputError: no training clip has one.
    """
    dataset = datasets[MAIN]
    if not any(clip["captions"] for clip in dataset.clips() if clip["split"] == "train"):
        raise InputError(f"{dataset.path}: no training clip has a caption to learn from")
    return config


SYSTEM = System(
    name="evaluator",
    title="Evaluator of text to motion",
    Config=EvaluatorConfig,
    presets=PRESETS,
    steps=STEPS,
    datasets={MAIN: MOTION.name},
    check=_check,
    loader="raydance.systems.evaluator.run:load",
    trained=(STAGE,),
    measures="raydance.evaluation.evaluator:measures_of",
    search="raydance.systems.evaluator.search:SEARCH",
)
