"""`raydance evaluate`, `report` and `annotate`: how good a run is, and what people say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raydance.commands.options import DataOption, JsonOption, print_json

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A trained run folder.")]


def evaluate(run: RunArgument, data: DataOption, as_json: JsonOption = False) -> None:
    """Measure a run on the test split.

    Every figure stands beside chance and a baseline that learns nothing.

    \b
    Examples:
      raydance evaluate runs/mine --data data/mine
      raydance evaluate runs/mine --data data/mine --json > figures.json
    """
    from raydance import evaluation

    figures = evaluation.evaluate(run, data)
    print_json(figures) if as_json else print(evaluation.as_text(figures))


def report(
    run: RunArgument,
    data: DataOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")],
) -> None:
    """Write an HTML report with pictures.

    Figures, loss curves, clusters, real and generated motion.

    \b
    Example:
      raydance report runs/mine --data data/mine --out runs/mine/report
    """
    from raydance.report import write_report

    print(write_report(run, data, out))


def annotate(run: RunArgument) -> None:
    """Write the sheet for describing clusters.

    It has the exemplars of each cluster as GIFs and a YAML file for a person to fill in.

    Fill in the YAML file and train again: the words then stand for every clip of their cluster
    that has no caption of its own.

    \b
    Example:
      raydance annotate runs/mine
    """
    from raydance.annotate import write_sheet

    print(write_sheet(run))
