"""`raydance evaluate`, `report` and `annotate`: how good a run is, and what people say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raydance.commands.options import JsonOption, print_json

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A trained run folder.")]
RunDataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DATASET", help="A dataset folder; the run's own by default."),
]
BesideOption = Annotated[
    Path | None,
    typer.Option(
        "--paper-run",
        metavar="RUN",
        help="A run on the same data with --preset paper, to lay beside.",
    ),
]


def evaluate(
    run: RunArgument,
    data: RunDataOption = None,
    paper_run: BesideOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All figures, not only the main ones.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a run on the test split.

    Figures stand beside chance and a baseline that learns nothing, where these exist.

    \b
    Examples:
      raydance evaluate runs/mine --data data/mine
      raydance evaluate runs/mine --data data/mine --json > figures.json
      raydance evaluate runs/mine --paper-run runs/paper --all
    """
    from raydance import evaluation

    if paper_run is None:
        figures = evaluation.evaluate(run, data)
    else:
        figures = evaluation.compare({"paper preset": paper_run, "this run": run}, data)
    if as_json:
        print_json(figures)
    else:
        print(evaluation.as_text(figures, everything=everything))


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

    print(write_report(run, out, data, paper_run=paper_run, generated=sentences or ()))


def annotate(run: RunArgument) -> None:
    """Write the sheet for describing clusters.

    It has the exemplars of each cluster as GIFs and a YAML file for a person to fill in. Train
    again when it is filled in: the words then stand for every clip of their cluster that has no
    caption of its own.

    \b
    Example:
      raydance annotate runs/mine
    """
    from raydance.annotate import write_sheet

    page = write_sheet(run)
    print(f"{page}: look at it, fill in annotations.yaml beside it, and train again")
