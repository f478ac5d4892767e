"""`raydance unseen`: can a system make what its training sentences never said together?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from raydance.commands.options import (
    AddressOption,
    DataOption,
    JsonOption,
    LocalOption,
    PresetOption,
    QuietOption,
    WorkFolderOption,
)
from raydance.commands.options import local as local_copy
from raydance.commands.output import print_json, print_lines
from raydance.commands.runner import runner_of
from raydance.errors import InputError
from raydance.progress import Progress


def unseen(
    system: Annotated[
        str, typer.Argument(help="A system that makes motion from captions: dance-language, ...")
    ],
    data: DataOption,
    out: WorkFolderOption,
    labels: Annotated[
        str, typer.Option(metavar="A,B", help="Two labels that clips of the dataset have.")
    ] = "content,style",
    hold: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Combinations to hold out.")
    ] = 10,
    preset: PresetOption = "quick",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="Change one value; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the choice of combinations and the judge.")] = 0,
    address: AddressOption = None,
    local: LocalOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Hold combinations of two labels out of training, then generate them.

    What training would mirror into a held-out combination is held out too.

    A judge that knows real motion of all combinations names both labels of what was generated, of
    real motion, and of copies of training windows with the nearest caption. The same command after
    a kill goes on where it was. DIR holds the dataset with its other splits, the run, and
    unseen_words.json.

    \b
    Examples:
      raydance ingest bandai/ --layout bandai --out data/bandai
      raydance unseen dance-language --data data/bandai --out runs/unseen
      raydance unseen dance-language --data data/corpus --labels movement,side --hold 3 --out DIR
    """
    from raydance.data.dataset import Dataset, is_dataset
    from raydance.evaluation import unseen_words
    from raydance.files import write_json
    from raydance.systems import system_of
    from raydance.systems.engine import named

    first, _, second = labels.partition(",")
    if not first or not second or "," in second:
        raise InputError(f"--labels {labels}; two names with a comma between are needed")
    plan = system_of(system)
    if plan.from_captions is None:
        raise InputError(f"{system}: makes no motion from captions")
    config = plan.resolve(preset, changes)
    progress = Progress(quiet=quiet)
    with progress:
        source = Dataset.open(local_copy(data, progress.say))
        pairs = unseen_words.choose(source, (first, second), hold, seed)
        place = out / "dataset"
        out.mkdir(parents=True, exist_ok=True)
        if not is_dataset(place):
            unseen_words.hold_out(source, place, (first, second), pairs)
        dataset = Dataset.open(place)
        with runner_of((1, 1), None, local, address, progress, False) as runner:
            run = plan.train(out / "run", place, config, runner, say=progress.say)
        loaded, made = plan.load(run.path), named(plan.from_captions)
        rows, count = unseen_words.measure(
            dataset,
            (first, second),
            pairs,
            lambda captions, lengths, seed: made(loaded, captions, lengths, seed),
            seed,
        )
    found = {"windows": count, "held_out": pairs, "rows": [asdict(row) for row in rows]}
    write_json(out / "unseen_words.json", found)
    if as_json:
        print_json(found)
        return
    print_lines(
        f"{count} test windows; never together in training: " + "; ".join(map(" ".join, pairs)),
        f"{'':<26} {first:>10} {second:>10} {'both':>8}",
        *(
            f"{row.motion:<26} {row.first:>8.1f} % {row.second:>8.1f} % {row.both:>6.1f} %"
            for row in rows
        ),
    )
