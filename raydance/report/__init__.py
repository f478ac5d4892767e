"""The report of a run: a folder with a page, pictures and animations that needs no network.

Of every system it holds the figures on the test split beside chance and a baseline, samples of what
the run makes, the steps with their times, the losses, and where all of it comes from. A system adds
sections of its own (`System.sections`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raydance.data.dataset import Dataset
from raydance.errors import ArtifactError
from raydance.evaluation.general import evaluate_runs
from raydance.evaluation.measure import losses_against_baseline
from raydance.files import replacing, write_json
from raydance.report import page, plots, tables
from raydance.report.samples import sample_sections
from raydance.report.section import ReportContext, Section
from raydance.systems import system_of_run
from raydance.systems.base import history
from raydance.systems.engine import named
from raydance.systems.step import MAIN
from raydance.training.kept_epoch import checks_of
from raydance.training.run_folder import Run


def write_report(
    run_path: str | Path,
    out_dir: str | Path,
    dataset_path: str | Path | None = None,
    *,
    paper_run: str | Path | None = None,
    generated: Sequence[str] = (),
    result: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the report of a finished run of any system.

    Args:
        dataset_path: the run's own by default; without it there is no evaluation.
        paper_run: a run with the paper's choices, laid beside.
        generated: sentences to generate from; some test captions by default.
        result: an evaluation made before (`side_by_side`), instead of evaluating now.

    Returns:
        The page, `out_dir/index.html`.

    Raises:
        ArtifactError: a run that is not finished or damaged.
        InputError: a dataset that the run cannot be evaluated on.
    """
    system = system_of_run(run_path)
    loaded = system.load(run_path)
    run, out = Run.open(run_path), Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    place = Path(dataset_path or run.facts["dataset"]["path"])
    # A run is complete without its data; the report then says what it could not measure.
    dataset = None
    if dataset_path is not None or place.exists():
        dataset = Dataset.open(place)
    is_measured = system.protocol is not None or system.measures is not None
    if result is None and dataset is not None and is_measured:
        say("report: evaluates")
        runs = {"paper preset": paper_run} if paper_run is not None else {}
        result = evaluate_runs(runs | {"this run": run_path}, {MAIN: place})
    if result is not None:
        write_json(out / "evaluation.json", result)
    say("report: draws")
    evaluation = result["evaluations"][result["columns"][-1]] if result else None
    context = ReportContext(
        run=run, out=out, dataset=dataset, evaluation=evaluation, sentences=generated
    )
    own = named(system.sections) if system.sections else sample_sections
    sections = [
        Section("results", "Results on the test split", _results(result, place)),
        *own(loaded, context),
        Section("steps", "Steps", page.table(tables.steps_table(run, system.step_names))),
        Section("training", "Training", _training(run, system.trained, context.figures)),
        Section("about", "Configuration and provenance", _about(run)),
    ]
    file = out / "index.html"
    with replacing(file) as temporary:
        temporary.write_text(
            page.page(f"{system.title}: report of a run", _lead(run, evaluation), sections),
            encoding="utf-8",
        )
    return file


def _lead(run: Run, evaluation: Mapping[str, Any] | None) -> str:
    about = f"seed {run.facts['seed']}; raydance {run.facts['packages']['raydance']}"
    lead = page.paragraph(f"{run.path.name}: {about}.", "soft")
    if evaluation and evaluation["is_synthetic"]:
        return lead + page.warning(
            [
                "The data are a procedural dancer's, not recordings of people. Every real motion "
                "here is the output of a program; the figures say that the system works, not how "
                "well it would work on people."
            ]
        )
    return lead


def _results(result: Mapping[str, Any] | None, place: Path) -> str:
    if result is None:
        return page.paragraph(
            f"Not measured: the dataset {place} is not there, or the system declares no measures."
        )
    about = result["evaluations"][result["columns"][-1]]
    lost, other = (
        losses_against_baseline([row for row in result["rows"] if row["is_main"] is is_main])
        for is_main in (True, False)
    )
    hint = f", {len(other)} of them not better than the baseline" if other else ""
    lines = [
        page.paragraph(
            f"{about['windows']} rows of {about['recordings']} recordings, none of which is "
            f"among the {about['training_recordings']} trained on. Chance draws at random; the "
            "baseline learns nothing."
        ),
        page.measures(result, is_main=True),
        "<h3>Where the learned system does not beat the baseline</h3>",
        page.items(lost) if lost else page.paragraph("Nowhere in this table."),
    ]
    if any(not row["is_main"] for row in result["rows"]):
        lines += [
            f"<details><summary>All other figures{hint}</summary>",
            page.measures(result, is_main=False),
            page.items(other) if other else "",
            "</details>",
        ]
    if about["notes"]:
        lines.append(page.items(about["notes"]))
    return "".join(lines)


def _training(run: Run, trained: Sequence[str], figures: Path) -> str:
    parts = []
    checks = checks_of(run.config)
    for stage in tables.stages_of(run, trained):
        lines = history(run, stage)
        title, number, _ = tables.STAGES.get(stage, tables.plain_stage(stage))
        figure, axes = plots.new_figure(10.4, 3.3, columns=2)
        plots.draw_losses(axes, stage, lines, checks[stage])
        file = f"losses_{stage}.svg"
        plots.save_svg(figure, figures / file)
        rate = float(np.median([line["windows_per_s"] for line in lines]))
        parts.append(f"<h3>{page.text(title)}</h3>")
        words = f"Losses over {len(lines)} epochs; the dot marks the weights kept. "
        words += f"{rate:,.0f} rows a second."
        parts.append(page.figure(f"figures/{file}", number, words))
        parts.append(page.table(tables.stage_table(run, stage)))
    warned = warnings_of(run, trained)
    parts.append("<h3>Warnings raised in training</h3>")
    parts.append(page.items(warned) if warned else page.paragraph("None."))
    return "".join(parts)


def warnings_of(run: Run, trained: Sequence[str]) -> list[str]:
    """What steps and stages warned of, with stage and epoch."""
    out = [
        f"{step}: {warning}"
        for step, facts in run.facts["steps"].items()
        for warning in facts.get("warnings", ())
    ]
    for stage in tables.stages_of(run, trained):
        for line in history(run, stage):
            out += [f"{stage}, epoch {line['epoch'] + 1}: {w}" for w in line.get("warnings", ())]
    return out


def _about(run: Run) -> str:
    facts = run.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    lines = []
    for role, dataset in run.datasets.items():
        try:
            counts = Dataset.open(dataset["path"]).manifest["counts"]
            data = "; ".join(
                f"{split} {c['windows']} rows of {c['recordings']} recordings"
                for split, c in counts.items()
            )
        except ArtifactError:
            data = "not there any more"
        called = "dataset" if role == MAIN else f"dataset of {role}"
        lines.append(
            f"{called} {dataset['hash']}: {data}; {dataset['window']} frames, stride "
            f"{dataset['stride']}, {dataset['fps']:g} frames a second"
        )
    config = page.text(json.dumps(run.config, indent=1))
    return page.items([*lines, f"versions: {versions}"]) + (
        f'<details><summary>The resolved configuration</summary><div class="card"><pre>{config}'
        "</pre></div></details>"
    )
