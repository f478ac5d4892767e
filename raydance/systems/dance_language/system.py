"""Dance-Language: the steps from a dataset of windows to a run.

    statistics -> motion_basis -> motion_vae -> clusters -> captions -> sentence_mean
               -> text_encoder -> contrastive -> motion_to_text -> motion_flow -> text_to_motion
               -> library (-> caption_writer)

`raydance.systems.engine` carries them out. How a stage is built and fed is in
`raydance.systems.dance_language.stages`, the configuration in
`raydance.systems.dance_language.config`, what a finished run can do in
`raydance.systems.dance_language.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import numpy as np
import torch

from raydance import config as configs
from raydance.data.dataset import Dataset
from raydance.motion.augment import Augment
from raydance.motion.rows import MotionRows
from raydance.nn.sentence_mean import fit_reading, fit_sentence_mean
from raydance.systems.base import StageBuilder, add_caption_columns
from raydance.systems.dance_language.basis_step import CoefficientWriter, basis_of, write_basis
from raydance.systems.dance_language.caption_step import (
    CaptionIdWriter,
    EmbedTexts,
    annotations_path,
    collect_captions,
    read_annotations,
)
from raydance.systems.dance_language.cluster_space import PointWriter
from raydance.systems.dance_language.cluster_step import ClusterWriter, write_clusters
from raydance.systems.dance_language.config import PRESETS, TRAINED, DanceLanguageConfig
from raydance.systems.dance_language.label_step import check_label
from raydance.systems.dance_language.library_step import write_library
from raydance.systems.dance_language.stages import batch_spec, build_stage
from raydance.systems.dance_language.statistics_step import ShardStatistics, write_statistics
from raydance.systems.dance_language.writer_step import check_writer, prepare_writer, start_writer
from raydance.systems.engine import System
from raydance.systems.step import Step, StepContext
from raydance.training.batches import Batches
from raydance.training.caption_table import CaptionTable
from raydance.training.run_folder import save_bundle

_MEAN_EPOCHS: Final = 4
"""With the captions and mirrored windows that each draws."""
_MEAN_ROWS: Final = 50_000
"""Maximum number of rows that the mean motion of a sentence is fitted to."""


def _section(*names: str) -> Callable[[StepContext], Any]:
    """What a step depends on: these parts of the configuration, the first alone as it is."""

    def depends_on(context: StepContext) -> Any:
        plain = configs.to_dict(context.config)
        return plain[names[0]] if len(names) == 1 else [plain[name] for name in names]

    return depends_on


def _train(context: StepContext, stage: str, build: StageBuilder = build_stage) -> None:
    train = getattr(context.config, stage).train
    context.fit(stage, build, train, batch_spec(context.run, stage))


def _infer(context: StepContext, stage: str) -> None:
    context.clear_columns(stage)
    context.infer(stage, build_stage, batch_spec(context.run, stage))


def _statistics(context: StepContext) -> None:
    config, dataset = context.config, context.dataset
    args = (str(dataset.path), config.representation)
    shards = list(range(len(dataset.shards("train"))))
    sums = context.runner.map(ShardStatistics, args, shards)
    write_statistics(context.run, sums, config.normalisation)


def _motion_basis(context: StepContext) -> dict[str, Any]:
    config = context.config
    facts = write_basis(
        context.run,
        context.dataset,
        config.motion_basis,
        config.augment,
        config.representation,
        config.seed,
        context.runner.map,
    )
    context.clear_columns("motion_basis")
    args = (str(context.run.path), config.augment, config.representation, config.seed)
    context.runner.map(CoefficientWriter, args, context.shards())
    return facts


def _motion_vae(context: StepContext) -> None:
    _train(context, "motion_vae")
    _infer(context, "motion_vae")


def _clusters(context: StepContext) -> dict[str, Any]:
    run, config = context.run, context.config
    context.runner.map(PointWriter, (str(run.path),), context.shards())
    clusters = write_clusters(run, context.dataset, config.clusters, config.seed)
    context.clear_columns("clusters")
    context.runner.map(ClusterWriter, (str(run.path),), context.shards())
    for warning in clusters.report["warnings"]:
        context.say(f"clusters: {warning}")
    held_out = clusters.report.get("held_out")
    return {
        "num_clusters": clusters.report["num_clusters"],
        "warnings": clusters.report["warnings"],
    } | ({"names": list(clusters.names), "held_out": held_out} if held_out else {})


def _captions_depend_on(context: StepContext) -> Any:
    plain = configs.to_dict(context.config)
    # What was written, not the sheet: making one or deriving words anew changes nothing.
    written = read_annotations(annotations_path(context.run)) or ""
    return [plain["text"], plain["captions"], written]


def _captions(context: StepContext) -> dict[str, Any]:
    run = context.run
    table = collect_captions(run, context.dataset)
    pieces = [table.texts[i : i + 256] for i in range(0, len(table.texts), 256)]
    work = list(enumerate(pieces))
    embedded = dict(context.runner.map(EmbedTexts, (context.config.text,), work))
    embedding = np.concatenate([embedded[i] for i in range(len(pieces))])
    tensors = {
        "text_embedding": torch.from_numpy(embedding),
        "difficulty": torch.tensor(table.difficulty, dtype=torch.float32),
    }
    save_bundle(run.bundle("captions"), tensors, table.facts() | {"text_dim": embedding.shape[1]})
    context.clear_columns("captions")
    context.runner.map(CaptionIdWriter, (str(run.path),), context.shards())
    if table.derived:
        context.say(
            f"captions: {table.num_uncaptioned} windows have no caption; "
            "their clusters' derived descriptions stand in (see `raydance annotate`)"
        )
    return {"captions": len(table.texts), "derived": table.derived}


def _add_to_captions(context: StepContext, stage: str) -> None:
    run = context.run
    paths = [run.bundle("captions"), run.bundle("text_encoder_captions")]
    table = CaptionTable.load([path for path in paths if path.exists()])
    reads = ("text_embedding", "text_latent")
    add_caption_columns(run, stage, build_stage, table, reads)


def _text_encoder(context: StepContext) -> None:
    _train(context, "text_encoder")
    _add_to_captions(context, "text_encoder")


def _contrastive(context: StepContext) -> None:
    _train(context, "contrastive")
    _infer(context, "contrastive")
    _add_to_captions(context, "contrastive")


def _motion_to_text(context: StepContext) -> None:
    _train(context, "motion_to_text")


def _rows_of_flow(context: StepContext) -> Any:
    train = context.config.motion_flow.train
    noise = configs.to_dict(context.config)["augment"]
    return [noise, train.augment, train.balanced, train.batch_size]


def _sentence_mean(context: StepContext) -> dict[str, float]:
    run = context.run
    spec = batch_spec(run, "motion_flow")
    batches = Batches(spec)
    epochs = (batch for epoch in range(_MEAN_EPOCHS) for batch in batches.train(epoch))
    rows = islice(epochs, max(1, _MEAN_ROWS // spec.batch_size))
    tensors, facts = fit_sentence_mean(rows, basis_of(run).scale)
    if facts["is_used"]:
        assert isinstance(spec.transform, MotionRows)
        as_recorded = replace(spec.transform, augment=Augment(enabled=False))
        batches = Batches(replace(spec, reads=(*spec.reads, "length"), transform=as_recorded))
        rows = islice(batches.train(0), max(1, _MEAN_ROWS // spec.batch_size))
        tensors |= fit_reading(rows, Dataset.open(spec.dataset).frames)
    save_bundle(run.bundle("sentence_mean"), tensors, facts)
    return facts


def _motion_flow(context: StepContext) -> None:
    _train(context, "motion_flow")


def _text_to_motion(context: StepContext) -> None:
    _train(context, "text_to_motion")


def _library(context: StepContext) -> dict[str, Any]:
    return write_library(context.run, context.dataset)


def _caption_writer(context: StepContext) -> dict[str, Any]:
    facts = prepare_writer(context.run)
    _train(context, "caption_writer", start_writer)
    return facts


STEPS: tuple[Step, ...] = (
    Step(
        name="statistics",
        run=_statistics,
        depends_on=_section("representation", "normalisation"),
    ),
    Step(
        name="motion_basis",
        run=_motion_basis,
        needs=("statistics",),
        depends_on=_section("motion_basis", "augment"),
        columns=("motion_basis",),
    ),
    Step(
        name="motion_vae",
        run=_motion_vae,
        needs=("statistics", "motion_basis"),
        depends_on=_section("motion_vae", "augment"),
        columns=("motion_vae",),
    ),
    Step(
        name="clusters",
        run=_clusters,
        needs=("motion_basis", "motion_vae"),
        depends_on=_section("clusters"),
        columns=("clusters",),
        copied=("cluster_points",),
    ),
    Step(
        name="captions",
        run=_captions,
        needs=("clusters",),
        depends_on=_captions_depend_on,
        columns=("captions",),
    ),
    Step(
        name="sentence_mean",
        run=_sentence_mean,
        needs=("motion_basis", "captions"),
        depends_on=_rows_of_flow,
        is_on=lambda config: config.motion_flow.enabled and config.motion_flow.sentence_mean,
    ),
    Step(
        name="text_encoder",
        run=_text_encoder,
        needs=("motion_vae", "captions"),
        depends_on=_section("text_encoder"),
        bundles=("text_encoder", "text_encoder_captions"),
    ),
    Step(
        name="contrastive",
        run=_contrastive,
        needs=("motion_basis", "motion_vae", "clusters", "captions", "text_encoder"),
        depends_on=_section("contrastive", "augment"),
        bundles=("contrastive", "contrastive_captions"),
        columns=("contrastive",),
    ),
    Step(
        name="motion_to_text",
        run=_motion_to_text,
        needs=("contrastive",),
        depends_on=_section("motion_to_text"),
    ),
    Step(
        name="motion_flow",
        run=_motion_flow,
        needs=("motion_basis", "captions", "sentence_mean"),
        depends_on=_section("motion_flow", "augment"),
        is_on=lambda config: config.motion_flow.enabled,
    ),
    Step(
        name="text_to_motion",
        run=_text_to_motion,
        needs=("motion_vae", "text_encoder"),
        depends_on=_section("text_to_motion", "augment"),
    ),
    Step(
        name="library",
        run=_library,
        needs=("contrastive", "motion_to_text"),
        depends_on=lambda context: "calibrated on full windows",  # older runs gain it
        bundles=(),
    ),
    Step(
        name="caption_writer",
        run=_caption_writer,
        needs=("captions", "contrastive"),
        depends_on=_section("caption_writer", "augment"),
        is_on=lambda config: config.caption_writer.enabled,
        bundles=("caption_writer", "caption_writer_captions"),
    ),
)


def _check(config: DanceLanguageConfig, datasets: Mapping[str, Dataset]) -> DanceLanguageConfig:
    """Fit the configuration to the dataset.

    Raises:
        InputError: rows of whole clips, a label that no clip has, or a language model that is
            not there.
    """
    dataset = datasets["data"]
    if dataset.has_whole_clips:
        from raydance.errors import InputError

        raise InputError(
            f"{dataset.path}: its clips differ in length; Dance-Language needs windows: ingest "
            "without --whole-clips"
        )
    check_label(dataset, config.clusters.label)
    if config.caption_writer.enabled:
        check_writer(config.caption_writer)
    # Encoders and time bases are built for one length, which is the dataset's.
    vae = replace(config.motion_vae, num_frames=dataset.frames)
    return replace(config, motion_vae=vae)


SYSTEM = System(
    name="dance-language",
    title="Dance-Language",
    Config=DanceLanguageConfig,
    presets=PRESETS,
    steps=STEPS,
    check=_check,
    loader="raydance.systems.dance_language.run:load",
    trained=TRAINED,
    tasks=("describe", "generate", "search", "caption"),
    has_service=True,
    protocol="raydance.evaluation.comparison:compare",
    from_captions="raydance.evaluation.from_text:generated",
    sections="raydance.report.dance_language:sections_of",
    search="raydance.systems.dance_language.search:SEARCH",
)
