"""What a sweep leaves: the best configuration, the front, a table, pictures and a summary."""

from __future__ import annotations

import csv
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from raydance import config as configs
from raydance.files import replacing, write_json
from raydance.systems.engine import System
from raydance.systems.search import Objective, Space, nested
from tuning import study as studies


def write(
    place: Path,
    study: optuna.Study,
    system: System,
    space: Space,
    config: Any,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Write everything into a sweep's folder; what cannot be told yet is left out.

    `best.yaml` is what `raydance train --config` takes with the same preset: the best trial, or
    with several objectives the point of the Pareto front nearest to the best of each (distances
    in units of the front's extent). `pareto/NN.yaml` holds every point of the front.

    Args:
        config: what all trials have in common.
        facts: as for `tuning.study.open_study`.

    Returns:
        The content of `summary.json`.
    """
    goals = space.goals
    whole = studies.complete(study)
    front = pareto_front(whole, goals)
    best = compromise(front, goals)
    summary: dict[str, Any] = {
        "space": space.name,
        "dataset": facts["dataset"],
        "preset": facts["preset"],
        "overrides": facts["overrides"],
        "split": "val",
        "objectives": [{"name": g.name, "title": g.title, "direction": g.direction} for g in goals],
        "trials": _counts(study),
        "best": _row(space, best) if best else None,
        "front": [_row(space, trial) for trial in front],
        "importances": importances(study, goals) if len(whole) > 2 else {},
        "out": str(place),
    }
    _write_table(place / "trials.csv", study, space)
    shutil.rmtree(place / "pareto", ignore_errors=True)
    if best is not None:
        _write_config(place / "best.yaml", system, space, config, facts, best)
        if len(goals) > 1:
            for number, trial in enumerate(front):
                file = place / "pareto" / f"{number:02d}.yaml"
                _write_config(file, system, space, config, facts, trial)
    summary["pictures"] = []
    if len(whole) > 1:
        summary["pictures"] = draw(place, study, goals, summary["importances"])
    write_json(place / "summary.json", summary)
    return summary


def pareto_front(trials: Sequence[FrozenTrial], goals: Sequence[Objective]) -> list[FrozenTrial]:
    """Trials that no other beats in everything, by the first objective, the best first.

    Of trials with equal values the earliest stands for all; with one objective it is the best one.
    """
    losses = _as_losses(trials, goals)
    front = []
    for i, own in enumerate(losses):
        beaten = any(
            np.all(other <= own) and (np.any(other < own) or j < i)
            for j, other in enumerate(losses)
            if j != i
        )
        if not beaten:
            front.append(i)
    return [trials[i] for i in sorted(front, key=lambda i: tuple(losses[i]))]


def compromise(front: Sequence[FrozenTrial], goals: Sequence[Objective]) -> FrozenTrial | None:
    """The point of a front nearest to the ideal one, objectives scaled to the front's extent."""
    if not front:
        return None
    losses = _as_losses(front, goals)
    low, extent = losses.min(axis=0), np.ptp(losses, axis=0)
    scaled = (losses - low) / np.where(extent > 0, extent, 1.0)
    return front[int(np.linalg.norm(scaled, axis=1).argmin())]


def _as_losses(trials: Sequence[FrozenTrial], goals: Sequence[Objective]) -> np.ndarray:
    """`[trials, objectives]`, less is better."""
    sign = np.array([1.0 if goal.direction == "minimize" else -1.0 for goal in goals])
    values = [trial.values for trial in trials]
    return np.array(values, dtype=float).reshape(-1, len(goals)) * sign


def importances(study: optuna.Study, goals: Sequence[Objective]) -> dict[str, dict[str, float]]:
    """Objective -> parameter -> share of what tells good trials from bad ones (PED-ANOVA)."""
    out = {}
    for place, goal in enumerate(goals):
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        with _without_warnings():
            found = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=_value(place, goal)
            )
        out[goal.name] = {key: round(float(share), 4) for key, share in found.items()}
    return out


def _value(place: int, goal: Objective) -> Callable[[FrozenTrial], float]:
    """An objective such that less is better, as PED-ANOVA takes every target."""
    sign = 1.0 if goal.direction == "minimize" else -1.0
    return lambda trial: sign * trial.values[place]


def draw(
    place: Path,
    study: optuna.Study,
    goals: Sequence[Objective],
    shares: Mapping[str, Mapping[str, float]],
) -> list[str]:
    """Pictures: history and parallel coordinates of each objective, importances, and the front.

    Args:
        shares: what `importances` returns.

    Returns:
        Their file names.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from optuna.visualization import matplotlib as pictures

    made: list[str] = []

    def save(name: str, axes: Any) -> None:
        figure = np.asarray(axes, dtype=object).reshape(-1)[0].figure
        with replacing(place / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=110, bbox_inches="tight")
        plt.close(figure)
        made.append(f"{name}.png")

    with _without_warnings():
        for number, goal in enumerate(goals):
            suffix = f"_{goal.name}" if len(goals) > 1 else ""

            def target(trial: FrozenTrial, number: int = number) -> float:
                return trial.values[number]

            given: Any = target if len(goals) > 1 else None
            save(
                f"history{suffix}",
                pictures.plot_optimization_history(study, target=given, target_name=goal.title),
            )
            save(
                f"parallel{suffix}",
                pictures.plot_parallel_coordinate(study, target=given, target_name=goal.title),
            )
        if shares:
            save("importances", _draw_importances(shares, goals))
        if len(goals) in (2, 3):
            titles = [goal.title for goal in goals]
            save("pareto", pictures.plot_pareto_front(study, target_names=titles))
    return made


def _draw_importances(shares: Mapping[str, Mapping[str, float]], goals: Sequence[Objective]) -> Any:
    # Not Optuna's picture: for several objectives it takes a high value for a bad one throughout.
    from raydance.report.plots import COLOURS, new_figure

    keys = list(next(iter(shares.values())))[::-1]
    figure, (axes,) = new_figure(7.0, 1.0 + 0.35 * len(keys) * len(goals))
    figure.patch.set_alpha(1.0)
    height = 0.8 / len(goals)
    for place, goal in enumerate(goals):
        middle = np.arange(len(keys)) + 0.4 - height * (place + 0.5)
        widths = [shares[goal.name].get(key, 0.0) for key in keys]
        axes.barh(middle, widths, height, label=goal.title, color=COLOURS[place])
    axes.set_yticks(range(len(keys)), keys)
    axes.set_xlabel("share of importance (PED-ANOVA)")
    axes.legend(fontsize=8)
    return axes


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Optuna marks its pictures and newer importances as experimental, with every call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)


def _counts(study: optuna.Study) -> dict[str, int]:
    states = [trial.state for trial in studies.finished(study)]
    return {
        "complete": states.count(TrialState.COMPLETE),
        "pruned": states.count(TrialState.PRUNED),
        "failed": len(studies.failed(study)),
    }


def _row(space: Space, trial: FrozenTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "values": dict(zip(space.objectives, trial.values)),
        "params": studies.params_of(space, trial),
        "folder": f"trials/{trial.user_attrs['key']}",
        "seconds": trial.user_attrs.get("seconds"),
    }


def _write_table(path: Path, study: optuna.Study, space: Space) -> None:
    """One row for each trial that ended."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        heads = ("trial", "state", *space.objectives, *space.parameters)
        table.writerow([*heads, "seconds", "folder", "reason"])
        trials = [*studies.finished(study), *studies.failed(study)]
        for trial in sorted(trials, key=lambda trial: trial.number):
            is_complete = trial.state == TrialState.COMPLETE
            table.writerow(
                [
                    trial.number,
                    trial.state.name.lower(),
                    *(trial.values if is_complete else [""] * len(space.objectives)),
                    *(trial.params.get(key, "") for key in space.parameters),
                    trial.user_attrs.get("seconds", ""),
                    f"trials/{trial.user_attrs['key']}",
                    trial.user_attrs.get("reason", ""),
                ]
            )


def _write_config(
    path: Path,
    system: System,
    space: Space,
    config: Any,
    facts: Mapping[str, Any],
    trial: FrozenTrial,
) -> None:
    """A file for `raydance train --config`, with where it comes from as comments."""
    preset = facts["preset"]
    base = configs.to_dict(system.resolve(preset))
    # What was swept is said even where it is the preset's own value.
    changes = difference(base, configs.to_dict(config)) | studies.params_of(space, trial)
    figures = ", ".join(
        f"{goal.title}: {value:.4g}" for goal, value in zip(space.goals, trial.values)
    )
    text = (
        f"# Trial {trial.number} of the sweep {space.name}. On the validation split: {figures}.\n"
        f"# raydance train {facts['system']} --preset {preset} --config {path.name}\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(
            text + yaml.safe_dump(nested(changes), sort_keys=False), encoding="utf-8"
        )


def difference(
    base: Mapping[str, Any], other: Mapping[str, Any], above: str = ""
) -> dict[str, Any]:
    """`{"a.b": value}` of what `other` has otherwise than `base`; both have the same keys."""
    out: dict[str, Any] = {}
    for key, value in other.items():
        if isinstance(value, dict):
            out |= difference(base[key], value, f"{above}{key}.")
        elif value != base[key]:
            out[f"{above}{key}"] = value
    return out


def as_text(summary: Mapping[str, Any]) -> str:
    """The summary for a terminal: the front or the best, and what matters."""
    counts = ", ".join(f"{num} {state}" for state, num in summary["trials"].items() if num)
    lines = [f"{summary['out']}: sweep {summary['space']}, {counts}; on the validation split"]
    goals = summary["objectives"]
    for row in summary["front"]:
        figures = ", ".join(f"{g['title']} {row['values'][g['name']]:.4g}" for g in goals)
        values = ", ".join(f"{key} {short(value)}" for key, value in row["params"].items())
        mark = "*" if row["trial"] == summary["best"]["trial"] else " "
        lines.append(f"{mark} trial {row['trial']}: {figures}  ({values})")
    for goal, shares in summary["importances"].items():
        shown = ", ".join(f"{key} {100 * share:.0f} %" for key, share in shares.items())
        lines.append(f"  importance for {goal}, of {counts}: {shown}")
    lines.append(f"* is in {summary['out']}/best.yaml")
    return "\n".join(lines)


def short(value: Any) -> str:
    """A parameter's value as lines show it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
