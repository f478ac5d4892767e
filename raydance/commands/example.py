"""`raydance example`: the embedded data, made by rule, as files like those that users have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from raydance.commands.options import JsonOption, check_out
from raydance.commands.output import print_json, print_lines
from raydance.errors import InputError

MAX_FILES: Final = 100_000


def _corpus(folder: Path, number: int, seed: int) -> int:
    from raydance.motion import synthetic

    per_movement = -(-number // len(synthetic.MOVEMENTS))
    return synthetic.write_corpus(folder, per_movement, seed)


def _dances(folder: Path, number: int, seed: int) -> int:
    from raydance.music.dance_corpus import write_dances

    return write_dances(folder, number, seed=seed)


def _scenes(folder: Path, number: int, seed: int) -> int:
    from raydance.tracks.export import write_track
    from raydance.tracks.synthetic import make_scenes

    for count, scene in enumerate(make_scenes(number, seed)):
        write_track(folder / f"scene{count:05d}.npz", scene.track(6))
    return number


EXAMPLES: Final[Mapping[str, tuple[Callable[[Path, int, int], int], int, str]]] = {
    "corpus": (_corpus, 400, "ingest {out} --captions {out}/captions.jsonl --out DATASET"),
    "dances": (
        _dances,
        120,
        "ingest {out} --captions {out}/captions.jsonl --music {out} --whole-clips --window 300 "
        "--out DATASET",
    ),
    "scenes": (_scenes, 2000, "ingest {out} --modality tracks --out DATASET"),
}
"""Name -> what writes it, how many files by default, and the command that reads it."""


def example(
    name: Annotated[str, typer.Argument(metavar="NAME", help="corpus, dances or scenes.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", callback=check_out, help="The folder to write.")
    ],
    number: Annotated[
        int | None, typer.Option(min=1, max=MAX_FILES, help="Clips, songs or scenes.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other data.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write embedded data: a procedural dancer, songs with dances, or moving objects as tracks.

    Made by rule and offline, with sentences; no recordings.

    \b
    Examples:
      raydance example dances --out examples/dances
      raydance example scenes --out examples/scenes --number 500
    """
    if name not in EXAMPLES:
        raise InputError(f"example {name!r}; allowed: {', '.join(EXAMPLES)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: not an empty folder; choose another --out")
    write, usual, reads = EXAMPLES[name]
    out.mkdir(parents=True, exist_ok=True)
    count = write(out, number or usual, seed)
    command = f"raydance {reads.format(out=out)}"
    if as_json:
        print_json({"out": out, "files": count, "read_by": command})
    else:
        print_lines(f"{out}: {count} made; read them with `{command}`")
