"""What systems share: tasks that a runner carries out, here or on a cluster.

A system is a fixed list of steps. A step either trains a stage (`FitTask`) or maps a function over
shards; a `Runner` decides where that happens. `LocalRunner` does it in this process; the one in
`raydance.cluster` does the same through Ray.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from raydance.data.chunks import BatchSpec
from raydance.data.columns import read_columns, write_columns
from raydance.data.dataset import Dataset
from raydance.stages.base import Stage, TrainConfig
from raydance.training import loop as training
from raydance.training.batches import Batches, MixedBatches
from raydance.training.caption_table import CaptionTable
from raydance.training.run_folder import MetricsLog, Run, load_bundle, read_metrics, save_bundle

log = logging.getLogger(__name__)

StageBuilder = Callable[[Run, str], Stage]
"""Builds an untrained stage of a run by name, started from earlier stages where it should be."""


Source = Batches | MixedBatches


def mixed(parts: Sequence[Batches]) -> Source:
    """The batches of one dataset, or of several in turns."""
    return parts[0] if len(parts) == 1 else MixedBatches(parts)


@dataclass(frozen=True, kw_only=True)
class FitTask:
    """One stage to train; picklable.

    Attributes:
        build: a module-level function.
        specs: of its batches; with several, each batch is of one of them.
        fingerprint: names configuration, data and upstream stages.
        checkpoint_every_s: seconds between checkpoints.
    """

    run: str
    stage: str
    build: StageBuilder
    specs: tuple[BatchSpec, ...]
    train: TrainConfig
    seed: int
    fingerprint: str
    checkpoint_every_s: float = 10.0

    def is_done(self, run: Run) -> bool:
        """Whether the run holds the weights that this task would train."""
        path = run.bundle(self.stage)
        return path.exists() and load_bundle(path)[1].get("fingerprint") == self.fingerprint

    def carry_out(self, source: Source, context: training.Context) -> training.FitResult:
        """Train in this process, one of `context.world_size`; rank 0 writes what remains."""
        run = Run.open(self.run)
        if self.is_done(run):  # another rank was lost after this stage was saved
            if context.rank == 0:
                run.checkpoints(self.stage, self.fingerprint).clear()
            return training.FitResult(**load_bundle(run.bundle(self.stage))[1]["fit"])
        torch.manual_seed(training.derive_seed(self.seed, self.stage, "weights"))
        stage = self.build(run, self.stage)
        checkpoints = run.checkpoints(self.stage, self.fingerprint)
        metrics_log: MetricsLog | None = None
        told = context.report

        def report(metrics: dict[str, Any]) -> None:
            nonlocal metrics_log
            if context.rank == 0:
                metrics_log = metrics_log or MetricsLog(run, self.stage, metrics["epoch"])
                metrics_log.write(metrics)
            told(metrics)

        result = training.fit(
            stage,
            self.train,
            source,
            seed=self.seed,
            context=replace(context, report=report),
            checkpoints=checkpoints,
            checkpoint_every_s=self.checkpoint_every_s,
        )
        if context.rank == 0:
            facts = {"stage": self.stage, "fingerprint": self.fingerprint, "fit": asdict(result)}
            save_bundle(run.bundle(self.stage), stage.state_dict(), facts)
            checkpoints.clear()
            if metrics_log is not None:
                metrics_log.close()
        return result


class Runner(Protocol):
    """Where work happens."""

    def fit(self, task: FitTask) -> None:
        """Train a stage; its weights and metrics are in the run folder afterwards."""

    def map(
        self, factory: Callable[..., Callable[[Any], Any]], args: tuple, items: Sequence[Any]
    ) -> list[Any]:
        """`factory(*args)` once per worker, applied to every item; results in any order."""

    def release(self) -> None:
        """Let go of what was kept for a next task; one may follow all the same."""


class LocalRunner:
    """Everything in this process, one thing after the other.

    Args:
        report: told the metrics of every epoch.
        num_threads: of torch while it trains, as many as one Ray worker has by default. Recurrent
            layers of this size are slower on two.
    """

    def __init__(
        self,
        report: Callable[[dict[str, Any]], None] = lambda metrics: None,
        *,
        num_threads: int = 1,
    ) -> None:
        self.report = report
        self.num_threads = num_threads

    def fit(self, task: FitTask) -> None:
        """Train a stage in this process."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.num_threads)
        try:
            source = mixed([Batches(spec) for spec in task.specs])
            task.carry_out(source, training.Context(report=self.report))
        finally:
            torch.set_num_threads(before)

    def map(
        self, factory: Callable[..., Callable[[Any], Any]], args: tuple, items: Sequence[Any]
    ) -> list[Any]:
        """Apply to one item after the other."""
        work = factory(*args)
        return [work(item) for item in items]

    def release(self) -> None:
        """Nothing is kept here."""


def load_stage(run: Run, name: str, build: StageBuilder) -> Stage:
    """A trained stage, ready for inference.

    Raises:
        ArtifactError: not trained yet, damaged, or of another architecture.
    """
    from raydance.errors import ArtifactError

    tensors, _ = load_bundle(run.bundle(name))
    stage = build(run, name)
    try:
        stage.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ArtifactError(
            f"{run.bundle(name)}: does not fit the configuration of the run ({reason})"
        ) from None
    return stage.eval().requires_grad_(False)


class ColumnWriter:
    """Adds a trained stage's columns to shards: batch inference, in this process or an actor."""

    def __init__(
        self, run_path: str, stage: str, build: StageBuilder, spec: BatchSpec, folder: str
    ) -> None:
        self.run = Run.open(run_path)
        self.folder = folder
        self.stage = load_stage(self.run, stage, build)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.stage.to(self.device)
        self.spec = spec
        self.dataset = Dataset.open(spec.dataset)

    def __call__(self, item: tuple[str, int]) -> dict[str, Any]:
        """`item` is (split, shard index). A shard whose file exists is not done again."""
        split, index = item
        shard = self.dataset.shards(split)[index]
        path = self.run.columns(self.folder) / f"{shard.name}.parquet"
        if not path.exists():
            wanted = ["window_id", *self.spec.transform.reads]
            rows = self.dataset.read_shard(shard, columns=wanted)
            columns = self._infer(rows, shard.name, mirrored=False)
            if any(column.is_mirrored for column in self.stage.adds):
                swapped = self._infer(rows, shard.name, mirrored=True)
                columns |= {f"{name}_mirrored": value for name, value in swapped.items()}
            write_columns(path, rows["window_id"], columns)
        return {"shard": shard.name, "windows": shard.num_windows}

    def _infer(self, rows: dict, shard: str, *, mirrored: bool) -> dict[str, np.ndarray]:
        spec = self.spec
        inputs: dict[str, np.ndarray] = {}
        if spec.wants_rows:
            inputs |= spec.transform.plain(rows, mirrored=mirrored)
        for name, stored in spec.columns.items():
            if name not in spec.reads:
                continue
            path = Path(stored.folder) / f"{shard}.parquet"
            is_swapped = mirrored and stored.column.is_mirrored
            column = f"{name}_mirrored" if is_swapped else name
            values = np.asarray(read_columns(path, [column])[column])
            inputs[name] = values[:, 0] if stored.column.has_variants else values
        out: dict[str, list[np.ndarray]] = {}
        size = len(next(iter(inputs.values())))
        for start in range(0, size, 256):
            batch = {
                name: torch.from_numpy(np.array(value[start : start + 256])).to(self.device)
                for name, value in inputs.items()
            }
            with torch.inference_mode():
                for name, value in self.stage.infer(batch).items():
                    out.setdefault(name, []).append(value.float().cpu().numpy())
        return {name: np.concatenate(parts) for name, parts in out.items()}


def add_caption_columns(
    run: Run, name: str, build: StageBuilder, table: CaptionTable, reads: Iterable[str]
) -> None:
    """Apply a trained stage to every caption and keep the columns as a bundle."""
    stage = load_stage(run, name, build)
    batch = table.subset(tuple(reads))
    with torch.inference_mode():
        save_bundle(run.bundle(f"{name}_captions"), stage.infer_captions(batch), {"stage": name})


def fingerprint(*parts: Any) -> str:
    """A short name of configuration, data and upstream steps."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def history(run: Run, stage: str) -> list[dict[str, Any]]:
    """Per-epoch metrics of a stage."""
    return read_metrics(run.metrics(stage))
