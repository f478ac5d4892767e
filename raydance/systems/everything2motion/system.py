"""Everything2Motion: the steps from clips with words or music to a run.

    genres -> patch_basis -> texts (-> motion_prior) -> sequence_flow | sequence_regression

Both datasets hold motion: `data` with words, `music` with songs; motion is what they share, so one
model learns from both at once. (Either kind alone trains too, and one dataset may have both.)
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from raydance import config as configs
from raydance.data.chunks import BatchSpec, StoredColumn
from raydance.data.dataset import Dataset
from raydance.data.schema import CAPTION_IDS, MOTION, signals_among
from raydance.data.signals import signal_of
from raydance.errors import InputError
from raydance.stages.base import Stage
from raydance.stages.motion_prior import MotionPrior
from raydance.stages.sequence_flow import SequenceFlow
from raydance.stages.sequence_regression import SequenceRegression
from raydance.systems import text_step
from raydance.systems.base import load_stage
from raydance.systems.engine import System
from raydance.systems.everything2motion import patches
from raydance.systems.everything2motion.clip_rows import ClipRows, genre_of
from raydance.systems.everything2motion.config import (
    NUM_GENRES,
    PRESETS,
    Everything2MotionConfig,
)
from raydance.systems.step import MAIN, Step, StepContext, column_folder
from raydance.training.batches import seed_for
from raydance.training.run_folder import Run, load_bundle, save_bundle

STAGES: dict[str, type[Stage]] = {
    stage.name: stage for stage in (MotionPrior, SequenceFlow, SequenceRegression)
}


def config_of(run: Run) -> Everything2MotionConfig:
    """The configuration that a run was made with."""
    return configs.from_dict(Everything2MotionConfig, run.config)


def genres_of(run: Run) -> tuple[str, ...]:
    """Kinds of dances that the run knows by name, in the order of their numbers."""
    return tuple(load_bundle(run.bundle("genres"))[1]["genres"])


def signals_of(run: Run) -> tuple[str, ...]:
    """What the run's networks take beside text: music, and other signals that a dataset has."""
    return tuple(load_bundle(run.bundle("genres"))[1]["signals"])


def build_stage(run: Run, name: str) -> Stage:
    """An untrained stage."""
    config = config_of(run)
    mean, _ = patches.local_statistics(run)
    values = len(mean)
    if name == "motion_prior":
        return MotionPrior(config.motion_prior, values)
    width = load_bundle(run.bundle(text_step.STEP))[1]["width"]
    widths = {signal: len(signal_of(signal).values) for signal in signals_of(run)}
    if name == "sequence_flow":
        flow = config.sequence_flow
        bases = patches.bases_of(run)
        rows = []
        for in_beats in (False, config.patch_basis.clock == "beats"):
            weight = torch.from_numpy(bases[patches.clock_name(in_beats)].scale).sqrt()
            per_patch = 2 * config.motion_prior.latent  # two of the prior's patches in one of ours
            even = torch.full((per_patch,), float(weight.mean()))
            weights = {"basis": weight, "mp_vae": even, "both": torch.cat([weight, even])}
            rows.append(weights[flow.prior])
        return SequenceFlow(flow, torch.stack(rows), width, widths)
    assert name == "sequence_regression", name
    most = max(int(facts["window"]) for facts in run.datasets.values())
    prior = load_stage(run, "motion_prior", build_stage) if config.motion_prior.enabled else None
    assert prior is None or isinstance(prior, MotionPrior)
    return SequenceRegression(
        config.sequence_regression,
        values,
        config.motion_prior.latent,
        prior.decoder if prior is not None else None,
        most // 8 + 1,
        width,
        widths,
    )


def batch_spec(run: Run, name: str, role: str) -> BatchSpec:
    """How batches of one of the datasets are read for a stage."""
    config = config_of(run)
    own = getattr(config, name)
    dataset = Dataset.open(run.datasets[role]["path"])
    signals = signals_of(run)
    reads = STAGES[name].columns_read(own)
    if "music" in reads:
        further = [(signal, f"has_{signal}") for signal in signals if signal != "music"]
        reads += tuple(column for pair in further for column in pair)
    mean, std = patches.local_statistics(run)
    wants_local = "local" in reads
    stored = {
        patches.PATCH_CODES.name: (patches.PATCH_CODES, patches.STEP),
        MotionPrior.adds[0].name: (MotionPrior.adds[0], "motion_prior"),
    }
    columns = {
        column: StoredColumn(column=declared, folder=str(run.columns(column_folder(step, role))))
        for column, (declared, step) in stored.items()
        if column in reads
    }
    captions: tuple[str, ...] = ()
    if "text_tokens" in reads:
        folder = str(run.columns(column_folder(text_step.STEP, role)))
        columns[CAPTION_IDS.name] = StoredColumn(column=CAPTION_IDS, folder=folder)
        captions = (str(run.bundle(text_step.STEP)),)
    return BatchSpec(
        dataset=str(dataset.path),
        reads=reads,
        transform=ClipRows(
            signals={signal: signal in dataset.arrays for signal in signals},
            beats_at_fps=dataset.fps if config.patch_basis.clock == "beats" else None,
            genres=genres_of(run),
            mean=mean if wants_local else None,
            std=std if wants_local else None,
            rotations=config.patch_basis.rotations,
            mirror=config.mirror if own.train.augment else 0.0,
        ),
        columns=columns,
        captions=captions,
        seed=seed_for(config.seed, f"{name}.{role}"),
        batch_size=own.train.batch_size,
    )


def _train(context: StepContext, stage: str) -> None:
    specs = [batch_spec(context.run, stage, role) for role in context.datasets]
    context.fit(stage, build_stage, getattr(context.config, stage).train, *specs)


def _genres(context: StepContext) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    found = {name for data in context.datasets.values() for name in signals_among(data.arrays)}
    signals = ["music", *sorted(found - {"music"})]
    for dataset in context.datasets.values():
        if "music" in dataset.arrays:
            for shard in dataset.shards("train"):
                rows = dataset.read_shard(shard, columns=["labels"])["labels"]
                counts.update(genre_of(text) for text in rows)
    counts.pop("", None)
    genres = sorted(name for name, _ in counts.most_common(NUM_GENRES))
    facts = {"genres": genres, "has_music": "music" in found, "signals": signals}
    save_bundle(context.run.bundle("genres"), {}, facts)
    return {"genres": genres}


def _patch_basis(context: StepContext) -> dict[str, Any]:
    return patches.write_patch_basis(context, context.config.patch_basis)


def _texts(context: StepContext) -> dict[str, Any]:
    return text_step.write_texts(context, context.config.texts)


def _motion_prior(context: StepContext) -> None:
    _train(context, "motion_prior")
    for role in context.datasets:
        context.clear_columns(column_folder("motion_prior", role))
        spec = batch_spec(context.run, "motion_prior", role)
        context.infer("motion_prior", build_stage, spec, role)


def _sequence_flow(context: StepContext) -> None:
    _train(context, "sequence_flow")


def _sequence_regression(context: StepContext) -> None:
    _train(context, "sequence_regression")


def _plain(context: StepContext, name: str) -> Any:
    return configs.to_dict(context.config)[name]


STEPS = (
    Step(name="genres", run=_genres, depends_on=lambda context: None),
    Step(
        name="patch_basis",
        run=_patch_basis,
        depends_on=lambda context: _plain(context, "patch_basis"),
        columns=("patch_basis",),
    ),
    Step(
        name="texts",
        run=_texts,
        depends_on=lambda context: _plain(context, "texts"),
        columns=("texts",),
    ),
    Step(
        name="motion_prior",
        run=_motion_prior,
        needs=("genres", "patch_basis"),
        depends_on=lambda context: [_plain(context, "motion_prior"), context.config.mirror],
        is_on=lambda config: config.motion_prior.enabled,
        columns=("motion_prior",),
    ),
    Step(
        name="sequence_flow",
        run=_sequence_flow,
        needs=("genres", "patch_basis", "texts"),
        depends_on=lambda context: [
            _plain(context, "sequence_flow"),
            context.config.mirror,
            _plain(context, "motion_prior") if context.config.sequence_flow.prior != "basis" else 0,
        ],
        is_on=lambda config: config.head == "flow",
    ),
    Step(
        name="sequence_regression",
        run=_sequence_regression,
        needs=("genres", "patch_basis", "texts"),
        depends_on=lambda context: [
            _plain(context, "sequence_regression"),
            context.config.mirror,
            _plain(context, "motion_prior"),
        ],
        is_on=lambda config: config.head == "regression",
    ),
)


def _check(
    config: Everything2MotionConfig, datasets: Mapping[str, Dataset]
) -> Everything2MotionConfig:
    """Refuse datasets of different rates, leave out rotations that one has not, and let music be
    dropped only where that is of use.

    Patches of beats without their music would pass for patches of frames: where some clips have no
    music, those are what motion from words alone is learned from.

    Raises:
        InputError: names both.
    """
    rates = {role: dataset.fps for role, dataset in datasets.items()}
    if len(set(rates.values())) > 1:
        told = ", ".join(f"{role} {fps:g}" for role, fps in rates.items())
        raise InputError(f"datasets differ in frames per second ({told}); ingest with one --fps")
    if "music" in datasets and "music" not in datasets["music"].arrays:
        raise InputError(f"{datasets['music'].path}: has no music; ingest it with --music FOLDER")
    wants_rotations = config.patch_basis.rotations
    lacking = [
        data.path
        for data in datasets.values()
        if wants_rotations and not patches.has_rotations(data)
    ]
    if lacking:
        told = ", ".join(map(str, lacking))
        warnings.warn(
            f"{told}: no rotations (ingest --rotations); motion is learned as positions alone",
            stacklevel=2,
        )
        config = replace(config, patch_basis=replace(config.patch_basis, rotations=False))
    is_mixed = any("music" not in data.arrays for data in datasets.values())
    if is_mixed and config.patch_basis.clock == "beats":
        flow = replace(config.sequence_flow, music_dropout=0.0)
        return replace(config, sequence_flow=flow)
    return config


SYSTEM = System(
    name="everything2motion",
    title="Everything2Motion",
    Config=Everything2MotionConfig,
    presets=PRESETS,
    steps=STEPS,
    datasets={MAIN: MOTION.name, "music": MOTION.name},
    check=_check,
    loader="raydance.systems.everything2motion.run:load",
    trained=tuple(STAGES),
    tasks=("generate",),
    measures="raydance.evaluation.everything2motion:measures_of",
    from_captions="raydance.evaluation.everything2motion:generated",
    search="raydance.systems.everything2motion.search:SEARCH",
    tables="raydance.report.everything2motion_tables:TABLES",
)
