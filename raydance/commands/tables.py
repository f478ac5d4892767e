"""`raydance tables`: the tables of a system's paper from runs of one's own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from raydance.commands.options import (
    AddressOption,
    DataOption,
    JsonOption,
    LocalOption,
    MusicDataOption,
    QuietOption,
    WorkFolderOption,
    local_datasets,
)
from raydance.commands.options import local as local_copy
from raydance.commands.output import print_json, print_lines
from raydance.commands.runner import runner_of
from raydance.progress import Progress


def tables(
    data: DataOption,
    out: WorkFolderOption,
    music: MusicDataOption = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="N,N",
            help="These tables, such as 1,3; by default all that the data allow.",
        ),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="A trained evaluator; by default one is trained too."),
    ] = None,
    actions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATASET",
            help="Tracks or motion whose names a run of lang2motion tells; may be repeated.",
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Of the run beside the preset paper: default or quick.")
    ] = "default",
    paper_preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of the paper's own runs of lang2motion: paper-offline, or paper with a CLIP.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="In all runs; may be repeated."),
    ] = None,
    evaluator_changes: Annotated[
        list[str] | None,
        typer.Option("--set-evaluator", metavar="A.B=VALUE", help="In the evaluator."),
    ] = None,
    replications: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, max=1000, help="Repetitions with the evaluator, 20 by default."
        ),
    ] = None,
    address: AddressOption = None,
    local: LocalOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the tables of the paper of a system from your own runs.

    Of motion those of Everything2Motion (1 to 5), of tracks those of Lang2Motion (1 to 8). Trains
    what they need: the presets default and paper, the paper's ablations, an evaluator of motion.
    The same command after a kill goes on where it was. DIR then holds tables.md and tables.json.
    The paper's numbers stand only beside what compares with them.

    \b
    Examples:
      raydance tables --data data/clips --music data/dances --out tables
      raydance tables --data data/clips --out tables --only 1,3 --evaluator runs/evaluator --local
      raydance tables --data data/scenes --out tables --only 1,2,8
      raydance tables --data data/scenes --out tables --only 3 --actions data/jhmdb
    """
    from raydance.evaluation.text_motion import Replications
    from raydance.files import replacing, write_json
    from raydance.report import paper_tables

    progress = Progress(quiet=quiet)
    with ExitStack() as stack:
        stack.enter_context(progress)
        places = local_datasets(data, music, progress.say)
        system = paper_tables.system_with_tables(places["data"])
        runner = stack.enter_context(runner_of((1, 1), None, local, address, progress, False))
        request = paper_tables.TablesRequest(
            out=Path(out),
            datasets=places,
            runner=runner,
            preset=preset,
            paper_preset=paper_preset,
            changes=changes or (),
            evaluator=local_copy(evaluator, progress.say) if evaluator else None,
            evaluator_changes=evaluator_changes or (),
            replications=Replications(count=replications) if replications else None,
            actions=[local_copy(place, progress.say) for place in actions or ()],
            say=progress.say,
        )
        made = paper_tables.make_tables(system, request, only.split(",") if only else ())
    text = "\n".join(map(paper_tables.as_markdown, made))
    with replacing(out / "tables.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    plain = [asdict(table) for table in made]
    write_json(out / "tables.json", plain)
    print_json(plain) if as_json else print_lines(*text.removesuffix("\n").split("\n"))
