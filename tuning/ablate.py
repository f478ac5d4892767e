"""`raydance ablate`: train each variant of a claim under several seeds, measure, judge.

The trials of sweeps without a sampler. A variant's folder is named by its values and seed and holds
its figures once it is measured, so the same command repeats nothing that is finished, and claims
that have a variant in common share it.

  DIR/ablations.json     what all of it was made with
  DIR/shared/SEED/       a run with the steps that the variants of a seed share
  DIR/variants/KEY/      a run for each variant and seed; figures.json when measured
  DIR/CLAIM.md, .json    tables and verdict
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raydance import config as configs
from raydance.data.dataset import Dataset
from raydance.errors import InputError, RaydanceError
from raydance.files import read_json, replacing, write_json
from raydance.systems import SYSTEMS, system_of
from raydance.systems.engine import System
from raydance.systems.search import Claim, EpochsToLoss, key_set_by, nested, search_of
from raydance.systems.step import MAIN
from tuning import verdicts
from tuning.folder import claimed
from tuning.trial import Work, carry_out, key_of, validation_metrics

Say = Callable[[str], None]

_RECORD: Final = "ablations.json"
_FIGURES: Final = "figures.json"


def ablate(
    name: str,
    data: str | Path | Mapping[str, str | Path],
    out: str | Path,
    *,
    system: str = "dance-language",
    num_seeds: int = 3,
    epochs: int | None = None,
    preset: str = "paper",
    overrides: Sequence[str] = (),
    parallel: int = 1,
    address: str | None = None,
    say: Say = lambda line: None,
) -> list[dict[str, Any]]:
    """Put claims to the test, or go on with it.

    Args:
        name: one of the claims that the system declares, or `all`.
        data: the dataset, or datasets by role.
        num_seeds: every variant is trained with the seeds 0, 1, ... They vary weights, order,
            noise and clusters, not the split.
        epochs: of every stage, in place of the preset's; `overrides` may give a stage its own.
        preset, overrides: the configuration that variants change.
        parallel: variants at once. One is trained in this process, more through Ray.
        address: of a running Ray cluster, which then decides how many run at once. Dataset and
            `out` must be on storage that all nodes share.
        say: told what happens.

    Returns:
        For each claim the content of its JSON file.

    Raises:
        InputError: an unknown claim, a key that a claim itself varies, or an `out` that holds
            something else or was begun with other settings.
    """
    plan = system_of(system)
    known = search_of(plan).claims
    if name != "all" and name not in known:
        raise InputError(f"claim {name!r}; known: all, {', '.join(known)}")
    for option, value in (("--seeds", num_seeds), ("--parallel", parallel), ("--epochs", epochs)):
        if value is not None and value < 1:
            raise InputError(f"{option} {value}; at least 1")
    claims = list(known.values()) if name == "all" else [known[name]]
    _refuse_varied(claims, overrides)
    changes = [*_epochs(plan, epochs, overrides), *overrides]
    config = plan.resolve(preset, changes)
    places = data if isinstance(data, Mapping) else {MAIN: data}
    datasets = {role: Dataset.open(path) for role, path in places.items()}
    hashes = {role: dataset.manifest_hash for role, dataset in datasets.items()}
    place = Path(out).resolve()
    with claimed(place, _RECORD, "folder of ablations"):
        facts = {
            "system": plan.name,
            "dataset": hashes,
            "preset": preset,
            "changes": changes,
            "config": configs.to_dict(config),
        }
        _check(place, facts)
        folders = {role: dataset.path.resolve() for role, dataset in datasets.items()}
        bench = _Bench(SYSTEMS[plan.name], place, folders, config, parallel, address, say)
        made_with = _made_with(datasets, preset, changes, num_seeds)
        return [_judge(bench, claim, range(num_seeds), made_with) for claim in claims]


def _epochs(system: System, epochs: int | None, overrides: Sequence[str]) -> list[str]:
    """Changes that give every stage so many epochs, save those that are given their own."""
    own = {assignment.partition("=")[0].strip() for assignment in overrides}
    keys = [f"{stage}.train.epochs" for stage in system.trained]
    return [] if epochs is None else [f"{key}={epochs}" for key in keys if key not in own]


def _refuse_varied(claims: Sequence[Claim], overrides: Sequence[str]) -> None:
    for assignment in overrides:
        if key_set_by(assignment, ["seed"]):
            raise InputError(f"--set {assignment}: ablations vary the seed themselves")
        for claim in claims:
            key = key_set_by(assignment, [*claim.common, *next(iter(claim.variants.values()))])
            if key is not None:
                raise InputError(f"--set {assignment}: the claim {claim.name} sets {key} itself")


def _check(place: Path, facts: dict[str, Any]) -> None:
    """Write down what the folder is made with, or see that it is the same."""
    if not (place / _RECORD).exists():
        write_json(place / _RECORD, facts)
        return
    known = read_json(place / _RECORD, "the record of ablations")
    hints = {"system": "--system", "dataset": "content of --data", "preset": "--preset"}
    hints["changes"] = "--set or --epochs"
    for name, value in facts.items():
        if known.get(name) != value:
            what = hints.get(name, "version's defaults")
            raise InputError(f"{place}: begun with another {what}; choose another --out")


def _made_with(
    datasets: Mapping[str, Dataset], preset: str, changes: Sequence[str], num_seeds: int
) -> str:
    windows = ", ".join(
        f"{sum(shard.num_windows for shard in dataset.shards(split))} {called}"
        + ("" if role == MAIN else f" ({role})")
        for role, dataset in datasets.items()
        for split, called in (("train", "training"), ("val", "validation"))
    )
    changed = f" with {' '.join(changes)}" if changes else ""
    return f"Windows: {windows}. Seeds: {num_seeds}. Preset {preset}{changed}."


@dataclass(frozen=True)
class _Bench:
    """Where and with what variants are trained."""

    module: str
    place: Path
    datasets: Mapping[str, Path]
    config: Any
    parallel: int
    address: str | None
    say: Say

    def shared(self, seed: int) -> Path:
        return self.place / "shared" / str(seed)

    def variant(self, claim: Claim, name: str, seed: int) -> Path:
        return self.place / "variants" / key_of(self._values(claim, name, seed))

    def _values(self, claim: Claim, name: str, seed: int) -> dict[str, Any]:
        return {**claim.common, **claim.variants[name], "seed": seed}

    def shared_work(self, claim: Claim, seed: int) -> Work:
        return Work(
            module=self.module,
            out=self.shared(seed),
            datasets=self.datasets,
            config=configs.merge(self.config, {"seed": seed}),
            steps=claim.shared_steps,
        )

    def variant_work(self, claim: Claim, name: str, seed: int) -> Work:
        return Work(
            module=self.module,
            out=self.variant(claim, name, seed),
            datasets=self.datasets,
            config=configs.merge(self.config, nested(self._values(claim, name, seed))),
            steps=claim.steps,
            objectives=claim.objectives,
            shared=self.shared(seed),
            # Its own steps too: where the seed's run has them as they are, they are not repeated.
            shared_steps=(*claim.shared_steps, *claim.steps),
        )

    def do(self, works: Sequence[Work]) -> Iterator[tuple[int, dict[str, float] | RaydanceError]]:
        """Carry out, in any order: which one, and its figures or why it failed.

        Raises:
            InputError: the dataset does not allow it.
        """
        if self.parallel == 1 and self.address is None:
            for number, work in enumerate(works):
                try:
                    yield number, carry_out(work)
                except InputError:
                    raise
                except RaydanceError as error:
                    yield number, error
        elif works:
            yield from self._do_through_ray(works)

    def _do_through_ray(
        self, works: Sequence[Work]
    ) -> Iterator[tuple[int, dict[str, float] | RaydanceError]]:
        import ray

        from raydance.cluster.session import ray_session
        from tuning.sweep import reason_of

        with ray_session(self.address, max(2, self.parallel)):
            cpus = ray.cluster_resources().get("CPU", 1.0)
            # Embedded, so many at once as asked for; a cluster decides itself.
            share = 1.0 if self.address else max(1.0, cpus // self.parallel)
            task = ray.remote(carry_out).options(num_cpus=share)
            refs = {task.remote(work): number for number, work in enumerate(works)}
            while refs:
                (done,), _ = ray.wait(list(refs), num_returns=1)
                number = refs.pop(done)
                try:
                    yield number, ray.get(done)
                except ray.exceptions.RayError as error:
                    if isinstance(getattr(error, "cause", None), InputError):
                        raise
                    yield number, RaydanceError(reason_of(error))


def _judge(bench: _Bench, claim: Claim, seeds: Sequence[int], made_with: str) -> dict[str, Any]:
    failed = _train(bench, claim, seeds)
    figures: list[dict[str, list[float | None]]] = []
    for measure in claim.measures:
        values: dict[str, list[float | None]] = {name: [] for name in claim.variants}
        for seed in seeds:
            folders = {name: bench.variant(claim, name, seed) for name in claim.variants}
            found: Mapping[str, float | None]
            if isinstance(measure, EpochsToLoss):
                found = _epochs_needed(folders, measure.stage)
            else:
                key = measure.objective.name
                found = {name: _known(f).get(key) for name, f in folders.items()}
            for name in values:
                values[name].append(found.get(name))
        figures.append(values)
    summary = verdicts.summarise(claim, figures)
    summary |= {"seeds": list(seeds), "failed": failed, "made_with": made_with, "split": "val"}
    write_json(bench.place / f"{claim.name}.json", summary)
    with replacing(bench.place / f"{claim.name}.md") as temporary:
        temporary.write_text(verdicts.as_markdown(summary), encoding="utf-8")
    bench.say(verdicts.as_line(summary))
    return summary


def _train(bench: _Bench, claim: Claim, seeds: Sequence[int]) -> list[str]:
    """Train and measure what is missing; says what failed, which the next call tries again."""
    missing = [
        (name, seed)
        for seed in seeds
        for name in claim.variants
        if not _is_finished(bench.variant(claim, name, seed), claim)
    ]
    needed = sorted({seed for _, seed in missing})
    if needed:
        bench.say(f"{claim.name}: the steps that variants share")
    for _, found in bench.do([bench.shared_work(claim, seed) for seed in needed]):
        if isinstance(found, RaydanceError):
            raise found
    failed = []
    works = [bench.variant_work(claim, name, seed) for name, seed in missing]
    for number, found in bench.do(works):
        name, seed = missing[number]
        head = f"{claim.name}, {name}, seed {seed}"
        if isinstance(found, RaydanceError):
            failed.append(f"{head}: {found}")
            bench.say(failed[-1])
            continue
        folder = bench.variant(claim, name, seed)
        # Beside what another claim has measured of the same variant.
        write_json(folder / _FIGURES, _known(folder) | found | dict.fromkeys(claim.steps, True))
        shown = ", ".join(f"{key} {found[key]:.4g}" for key in (*names_of(claim), "seconds"))
        bench.say(f"{head}: {shown}")
    return failed


def names_of(claim: Claim) -> list[str]:
    """The objectives among a claim's measures, by name."""
    return [objective.name for objective in claim.objectives]


def _known(folder: Path) -> dict[str, Any]:
    """Figures of a variant, and which steps are trained (`step: true`)."""
    path = folder / _FIGURES
    return read_json(path, "a variant's figures") if path.exists() else {}


def _is_finished(folder: Path, claim: Claim) -> bool:
    return {*names_of(claim), *claim.steps} <= set(_known(folder))


def _epochs_needed(folders: dict[str, Path], stage: str) -> dict[str, float]:
    curves = {
        name: [line["validation"]["total"] for line in validation_metrics(folder, stage)]
        for name, folder in folders.items()
        if stage in _known(folder)
    }
    return verdicts.epochs_to_common_loss(curves) if len(curves) == len(folders) else {}
