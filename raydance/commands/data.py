"""`raydance ingest`: motion files into a dataset of windows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raydance.commands.options import (
    AddressOption,
    JsonOption,
    LayoutOption,
    MappingOption,
    QuietOption,
    SignalsOption,
    UnitsOption,
    UpOption,
    check_out,
    check_up,
    local,
    metres_per_unit,
    signal_places,
)
from raydance.commands.output import print_json, print_lines
from raydance.errors import InputError, RaydanceError

if TYPE_CHECKING:
    from raydance.nn.point_tracker import VideoTracker

_OF_MOTION: Final = (
    *("label_names", "fps", "stride", "whole_clips", "pads_short", "music", "rotations"),
    *("signals", "mapping", "units", "up"),
)
_OF_TRACKS: Final = ("points", "mask", "weights", "without_camera_motion")
_OF_WINDOWS: Final = ("stride", "pads_short")


def ingest(
    context: typer.Context,
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
    pads_short: Annotated[
        bool,
        typer.Option(
            "--pad-short/--leave-out-short",
            help="Whether clips of at least a fifth of a window repeat their last frame.",
        ),
    ] = True,
    music: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Songs, found by the names of the motion files; auto for those of the --layout.",
        ),
    ] = None,
    rotations: Annotated[
        bool, typer.Option("--rotations", help="Keep rotations of joints where files have them.")
    ] = False,
    signals: SignalsOption = None,
    points: Annotated[int, typer.Option(help="Points of each of the tracks.")] = 36,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of videos: a picture of the object in the first frame, or a folder of them.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of videos: CoTracker 3's weights.")
    ] = None,
    without_camera_motion: Annotated[
        bool,
        typer.Option(
            "--without-camera-motion",
            help="Take the camera's motion out of tracks of videos in which three objects show it.",
        ),
    ] = False,
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
    VID-Sentence, LaSOT, OpenPose, COCO and JHMDB, and with --mask videos, where CoTracker 3 is
    installed. A broken file never stops it: it is listed with its reason in skipped.jsonl, and the
    rest is there. With --layout, the captions, labels and splits of a public data set come along.

    \b
    Examples:
      raydance ingest mocap/ --out data/mine
      raydance ingest mocap/ --out data/mine --captions mocap/captions.jsonl
      raydance ingest HumanML3D/ --out data/humanml3d --layout humanml3d
      raydance ingest aist_plusplus/ --out data/aist --layout aist++ --music auto \\
        --whole-clips --window 300
      raydance ingest odd.bvh --out data/odd --mapping odd.yaml --units inch --up z
      raydance ingest tracks/ --out data/tracks --modality tracks
      raydance ingest walk.mp4 --out data/walk --modality tracks --mask walk.png \
        --weights scaled_offline.pth
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
    is_tracks = modality == TRACKS.name
    if unused := _given(context, _OF_MOTION if is_tracks else _OF_TRACKS):
        wanted = "without" if is_tracks else "with"
        raise InputError(f"{unused}: only {wanted} --modality tracks")
    if whole_clips and (unused := _given(context, _OF_WINDOWS)):
        raise InputError(f"{unused}: no effect with --whole-clips, which cuts no windows")
    settings: Any = Settings(
        fps=fps,
        window=50 if window is None else window,
        stride=stride,
        whole_clips=whole_clips,
        pads_short=pads_short,
        music=_place(music) if music else None,
        signals={name: _place(place) for name, place in signal_places(signals)},
        rotations=rotations,
        units=metres_per_unit(units),
        up=check_up(up),
        mapping=load_mapping(mapping) if mapping else None,
        label_names=load_label_names(label_names) if label_names else None,
        seed=seed,
    )
    if is_tracks:
        settings = TrackSettings(
            frames=30 if window is None else window,
            points=points,
            seed=seed,
            without_camera_motion=without_camera_motion,
        )
    if layout is not None:
        check_name(layout)
    for place in sources:  # told before Ray takes its seconds to start
        if not is_uri(place) and not Path(place).exists():
            raise InputError(f"{place}: no such file or folder")
    if not is_tracks:
        _check_places(music, signals)
    if is_tracks:
        settings = replace(settings, tracker=_tracker(sources, mask, weights, points))
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


def _given(context: typer.Context, names: Sequence[str]) -> str:
    """Those of these options that the user gave, as they are written, with commas between."""
    return ", ".join(
        option.secondary_opts[0]
        if option.secondary_opts and not context.params[option.name]
        else "/".join(option.opts)
        for option in context.command.params
        if option.name in names
        and getattr(context.get_parameter_source(option.name), "name", "") == "COMMANDLINE"
    )


def _tracker(
    sources: Sequence[str], mask: Path | None, weights: Path | None, points: int
) -> VideoTracker | None:
    """What follows points in the videos among the sources; None where there are none.

    Raises:
        InputError: something that tracking needs is not there.
    """
    from raydance.tracks.grid import MAX_SIDE, MIN_SIDE
    from raydance.tracks.video import SUFFIXES

    videos = [place for place in sources if Path(place).suffix.lower() in SUFFIXES]
    if mask is None:
        if videos:
            raise InputError(f"{videos[0]}: to track an object in a video, give its --mask")
        if weights is not None:
            raise InputError("--weights are for videos: give the object's --mask, too")
        return None
    if mask.is_file() and (len(videos) > 1 or any(Path(place).is_dir() for place in sources)):
        raise InputError(
            f"--mask {mask}: one mask is for one video; give a folder with one of each"
        )
    if not videos and not any(Path(place).is_dir() for place in sources):
        raise InputError(f"--mask {mask}: is for videos ({', '.join(SUFFIXES)})")
    from raydance.nn.point_tracker import VideoTracker  # torch takes a second to import

    side = round(points**0.5)
    is_grid = side * side == points and MIN_SIDE <= side <= MAX_SIDE
    tracker = VideoTracker(
        weights=str(weights.absolute()) if weights else "",
        mask=str(mask.absolute()),
        **({"grid_side": side} if is_grid else {}),
    )
    tracker.check()
    return tracker


def _check_places(music: Path | None, signals: Sequence[str] | None) -> None:
    """Refuse folders of signals that are not there.

    Raises:
        InputError: naming the option.
    """
    from raydance.data.layouts import AUTO

    places = [(f"--signal {name}={place}", place) for name, place in signal_places(signals)]
    if music is not None:
        places.append((f"--music {music}", str(music)))
    for option, place in places:
        if place != AUTO and not Path(place).is_dir():
            raise InputError(f"{option}: no such folder")


def _place(folder: str | Path) -> str:
    """Absolute: workers on a cluster have working folders of their own."""
    from raydance.data.layouts import AUTO

    return AUTO if str(folder) == AUTO else str(Path(folder).absolute())


def _refuse_occupied(uri: str, overwrite: bool) -> None:
    """Refuse to write over anything in a store but a dataset that the user wants replaced."""
    from raydance.data.storage import names_in

    names = names_in(uri)
    if names and "manifest.json" not in names:
        raise InputError(f"{uri}: not empty and not a dataset of raydance; choose another --out")
    if names and not overwrite:
        raise InputError(f"{uri}: holds a dataset; --overwrite replaces it")


def _as_text(counts: dict[str, Any], out: str, warned: list[dict[str, Any]]) -> list[str]:
    from raydance.data.signals.in_step import OUT_OF_STEP, in_words

    lines = [
        f"{out}: {counts['windows']} windows of {counts['recordings']} recordings "
        f"from {counts['read']} of {counts['files']} files in {counts['seconds']:.1f} s"
    ]
    for split, number in counts["splits"].items():
        lines.append(
            f"  {split:<5} {number['windows']:>7} windows  {number['clips']:>5} clips  "
            f"{number['recordings']:>5} recordings"
        )
    if counts["padded"]:
        lines.append(f"  {counts['padded']} windows are of shorter clips and hold their last frame")
    if counts["short"]:
        lines.append(f"  {counts['short']} files are too short and left out")
    if counts["parts_without_windows"]:
        lines.append(
            f"  {counts['parts_without_windows']} parts of other files hold no whole window; "
            f"`raydance info {out}` names them"
        )
    for signal, found in counts["signals"].items():
        lines.append(
            f"  {signal}: {found['in_step']} of {found['checked']} clips that could be checked are "
            f"in step with it; {found['clips'] - found['checked']} could not be checked; "
            f"{found['without']} are without it"
        )
        for row in found["worst"]:
            lines.append(f"  warning: out of step: {row['file']}: motion {in_words(row)}")
        if found["out_of_step"] > len(found["worst"]):
            lines.append(f"  {found['out_of_step'] - len(found['worst'])} more are out of step")
    camera = counts.get("camera")
    if camera and camera["tracks"]:
        lines.append(
            f"  camera motion taken out of {camera['tracks']} tracks, in {camera['videos']} of "
            f"{camera['of_videos']} videos; {counts['windows'] - camera['tracks']} tracks stay"
        )
    elif camera:
        lines.append(
            "  camera motion taken out of no track: no video has three objects or more that move "
            "alike, by half a pixel and in nine of ten frames of a track"
        )
    if counts["skipped"]:
        lines.append(f"  {counts['skipped']} files skipped; see {out}/skipped.jsonl")
    if counts["dropped_windows"]:
        lines.append(f"  {counts['dropped_windows']} windows dropped for impossible speeds")
    others = [
        (row["file"], note)
        for row in warned
        for note in row["notes"]
        if not note.startswith(OUT_OF_STEP)  # told above
    ]
    if others:
        number = len({file for file, _ in others})
        lines.append(
            f"  {number} files read with {'other ' if number < len(warned) else ''}warnings; "
            f"`raydance info {out}` lists them. The first: {': '.join(others[0])}"
        )
    return lines
