"""The evaluation of any system: reads the test splits, lets the system measure, and reports.

What is measured comes from the system's declaration (`System.measures`). Dance-Language declares a
longer protocol of its own (`raydance.evaluation.protocol`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.evaluation.comparison import side_by_side
from raydance.evaluation.measure import losses_against_baseline
from raydance.evaluation.text_motion import Replications, text_motion_measures
from raydance.evaluation.zero_shot import notes_of, zero_shot, zero_shot_measures
from raydance.systems import system_of_run
from raydance.systems.engine import System, named
from raydance.systems.evaluator.run import Evaluator
from raydance.systems.step import MAIN
from raydance.training.run_folder import Run


def evaluate_runs(
    runs: Mapping[str, str | Path],
    places: Mapping[str, str | Path] | None = None,
    *,
    evaluator: str | Path | None = None,
    replications: int = Replications.count,
    classify: str | None = None,
) -> dict[str, Any]:
    """Evaluate runs of one system on the same data; the last one is "this run".

    Args:
        runs: title of the column -> run folder.
        places: as for `evaluate_system`.
        evaluator: run of the system `evaluator`, which then measures motion made from words too,
            so often.
        classify: as for `evaluate_system`.

    Returns:
        As `comparison.side_by_side`.

    Raises:
        InputError: runs of several systems, an evaluator that does not fit, or as for
            `evaluate_system`.
    """
    judge = open_evaluator(evaluator) if evaluator is not None else None
    *others, system = [system_of_run(path) for path in runs.values()]
    for path, other in zip(runs.values(), others):
        if other.name != system.name:
            raise InputError(f"{path}: a run of {other.name}, beside one of {system.name}")
    result: dict[str, Any]
    if classify is None and system.protocol is not None:
        result = named(system.protocol)(runs, (places or {}).get(MAIN))
    else:
        result = side_by_side(
            {t: evaluate_system(system, path, places, classify) for t, path in runs.items()}
        )
    if judge is None:
        return result
    for title, path in runs.items():
        facts = Run.open(path).facts["dataset"]
        measures = text_motion_measures(
            system,
            system.load(path),
            Dataset.open((places or {}).get(MAIN) or facts["path"]),
            judge,
            Replications(count=replications),
        )
        evaluation = result["evaluations"][title]
        evaluation["measures"] += [measure.as_dict() for measure in measures]
        evaluation["losses"] = losses_against_baseline(evaluation["measures"])
    return side_by_side(result["evaluations"])


def open_evaluator(path: str | Path) -> Evaluator:
    """A trained evaluator.

    Raises:
        InputError: a run of another system.
        ArtifactError: not a run, damaged, or not finished.
    """
    system = system_of_run(path)
    if system.name != "evaluator":
        raise InputError(f"{path}: a run of {system.name}; `raydance train evaluator` makes one")
    loaded: Evaluator = system.load(path)
    return loaded


def evaluate_system(
    system: System,
    run_path: str | Path,
    places: Mapping[str, str | Path] | None = None,
    classify: str | None = None,
) -> dict[str, Any]:
    """Measure a run on the test splits of its datasets.

    Args:
        places: datasets by role; those that the run was trained on where none is given.
        classify: a label of the dataset; then only how well the run tells its names without
            training on them is measured (`zero_shot`).

    Returns:
        Plain data: counts, `measures` (see `Measure`), `losses`, `notes`.

    Raises:
        InputError: no test rows, test rows of a recording that was trained on, or a run that does
            not classify.
    """
    started = time.monotonic()
    run = Run.open(run_path)
    datasets = {}
    trained: dict[str, set[str]] = {}
    for role, facts in run.datasets.items():
        own = Path(facts["path"])
        place = Path((places or {}).get(role, own))
        datasets[role] = Dataset.open(place)
        if not datasets[role].shards("test"):
            raise InputError(f"{place}: no test rows to measure on")
        # The run's own data where they are still there: else what is given must be disjoint.
        source = Dataset.open(own) if (own / "manifest.json").exists() else datasets[role]
        trained[role] = {c["recording"] for c in source.clips() if c["split"] == "train"}
        measured = {c["recording"] for c in datasets[role].clips() if c["split"] == "test"}
        if shared := sorted(trained[role] & measured):
            raise InputError(f"{place}: {shared[0]} is tested on, but was trained on")
    if classify is not None and "classify" not in system.tasks:
        raise InputError(f"--classify: a run of {system.title} does not name tracks")
    if system.measures is None:
        raise InputError(f"{system.name} declares nothing to measure")
    loaded = system.load(run_path)
    notes = list(getattr(loaded, "notes", ()))
    main = datasets[MAIN]
    if classify is None:
        found = named(system.measures)(loaded, datasets, "test")
    else:
        told = zero_shot(loaded, main, classify)
        if main.manifest_hash == run.facts["dataset"]["hash"]:
            notes = [*notes, "the run was trained on this dataset: names are no news to it"]
        found, notes = zero_shot_measures(told), [*notes, *notes_of(told)]
    measures = [measure.as_dict() for measure in found]
    tested = [clip for clip in main.clips() if clip["split"] == "test"]
    return {
        "run": str(run_path),
        "system": system.name,
        "dataset": str(main.path),
        "split": "test",
        "windows": main.manifest["counts"]["test"]["windows"],
        "clips": len(tested),
        "recordings": len({clip["recording"] for clip in tested}),
        "training_recordings": len(trained[MAIN]),
        "is_synthetic": any('"origin": "synthetic"' in clip["labels"] for clip in tested),
        "measures": measures,
        "losses": losses_against_baseline(measures),
        "notes": notes,
        "seconds": time.monotonic() - started,
    }
