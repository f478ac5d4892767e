"""`raydance train` and `raydance quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raydance.commands.info import run_facts
from raydance.commands.options import (
    AddressOption,
    DataOption,
    JsonOption,
    LocalOption,
    MusicDataOption,
    PresetOption,
    QuietOption,
    check_out,
    datasets_by_role,
    destination,
)
from raydance.commands.options import local as local_copy
from raydance.commands.output import print_json, print_lines
from raydance.commands.runner import runner_of
from raydance.config import parse_range
from raydance.errors import InputError
from raydance.progress import Progress

if TYPE_CHECKING:
    pass


def train(
    system: Annotated[
        str, typer.Argument(help="dance-language, everything2motion, lang2motion or evaluator.")
    ],
    data: DataOption,
    out: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            callback=check_out,
            help="The run to write or resume: a folder, or its URI.",
        ),
    ],
    music: MusicDataOption = None,
    workers: Annotated[
        str,
        typer.Option(
            metavar="N|MIN:MAX",
            help="Workers that train each stage together; MIN:MAX grows and shrinks with the "
            "cluster.",
        ),
    ] = "1",
    gpu: Annotated[
        bool | None,
        typer.Option(
            "--gpu/--no-gpu",
            help="A GPU for each worker; say so where GPU nodes start on demand. By default, "
            "where the cluster has them.",
        ),
    ] = None,
    preset: PresetOption = "default",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="Change one value; may be repeated."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON laid over the preset.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(metavar="NAME", help="This stage only, such as motion_vae.")
    ] = None,
    address: AddressOption = None,
    local: LocalOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a system on a dataset, stage by stage.

    The same command after a kill goes on where it was. A stage is trained again only when its
    configuration, the data or a stage that it builds on has changed.

    \b
    Examples:
      raydance train dance-language --data data/mine --out runs/mine
      raydance train dance-language --data data/mine --out runs/mine --workers 4 --address auto
      raydance train dance-language --data data/mine --out runs/mine --workers 1:8 --address auto
      raydance train everything2motion --data data/clips --music data/dances --out runs/dance
      raydance train lang2motion --data data/tracks --out runs/tracks
      raydance train evaluator --data data/clips --out runs/evaluator
      raydance train dance-language --data data/mine --out runs/short --preset quick \\
        --set seed=1 --set motion_vae.train.epochs=60
    """
    from raydance.data import storage
    from raydance.data.dataset import Dataset
    from raydance.systems import system_of

    plan = system_of(system)
    resolved = plan.resolve(preset, changes, str(config) if config else None)
    places = datasets_by_role(data, music)
    for role, place in places.items():
        if role not in plan.datasets:
            raise InputError(f"--{role}: {system} takes no such dataset")
        if not storage.is_uri(place):
            Dataset.open(place)  # a wrong folder is told before Ray takes its seconds to start
    if stage is not None and stage not in plan.step_names:
        raise InputError(f"--stage {stage}; allowed: {', '.join(plan.step_names)}")
    num_workers = parse_range("--workers", workers)
    progress = Progress(quiet=quiet)
    uris = [place for place in (*places.values(), out) if storage.is_uri(place)]
    storage.check_answers(uris)
    with progress, runner_of(num_workers, gpu, local, address, progress, bool(uris)) as runner:
        datasets = {role: local_copy(place, progress.say) for role, place in places.items()}
        folder = destination(out, "run.json", "a run", keep_extra=True)
        run = plan.train(
            folder,
            datasets,
            resolved,
            runner,
            only=stage,
            say=progress.say,
            saved=lambda: storage.publish(folder, out) if storage.is_uri(out) else None,
        )
    if as_json:
        print_json(run_facts(run.path))
    elif not quiet:
        describes = "describe" in plan.tasks
        what = "describe FILE" if describes else f"info {out}` or `raydance evaluate"
        where = f"--run {out}" if describes else out
        hint = f"{out}: trained; try `raydance {what} {where}`"
        print_lines(hint if stage is None else out)


def quickstart(
    out: Annotated[
        Path, typer.Option(metavar="DIR", callback=check_out, help="The folder to write.")
    ] = Path("runs/quickstart"),
    with_music: Annotated[
        bool, typer.Option("--with-music", help="Also train a dancer, who dances to a new song.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Try everything once on the embedded corpus.

    Makes the corpus, trains every stage, evaluates, describes, generates and writes a report.

    Needs no network and no data; the corpus is a procedural dancer, not a recording.

    \b
    Example:
      raydance quickstart --out runs/quickstart
    """
    from raydance.quickstart import quickstart as go

    with Progress(quiet=quiet) as progress:
        result = go(out, say=progress.say, report=progress, music=with_music)
    print_json(result) if as_json else print_lines(str(result["out"]))
