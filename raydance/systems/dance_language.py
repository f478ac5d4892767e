"""Dance-Language: the steps from a dataset of windows to a run.

    statistics -> motion_basis -> motion_vae -> clusters -> captions -> text_encoder
               -> contrastive -> motion_to_text -> motion_flow -> text_to_motion -> library
               (-> caption_writer)

Each step depends on the ones before it and is done again only when its configuration, the data or
a step that it builds on has changed. How a stage is built and fed is in
`raydance.systems.dance_language_stages`, the configuration in
`raydance.systems.dance_language_config`, what a finished run can do in
`raydance.systems.dance_language_run`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raydance import config as configs
from raydance.artifacts import Run, save_bundle
from raydance.captions import CaptionTable
from raydance.dataset import Dataset
from raydance.errors import InputError
from raydance.systems.base import ColumnWriter, FitTask, Runner, add_caption_columns, fingerprint
from raydance.systems.basis_step import CoefficientWriter, write_basis
from raydance.systems.caption_step import (
    CaptionIdWriter,
    EmbedTexts,
    annotations_path,
    collect_captions,
    read_annotations,
)
from raydance.systems.cluster_space import PointWriter
from raydance.systems.cluster_step import ClusterWriter, write_clusters

# The same names again: they are part of what a training module offers (`raydance.systems.System`).
from raydance.systems.dance_language_config import PAPER_CHOICES as PAPER_CHOICES
from raydance.systems.dance_language_config import PRESETS as PRESETS
from raydance.systems.dance_language_config import TRAINED as TRAINED
from raydance.systems.dance_language_config import DanceLanguageConfig as DanceLanguageConfig
from raydance.systems.dance_language_config import config_of as config_of
from raydance.systems.dance_language_config import resolve as resolve
from raydance.systems.dance_language_stages import batch_spec, build_stage
from raydance.systems.label_step import check_label
from raydance.systems.library_step import write_library
from raydance.systems.statistics_step import ShardStatistics, write_statistics
from raydance.systems.writer_step import check_writer, prepare_writer, start_writer

NAME = "dance-language"

STEPS: tuple[str, ...] = (
    "statistics",
    "motion_basis",
    "motion_vae",
    "clusters",
    "captions",
    "text_encoder",
    "contrastive",
    "motion_to_text",
    "motion_flow",
    "text_to_motion",
    "library",
    "caption_writer",
)
"""All steps; `steps_of` leaves out those that a configuration switches off."""

_BUILDS_ON: dict[str, tuple[str, ...]] = {
    "statistics": (),
    "motion_basis": ("statistics",),
    "motion_vae": ("statistics", "motion_basis"),
    "clusters": ("motion_basis", "motion_vae"),
    "captions": ("clusters",),
    "text_encoder": ("motion_vae", "captions"),
    "contrastive": ("motion_basis", "motion_vae", "clusters", "captions", "text_encoder"),
    "motion_to_text": ("contrastive",),
    "motion_flow": ("motion_basis", "captions"),
    "text_to_motion": ("motion_vae", "text_encoder"),
    "library": ("contrastive", "motion_to_text"),
    "caption_writer": ("captions", "contrastive"),
}


_AUGMENTED = (
    "motion_basis",
    "motion_vae",
    "contrastive",
    "motion_flow",
    "text_to_motion",
    "caption_writer",
)
"""Steps whose result depends on the augmentation."""


def steps_of(config: DanceLanguageConfig) -> tuple[str, ...]:
    """The steps of a run with this configuration."""
    off = {
        "motion_flow": not config.motion_flow.enabled,
        "caption_writer": not config.caption_writer.enabled,
    }
    return tuple(step for step in STEPS if not off.get(step, False))


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
        try:
            return self._carry_out(steps, only)
        finally:
            self.runner.release()

    def _carry_out(self, steps: tuple[str, ...], only: str | None) -> list[str]:
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
        if step in ("motion_basis", "motion_vae", "clusters", "captions", "contrastive"):
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
        if step in _AUGMENTED:
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
        write_statistics(self.run, sums, self.config.normalisation)

    def _do_motion_basis(self, mark: str) -> dict[str, Any]:
        config = self.config
        facts = write_basis(
            self.run,
            self.dataset,
            config.motion_basis,
            config.augment,
            config.representation,
            config.seed,
            self.runner.map,
        )
        self._fresh_columns("motion_basis")
        args = (str(self.run.path), config.augment, config.representation, config.seed)
        self.runner.map(CoefficientWriter, args, self._all_shards())
        return facts

    def _do_motion_vae(self, mark: str) -> None:
        self._train("motion_vae", mark)
        self._fresh_columns("motion_vae")
        self._infer("motion_vae")

    def _do_clusters(self, mark: str) -> dict[str, Any]:
        self.runner.map(PointWriter, (str(self.run.path),), self._all_shards())
        clusters = write_clusters(self.run, self.dataset, self.config.clusters, self.config.seed)
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

    def _do_motion_flow(self, mark: str) -> None:
        self._train("motion_flow", mark)

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
        InputError: a dataset without training or validation windows, with a recording in two
            splits or without the label that clusters shall start from, or an unknown step.
        ArtifactError: `out` holds something else, or it or the dataset is damaged.
    """
    dataset = Dataset.open(dataset_path)
    for split in ("train", "val"):
        if not sum(shard.num_windows for shard in dataset.shards(split)):
            raise InputError(
                f"{dataset_path}: no {split} windows. Splits are made by recording: ingest more "
                "recordings, or fix `split` in the captions file"
            )
    dataset.check_splits()
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
