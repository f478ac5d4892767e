"""The study: an SQLite file of Optuna's that remembers every trial; only the driver writes it.

COMPLETE and PRUNED trials are finished and never repeated. FAIL with a `reason` really failed and
is tried again by the next call, since the reason may have been a full disk or a lost machine. FAIL
that `repeats` another drew the same parameters and was never run; any other FAIL was interrupted,
and its parameters waited in the queue.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, Trial, TrialState

from raydance.errors import ArtifactError, InputError
from raydance.systems.search import Space
from raydance.training.loop import derive_seed
from tuning.trial import key_of

NAME = "sweep"
_NUM_RANDOM = 6
_NUM_SAMPLED, _NUM_ATTEMPTS = 4, 60
_HINTS = {"dataset": "content of --data", "preset": "--preset", "overrides": "--set"}


def open_study(
    path: Path, space: Space, facts: Mapping[str, Any], base: Mapping[str, Any]
) -> optuna.Study:
    """Open a sweep's study or begin it.

    The first trial of a new study is the configuration as it stands, where the space contains it.

    Args:
        path: the SQLite file.
        facts: what all trials have in common: `space`, `system`, `dataset`, `preset`,
            `overrides`, `config`.
        base: the configuration without any trial's values, as plain data.

    Raises:
        InputError: it is a sweep of something else.
        ArtifactError: the file is damaged or not a study.
    """
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    goals = space.goals
    epochs = _epochs(space, base)
    try:
        study = optuna.create_study(
            study_name=NAME,
            storage=f"sqlite:///{path}",
            directions=[goal.direction for goal in goals],
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=epochs // 4),
            load_if_exists=True,
        )
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{path}: not a study of Optuna, or damaged ({reason})") from None
    known = study.user_attrs
    if "config" not in known:  # the last to be written
        _begin(study, space, facts, base)
    for name, value in facts.items():
        if known and known.get(name, value) != value:
            there, here = _short(known[name]), _short(value)
            what = _HINTS.get(name, name)
            if name == "config":
                what, there, here = "version's defaults", "older", "newer"
            raise InputError(
                f"{path.parent}: holds a sweep with another {what} ({there} there, {here} here); "
                "choose another --out"
            )
    return study


def _begin(
    study: optuna.Study, space: Space, facts: Mapping[str, Any], base: Mapping[str, Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names(list(space.objectives))
    point = space.point_of(base)
    if point is not None and not study.get_trials(deepcopy=False):
        study.enqueue_trial(point)
    for name in sorted(facts, key=lambda name: name == "config"):
        study.set_user_attr(name, facts[name])


def _epochs(space: Space, base: Mapping[str, Any]) -> int:
    return base[space.pruned_by[0]]["train"]["epochs"] if space.pruned_by else 0


def _short(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text or "none"


def queue_unfinished(study: optuna.Study) -> None:
    """Have the parameters drawn again of trials that were interrupted, and of those that failed."""
    interrupted = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    waiting = study.get_trials(deepcopy=False, states=[TrialState.WAITING])
    queued = [trial.system_attrs.get("fixed_params") for trial in waiting]
    for trial in [*interrupted, *failed(study)]:
        params = trial.system_attrs.get("fixed_params", {}) | trial.params
        if params and params not in queued:
            queued.append(params)
            study.enqueue_trial(params)
    for trial in interrupted:  # after they are queued, so that a kill in between loses none
        study.tell(trial.number, state=TrialState.FAIL)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that are never repeated: complete or pruned."""
    states = [TrialState.COMPLETE, TrialState.PRUNED]
    return study.get_trials(deepcopy=False, states=states)


def failed(study: optuna.Study) -> list[FrozenTrial]:
    """The last trial of each set of parameters that has only ever failed."""
    trials = study.get_trials(deepcopy=False, states=[TrialState.FAIL])
    last = {trial.user_attrs["key"]: trial for trial in trials if "reason" in trial.user_attrs}
    done = {trial.user_attrs["key"] for trial in finished(study)}
    return [trial for key, trial in last.items() if key not in done]


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were measured."""
    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])


def ask(
    study: optuna.Study, space: Space, seed: int, avoid: Mapping[str, int]
) -> tuple[Trial, dict[str, Any]] | None:
    """A trial with parameters that no other has, or None where the space is used up.

    The draw is a function of the seed, of the number of trials and of their results.

    Args:
        avoid: key of parameters -> trial, beside those that are finished or at work.
    """
    at_work = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    taken = dict(avoid) | {
        trial.user_attrs["key"]: trial.number
        for trial in [*finished(study), *at_work]
        if "key" in trial.user_attrs
    }
    for attempt in range(_NUM_ATTEMPTS):
        number = len(study.get_trials(deepcopy=False))
        study.sampler = _sampler(derive_seed("sweep", seed, number), attempt >= _NUM_SAMPLED)
        trial = study.ask()
        values = space.suggest(trial)
        key = key_of(values)
        if key not in taken:
            trial.set_user_attr("key", key)
            return trial, values
        trial.set_user_attr("repeats", taken[key])
        study.tell(trial, state=TrialState.FAIL)
    return None


def _sampler(seed: int, at_random: bool) -> optuna.samplers.BaseSampler:
    if at_random:
        return optuna.samplers.RandomSampler(seed=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # Trials at work count as bad ones, so that neighbours are not drawn side by side.
        return optuna.samplers.TPESampler(
            seed=seed % 2**32, n_startup_trials=_NUM_RANDOM, constant_liar=True
        )


def params_of(space: Space, trial: FrozenTrial) -> dict[str, Any]:
    """A trial's values in the space's order, without those that played no part."""
    return {key: trial.params[key] for key in space.parameters if key in trial.params}
