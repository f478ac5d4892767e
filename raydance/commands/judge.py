"""`raydance evaluate`, `report` and `annotate`: how good a run is, and what people say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raydance.commands.options import (
    JsonOption,
    local,
)
from raydance.commands.output import print_json, print_lines
from raydance.errors import InputError

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A trained run: a folder, or its URI.")
]
RunDataOption = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="DATASET", help="A dataset: a folder, or its URI; by default the run's."
    ),
]
BesideOption = Annotated[
    str | None,
    typer.Option(
        "--paper-run",
        metavar="RUN",
        help="A run on the same data with --preset paper, to lay beside.",
    ),
]


def evaluate(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Trained runs: folders, or their URIs."),
    ],
    data: RunDataOption = None,
    paper_run: BesideOption = None,
    evaluator: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="A run of `raydance train evaluator` that measures motion made from words.",
        ),
    ] = None,
    replications: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, max=1000, help="Repetitions with --evaluator, 20 by default."
        ),
    ] = None,
    classify: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="Only whether a run of lang2motion tells the names that this label of --data "
            "holds, such as action.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All figures, not only the main ones.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a run on the test split.

    Figures stand beside chance and a baseline that learns nothing, where these exist. Of several
    runs, such as the same training under several seeds, the means are shown with intervals.

    \b
    Examples:
      raydance evaluate runs/mine --data data/mine
      raydance evaluate runs/seed0 runs/seed1 runs/seed2
      raydance evaluate runs/mine --data data/mine --json > figures.json
      raydance evaluate runs/mine --paper-run runs/paper --all
      raydance evaluate runs/mine --evaluator runs/evaluator
      raydance evaluate runs/tracks --data data/jhmdb --classify action
    """
    from raydance import evaluation

    places = {"data": local(data)} if data else None
    if replications is not None and evaluator is None:
        raise InputError("--replications needs --evaluator; add it, or leave --replications out")
    if twice := [run for run in runs if runs.count(run) > 1]:
        raise InputError(f"{twice[0]}: given twice; each run counts once")
    names = runs if len(runs) > 1 else ["this run"]
    beside = {"paper preset": local(paper_run)} if paper_run else {}
    result = evaluation.evaluate_runs(
        beside | {name: local(run) for name, run in zip(names, runs)},
        places,
        evaluator=local(evaluator) if evaluator else None,
        **({} if replications is None else {"replications": replications}),
        classify=classify,
    )
    if len(runs) > 1:
        found = result["evaluations"]
        mean = evaluation.mean_of([found.pop(run) for run in runs])
        result = evaluation.side_by_side(found | {f"mean of {len(runs)} runs": mean})
    figures = result if paper_run else list(result["evaluations"].values())[-1]
    if as_json:
        print_json(figures)
    else:
        print_lines(*evaluation.as_text(figures, everything=everything).split("\n"))


def report(
    run: RunArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")],
    data: RunDataOption = None,
    paper_run: BesideOption = None,
    sentences: Annotated[
        list[str] | None,
        typer.Option(
            "--sentence",
            metavar="TEXT",
            help="Generate motion from it for the page; may be repeated. Test captions by default.",
        ),
    ] = None,
) -> None:
    """Write an HTML report with pictures.

    Figures, loss curves, clusters, real and generated motion; it needs no network to be read.

    \b
    Examples:
      raydance report runs/mine --data data/mine --out runs/mine/report
      raydance report runs/mine --out report --sentence "a slow turn" --paper-run runs/paper
    """
    from raydance.report import write_report

    dataset, beside = local(data) if data else None, local(paper_run) if paper_run else None
    page = write_report(local(run), out, dataset, paper_run=beside, generated=sentences or ())
    print_lines(str(page))


def annotate(run: RunArgument) -> None:
    """Write the sheet for describing clusters.

    It has the exemplars of each cluster as GIFs and a YAML file for a person to fill in. Train
    again when it is filled in: the words then stand for every clip of their cluster, beside the
    captions that it has of its own.

    \b
    Example:
      raydance annotate runs/mine
    """
    from raydance.data.storage import is_uri
    from raydance.report.annotation_sheet import write_sheet

    if is_uri(run):
        raise InputError(f"{run}: the sheet is for a person, so the run must be a folder here")
    page = write_sheet(Path(run))
    print_lines(f"{page}: look at it, fill in annotations.yaml beside it, and train again")
