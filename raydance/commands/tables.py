"""`raydance tables`: the tables of Everything2Motion's paper from runs of one's own."""

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
    datasets_by_role,
)
from raydance.commands.options import local as local_copy
from raydance.commands.output import print_json, print_lines
from raydance.commands.runner import runner_of
from raydance.errors import InputError
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
            help="These tables, such as 1,3; by default all, without music all but 2.",
        ),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="A trained evaluator; by default one is trained too."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Of the run beside the preset paper: default or quick.")
    ] = "default",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="In all runs; may be repeated."),
    ] = None,
    evaluator_changes: Annotated[
        list[str] | None,
        typer.Option("--set-evaluator", metavar="A.B=VALUE", help="In the evaluator."),
    ] = None,
    replications: Annotated[int, typer.Option(metavar="N", min=2, max=1000)] = 20,
    address: AddressOption = None,
    local: LocalOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make Tables 1 to 5 of the Everything2Motion paper.

    Trains what they need: the evaluator, the presets paper and default, the paper's ablations and
    shapes of its latent query. The same command after a kill goes on where it was. DIR then holds
    tables.md and tables.json. The paper's numbers stand only beside what compares with them.

    \b
    Examples:
      raydance tables --data data/clips --music data/dances --out tables
      raydance tables --data data/clips --out tables --only 1,3 --evaluator runs/evaluator --local
    """
    from raydance.data.dataset import Dataset
    from raydance.evaluation.general import open_evaluator
    from raydance.evaluation.text_motion import Replications
    from raydance.files import replacing, write_json
    from raydance.report.paper_tables import NEEDED, as_markdown, paper_tables
    from raydance.systems import system_of
    from raydance.systems.everything2motion.variants import train_variants

    progress = Progress(quiet=quiet)
    with ExitStack() as stack:
        stack.enter_context(progress)
        runner = stack.enter_context(runner_of((1, 1), None, local, address, progress, False))
        places = {
            role: local_copy(place, progress.say)
            for role, place in datasets_by_role(data, music).items()
        }
        has_music = any("music" in Dataset.open(place).arrays for place in places.values())
        wanted = only.split(",") if only else [t for t in NEEDED if t != "2" or has_music]
        if unknown := sorted(set(wanted) - set(NEEDED)):
            raise InputError(f"--only {unknown[0]}; allowed: {','.join(NEEDED)}")
        judge = None
        if set(wanted) & {"1", "4", "5"}:
            place = local_copy(evaluator) if evaluator else out / "evaluator"
            if evaluator is None:
                plan = system_of("evaluator")
                config = plan.resolve("default", evaluator_changes)
                plan.train(place, places["data"], config, runner, say=progress.say)
            judge = open_evaluator(place)
        names = list(dict.fromkeys(run for table in sorted(wanted) for run in NEEDED[table]))
        runs = train_variants(
            names,
            Path(out),
            places,
            runner,
            preset=preset,
            changes=changes or (),
            say=progress.say,
        )
        made = paper_tables(
            runs, wanted, judge, replications=Replications(count=replications), say=progress.say
        )
    text = "\n".join(map(as_markdown, made))
    with replacing(out / "tables.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    plain = [asdict(table) for table in made]
    write_json(out / "tables.json", plain)
    print_json(plain) if as_json else print_lines(*text.removesuffix("\n").split("\n"))
