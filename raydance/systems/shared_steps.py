"""Steps of one run given to another that would repeat them: same data, configuration and seed.

Files are linked where the file system can, which is safe because raydance never writes into a file
that exists: it writes another aside and renames it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from raydance import config as configs
from raydance.artifacts import Run
from raydance.files import write_json
from raydance.systems.dance_language import DanceLanguageConfig, Training


def copy_steps(
    source_path: str | Path,
    out: str | Path,
    config: DanceLanguageConfig,
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
    """
    source, out = Run.open(source_path), Path(out)
    # As `dance_language.train` does: networks are built for the length of the dataset's windows.
    vae = replace(config.motion_vae, num_frames=source.facts["dataset"]["window"])
    plain = configs.to_dict(replace(config, motion_vae=vae))
    kept = Run.open(out).facts["steps"] if (out / "run.json").exists() else {}
    run = Run(out, {**source.facts, "steps": kept}, plain)
    plan = Training(run, _NoRunner())
    given = []
    for step in steps:
        done, wanted = source.facts["steps"].get(step, {}), plan.fingerprint(step)
        if done.get("fingerprint") == wanted and not run.is_done(step, wanted):
            _copy_step(source, run, step)
            run.facts["steps"][step] = done
            given.append(step)
    write_json(out / "config.json", plain)
    write_json(out / "run.json", run.facts)
    return given


class _NoRunner:
    """For asking a training what it would do."""

    def fit(self, task: Any) -> None:
        raise AssertionError("nothing is trained here")

    def map(self, factory: Any, args: tuple, items: Any) -> list[Any]:
        raise AssertionError("nothing is mapped here")

    def release(self) -> None:
        pass


def _copy_step(source: Run, run: Run, step: str) -> None:
    for name in (step, f"{step}_captions"):
        if source.bundle(name).exists():
            _link(source.bundle(name), run.bundle(name))
    folders = (step, "cluster_points") if step == "clusters" else (step,)
    for name in folders:
        if source.columns(name).exists():
            shutil.rmtree(run.columns(name), ignore_errors=True)
            for file in source.columns(name).glob("*.parquet"):
                _link(file, run.columns(name) / file.name)
    if source.metrics(step).exists():
        _link(source.metrics(step), run.metrics(step))


def _link(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except OSError:  # across file systems, or one without links
        shutil.copy2(file, target)
