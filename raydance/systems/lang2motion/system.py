"""Lang2Motion: the steps from a dataset of tracks to a run.

    texts -> track_basis -> track_text_space -> track_path -> track_flow
                         (-> small_clip) -> clip_texts -> overlays -> track_autoencoder

The second line is the paper's way (`clip_steps`). In the first, the space serves retrieval both
ways, the path is one expected answer, and the flow draws samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from raydance import config as configs
from raydance.data.chunks import BatchSpec, StoredColumn
from raydance.data.columns import read_columns
from raydance.data.dataset import SPLITS, Dataset
from raydance.data.schema import CAPTION_IDS, TRACKS
from raydance.motion import augment
from raydance.stages.base import Stage
from raydance.stages.small_clip import SmallClip
from raydance.stages.track_autoencoder import TrackAutoencoder
from raydance.stages.track_flow import TrackFlow
from raydance.stages.track_path import TrackPath
from raydance.stages.track_text_space import TrackTextSpace
from raydance.systems import text_step
from raydance.systems.base import add_caption_columns, load_stage
from raydance.systems.engine import System
from raydance.systems.lang2motion import clip_steps
from raydance.systems.lang2motion.config import PRESETS, Lang2MotionConfig
from raydance.systems.step import MAIN, Step, StepContext
from raydance.tracks.basis import TrackBasis, fit_track_basis
from raydance.tracks.rows import TrackNoise, TrackRows, flipped, grid_side_of
from raydance.training.batches import seed_for
from raydance.training.caption_table import CaptionTable
from raydance.training.run_folder import Run, load_bundle, save_bundle

BASIS: Final = "track_basis"
LIBRARY: Final = "track_library"
STAGES: Final[dict[str, type[Stage]]] = {
    stage.name: stage
    for stage in (TrackTextSpace, TrackPath, TrackFlow, SmallClip, TrackAutoencoder)
}

_UNUSED: Final = {
    "flow": ("clip", "small_clip", "overlays", "track_autoencoder"),
    "autoencoder": ("texts", "track_text_space", "track_path"),  # the basis asks the flow's config
}
"""Head -> the sections of the configuration that it does not use."""


def config_of(run: Run) -> Lang2MotionConfig:
    """The configuration that a run was made with."""
    return configs.from_dict(Lang2MotionConfig, run.config)


def basis_of(run: Run) -> TrackBasis:
    """The track basis of a run."""
    tensors, facts = load_bundle(run.bundle(BASIS))
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return TrackBasis.of(arrays, facts["explained"])


def build_stage(run: Run, name: str) -> Stage:
    """An untrained stage."""
    config = config_of(run)
    if name in (SmallClip.name, TrackAutoencoder.name):
        return clip_steps.build_clip_stage(run, config, name, basis_of(run).mean.shape)
    width = load_bundle(run.bundle(text_step.STEP))[1]["width"]
    if name == "track_text_space":
        return TrackTextSpace(config.track_text_space, width, token_dim=width)
    basis = basis_of(run)
    mean, components = torch.from_numpy(basis.mean), torch.from_numpy(basis.components)
    if name == "track_path":
        return TrackPath(config.track_path, mean, components, width)
    assert name == "track_flow", name
    scale = torch.from_numpy(basis.scale)
    return TrackFlow(config.track_flow, mean, components, scale, width, token_dim=width)


def batch_spec(run: Run, name: str) -> BatchSpec:
    """How batches for a stage are read."""
    config = config_of(run)
    grid_side = load_bundle(run.bundle(BASIS))[1]["grid_side"]
    if name in (SmallClip.name, TrackAutoencoder.name):
        return clip_steps.clip_batch_spec(run, config, name, grid_side)
    own = getattr(config, name)
    folder = str(run.columns(text_step.STEP))
    return BatchSpec(
        dataset=run.facts["dataset"]["path"],
        reads=STAGES[name].columns_read(own),
        transform=TrackRows(
            noise=config.noise if own.train.augment else TrackNoise(enabled=False),
            grid_side=grid_side,
        ),
        columns={CAPTION_IDS.name: StoredColumn(column=CAPTION_IDS, folder=folder)},
        captions=(str(run.bundle(text_step.STEP)),),
        seed=seed_for(config.seed, name),
        batch_size=own.train.batch_size,
    )


def _train(context: StepContext, stage: str) -> None:
    train = getattr(context.config, stage).train
    context.fit(stage, build_stage, train, batch_spec(context.run, stage))


def _texts(context: StepContext) -> dict[str, Any]:
    # The autoencoder reads sentences by its CLIP alone.
    config = context.config
    return text_step.write_texts(context, config.texts if _draws(config) else None)


class SampleTracks:
    """Draws a shard's share of the training tracks."""

    def __init__(self, dataset: str, share: float, seed: int) -> None:
        self.dataset, self.share, self.seed = Dataset.open(dataset), share, seed

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Sort keys `[n]` and tracks `[n, T, N, 2]`."""
        shard = self.dataset.shards("train")[index]
        rows = self.dataset.read_shard(shard, columns=["window_id", "tracks"])
        draw = augment.uniforms(
            augment.window_keys(rows["window_id"]), seed=self.seed, epoch=0, stream=89
        )
        return draw[draw < self.share], rows["tracks"][draw < self.share]


def _track_basis(context: StepContext) -> dict[str, Any]:
    config, dataset = context.config, context.dataset
    shards = dataset.shards("train")
    share = config.basis_tracks / max(1, sum(shard.num_windows for shard in shards))
    args = (str(dataset.path), share, config.seed)
    found = context.runner.map(SampleTracks, args, list(range(len(shards))))
    keys, tracks = (np.concatenate(parts) for parts in zip(*found))
    tracks = tracks[np.argsort(keys, kind="stable")]  # whatever worker was first
    side = grid_side_of(tracks[:500])
    if config.noise.enabled and config.noise.flip > 0.0:
        visible = np.ones(tracks.shape[:3], dtype=bool)
        tracks = np.concatenate([tracks, flipped(tracks, visible, side)[0]])
    basis = fit_track_basis(tracks, config.track_flow.num_components, seed=config.seed)
    tensors = {name: torch.from_numpy(value) for name, value in basis.tensors().items()}
    facts = {
        "components": basis.num_components,
        "explained": basis.explained,
        "grid_side": side,
    }
    save_bundle(context.run.bundle(BASIS), tensors, facts)
    return facts


def _track_text_space(context: StepContext) -> None:
    stage = TrackTextSpace.name
    _train(context, stage)
    context.clear_columns(stage)
    context.infer(stage, build_stage, batch_spec(context.run, stage))
    table = CaptionTable.load([context.run.bundle(text_step.STEP)])
    reads = ("text_embedding", "text_path", "text_tokens", "text_mask")
    add_caption_columns(context.run, stage, build_stage, table, reads)
    _write_library(context, TrackTextSpace)


def _small_clip(context: StepContext) -> None:
    clip_steps.write_tokens(context)
    _train(context, SmallClip.name)
    stage = load_stage(context.run, SmallClip.name, build_stage)
    assert isinstance(stage, SmallClip)
    clip_steps.write_small_clip(context, stage)


def _track_autoencoder(context: StepContext) -> None:
    stage = TrackAutoencoder.name
    _train(context, stage)
    context.clear_columns(stage)
    context.infer(stage, build_stage, batch_spec(context.run, stage))
    _write_library(context, TrackAutoencoder)


def _write_library(context: StepContext, stage: type[Stage]) -> None:
    """Keep the points of all tracks with their names, for searching without the dataset."""
    run, dataset = context.run, context.dataset
    column = stage.adds[0].name
    points: list[np.ndarray] = []
    facts: dict[str, list[Any]] = {"id": [], "split": [], "captions": [], "labels": []}
    for split in SPLITS:
        for shard in dataset.shards(split):
            rows = dataset.read_shard(shard, columns=["window_id", "captions", "labels"])
            path = run.columns(stage.name) / f"{shard.name}.parquet"
            found = read_columns(path, [column], rows["window_id"])
            points.append(np.asarray(found[column]))
            facts["id"] += rows["window_id"]
            facts["split"] += [split] * len(rows["window_id"])
            facts["captions"] += rows["captions"]
            facts["labels"] += rows["labels"]
    tensors = {"points": torch.from_numpy(np.concatenate(points))}
    save_bundle(run.bundle(LIBRARY), tensors, facts)


def _track_path(context: StepContext) -> None:
    _train(context, "track_path")


def _track_flow(context: StepContext) -> None:
    _train(context, "track_flow")


def _plain(context: StepContext, *names: str) -> Any:
    plain = configs.to_dict(context.config)
    return [plain[name] for name in names]


def _draws(config: Lang2MotionConfig) -> bool:
    """Whether tracks are drawn by the flow, and not by the paper's autoencoder."""
    return config.head == "flow"


def _overlays(context: StepContext) -> None:
    clip_steps.write_overlays(context)


STEPS = (
    Step(
        name="texts",
        run=_texts,
        depends_on=lambda context: _plain(context, "texts") if _draws(context.config) else [],
        columns=("texts",),
    ),
    Step(
        name=BASIS,
        run=_track_basis,
        depends_on=lambda context: [
            *_plain(context, "noise", "basis_tracks"),
            context.config.track_flow.num_components,
        ],
    ),
    Step(
        name="track_text_space",
        run=_track_text_space,
        needs=("texts", BASIS),
        depends_on=lambda context: _plain(context, "track_text_space", "noise"),
        is_on=_draws,
        bundles=("track_text_space", "track_text_space_captions", LIBRARY),
        columns=("track_text_space",),
    ),
    Step(
        name="track_path",
        run=_track_path,
        needs=("texts", BASIS),
        depends_on=lambda context: _plain(context, "track_path", "noise"),
        is_on=_draws,
    ),
    Step(
        name="track_flow",
        run=_track_flow,
        needs=("texts", BASIS),
        depends_on=lambda context: _plain(context, "track_flow", "noise"),
        is_on=_draws,
    ),
    Step(
        name="small_clip",
        run=_small_clip,
        needs=("texts", BASIS),
        depends_on=lambda context: _plain(context, "small_clip", "overlays", "noise"),
        is_on=lambda config: not _draws(config) and config.small_clip.enabled,
        bundles=("small_clip", clip_steps.TOKENS),
        folders=(clip_steps.CLIP_FOLDER,),
    ),
    Step(
        name=clip_steps.CLIP_TEXTS,
        run=clip_steps.write_clip_texts,
        needs=("texts", "small_clip"),
        depends_on=lambda context: clip_steps.named_clip(context.config),
        is_on=lambda config: not _draws(config),
    ),
    Step(
        name=clip_steps.OVERLAYS,
        run=_overlays,
        needs=("small_clip",),
        depends_on=lambda context: [
            *clip_steps.named_clip(context.config),
            *_plain(context, "overlays"),
        ],
        is_on=lambda config: not _draws(config),
        bundles=(),
        columns=(clip_steps.OVERLAYS,),
    ),
    Step(
        name="track_autoencoder",
        run=_track_autoencoder,
        needs=(BASIS, clip_steps.CLIP_TEXTS, clip_steps.OVERLAYS),
        depends_on=lambda context: _plain(context, "track_autoencoder"),
        is_on=lambda config: not _draws(config),
        bundles=("track_autoencoder", LIBRARY),
        columns=("track_autoencoder",),
    ),
)


def _check(config: Lang2MotionConfig, datasets: Mapping[str, Dataset]) -> Lang2MotionConfig:
    """Warn of settings of parts that the head has no use for."""
    usual, sections = Lang2MotionConfig(), _UNUSED[config.head]
    if unused := [name for name in sections if getattr(config, name) != getattr(usual, name)]:
        told = f"{', '.join(unused)}: head={config.head} does not use these settings"
        warnings.warn(told, stacklevel=2)
    return config


SYSTEM = System(
    name="lang2motion",
    title="Lang2Motion",
    Config=Lang2MotionConfig,
    presets=PRESETS,
    steps=STEPS,
    datasets={MAIN: TRACKS.name},
    check=_check,
    loader="raydance.systems.lang2motion.run:load",
    trained=tuple(STAGES),
    tasks=("generate", "search", "classify"),
    measures="raydance.evaluation.lang2motion:measures_of",
    search="raydance.systems.lang2motion.search:SEARCH",
    tables="raydance.report.lang2motion_tables:TABLES",
)
