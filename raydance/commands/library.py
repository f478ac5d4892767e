"""`raydance caption`: words, clusters and a search index for a whole library of motion."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from raydance.commands.options import (
    AddressOption,
    JsonOption,
    MappingOption,
    QuietOption,
    RunOption,
    UnitsOption,
    UpOption,
    check_out,
    check_up,
    destination,
    local,
    metres_per_unit,
)
from raydance.commands.output import print_json, print_lines
from raydance.config import parse_range
from raydance.errors import InputError

_SKIPPED = 3


def caption(
    library: Annotated[
        list[str],
        typer.Argument(
            metavar="LIBRARY...", help="Folders of motion files, or one dataset; or their URIs."
        ),
    ],
    run: RunOption,
    out: Annotated[
        str,
        typer.Option(
            metavar="CAPTIONS",
            callback=check_out,
            help="The folder to write or go on with, or its URI.",
        ),
    ],
    k: Annotated[int, typer.Option("-k", help="Captions for each window, segment and clip.")] = 3,
    actors: Annotated[
        str | None,
        typer.Option(
            metavar="N|MIN:MAX",
            help="How many describe at once; grows with the work. One to all processors (or GPUs).",
        ),
    ] = None,
    clips: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Cuts files into clips and mends frame rates; its words are not read.",
        ),
    ] = None,
    mapping: MappingOption = None,
    units: UnitsOption = None,
    up: UpOption = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write captions.jsonl too, as `ingest` takes it.")
    ] = False,
    subtitles: Annotated[
        list[str] | None,
        typer.Option(metavar="vtt|srt", help="Write a subtitle file for each clip too."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 if any file could not be read.")
    ] = False,
    address: AddressOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Caption a whole library, so that it can be searched.

    Files that were captioned before are not done again: the same command goes on after a kill,
    takes in new files, and does changed ones anew. What cannot be read is listed in skipped.jsonl.

    \b
    Examples:
      raydance caption mocap/ --run runs/mine --out captions/mocap
      raydance caption data/mine --run runs/mine --out captions/mine --actors 1:8 --address auto
      raydance caption mocap/ --run runs/mine --out captions/mocap --subtitles vtt --jsonl
    """
    from raydance.data.storage import check_answers, is_uri, publish
    from raydance.library.subtitles import SUBTITLES
    from raydance.motion.mapping import load_mapping
    from raydance.progress import Progress

    for place in library:
        if not is_uri(place) and not Path(place).exists():
            raise InputError(f"{place}: no such file or folder")
    for kind in subtitles or ():
        if kind not in SUBTITLES:
            raise InputError(f"--subtitles {kind}; allowed: {', '.join(SUBTITLES)}")
    pool = parse_range("--actors", actors) if actors else None
    reading = {
        "units": metres_per_unit(units),
        "up": check_up(up),
        "mapping": load_mapping(mapping) if mapping else None,
    }
    check_answers([*library, run, out, *(clips or ())])
    from raydance.cluster.session import ray_session, require_shared_cache

    with Progress(quiet=quiet) as progress, ray_session(address):
        from raydance.cluster import caption as on_cluster

        if any(map(is_uri, [out, run, *library, *(clips or ())])):
            require_shared_cache()
        folder = destination(out, "captions.json", "captions")
        counts = on_cluster.caption(
            [local(place, progress.say) for place in library],
            local(run, progress.say),
            folder,
            clips=[local(place, progress.say) for place in clips or ()],
            k=k,
            actors=pool,
            reading=reading,
            progress=functools.partial(progress.files, name="caption"),
        )
        counts |= _extras(folder, jsonl, subtitles or ())
        if is_uri(out):
            publish(folder, out, say=progress.say)
    print_json(counts) if as_json else print_lines(*_as_text(counts, out))
    if strict and counts["skipped"]:
        print(f"raydance: {counts['skipped']} files could not be read", file=sys.stderr)
        raise typer.Exit(_SKIPPED)


def _extras(out: Path, jsonl: bool, subtitles: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Index and further files."""
    from raydance.library import subtitles as files
    from raydance.library.finder import Finder
    from raydance.library.store import CaptionStore

    store = CaptionStore.open(out)
    facts: dict[str, Any] = {"indexed_windows": len(Finder(store))}
    if jsonl:
        facts["jsonl_lines"] = files.write_captions_jsonl(out / "captions.jsonl", store.clips())
    for kind in subtitles:
        facts[f"{kind}_files"] = files.write_subtitles(out / "subtitles", kind, store.clips())
    return facts


def _as_text(counts: dict[str, Any], out: str) -> list[str]:
    rate = counts["done_windows"] / max(counts["seconds"], 1e-9)
    lines = [
        f"{out}: {counts['windows']} windows of {counts['read']} files; "
        f"{counts['done_windows']} windows of {counts['done']} files now, in "
        f"{counts['seconds']:.1f} s ({rate:.0f} windows/s)"
    ]
    for key, text in (
        ("kept", "captioned before"),
        ("gone", "no longer in the library"),
        ("short", "too short"),
    ):
        if counts[key]:
            lines.append(f"  {counts[key]} files {text}")
    if counts["skipped"]:
        lines.append(f"  {counts['skipped']} files could not be read; see {out}/skipped.jsonl")
    return lines
