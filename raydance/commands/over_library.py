"""`raydance dance` and `index`, and what `task --library` does: a task over a whole folder."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from raydance.commands.options import (
    AddressOption,
    JsonOption,
    QuietOption,
    RunOption,
    check_out,
    destination,
    local,
)
from raydance.commands.output import print_json, print_lines
from raydance.commands.task import ChoicesOption, read_inputs, split_choices
from raydance.config import parse_range
from raydance.errors import InputError
from raydance.progress import Progress

ActorsOption = Annotated[
    str | None,
    typer.Option(
        "--actors", metavar="N|MIN:MAX", help="How many work at once; one to all processors."
    ),
]
OutFolder = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="FOLDER",
        callback=check_out,
        help="The folder to write or go on with, or its URI.",
    ),
]


def dance(
    library: Annotated[
        list[str], typer.Argument(metavar="SONGS...", help="Folders of songs, or their URIs.")
    ],
    run: RunOption,
    out: OutFolder,
    format: Annotated[
        str, typer.Option("--format", metavar="SUFFIX", help="bvh, glb, npz, gif or mp4.")
    ] = "bvh",
    choices: ChoicesOption = None,
    actors: ActorsOption = None,
    address: AddressOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a dance for every song of a library.

    Songs that were danced to before are not done again: the same command goes on after a kill,
    takes in new songs, and does changed ones anew. What cannot be read is listed in skipped.jsonl.

    \b
    Examples:
      raydance dance music/ --run runs/dance --out dances
      raydance dance music/ --run runs/dance --out dances --option seconds=20 --format glb
    """
    answer_library(
        library,
        run,
        "generate",
        out,
        each="music",
        suffix=f".{format}",
        options=split_choices(choices or ()),
        actors=actors,
        address=address,
        quiet=quiet,
        as_json=as_json,
    )


def index(
    library: Annotated[
        list[str],
        typer.Argument(metavar="LIBRARY...", help="Folders of tracks or of motion, or their URIs."),
    ],
    run: RunOption,
    out: OutFolder,
    actors: ActorsOption = None,
    address: AddressOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Place a library in a run's space, to search it by a sentence or an example.

    Files that were indexed before are not done again.

    \b
    Examples:
      raydance index tracks/ --run runs/tracks --out indexes/tracks
      raydance search "a dog runs" --library indexes/tracks
    """
    from raydance.library.task_worker import INDEX

    answer_library(
        library, run, INDEX, out, actors=actors, address=address, quiet=quiet, as_json=as_json
    )


def answer_library(
    library: Sequence[str],
    run: str,
    task: str,
    out: str,
    *,
    each: str | None = None,
    suffix: str = "",
    inputs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    actors: str | None = None,
    address: str | None = None,
    quiet: bool = False,
    as_json: bool = False,
) -> None:
    """Let a run do a task with every file of a library, and say what became of it.

    Raises:
        InputError: a task, input or option that the run does not take, or nothing to read.
    """
    from raydance.cluster.session import ray_session, require_shared_cache
    from raydance.data.storage import check_answers, is_uri, publish
    from raydance.library.task_worker import INDEX, Order, input_of
    from raydance.systems import SYSTEMS, system_of_run
    from raydance.systems.tasks import task_of

    pool = parse_range("--actors", actors) if actors else None
    check_answers([*library, out])
    with Progress(quiet=quiet) as progress:
        place = local(run, progress.say).resolve()
        system = system_of_run(place)
        loaded = system.load(place)
        if task == INDEX and "caption" in system.tasks:
            raise InputError(f"{run}: a run that captions; `raydance caption` indexes libraries")
        if task == INDEX and not hasattr(loaded, "point_of"):
            raise InputError(f"{run}: a run of {system.name}, which has no space to search")
        wanted = task_of(loaded, "search" if task == INDEX else task)
        name = input_of(wanted, each)
        if task != INDEX:
            wanted.request({**(inputs or {}), name: library[0]}, options or {})
            if wanted.output != "table":
                suffix = check_suffix(wanted.output, suffix)
        with ray_session(address):
            from raydance.cluster.library import answer_library as go

            if any(map(is_uri, [out, run, *library])):
                require_shared_cache()
            folder = destination(out, "task.json", "a library")
            order = Order(
                module=SYSTEMS[system.name],
                run=str(place),
                out=str(Path(folder).resolve()),
                task=task,
                each=name,
                kind=wanted.inputs[name].kind,
                inputs=inputs or {},
                options=options or {},
                suffix=suffix,
            )
            counts = go(
                [local(one, progress.say) for one in library],
                order,
                actors=pool,
                progress=functools.partial(progress.files, name=task),
            )
            if is_uri(out):
                publish(folder, out, say=progress.say)
    print_json(counts) if as_json else print_lines(*_as_text(counts, out))


def check_suffix(output: str, suffix: str) -> str:
    """The suffix of the files that a task makes; a format of its own by default.

    Raises:
        InputError: one that is not written.
    """
    from raydance.motion import export
    from raydance.tracks.export import WRITERS

    suffix = suffix or {"motion": ".bvh", "tracks": ".npz"}[output]
    if output == "motion":
        export.check_suffix(Path(f"made{suffix}"))
    elif suffix not in WRITERS:
        raise InputError(f"--format {suffix}: tracks are written to {', '.join(WRITERS)}")
    return suffix


def _as_text(counts: Mapping[str, Any], out: str) -> list[str]:
    lines = [
        f"{out}: {counts['files']} files, {counts['done']} done now in {counts['seconds']:.1f} s"
    ]
    if counts["kept"]:
        lines.append(f"  {counts['kept']} files done before")
    if counts["gone"]:
        lines.append(f"  {counts['gone']} files no longer in the library")
    if counts["skipped"]:
        lines.append(f"  {counts['skipped']} files could not be read; see {out}/skipped.jsonl")
    return lines


def search_library(
    library: Path,
    run: str | None,
    given: Mapping[str, Any],
    k: int,
    *,
    fps: float | None = None,
    mapping: Path | None = None,
    as_json: bool = False,
) -> None:
    """Print what of a captioned or indexed library is nearest to a sentence or an example.

    Raises:
        InputError: a library without points, or of another run.
    """
    from raydance.library.finder import Finder
    from raydance.library.store import CaptionStore
    from raydance.library.task_store import TaskStore
    from raydance.library.task_worker import INDEX
    from raydance.library.unit_store import UnitStore, run_identity
    from raydance.systems import load_run

    is_made = (library / TaskStore.RECORD).exists()
    store: UnitStore = (TaskStore if is_made else CaptionStore).open(library)
    if is_made and store.facts["task"] != INDEX:
        raise InputError(f"{library}: holds answers of {store.facts['task']}, no index")
    inputs = read_inputs(given, fps, mapping)
    place = local(run or store.facts["run"]["path"])
    store.check_run(run_identity(place), place)
    loaded = load_run(place)
    hits = Finder(store).search(loaded.point_of(inputs), k)
    understood = None
    if "text" in inputs and hasattr(loaded, "understand"):
        (understood,) = loaded.understand([inputs["text"]])
    if as_json:
        print_json({"understood_as": understood, "hits": hits})
        return
    if understood is not None:
        print_lines(understood.line)
    for hit in hits:
        print_lines(hit.line if hasattr(hit, "line") else _line_of(hit))


def _line_of(row: Mapping[str, Any]) -> str:
    words = "; ".join(row["captions"]) or "no words"
    return f"{row['score']:7.3f}  {row['item']}  {row['name']}  {words}"
