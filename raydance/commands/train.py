"""`raydance train` and `raydance quickstart`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raydance.commands.info import run_facts
from raydance.commands.options import AddressOption, DataOption, JsonOption, QuietOption, print_json
from raydance.errors import InputError
from raydance.progress import Progress

if TYPE_CHECKING:
    from raydance.systems.base import Runner


def train(
    system: Annotated[str, typer.Argument(help="What to train: dance-language.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(metavar="RUN", help="The run folder to write or resume.")],
    workers: Annotated[
        str,
        typer.Option(
            metavar="N|MIN:MAX",
            help="Workers that train each stage together; MIN:MAX grows and shrinks with the "
            "cluster.",
        ),
    ] = "1",
    preset: Annotated[str, typer.Option(help="paper, default or quick.")] = "default",
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
    local: Annotated[
        bool, typer.Option("--local", help="A plain loop in this process, without Ray.")
    ] = False,
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
      raydance train dance-language --data data/mine --out runs/short --preset quick \\
        --set seed=1 --set motion_vae.train.epochs=60
    """
    from raydance.dataset import Dataset
    from raydance.systems import training_module

    module = training_module(system)
    resolved = module.resolve(preset, changes, str(config) if config else None)
    Dataset.open(data)  # a wrong folder is told before Ray takes its seconds to start
    if stage is not None and stage not in module.STEPS:
        raise InputError(f"--stage {stage}; allowed: {', '.join(module.STEPS)}")
    num_workers = parse_workers(workers)
    with (
        Progress(quiet=quiet) as progress,
        _runner(num_workers, local, address, progress) as runner,
    ):
        run = module.train(out, data, resolved, runner, only=stage, say=progress.say)
    if as_json:
        print_json(run_facts(run.path))
    elif not quiet:
        print(f"{out}: trained; try `raydance describe FILE --run {out}`" if stage is None else out)


def parse_workers(text: str) -> tuple[int, int]:
    """The value of `--workers`, `N` or `MIN:MAX`, as (least, most).

    Raises:
        InputError: neither form, less than one worker, or MIN above MAX.
    """
    parts = text.split(":")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"--workers {text}; allowed: a number, or MIN:MAX such as 1:4")
    least, most = int(parts[0]), int(parts[-1])
    if least < 1:
        raise InputError(f"--workers {text}; at least 1")
    if least > most:
        raise InputError(f"--workers {text}; MIN:MAX needs MIN <= MAX")
    return least, most


@contextmanager
def _runner(
    workers: tuple[int, int], local: bool, address: str | None, progress: Progress
) -> Iterator[Runner]:
    """Who carries out the work.

    Raises:
        InputError: options that do not go together.
    """
    if local:
        if workers != (1, 1) or address:
            raise InputError("--local is one process on this machine: no --workers, no --address")
        from raydance.systems.base import LocalRunner

        yield LocalRunner(progress)
        return
    from raydance.cluster.session import ray_session

    # Logical processors: more workers than the machine has still run, only not faster.
    with ray_session(address, num_cpus=max(workers[1] + 1, os.cpu_count() or 1)):
        from raydance.cluster.train import RayRunner

        yield RayRunner(workers, report=progress, warn=progress.warn)


def quickstart(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")] = Path(
        "runs/quickstart"
    ),
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
        result = go(out, say=progress.say, report=progress)
    print_json(result) if as_json else print(result["out"])
