"""What a system declares for sweeps and ablations: spaces, claims and what both are measured by.

Of each space the parameters, the steps to train and what is measured; of each claim the variants.

Losses are never an objective: their weights are what is swept, so that totals of two trials do not
compare. Objectives are weight-free, and several of them (a Pareto front) where one alone is won by
giving up another. All are measured on the validation split; the test split is for the winner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from raydance.data.dataset import Dataset
from raydance.errors import InputError, RaydanceError
from raydance.systems.engine import System, named
from raydance.training.run_folder import Run


class Trial(Protocol):
    """A trial of Optuna, as far as parameters need it."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...

    def suggest_int(self, name: str, low: int, high: int) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[str | bool]) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A figure that a sweep improves.

    Attributes:
        title: how tables and pictures call it, with its unit.
        direction: `minimize` or `maximize`.
        measure: run -> this figure, and others that fall out beside it.
    """

    name: str
    title: str
    direction: Literal["minimize", "maximize"]
    measure: Callable[[Run], dict[str, float]]


@dataclass(frozen=True)
class Range:
    """Any number from `low` to `high`, on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Trial, key: str) -> float:
        return trial.suggest_float(key, self.low, self.high, log=self.log)

    def allows(self, value: Any) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True)
class Whole:
    """Any integer from `low` to `high`, both included."""

    low: int
    high: int

    def suggest(self, trial: Trial, key: str) -> int:
        return trial.suggest_int(key, self.low, self.high)

    def allows(self, value: Any) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[str | bool, ...]

    def suggest(self, trial: Trial, key: str) -> str | bool:
        chosen = trial.suggest_categorical(key, self.values)
        assert isinstance(chosen, (str, bool))
        return chosen

    def allows(self, value: Any) -> bool:
        return value in self.values


@dataclass(frozen=True)
class When:
    """A parameter that matters only where another, earlier one has one of these values."""

    key: str
    values: tuple[str | bool, ...]
    then: Range | Whole | Choice


Parameter = Range | Whole | Choice | When


@dataclass(frozen=True, kw_only=True)
class Space:
    """One thing to sweep.

    Attributes:
        meaning: one line.
        parameters: key of the configuration -> its values, in the order of asking.
        shared_steps: trained once; every trial builds on them.
        steps: trained in every trial.
        goals: what is improved.
        pruned_by: stage and term of its validation metrics that tell early what a trial will come
            to; weight-free like the objective, and better in the same direction.
    """

    name: str
    meaning: str
    parameters: Mapping[str, Parameter]
    shared_steps: tuple[str, ...]
    steps: tuple[str, ...]
    goals: tuple[Objective, ...]
    pruned_by: tuple[str, str] | None = None

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the goals."""
        return tuple(goal.name for goal in self.goals)

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Configuration key -> value, for the parameters that matter in this trial."""
        chosen: dict[str, Any] = {}
        for key, kind in self.parameters.items():
            values = _active(kind, chosen)
            if values is not None:
                chosen[key] = values.suggest(trial, key)
        return chosen

    def point_of(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """The point at which a configuration (as plain data) lies; None if outside the space."""
        chosen: dict[str, Any] = {}
        for key, kind in self.parameters.items():
            values = _active(kind, chosen)
            if values is not None:
                value: Any = config
                for part in key.split("."):
                    value = value[part]
                if not values.allows(value):
                    return None
                chosen[key] = value
        return chosen


def _active(kind: Parameter, chosen: Mapping[str, Any]) -> Range | Whole | Choice | None:
    if isinstance(kind, When):
        return kind.then if chosen.get(kind.key) in kind.values else None
    return kind


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An objective that a claim is measured by.

    Attributes:
        at_least: the gain that is claimed, as a share of the other variant's figure.
    """

    objective: Objective
    at_least: float = 0.0

    @property
    def title(self) -> str:
        return self.objective.title

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        return self.objective.direction


@dataclass(frozen=True, kw_only=True)
class EpochsToLoss:
    """Epochs that a stage needs to a validation loss which every variant of the seed reaches.

    It is the best loss of the variant that comes least far, so that nobody is asked for more than
    it can do; only for variants whose losses compare.

    Attributes:
        at_least: the share of epochs that is claimed to be saved.
    """

    stage: str
    at_least: float = 0.0

    @property
    def title(self) -> str:
        return f"epochs to a loss all reach ({self.stage})"

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        return "minimize"


Measure = Figure | EpochsToLoss


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim about a system, such as the paper's own.

    Attributes:
        text: what is claimed, and where.
        variants: name -> changes to the configuration; the first one is what is claimed to be
            better, and is held against each of the others.
        common: changes that all variants need for the claim to have a meaning.
        shared_steps: trained once for each seed; every variant builds on them.
        steps: trained in every variant whose configuration wants them; all changes belong to these.
        measures: the claim holds if the first variant is better in every one.
    """

    name: str
    text: str
    variants: Mapping[str, Mapping[str, Any]]
    common: Mapping[str, Any]
    shared_steps: tuple[str, ...]
    steps: tuple[str, ...]
    measures: tuple[Measure, ...]

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives among the measures."""
        return tuple(m.objective for m in self.measures if isinstance(m, Figure))


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a system declares as its `search`: spaces and claims by the names that users give."""

    spaces: Mapping[str, Space] = field(default_factory=dict)
    claims: Mapping[str, Claim] = field(default_factory=dict)


def search_of(system: System) -> Search:
    """The spaces and claims of a system.

    Raises:
        InputError: it declares none.
    """
    if system.search is None:
        raise InputError(f"{system.name} declares nothing to sweep or to ablate")
    found: Search = named(system.search)
    return found


def measure(run_path: str | Path, goals: Sequence[Objective]) -> dict[str, float]:
    """The objectives of a trained run, by name.

    Raises:
        InputError: the validation split lacks what a measure needs.
        RaydanceError: a figure that is not finite.
    """
    run = Run.open(run_path)
    found: dict[str, float] = {}
    for goal in goals:
        if goal.name not in found:
            found |= goal.measure(run)
        if goal.name not in found:
            raise InputError(f"{run.path}: the validation split does not allow: {goal.title}")
        if not math.isfinite(found[goal.name]):
            raise RaydanceError(f"{goal.title} is {found[goal.name]}: the training diverged")
    return {goal.name: found[goal.name] for goal in goals}


def validation_figures(system: System, run: Run, names: Mapping[str, str]) -> dict[str, float]:
    """A system's own measures on the validation split, as objectives.

    Args:
        names: objective -> name of the measure, as evaluation prints it.

    Raises:
        InputError: the validation split does not allow one of the measures.
    """
    assert system.measures is not None, system.name
    places = {role: facts["path"] for role, facts in run.datasets.items()}
    datasets = {role: Dataset.open(place) for role, place in places.items()}
    measures = named(system.measures)(system.load(run.path), datasets, "val")
    known = {one.name: float(one.value) for one in measures}
    found = {name: known[wanted] for name, wanted in names.items() if wanted in known}
    if not found:
        where, what = ", ".join(places.values()), "; ".join(names.values())
        raise InputError(f"{where}: the validation split allows none of: {what}")
    return found


def key_set_by(assignment: str, keys: Iterable[str]) -> str | None:
    """The first of these keys that a change `a.b=value`, or one of the whole of `a`, would set."""
    path = assignment.partition("=")[0].strip()
    return next((key for key in keys if key == path or key.startswith(f"{path}.")), None)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        node = out
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return out
