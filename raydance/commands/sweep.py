"""`raydance sweep`."""

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


def sweep(
    space: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="beta, vae-losses, text-encoder, contrastive, generation, clusters, pipeline; of "
            "everything2motion text, music; of lang2motion search, path, flow.",
        ),
    ],
    data: DataOption,
    out: WorkFolderOption,
    system: SystemOption = "dance-language",
    music: MusicDataOption = None,
    trials: Annotated[
        int, typer.Option(metavar="N", help="Finished trials wanted, earlier ones included.")
    ] = 20,
    parallel: Annotated[
        int | None,
        typer.Option(metavar="N", help="Trials at once; as many as fit by default."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Workers that train each trial together.")] = 1,
    preset: PresetOption = "default",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="Of all trials; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sampler.")] = 0,
    address: AddressOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search for better settings: Optuna proposes and prunes, Ray trains.

    Measured on the validation split. The same command after a kill goes on and repeats no finished
    trial. DIR then holds best.yaml for `raydance train --config`, a table, pictures and study.db
    for Optuna's dashboard.

    \b
    Examples:
      raydance sweep beta --data data/mine --out sweeps/beta --trials 20 --preset quick
      raydance sweep contrastive --data data/mine --out sweeps/space --address auto --workers 4
      raydance sweep flow --system lang2motion --data data/tracks --out sweeps/flow --preset quick
    """
    from tuning import results
    from tuning.sweep import sweep as go

    with Progress(quiet=quiet) as progress:
        summary = go(
            space,
            local_datasets(data, music, progress.say),
            out,
            system=system,
            num_trials=trials,
            preset=preset,
            overrides=changes or (),
            parallel=parallel,
            workers=workers,
            seed=seed,
            address=address,
            say=progress.say,
        )
    print_json(summary) if as_json else print_lines(*results.as_text(summary).split("\n"))
