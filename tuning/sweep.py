"""`raydance sweep`: ask Optuna, let Ray train, tell Optuna.

Optuna's own storage is the only memory, so a sweep killed at any moment goes on: finished trials
stay, interrupted ones resume from their checkpoints. Trials write into a folder that the driver
reads, which is how it sees their epochs and prunes.

  DIR/study.db      the study, also for Optuna's dashboard
  DIR/shared/       a run with the steps that all trials share
  DIR/trials/KEY/   a run for each trial
  DIR/best.yaml     and the rest of `tuning.results`
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import ray
from optuna.trial import Trial, TrialState

from raydance import config as configs
from raydance.cluster.session import ray_session
from raydance.data.dataset import Dataset
from raydance.errors import InputError, RaydanceError
from raydance.systems import SYSTEMS, system_of
from raydance.systems.engine import System
from raydance.systems.search import Space, key_set_by, nested, search_of
from raydance.systems.step import MAIN
from tuning import results
from tuning import study as studies
from tuning.folder import claimed
from tuning.trial import Work, carry_out, place_in_training, validation_metrics

Say = Callable[[str], None]

_POLL_S = 0.3
_NEWS_S = 20.0
_CANCEL_S = 10.0
_GIVE_UP_AFTER = 3


def sweep(
    name: str,
    data: str | Path | Mapping[str, str | Path],
    out: str | Path,
    *,
    system: str = "dance-language",
    num_trials: int,
    preset: str = "default",
    overrides: Sequence[str] = (),
    parallel: int | None = None,
    workers: int = 1,
    seed: int = 0,
    address: str | None = None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Sweep a space, or go on with a sweep.

    Args:
        name: one of the spaces that the system declares.
        data: the dataset, or datasets by role.
        num_trials: finished trials wanted in all, those of earlier calls included. A trial that
            fails takes a place too, in this call; the next one tries it again.
        preset, overrides: the configuration that trials change.
        parallel: trials at once; by default as many as processors allow.
        workers: DDP workers of each trial. With one, on a cluster without GPUs, a trial is a plain
            loop in one task, which saves Ray Train's 12 seconds of starting each stage.
        seed: of the sampler.
        address: of a running cluster; an embedded one by default. Dataset and `out` must be on
            storage that all nodes share.
        say: told what happens.

    Returns:
        The summary (see `tuning.results.write`), as plain data.

    Raises:
        InputError: an unknown space, a key that the space itself varies, or an `out` that holds
            something else or is being worked on.
        RaydanceError: no trial succeeded, or several in a row failed for the same reason.
    """
    plan = system_of(system)
    spaces = search_of(plan).spaces
    if name not in spaces:
        raise InputError(f"space {name!r}; known: {', '.join(spaces)}")
    space = spaces[name]
    for option, value in (("--trials", num_trials), ("--workers", workers)):
        if value < 1:
            raise InputError(f"{option} {value}; at least 1")
    if parallel is not None and parallel < 1:
        raise InputError(f"--parallel {parallel}; at least 1")
    _refuse_varied(space, overrides)
    config = plan.resolve(preset, list(overrides))
    datasets = opened(data)
    place = Path(out).resolve()
    with claimed(place, "study.db", "sweep"):
        facts: dict[str, Any] = {
            "space": name,
            "system": plan.name,
            "dataset": hashes_of(datasets),
            "preset": preset,
            "overrides": list(overrides),
            "config": configs.to_dict(config),
        }
        study = studies.open_study(place / "study.db", space, facts, facts["config"])
        try:
            if len(studies.finished(study)) < num_trials:
                with ray_session(address, _embedded_cpus(parallel, workers)):
                    driver = _Driver(
                        plan, study, space, config, place, datasets, parallel, workers, seed, say
                    )
                    driver.go(num_trials)
        finally:  # after Ctrl-C too, for the trials that are finished
            summary = results.write(place, study, plan, space, config, facts)
    if not studies.complete(study):
        failed = studies.failed(study)
        first = failed[0].user_attrs["reason"] if failed else "all were pruned"
        raise RaydanceError(f"no trial succeeded, {len(failed)} failed; the first: {first}")
    return summary


def opened(data: str | Path | Mapping[str, str | Path]) -> dict[str, Dataset]:
    """Datasets by role, of their folders or of the main one's."""
    places = data if isinstance(data, Mapping) else {MAIN: data}
    return {role: Dataset.open(place) for role, place in places.items()}


def hashes_of(datasets: Mapping[str, Dataset]) -> str | dict[str, str]:
    """What names the content of datasets."""
    if set(datasets) == {MAIN}:
        return datasets[MAIN].manifest_hash
    return {role: dataset.manifest_hash for role, dataset in datasets.items()}


def _refuse_varied(space: Space, overrides: Sequence[str]) -> None:
    for assignment in overrides:
        key = key_set_by(assignment, space.parameters)
        if key is not None:
            raise InputError(f"--set {assignment}: the space {space.name} varies {key} itself")


def _embedded_cpus(parallel: int | None, workers: int) -> int:
    """Logical processors of an embedded Ray: more trials than processors still run."""
    cpus = os.cpu_count() or 1
    if workers == 1:
        return max(2, cpus, parallel or 0)
    return max(2, cpus, (parallel or 1) * (workers + 1))


@dataclass(kw_only=True)
class _Running:
    """A trial at work."""

    trial: Trial
    values: dict[str, Any]
    folder: Path
    ref: ray.ObjectRef
    epochs_seen: int = 0


class _Driver:
    """Keeps as many trials at work as there is room for."""

    def __init__(
        self,
        system: System,
        study: optuna.Study,
        space: Space,
        config: Any,
        place: Path,
        datasets: Mapping[str, Dataset],
        parallel: int | None,
        workers: int,
        seed: int,
        say: Say,
    ) -> None:
        self.study, self.space, self.config, self.place = study, space, config, place
        self.module = SYSTEMS[system.name]
        self.datasets = {role: dataset.path.resolve() for role, dataset in datasets.items()}
        self.seed, self.say = seed, say
        self.running: list[_Running] = []
        self.failed: dict[str, int] = {}
        self.reasons: list[str] = []  # of the failures since the last success
        resources = ray.cluster_resources()
        cpus, gpus = resources.get("CPU", 1.0), resources.get("GPU", 0.0)
        # A plain loop in a task sees no GPU; Ray Train gives its workers theirs.
        self.workers = 0 if workers == 1 and gpus < 1 else workers
        # Beside the workers of a trial a processor reads data.
        room = int(cpus // (workers + 1 if self.workers else 1))
        if self.workers and gpus >= workers:
            room = min(room, int(gpus // workers))
        if self.workers and max(1, parallel or 1) > max(1, room):
            raise InputError(
                f"--parallel {parallel} with {workers} workers each: {cpus:g} processors and "
                f"{gpus:g} GPUs have room for {max(1, room)}"
            )
        self.parallel = parallel or max(1, room)
        self.train = ray.remote(carry_out)

    def go(self, num_trials: int) -> None:
        """Run until so many trials have ended, or the space is used up."""
        self._train_shared()
        studies.queue_unfinished(self.study)
        self.wanted = num_trials
        is_used_up = False
        told_at = time.monotonic()
        try:
            while True:
                missing = num_trials - self._num_ended() - len(self.running)
                while not is_used_up and missing > 0 and len(self.running) < self.parallel:
                    is_used_up = not self._start_one()
                    missing -= 1
                if not self.running:
                    break
                self._look()
                if time.monotonic() - told_at > _NEWS_S and self.running:
                    told_at = time.monotonic()
                    self.say(self._news())
        finally:
            for running in self.running:  # left RUNNING in the study, so the next call resumes them
                self._cancel(running)
        if is_used_up:
            self.say(f"{self.space.name}: no further configuration was found; the sweep ends")

    def _train_shared(self) -> None:
        self.say(f"steps that all trials share: {', '.join(self.space.shared_steps)}")
        ref = self._submit(
            Work(
                module=self.module,
                out=self.place / "shared",
                datasets=self.datasets,
                config=self.config,
                steps=self.space.shared_steps,
                workers=self.workers,
            )
        )
        told = ""
        while not ray.wait([ref], timeout=_NEWS_S)[0]:
            now = place_in_training(self.place / "shared", self.space.shared_steps)
            if now and now != told:
                self.say(f"shared steps: {now}")
            told = now
        ray.get(ref)

    def _submit(self, work: Work) -> ray.ObjectRef:
        # With workers of its own a trial only waits for them. A lost process is started again:
        # the trial resumes from its checkpoint.
        cpus = 0 if self.workers else 1
        return self.train.options(num_cpus=cpus, max_retries=1).remote(work)

    def _start_one(self) -> bool:
        asked = studies.ask(self.study, self.space, self.seed, self.failed)
        if asked is None:
            return False
        trial, values = asked
        folder = self.place / "trials" / trial.user_attrs["key"]
        work = Work(
            module=self.module,
            out=folder,
            datasets=self.datasets,
            config=configs.merge(self.config, nested(values)),
            steps=self.space.steps,
            objectives=self.space.goals,
            shared=self.place / "shared",
            shared_steps=self.space.shared_steps,
            workers=self.workers,
        )
        ref = self._submit(work)
        self.running.append(_Running(trial=trial, values=values, folder=folder, ref=ref))
        return True

    def _look(self) -> None:
        """Take what has finished, and prune what falls behind."""
        refs = [running.ref for running in self.running]
        done = ray.wait(refs, num_returns=1, timeout=_POLL_S)[0]
        for running in list(self.running):
            is_done = running.ref in done
            is_behind = self._report(running) and not is_done
            if is_done:
                self.running.remove(running)
                self._finish(running)
            elif is_behind:
                self.running.remove(running)
                self._prune(running)

    def _report(self, running: _Running) -> bool:
        """Tell Optuna of new epochs; whether the trial is to be pruned."""
        if self.space.pruned_by is None:
            return False
        stage, term = self.space.pruned_by
        is_behind = False
        for line in validation_metrics(running.folder, stage)[running.epochs_seen :]:
            running.epochs_seen = line["epoch"] + 1
            running.trial.report(line["validation"][term], line["epoch"])
            is_behind = is_behind or running.trial.should_prune()
        return is_behind

    def _finish(self, running: _Running) -> None:
        trial = running.trial
        try:
            found = ray.get(running.ref)
        except ray.exceptions.RayError as error:
            reason = reason_of(error)
            trial.set_user_attr("reason", reason)
            self.study.tell(trial, state=TrialState.FAIL)
            self.failed[trial.user_attrs["key"]] = trial.number
            self.reasons.append(reason)
            self.say(f"{self._head(running)} failed: {reason}")
            if self.reasons[-_GIVE_UP_AFTER:] == [reason] * _GIVE_UP_AFTER:
                raise RaydanceError(
                    f"{_GIVE_UP_AFTER} trials in a row failed alike: {reason} "
                    "(the same command tries them again)"
                ) from None
            return
        self.reasons.clear()
        trial.set_user_attr("seconds", round(found["seconds"], 1))
        self.study.tell(trial, [found[name] for name in self.space.objectives])
        figures = ", ".join(f"{goal.title} {found[goal.name]:.4g}" for goal in self.space.goals)
        self.say(f"{self._head(running)}: {figures}; {found['seconds']:.0f} s ({self._share()})")

    def _prune(self, running: _Running) -> None:
        self._cancel(running)
        self.study.tell(running.trial, state=TrialState.PRUNED)
        self.say(
            f"{self._head(running)}: pruned after {running.epochs_seen} epochs ({self._share()})"
        )

    def _cancel(self, running: _Running) -> None:
        ray.cancel(running.ref)
        if not ray.wait([running.ref], timeout=_CANCEL_S)[0]:
            ray.cancel(running.ref, force=True)

    def _head(self, running: _Running) -> str:
        values = ", ".join(
            f"{key.partition('.')[2]} {results.short(value)}"
            for key, value in running.values.items()
        )
        return f"trial {running.trial.number} ({values})"

    def _share(self) -> str:
        return f"{self._num_ended()} of {self.wanted}"

    def _num_ended(self) -> int:
        return len(studies.finished(self.study)) + len(self.failed)

    def _news(self) -> str:
        places = [
            f"{running.trial.number} {place_in_training(running.folder, self.space.steps)}".strip()
            for running in self.running
        ]
        return f"{self._share()} trials ended; at work: {', '.join(places)}"


def reason_of(error: BaseException) -> str:
    """One line for a task's failure: what we raised, or the kind and message of anything else."""
    cause = getattr(error, "cause", None) or error
    text = " ".join(str(cause).split()) or "no message"
    return text if isinstance(cause, RaydanceError) else f"{type(cause).__name__}: {text}"[:300]
