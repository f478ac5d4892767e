"""A step of a run: what it needs, depends on, writes and does; and what it works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydance.data.chunks import BatchSpec
from raydance.data.dataset import SPLITS, Dataset
from raydance.stages.base import TrainConfig
from raydance.systems.base import ColumnWriter, FitTask, Runner, StageBuilder
from raydance.training.run_folder import Run

MAIN: str = "data"
"""The role of the dataset that every system has."""


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """What a step works with.

    Attributes:
        config: the configuration of the run.
        datasets: by role; `MAIN` is always there.
        mark: the fingerprint of the step's result.
        say: told one line that the user should read.
    """

    run: Run
    config: Any
    datasets: Mapping[str, Dataset]
    runner: Runner
    mark: str = ""
    say: Callable[[str], None] = lambda line: None

    @property
    def dataset(self) -> Dataset:
        """The main dataset."""
        return self.datasets[MAIN]

    def shards(self, role: str = MAIN) -> list[tuple[str, int]]:
        """(split, shard index) of every shard of a dataset."""
        dataset = self.datasets[role]
        return [(split, i) for split in SPLITS for i in range(len(dataset.shards(split)))]

    def fit(self, stage: str, build: StageBuilder, train: TrainConfig, *specs: BatchSpec) -> None:
        """Train a stage, unless its weights are there: a run may be killed before its step ends.

        Args:
            specs: of its batches; with several, each batch is of one of them.
        """
        task = FitTask(
            run=str(self.run.path),
            stage=stage,
            build=build,
            specs=specs,
            train=train,
            seed=self.config.seed,
            fingerprint=self.mark,
        )
        if not task.is_done(self.run):
            self.runner.fit(task)

    def infer(self, stage: str, build: StageBuilder, spec: BatchSpec, role: str = MAIN) -> None:
        """Add a trained stage's columns to all rows of a dataset: batch inference."""
        args = (str(self.run.path), stage, build, spec, column_folder(stage, role))
        self.runner.map(ColumnWriter, args, self.shards(role))

    def clear_columns(self, name: str) -> None:
        """Remove the column files that an earlier result left."""
        for old in self.run.columns(name).glob("*.parquet"):
            old.unlink()


def column_folder(name: str, role: str) -> str:
    """The folder of a step's columns for rows of one of the datasets."""
    return name if role == MAIN else f"{name}.{role}"


def always(config: Any) -> bool:
    """For steps that no configuration switches off."""
    return True


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a run.

    Attributes:
        needs: steps whose results it reads.
        depends_on: what its result depends on besides the data, the seed and what it needs.
        run: does it; returns facts for the run folder.
        is_on: whether a configuration wants it.
        bundles: files of the run that it writes; its own name where none is given.
        columns: column folders that it writes for rows of every dataset, one file for each shard;
            those of another dataset than the main one are `column_folder(name, role)`.
        copied: column folders that go with its result but are not needed afterwards.
        folders: of the run that it writes beside bundles and columns.
    """

    name: str
    run: Callable[[StepContext], Mapping[str, Any] | None]
    depends_on: Callable[[StepContext], Any]
    needs: tuple[str, ...] = ()
    is_on: Callable[[Any], bool] = always
    bundles: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def bundle_names(self) -> tuple[str, ...]:
        """Files of the run that it writes."""
        return (self.name,) if self.bundles is None else self.bundles

    def outputs(self, context: StepContext) -> list[Path]:
        """Every file that a finished step has written and later steps read."""
        run = context.run
        files = [run.bundle(name) for name in self.bundle_names]
        files += [run.path / name for name in self.folders]
        for name in self.columns:
            for role, dataset in context.datasets.items():
                folder = run.columns(column_folder(name, role))
                for split, index in context.shards(role):
                    files.append(folder / f"{dataset.shards(split)[index].name}.parquet")
        return files
