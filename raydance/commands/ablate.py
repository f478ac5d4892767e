"""`raydance ablate`."""

from __future__ import annotations

from typing import Annotated

import typer

from raydance.commands.options import (
    AddressOption,
    DataOption,
    JsonOption,
    MusicDataOption,
    PresetOption,
    QuietOption,
    SystemOption,
    WorkFolderOption,
    local_datasets,
)
from raydance.commands.output import print_json, print_lines
from raydance.progress import Progress


def ablate(
    claim: Annotated[
        str,
        typer.Argument(
            metavar="NAME|all",
            help="mix, cells, schedule, hybrid, distance, symmetry, losses, decoder; of "
            "everything2motion head, prior, conditioning; of lang2motion head, paths, "
            "guidance, tokens; or all.",
        ),
    ],
    data: DataOption,
    out: WorkFolderOption,
    system: SystemOption = "dance-language",
    music: MusicDataOption = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="Each variant is trained so often.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Of every stage; the preset's by default.")
    ] = None,
    preset: PresetOption = "paper",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="Of all variants; may be repeated."),
    ] = None,
    parallel: Annotated[
        int, typer.Option(metavar="N", help="Variants at once; more than one through Ray.")
    ] = 1,
    address: AddressOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put claims about a system, such as the paper's unproven ones, to the test.

    Each variant of a claim is trained from the same start under several seeds and measured on the
    validation split. The verdict is "holds", "does not hold" or "within noise". The same command
    after a kill repeats no finished variant. DIR then holds a table for each claim.

    \b
    Examples:
      raydance ablate mix --data data/mine --out ablations --preset quick --seeds 3
      raydance ablate all --data data/mine --out ablations --epochs 100 --parallel 4
      raydance ablate head --system everything2motion --data data/clips --out ablations/e2m \\
        --preset quick
    """
    from tuning import verdicts
    from tuning.ablate import ablate as go

    with Progress(quiet=quiet) as progress:
        found = go(
            claim,
            local_datasets(data, music, progress.say),
            out,
            system=system,
            num_seeds=seeds,
            epochs=epochs,
            preset=preset,
            overrides=changes or (),
            parallel=parallel,
            address=address,
            say=progress.say,
        )
    text = "\n".join(map(verdicts.as_markdown, found))
    print_json(found) if as_json else print_lines(*text.removesuffix("\n").split("\n"))
