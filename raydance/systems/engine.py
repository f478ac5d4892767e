"""Carries out the steps of a run: those that are not done, in their order.

A system is a list of steps. A step names what it needs, what its result depends on, which files it
writes and what it does; this module decides which steps have to be done, does them and marks them
in the run folder, so that the same command after a kill goes on where it was.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from raydance import config as configs
from raydance.data.dataset import Dataset
from raydance.errors import ConfigError, InputError
from raydance.systems.base import Runner, fingerprint
from raydance.systems.step import MAIN, Step, StepContext
from raydance.training.run_folder import Run


def no_checks(config: Any, datasets: Mapping[str, Dataset]) -> Any:
    """For systems that take every configuration and dataset as they are."""
    return config


def named(reference: str) -> Any:
    """What `module:name` names, imported now.

    Evaluation, reports and searches are declared so: training needs none of what they import.
    """
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def _changed(config: Any, change: Callable[[Any], Any], changes: Iterable[tuple[str, Any]]) -> Any:
    """The changed configuration, with `min_steps` of 0 beside epochs that are set alone."""
    return change(configs.override(change(config), _no_min_steps(changes)))


def _no_min_steps(changes: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """Overrides of the stages whose epochs are set by changes, key and value of each."""
    for path, value in changes:
        if isinstance(value, Mapping):
            yield from _no_min_steps((f"{path}.{key}", inner) for key, inner in value.items())
        elif path.endswith(".train.epochs"):
            yield path.removesuffix("epochs") + "min_steps=0"


@dataclass(frozen=True, kw_only=True)
class System:
    """What the engine knows of a system.

    Attributes:
        Config: frozen dataclass of its configuration, with a `seed`.
        presets: named changes to its defaults.
        steps: all of them, in order.
        datasets: role -> name of the modality; `MAIN` first. Other roles may be left out of a run.
        check: refuses, before anything is trained, a configuration that the datasets do not allow;
            returns the configuration fitted to them.
        loader: `module:name` of a function from the folder of a finished run to the loaded run.
        trained: the stages that learn by gradient descent.
        tasks: what a finished run can do, by the names of commands.
        has_service: whether `raydance.serving.app` serves its runs; else the routes of a service
            are made from their tasks.
        measures: `module:name` of a function from a loaded run and its datasets by role to the
            list of `raydance.evaluation.measure.Measure` on a split of them, `test` or `val`.
        protocol: the same of an evaluation of its own, in place of `measures`: from runs by title
            and the main dataset's folder to what `evaluation.comparison.side_by_side` returns.
        from_captions: the same of a function from a loaded run, captions, lengths in frames and a
            seed to motion `[T, J, 3]` of each, for an evaluator (`evaluation.text_motion`).
        sections: the same of what its report holds beside that of every system; see
            `raydance.report`.
        search: the same of a `raydance.systems.search.Search`: what can be swept and ablated.
        tables: the same of a `raydance.report.paper_tables.PaperTables`: those of its paper.
    """

    name: str
    title: str
    Config: type
    steps: tuple[Step, ...]
    loader: str
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"default": {}})
    datasets: Mapping[str, str] = field(default_factory=lambda: {MAIN: "motion"})
    check: Callable[[Any, Mapping[str, Dataset]], Any] = no_checks
    trained: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    has_service: bool = False
    measures: str | None = None
    protocol: str | None = None
    from_captions: str | None = None
    sections: str | None = None
    search: str | None = None
    tables: str | None = None

    def load(self, path: str | Path) -> Any:
        """A finished run of this system, ready for work."""
        return named(self.loader)(Path(path))

    @property
    def step_names(self) -> tuple[str, ...]:
        """Names of all steps, in order."""
        return tuple(step.name for step in self.steps)

    def step(self, name: str) -> Step:
        """The step of a name."""
        return next(step for step in self.steps if step.name == name)

    def steps_of(self, config: Any) -> tuple[str, ...]:
        """Names of the steps that a configuration wants."""
        return tuple(step.name for step in self.steps if step.is_on(config))

    def config_of(self, run: Run) -> Any:
        """The configuration that a run was made with."""
        return configs.from_dict(self.Config, run.config)

    def resolve(
        self, preset: str, overrides: list[str] | None = None, file: str | None = None
    ) -> Any:
        """The configuration of a preset, with a file's and then `a.b=value` changes laid over it.

        Who sets the epochs of a stage means so many: its `min_steps` is then 0, if not set as well.

        Raises:
            ConfigError: an unknown preset, key or value.
        """
        if preset not in self.presets:
            raise ConfigError(f"preset {preset!r}; allowed: {', '.join(self.presets)}")
        resolved = self.Config()
        for changes in (self.presets[preset], {} if file is None else configs.load_mapping(file)):
            merge = partial(configs.merge, changes=changes)
            resolved = _changed(resolved, merge, changes.items())
        override = partial(configs.override, assignments=overrides or ())
        split = (one.partition("=") for one in overrides or ())
        values = ((path.strip(), configs.parse_yaml(text)) for path, _, text in split)
        return _changed(resolved, override, values)

    def train(
        self,
        out: str | Path,
        datasets: str | Path | Mapping[str, str | Path],
        config: Any,
        runner: Runner,
        *,
        only: str | None = None,
        but: Collection[str] = (),
        say: Callable[[str], None] = lambda line: None,
        saved: Callable[[], None] = lambda: None,
    ) -> Run:
        """Train, or go on training, a run.

        Args:
            datasets: folders by role, or the main one.
            only, but, say, saved: as for `carry_out`.

        Raises:
            InputError: a dataset without training or validation rows, of another modality, with a
                recording in two splits, or that the system refuses; an unknown step.
            ArtifactError: `out` holds something else, or it or a dataset is damaged.
        """
        places = datasets if isinstance(datasets, Mapping) else {MAIN: datasets}
        opened = {role: _open(self, role, Path(path)) for role, path in places.items()}
        if MAIN not in opened:
            raise InputError(f"{self.name} needs a dataset: give --{MAIN} DATASET")
        config = self.check(config, opened)
        # Absolute: workers on a cluster have working folders of their own.
        run = Run.create(
            Path(out).resolve(),
            system=self.name,
            config=configs.to_dict(config),
            dataset=_facts(opened.pop(MAIN)),
            others={role: _facts(dataset) for role, dataset in opened.items()},
        )
        carry_out(self, run, runner, only=only, but=but, say=say, saved=saved)
        return run


class Plan:
    """Which steps of a run hold, by fingerprints that are computed once.

    Args:
        context: without a runner where nothing shall be carried out.
    """

    def __init__(self, system: System, context: StepContext) -> None:
        self.system, self.context = system, context
        self._marks: dict[str, str] = {}

    @classmethod
    def of(cls, system: System, run: Run, runner: Runner | None = None) -> Plan:
        """The plan of a run, with the datasets that it was begun with."""
        datasets = {role: Dataset.open(facts["path"]) for role, facts in run.datasets.items()}
        context = StepContext(
            run=run,
            config=system.config_of(run),
            datasets=datasets,
            runner=runner,  # type: ignore[arg-type]
        )
        return cls(system, context)

    def mark(self, name: str) -> str:
        """The fingerprint of a step: of the data, configuration and steps it depends on."""
        if name not in self._marks:
            step, context = self.system.step(name), self.context
            hashes: Any = context.dataset.manifest_hash
            if len(context.datasets) > 1:
                hashes = {role: data.manifest_hash for role, data in context.datasets.items()}
            above = [self.mark(needed) for needed in step.needs]
            own = step.depends_on(context)
            self._marks[name] = fingerprint(name, context.config.seed, hashes, own, above)
        return self._marks[name]

    def needed(self, name: str) -> set[str]:
        """The steps that a step builds on, directly or not."""
        direct = set(self.system.step(name).needs)
        return direct.union(*(self.needed(other) for other in direct)) if direct else direct

    def is_done(self, name: str) -> bool:
        """Whether a step was finished with this configuration, data and upstream steps."""
        return self.context.run.is_done(name, self.mark(name))

    def stale(self) -> list[str]:
        """Steps that are marked as done but do not hold or are off, or whose files have gone."""
        marked = self.context.run.facts["steps"]
        found = []
        for step in self.system.steps:
            if step.name in marked:
                has_files = all(file.exists() for file in step.outputs(self.context))
                is_on = step.is_on(self.context.config)
                if not (is_on and self.is_done(step.name) and has_files):
                    found.append(step.name)
        return found


def carry_out(
    system: System,
    run: Run,
    runner: Runner,
    *,
    only: str | None = None,
    but: Collection[str] = (),
    say: Callable[[str], None] = lambda line: None,
    saved: Callable[[], None] = lambda: None,
) -> list[str]:
    """Do all steps of a run that are not done, or just one; returns the names of those done now.

    Args:
        only: this step alone.
        but: steps to be left for later, where they are not done, with all that builds on them.
        say: told one line when a step begins or is found done.
        saved: called when the run folder is worth keeping: before the first step and after each.

    Raises:
        InputError: an unknown step, one that is switched off, or one whose predecessors are
            missing.
    """
    names = system.step_names
    for name in (*([] if only is None else [only]), *but):
        if name not in names:
            raise InputError(f"stage {name!r}; allowed: {', '.join(names)}")
    plan = Plan.of(system, run, runner)
    wanted = system.steps_of(plan.context.config)
    if only is not None and only not in wanted:
        has_switch = hasattr(getattr(plan.context.config, only, None), "enabled")
        hint = f"; `--set {only}.enabled=true` switches it on" if has_switch else ""
        raise InputError(f"stage {only} is off in this configuration{hint}")
    stale = plan.stale()
    for name in stale:  # before anything is written: an interrupted run must not mix stages
        del run.facts["steps"][name]
    if stale:
        run.save_facts()
    saved()
    done: list[str] = []
    left = set(but)
    try:
        for name in wanted:
            if plan.is_done(name):
                say(f"{name}: done before")
            elif left & {name, *plan.needed(name)}:
                left.add(name)
            elif only is None or name == only:
                say(f"{name}: begins")
                context = _context_of(plan, name, say)
                started = time.monotonic()
                facts = dict(system.step(name).run(context) or {})
                facts["seconds"] = round(time.monotonic() - started, 2)
                run.mark_done(name, plan.mark(name), facts)
                saved()
                done.append(name)
            elif name in plan.needed(only):
                raise InputError(f"stage {only} builds on {name}, which is not trained yet")
    finally:
        runner.release()
    return done


def _context_of(plan: Plan, name: str, say: Callable[[str], None]) -> StepContext:
    shared = plan.context
    return StepContext(
        run=shared.run,
        config=shared.config,
        datasets=shared.datasets,
        runner=shared.runner,
        mark=plan.mark(name),
        say=say,
    )


def _open(system: System, role: str, path: Path) -> Dataset:
    if role not in system.datasets:
        raise InputError(
            f"{system.name} has no use for a dataset `{role}`; it takes: "
            f"{', '.join(system.datasets)}"
        )
    dataset = Dataset.open(path)
    wanted = system.datasets[role]
    if dataset.modality.name != wanted:
        raise InputError(
            f"{path}: holds {dataset.modality.name}; {system.name} needs {wanted} as `{role}`"
        )
    for split in ("train", "val"):
        if not sum(shard.num_windows for shard in dataset.shards(split)):
            raise InputError(
                f"{path}: no {split} windows. Splits are made by recording: ingest more "
                "recordings, or fix `split` in the captions file"
            )
    dataset.check_splits()
    return dataset


def _facts(dataset: Dataset) -> dict[str, Any]:
    manifest = dataset.manifest
    return {
        "path": str(dataset.path.resolve()),
        "hash": dataset.manifest_hash,
        "fps": manifest["fps"],
        "window": manifest["window"],
        "stride": manifest["stride"],
    }
