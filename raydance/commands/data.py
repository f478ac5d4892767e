"""`raydance ingest`: motion files into a dataset of windows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from raydance.commands.options import (
    AddressOption,
    JsonOption,
    LayoutOption,
    MappingOption,
    QuietOption,
    UnitsOption,
    UpOption,
    check_out,
    check_up,
    local,
    metres_per_unit,
)
from raydance.commands.output import print_json, print_lines
from raydance.errors import InputError, RaydanceError


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Motion files, folders of them, or their URIs."),
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="DATASET",
            callback=check_out,
            help="The dataset to write: a folder, or its URI.",
        ),
    ],
    captions: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.jsonl", help="Captions, JSON lines; may be repeated."),
    ] = None,
    layout: LayoutOption = None,
    label_names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="YAML words for label numbers of side-cars: `label: [word, ...]`."
        ),
    ] = None,
    fps: Annotated[float, typer.Option(help="The dataset's frame rate.")] = 20.0,
    window: Annotated[
        int | None, typer.Option(help="Frames in a window: 50, or 30 of tracks, by default.")
    ] = None,
    stride: Annotated[int, typer.Option(help="Frames from one window to the next.")] = 20,
    modality: Annotated[
        str, typer.Option(help="What the files hold: motion, or tracks (2-D points).")
    ] = "motion",
    whole_clips: Annotated[
        bool,
        typer.Option(
            "--whole-clips",
            help="Rows are whole clips, padded to --window frames, instead of windows.",
        ),
    ] = False,
    music: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Songs, found by the names of the motion files."),
    ] = None,
    points: Annotated[int, typer.Option(help="Points of each of the tracks.")] = 36,
    mapping: MappingOption = None,
    units: UnitsOption = None,
    up: UpOption = None,
    seed: Annotated[int, typer.Option(help="Of the split into train, val and test.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the dataset that is there.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if any file was skipped.")
    ] = False,
    address: AddressOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn motion files into a dataset of windows.

    Reads .bvh, .amc, .npy, .npz, .pkl (AIST++), .glb and .gltf files, and .fbx and .c3d with the
    extras of these names; with --modality tracks the formats of CoTracker, TAP-Vid, MeViS,
    VID-Sentence, LaSOT, OpenPose, COCO and JHMDB. A broken file never stops it: it is listed with
    its reason in skipped.jsonl, and the rest is there. With --layout, the captions, labels and
    splits of a public data set come along.

    \b
    Examples:
      raydance ingest mocap/ --out data/mine
      raydance ingest mocap/ --out data/mine --captions mocap/captions.jsonl
      raydance ingest HumanML3D/ --out data/humanml3d --layout humanml3d
      raydance ingest odd.bvh --out data/odd --mapping odd.yaml --units inch --up z
      raydance ingest tracks/ --out data/tracks --modality tracks
    """
    from raydance.data.dataset import Dataset
    from raydance.data.ingest import Settings
    from raydance.data.layouts import check_name
    from raydance.data.schema import MODALITIES, TRACKS
    from raydance.data.storage import check_answers, is_uri, local_path, publish
    from raydance.data.track_ingest import TrackSettings
    from raydance.motion.captions import load_label_names
    from raydance.motion.mapping import load_mapping
    from raydance.progress import Progress

    if modality not in MODALITIES:
        raise InputError(f"--modality {modality}; allowed: {', '.join(MODALITIES)}")
    settings: Any = Settings(
        fps=fps,
        window=50 if window is None else window,
        stride=stride,
        whole_clips=whole_clips,
        music=str(music.absolute()) if music else None,
        units=metres_per_unit(units),
        up=check_up(up),
        mapping=load_mapping(mapping) if mapping else None,
        label_names=load_label_names(label_names) if label_names else None,
        seed=seed,
    )
    if modality == TRACKS.name:
        settings = TrackSettings(frames=30 if window is None else window, points=points, seed=seed)
    if layout is not None:
        check_name(layout)
    for place in sources:  # told before Ray takes its seconds to start
        if not is_uri(place) and not Path(place).exists():
            raise InputError(f"{place}: no such file or folder")
    check_answers([*sources, *(captions or ())])
    if is_uri(out):
        _refuse_occupied(out, overwrite)
    from raydance.cluster.session import ray_session, require_shared_cache

    with Progress(quiet=quiet) as progress, ray_session(address):
        from raydance.cluster import data

        if any(map(is_uri, [out, *sources, *(captions or ())])):
            require_shared_cache()
        folder = Path(out)
        if is_uri(out):
            folder = local_path(out)
            shutil.rmtree(folder, ignore_errors=True)  # an old copy
        counts = data.ingest(
            [local(place, progress.say) for place in sources],
            folder,
            captions=[local(place, progress.say) for place in captions or ()],
            layout=layout,
            settings=settings,
            overwrite=overwrite or is_uri(out),  # what lies at a URI was looked at above
            progress=progress.files,
        )
        made = Dataset.open(folder)
        counts["parts_without_windows"] = len(made.parts_without_windows())
        if is_uri(out):
            publish(folder, out, say=progress.say)
        warned = made.warned()
    print_json(counts) if as_json else print_lines(*_as_text(counts, out, warned))
    if strict and counts["skipped"]:
        raise RaydanceError(f"{counts['skipped']} files were skipped; see {out}/skipped.jsonl")


def _refuse_occupied(uri: str, overwrite: bool) -> None:
    """Refuse to write over anything in a store but a dataset that the user wants replaced."""
    from raydance.data.storage import names_in

    names = names_in(uri)
    if names and "manifest.json" not in names:
        raise InputError(f"{uri}: not empty and not a dataset of raydance; choose another --out")
    if names and not overwrite:
        raise InputError(f"{uri}: holds a dataset; --overwrite replaces it")


def _as_text(counts: dict[str, Any], out: str, warned: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{out}: {counts['windows']} windows of {counts['recordings']} recordings "
        f"from {counts['read']} of {counts['files']} files in {counts['seconds']:.1f} s"
    ]
    for split, number in counts["splits"].items():
        lines.append(
            f"  {split:<5} {number['windows']:>7} windows  {number['clips']:>5} clips  "
            f"{number['recordings']:>5} recordings"
        )
    if counts["short"]:
        lines.append(f"  {counts['short']} files are shorter than one window")
    if counts["parts_without_windows"]:
        lines.append(
            f"  {counts['parts_without_windows']} parts of other files hold no whole window; "
            f"`raydance info {out}` names them"
        )
    if counts["skipped"]:
        lines.append(f"  {counts['skipped']} files skipped; see {out}/skipped.jsonl")
    if counts["dropped_windows"]:
        lines.append(f"  {counts['dropped_windows']} windows dropped for impossible speeds")
    if warned:
        lines.append(
            f"  {len(warned)} files read with warnings; `raydance info {out}` lists them. The "
            f"first: {warned[0]['file']}: {warned[0]['notes'][0]}"
        )
    return lines
