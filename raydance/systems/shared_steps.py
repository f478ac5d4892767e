"""Steps of one run given to another that would repeat them: same data, configuration and seed.

Files are linked where the file system can, which is safe because raydance never writes into a file
that exists: it writes another aside and renames it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from raydance import config as configs
from raydance.data.dataset import Dataset
from raydance.files import finished, write_json
from raydance.systems.engine import Plan, System
from raydance.systems.step import Step, column_folder
from raydance.training.run_folder import Run


def copy_steps(
    system: System,
    source_path: str | Path,
    out: str | Path,
    config: Any,
    steps: Iterable[str],
) -> list[str]:
    """Give a run, begun or not, those steps of another that its own configuration would repeat.

    Args:
        source_path: the run that has the steps.
        out: the run folder to begin or to add to.
        config: of the run at `out`.
        steps: which steps, in their order.

    Returns:
        The steps given; one that differs, or that `out` has already, is left out.

    Raises:
        ArtifactError: `source_path` is not a run, or a folder is damaged.
        InputError: the datasets of `source_path` do not allow the configuration.
    """
    source, out = Run.open(source_path), Path(out)
    opened = {role: Dataset.open(facts["path"]) for role, facts in source.datasets.items()}
    plain = configs.to_dict(system.check(config, opened))
    kept = Run.open(out).facts["steps"] if (out / "run.json").exists() else {}
    run = Run(out, {**source.facts, "steps": kept}, plain)
    plan = Plan.of(system, run)
    given = []
    for name in steps:
        done = source.facts["steps"].get(name, {})
        if done.get("fingerprint") == plan.mark(name) and not plan.is_done(name):
            _copy_step(source, run, system.step(name))
            run.facts["steps"][name] = done
            given.append(name)
    write_json(out / "config.json", plain)
    write_json(out / "run.json", run.facts)
    return given


def _copy_step(source: Run, run: Run, step: Step) -> None:
    for name in step.bundle_names:
        if source.bundle(name).exists():
            _link(source.bundle(name), run.bundle(name))
    folders = [column_folder(name, role) for name in step.columns for role in run.datasets]
    for name in (*folders, *step.copied):
        if source.columns(name).exists():
            shutil.rmtree(run.columns(name), ignore_errors=True)
            for file in finished(source.columns(name), ".parquet"):
                _link(file, run.columns(name) / file.name)
    for name in step.folders:
        shutil.rmtree(run.path / name, ignore_errors=True)
        for file in (source.path / name).rglob("*"):
            if file.is_file():
                _link(file, run.path / file.relative_to(source.path))
    if source.metrics(step.name).exists():
        _link(source.metrics(step.name), run.metrics(step.name))


def _link(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except OSError:  # across file systems, or one without links
        shutil.copy2(file, target)
