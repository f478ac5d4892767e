"""Dance-Language: the steps from a dataset of windows to a run.

    statistics -> motion_vae -> clusters -> captions -> text_encoder -> contrastive
               -> motion_to_text -> text_to_motion -> library (-> caption_writer)

Each step depends on the ones before it and is done again only when its configuration, the data or
a step that it builds on has changed. What a run can then do is in
`raydance.systems.dance_language_run`, the configuration in
`raydance.systems.dance_language_config`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raydance import config as configs
from raydance.artifacts import Run, load_bundle, save_bundle
from raydance.batches import seed_for
from raydance.captions import CaptionTable
from raydance.chunks import BatchSpec
from raydance.columns import read_columns
from raydance.dataset import Dataset
from raydance.errors import InputError
from raydance.motion.augment import Augment
from raydance.motion.normalise import Statistics
from raydance.stages.base import Stage
from raydance.stages.clusters import fit_clusters
from raydance.stages.contrastive import Contrastive
from raydance.stages.motion_to_text import MotionToText
from raydance.stages.motion_vae import MotionVae, build_decoder, build_encoder
from raydance.stages.text_encoder import TextEncoder
from raydance.stages.text_to_motion import TextToMotion
from raydance.systems.base import (
    ColumnWriter,
    FitTask,
    Runner,
    add_caption_columns,
    fingerprint,
    load_stage,
)
from raydance.systems.caption_step import (
    CaptionIdWriter,
    EmbedTexts,
    annotations_path,
    collect_captions,
    read_annotations,
)

# The same names again: they are part of what a training module offers (`raydance.systems.System`).
from raydance.systems.dance_language_config import PAPER_CHOICES as PAPER_CHOICES
from raydance.systems.dance_language_config import PRESETS as PRESETS
from raydance.systems.dance_language_config import TRAINED as TRAINED
from raydance.systems.dance_language_config import DanceLanguageConfig as DanceLanguageConfig
from raydance.systems.dance_language_config import resolve as resolve
from raydance.systems.label_step import check_label, held_out_agreement, window_labels
from raydance.systems.library_step import write_library
from raydance.systems.shard_work import ClusterWriter, ShardStatistics
from raydance.systems.writer_step import build_writer, check_writer, prepare_writer, start_writer

NAME = "dance-language"

STEPS: tuple[str, ...] = (
    "statistics",
    "motion_vae",
    "clusters",
    "captions",
    "text_encoder",
    "contrastive",
    "motion_to_text",
    "text_to_motion",
    "library",
    "caption_writer",
)
"""All steps; `steps_of` leaves out those that a configuration switches off."""

_BUILDS_ON: dict[str, tuple[str, ...]] = {
    "statistics": (),
    "motion_vae": ("statistics",),
    "clusters": ("motion_vae",),
    "captions": ("clusters",),
    "text_encoder": ("motion_vae", "captions"),
    "contrastive": ("motion_vae", "clusters", "captions", "text_encoder"),
    "motion_to_text": ("contrastive",),
    "text_to_motion": ("motion_vae", "text_encoder"),
    "library": ("contrastive", "motion_to_text"),
    "caption_writer": ("captions", "contrastive"),
}


def steps_of(config: DanceLanguageConfig) -> tuple[str, ...]:
    """The steps of a run with this configuration."""
    return STEPS if config.caption_writer.enabled else STEPS[:-1]


def config_of(run: Run) -> DanceLanguageConfig:
    """The configuration that a run was made with."""
    return configs.from_dict(DanceLanguageConfig, run.config)


def build_stage(run: Run, name: str) -> Stage:
    """An untrained stage; those that start from an earlier one hold its weights already."""
    if name == "caption_writer":
        return build_writer(run)
    config = config_of(run)
    latent = config.motion_vae.latent
    if name == "motion_vae":
        return MotionVae(config.motion_vae)
    text_dim = load_bundle(run.bundle("captions"))[1]["text_dim"]
    if name == "text_encoder":
        return TextEncoder(config.text_encoder, text_dim)
    if name == "contrastive":
        encoder = None
        if config.contrastive.motion_input == "windows":
            encoder = build_encoder(config.motion_vae)
            encoder.load_state_dict(_vae(run).encoder.state_dict())
        return Contrastive(config.contrastive, latent, text_dim, encoder)
    if name == "motion_to_text":
        reads_latent = config.motion_to_text.motion_input == "latent"
        inputs = latent if reads_latent else config.contrastive.outputs
        return MotionToText(config.motion_to_text, inputs, text_dim)
    assert name == "text_to_motion", name
    vae = _vae(run)
    if config.text_to_motion.decoder_start == "scratch":
        decoder = build_decoder(config.motion_vae)
    else:  # a loaded stage is frozen; the transplanted decoder must learn on
        decoder = copy.deepcopy(vae.decoder).requires_grad_(True)
    return TextToMotion(config.text_to_motion, latent, vae.encoder, decoder)


def _vae(run: Run) -> MotionVae:
    stage = load_stage(run, "motion_vae", build_stage)
    assert isinstance(stage, MotionVae)
    return stage


def batch_spec(run: Run, stage: Stage) -> BatchSpec:
    """How batches for a stage are read: which columns, from where, with which noise."""
    config = config_of(run)
    reads = stage.columns_read()
    train = stage.config.train
    columns = {
        name: str(run.columns(step))
        for name, step in (
            ("latent", "motion_vae"),
            ("cluster", "clusters"),
            ("motion_embedding", "contrastive"),
        )
        if name in reads or (name == "cluster" and train.balanced)
    }
    captions: tuple[str, ...] = ()
    spec = BatchSpec(
        dataset=run.facts["dataset"]["path"],
        reads=reads,
        augment=config.augment if train.augment else Augment(enabled=False),
        representation=config.representation,
        statistics=statistics_of(run),
        seed=seed_for(config.seed, stage.name),
        batch_size=train.batch_size,
        balanced=train.balanced,
    )
    if spec.wants_captions:
        columns["caption_ids"] = str(run.columns("captions"))
        captions = (str(run.bundle("captions")),)
        if "text_latent" in reads:
            captions += (str(run.bundle("text_encoder_captions")),)
        if "caption_tokens" in reads:
            captions += (str(run.bundle("caption_writer_captions")),)
    return replace(spec, columns=columns, captions=captions)


def statistics_of(run: Run) -> Statistics:
    """Mean and standard deviation of eq. 1 that the run's networks were trained with."""
    tensors, _ = load_bundle(run.bundle("statistics"))
    return Statistics(mean=tensors["mean"].numpy(), std=tensors["std"].numpy())


class Training:
    """Carries out the steps of one run.

    Args:
        say: told one line when a step begins or is found done.
        saved: called when the run folder is worth keeping: before the first step and after each.
    """

    def __init__(
        self,
        run: Run,
        runner: Runner,
        say: Callable[[str], None] = lambda line: None,
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        self.run = run
        self.runner = runner
        self.say = say
        self.saved = saved
        self.config = config_of(run)
        self.dataset = Dataset.open(run.facts["dataset"]["path"])

    def go(self, only: str | None = None) -> list[str]:
        """Do all steps that are not done, or just one; returns the names of those done now.

        Raises:
            InputError: an unknown step, one that is switched off, or one whose predecessors are
                missing.
        """
        if only is not None and only not in STEPS:
            raise InputError(f"stage {only!r}; allowed: {', '.join(STEPS)}")
        steps = steps_of(self.config)
        if only is not None and only not in steps:
            raise InputError(f"stage {only} is off; `--set {only}.enabled=true` switches it on")
        self._forget_stale()
        if STEPS[-1] in steps and STEPS[-1] not in self.run.facts["steps"]:
            check_writer(self.config.caption_writer)
        self.saved()
        done = []
        for step in steps:
            mark = self.fingerprint(step)
            if self.run.is_done(step, mark):
                self.say(f"{step}: done before")
                continue
            if only is not None and step != only:
                if STEPS.index(step) < STEPS.index(only) and step in self._needed(only):
                    raise InputError(f"stage {only} builds on {step}, which is not trained yet")
                continue
            self.say(f"{step}: begins")
            facts = getattr(self, f"_do_{step}")(mark) or {}
            self.run.mark_done(step, mark, facts)
            self.saved()
            done.append(step)
        return done

    def _forget_stale(self) -> None:
        """Drop the marks of steps that no longer hold, before anything is written over.

        Stopped half-way, a run would else load old and new stages together.
        """
        steps = self.run.facts["steps"]
        stale = [
            step
            for step in STEPS
            if step in steps
            and not (self.run.is_done(step, self.fingerprint(step)) and self._has_files(step))
        ]
        for step in stale:
            del steps[step]
        if stale:
            self.run.save_facts()

    def _has_files(self, step: str) -> bool:
        """Whether a finished step's files are there; a damaged one is made anew once deleted."""
        files = [] if step == "library" else [self.run.bundle(step)]
        if step in ("text_encoder", "contrastive", "caption_writer"):
            files.append(self.run.bundle(f"{step}_captions"))
        if step in ("motion_vae", "clusters", "captions", "contrastive"):
            folder = self.run.columns(step)
            shards = [self.dataset.shards(split)[i] for split, i in self._all_shards()]
            files += [folder / f"{shard.name}.parquet" for shard in shards]
        return all(file.exists() for file in files)

    def _needed(self, step: str) -> set[str]:
        direct = set(_BUILDS_ON[step])
        return direct.union(*(self._needed(s) for s in direct)) if direct else direct

    def fingerprint(self, step: str) -> str:
        """Names the data, configuration and upstream steps that a step's result depends on."""
        config = configs.to_dict(self.config)
        own: Any = config.get(step)
        if step == "statistics":
            own = [config["representation"], config["normalisation"]]
        if step == "captions":
            # What was written, not the sheet: making one or deriving words anew changes nothing.
            own = [config["text"], own, read_annotations(annotations_path(self.run)) or ""]
        if step in ("motion_vae", "contrastive", "text_to_motion", "caption_writer"):
            own = [own, config["augment"]]
        above = [self.fingerprint(s) for s in _BUILDS_ON[step]]
        return fingerprint(step, self.config.seed, self.dataset.manifest_hash, own, above)

    def _all_shards(self) -> list[tuple[str, int]]:
        return [
            (split, i)
            for split in ("train", "val", "test")
            for i in range(len(self.dataset.shards(split)))
        ]

    def _train(self, step: str, mark: str) -> None:
        spec = batch_spec(self.run, build_stage(self.run, step))
        task = FitTask(
            run=str(self.run.path),
            stage=step,
            build=start_writer if step == "caption_writer" else build_stage,
            spec=spec,
            train=getattr(self.config, step).train,
            seed=self.config.seed,
            fingerprint=mark,
        )
        if not task.is_done(self.run):  # it is where a run was killed before its inference ended
            self.runner.fit(task)

    def _fresh_columns(self, step: str) -> None:
        for old in self.run.columns(step).glob("*.parquet"):
            old.unlink()

    def _infer(self, step: str) -> None:
        """Batch inference of a trained stage over all windows."""
        spec = batch_spec(self.run, build_stage(self.run, step))
        args = (str(self.run.path), step, build_stage, spec)
        self.runner.map(ColumnWriter, args, self._all_shards())

    def _captions(self) -> CaptionTable:
        paths = [self.run.bundle("captions"), self.run.bundle("text_encoder_captions")]
        return CaptionTable.load([p for p in paths if p.exists()])

    def _do_statistics(self, mark: str) -> None:
        shards = list(range(len(self.dataset.shards("train"))))
        args = (str(self.dataset.path), self.config.representation)
        sums = self.runner.map(ShardStatistics, args, shards)
        statistics = ShardStatistics.merge(sums, self.config.normalisation)
        seen = sum(part.count for part in sums)[:, 0] > 0
        tensors = {
            "mean": torch.as_tensor(np.asarray(statistics.mean)),
            "std": torch.as_tensor(np.asarray(statistics.std)),
            "joint_mask": torch.from_numpy(seen),
        }
        save_bundle(self.run.bundle("statistics"), tensors, {})

    def _do_motion_vae(self, mark: str) -> None:
        self._train("motion_vae", mark)
        self._fresh_columns("motion_vae")
        self._infer("motion_vae")

    def _do_clusters(self, mark: str) -> dict[str, Any]:
        shards = self.dataset.shards("train")
        folder = self.run.columns("motion_vae")
        latents = [read_columns(folder / f"{s.name}.parquet", ["latent"])["latent"] for s in shards]
        config, seed = self.config.clusters, self.config.seed
        labels = window_labels(self.dataset, "train", config.label) if config.label else None
        clusters = fit_clusters(config, np.concatenate(latents), seed, labels)
        if labels is not None:
            clusters.report["held_out"] = held_out_agreement(self.run, self.dataset, clusters)
        exemplars = _exemplar_windows(self.dataset, clusters.exemplars)
        tensors = {
            "centroids": torch.from_numpy(clusters.centroids),
            "pca_mean": torch.from_numpy(clusters.pca_mean),
            "pca_axes": torch.from_numpy(clusters.pca_axes),
            "exemplar_motion": torch.from_numpy(exemplars["motion"]),
            "exemplar_mask": torch.from_numpy(exemplars["joint_mask"]),
            "exemplar_cluster": torch.from_numpy(exemplars["cluster"]),
        }
        if clusters.kept is not None:
            tensors["kept"] = torch.from_numpy(clusters.kept)
        facts = {"report": clusters.report, "exemplar_ids": exemplars["window_id"]}
        save_bundle(self.run.bundle("clusters"), tensors, facts)
        self._fresh_columns("clusters")
        self.runner.map(ClusterWriter, (str(self.run.path),), self._all_shards())
        for warning in clusters.report["warnings"]:
            self.say(f"clusters: {warning}")
        held_out = clusters.report.get("held_out")
        return {
            "num_clusters": clusters.report["num_clusters"],
            "warnings": clusters.report["warnings"],
        } | ({"names": list(clusters.names), "held_out": held_out} if held_out else {})

    def _do_captions(self, mark: str) -> dict[str, Any]:
        table = collect_captions(self.run, self.dataset)
        pieces = [table.texts[i : i + 256] for i in range(0, len(table.texts), 256)]
        embedded = dict(self.runner.map(EmbedTexts, (self.config.text,), list(enumerate(pieces))))
        tensors = {
            "text_embedding": torch.from_numpy(
                np.concatenate([embedded[i] for i in range(len(pieces))])
            ),
            "difficulty": torch.tensor(table.difficulty, dtype=torch.float32),
        }
        facts = table.facts() | {"text_dim": tensors["text_embedding"].shape[1]}
        save_bundle(self.run.bundle("captions"), tensors, facts)
        self._fresh_columns("captions")
        self.runner.map(CaptionIdWriter, (str(self.run.path),), self._all_shards())
        if table.derived:
            self.say(
                f"captions: {table.num_uncaptioned} windows have no caption; "
                "their clusters' derived descriptions stand in (see `raydance annotate`)"
            )
        return {"captions": len(table.texts), "derived": table.derived}

    def _do_text_encoder(self, mark: str) -> None:
        self._train("text_encoder", mark)
        self._add_to_captions("text_encoder")

    def _do_contrastive(self, mark: str) -> None:
        self._train("contrastive", mark)
        self._fresh_columns("contrastive")
        self._infer("contrastive")
        self._add_to_captions("contrastive")

    def _add_to_captions(self, step: str) -> None:
        reads = ("text_embedding", "text_latent")
        add_caption_columns(self.run, step, build_stage, self._captions(), reads)

    def _do_motion_to_text(self, mark: str) -> None:
        self._train("motion_to_text", mark)

    def _do_text_to_motion(self, mark: str) -> None:
        self._train("text_to_motion", mark)

    def _do_library(self, mark: str) -> dict[str, Any]:
        return write_library(self.run, self.dataset)

    def _do_caption_writer(self, mark: str) -> dict[str, Any]:
        facts = prepare_writer(self.run)
        self._train("caption_writer", mark)
        return facts


def train(
    out: str | Path,
    dataset_path: str | Path,
    config: DanceLanguageConfig,
    runner: Runner,
    *,
    only: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    saved: Callable[[], None] = lambda: None,
) -> Run:
    """Train, or go on training, a run of Dance-Language.

    Args:
        only: this step alone.
        say, saved: as for `Training`.

    Raises:
        InputError: a dataset without training or validation windows or without the label that
            clusters shall start from, or an unknown step.
        ArtifactError: `out` holds something else, or is damaged.
    """
    dataset = Dataset.open(dataset_path)
    for split in ("train", "val"):
        if not sum(shard.num_windows for shard in dataset.shards(split)):
            raise InputError(
                f"{dataset_path}: no {split} windows. Splits are made by recording: ingest more "
                "recordings, or fix `split` in the captions file"
            )
    check_label(dataset, config.clusters.label)
    manifest = dataset.manifest
    facts = {
        "path": str(Path(dataset_path).resolve()),
        "hash": dataset.manifest_hash,
        "fps": manifest["fps"],
        "window": manifest["window"],
        "stride": manifest["stride"],
    }
    # Encoders and time bases are built for one length, which is the dataset's.
    vae = replace(config.motion_vae, num_frames=manifest["window"])
    config = replace(config, motion_vae=vae)
    # Absolute: workers on a cluster have working folders of their own.
    run = Run.create(
        Path(out).resolve(), system=NAME, config=configs.to_dict(config), dataset=facts
    )
    Training(run, runner, say, saved).go(only)
    return run


def _exemplar_windows(dataset: Dataset, exemplars: list[list[int]]) -> dict[str, Any]:
    """Motion of the exemplar rows, counted over the training shards in order."""
    wanted = {row: cluster for cluster, rows in enumerate(exemplars) for row in rows}
    found: dict[int, Mapping[str, Any]] = {}
    first = 0
    for shard in dataset.shards("train"):
        here = [row for row in wanted if first <= row < first + shard.num_windows]
        if here:
            rows = dataset.read_shard(shard, columns=["window_id", "motion", "joint_mask"])
            for row in here:
                found[row] = {name: values[row - first] for name, values in rows.items()}
        first += shard.num_windows
    order = [row for rows in exemplars for row in rows]
    return {
        "motion": np.stack([found[row]["motion"] for row in order]).astype(np.float32),
        "joint_mask": np.stack([found[row]["joint_mask"] for row in order]),
        "cluster": np.array([wanted[row] for row in order], dtype=np.int64),
        "window_id": [str(found[row]["window_id"]) for row in order],
    }
