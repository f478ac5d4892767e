"""The evaluation of a system that lists its own measures: reads the test split, measures, reports.

Dance-Language has a longer protocol of its own (`raydance.evaluation.protocol`).
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from raydance.data.dataset import Dataset
from raydance.errors import InputError
from raydance.evaluation.measure import losses_against_baseline
from raydance.systems.engine import MAIN, System
from raydance.training.run_folder import Run

MEASURES: Final[dict[str, str]] = {
    "everything2motion": "raydance.evaluation.everything2motion",
    "lang2motion": "raydance.evaluation.lang2motion",
}
"""System -> the module with its `measures_of(loaded, datasets)`."""


def evaluate_system(
    system: System, run_path: str | Path, places: Mapping[str, str | Path] | None = None
) -> dict[str, Any]:
    """Measure a run on the test splits of its datasets.

    Args:
        places: datasets by role; those that the run was trained on where none is given.

    Returns:
        Plain data: counts, `measures` (see `Measure`), `losses`, `notes`.

    Raises:
        InputError: no test rows, or test rows of a recording that was trained on.
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
    loaded = system.load(Path(run_path))
    measures_of = importlib.import_module(MEASURES[system.name]).measures_of
    measures = [measure.as_dict() for measure in measures_of(loaded, datasets)]
    main = datasets[MAIN]
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
        "notes": list(getattr(loaded, "notes", ())),
        "seconds": time.monotonic() - started,
    }
