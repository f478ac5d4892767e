"""`raydance describe`, `generate` and `search`: tasks of a run that have commands of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from raydance.commands.options import (
    FpsOption,
    InPlaceOption,
    JsonOption,
    LimitsOption,
    MappingOption,
    NamesOption,
    OutFpsOption,
    RunOption,
    SignalsOption,
    local,
    read_motion,
    signal_places,
    writing_options,
)
from raydance.commands.over_library import search_library
from raydance.commands.task import ChoicesOption, answer_task, split_choices
from raydance.errors import InputError


def describe(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A motion file, or its URI.")],
    run: RunOption,
    k: Annotated[int, typer.Option("-k", help="Captions for each part.")] = 3,
    written: Annotated[
        bool,
        typer.Option("--written", help="New sentences by the run's caption writer, if it has one."),
    ] = False,
    fps: FpsOption = None,
    mapping: MappingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a motion file into words.

    The whole clip comes first, then each of its windows. Captions are found among those of the run;
    with --written a language model writes new ones, with their log-probability.

    \b
    Examples:
      raydance describe walk.bvh --run runs/mine
      raydance describe walk.bvh --run runs/mine -k 1 --json
    """
    _check_k(k)
    options = {"k": k, "written": written}
    answer_task(
        "describe", run, {"motion": file}, options, None, fps=fps, mapping=mapping, as_json=as_json
    )


def generate(
    run: RunOption,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="A .npz, .bvh, .glb, .gif or .mp4 file to write.")
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="A sentence about movement.")
    ] = None,
    music: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A song to dance to."),
    ] = None,
    signals: SignalsOption = None,
    box: Annotated[
        str | None,
        typer.Option(metavar="L,T,R,B", help="Where an object starts, pixels."),
    ] = None,
    choices: ChoicesOption = None,
    frames: Annotated[
        int | None,
        typer.Option(
            help="Length; a window by default, at most a minute. Longer motion is made window by "
            "window, each going on from the one before."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Another seed, another motion; 0 by default.")
    ] = None,
    motion: Annotated[
        str | None,
        typer.Option(
            *("--motion", "--clip", "--seed-motion"),
            metavar="FILE",
            help="A motion to start or to go on from.",
        ),
    ] = None,
    genre: Annotated[
        str | None, typer.Option(help="Kind of dance, where the run knows any.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Where motion comes from: flow (by default, where the run has one), prior, "
            "cluster, nearest or clip."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the flow's sampler; the run's own by default.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="How much the flow stresses the sentence; 1 is as it was trained."),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            help="Motions that the flow makes; the one that fits best is kept. The run's own "
            "number by default, more for a sentence that is no training caption."
        ),
    ] = None,
    steer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML of what the motion shall keep to: keyframes, paths, loop, after, before, "
            "edit, strength, timeline.",
        ),
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="End with the pose and velocity of the start.")
    ] = False,
    after: Annotated[
        str | None, typer.Option(metavar="FILE", help="A motion to go on from.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="FILE", help="A motion in whose first pose to end.")
    ] = None,
    edit: Annotated[
        str | None, typer.Option(metavar="FILE", help="A motion to change by the sentence.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="Of the change: 0 leaves the motion, 1 keeps nothing.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", help="Of a .bvh file: m, cm (by default), mm or inch.")
    ] = None,
    up: Annotated[
        str | None, typer.Option("--up", help="The up axis of a .bvh file: y (by default) or z.")
    ] = None,
    names: NamesOption = None,
    out_fps: OutFpsOption = None,
    in_place: InPlaceOption = False,
    limits: LimitsOption = True,
    clean: Annotated[
        bool,
        typer.Option(
            "--clean-feet/--raw",
            help="Keep feet that stand from sliding, and bones at one length.",
        ),
    ] = True,
    fps: FpsOption = None,
    mapping: MappingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a sentence into motion.

    Formats with rotations (.bvh, .glb) get them by a fit to bones of constant length; how far that
    moves the joints is said.

    \b
    Examples:
      raydance generate "a dancer turns slowly" --run runs/mine --out turn.gif
      raydance generate "sharp kicks" --run runs/mine --out kicks.bvh --frames 80 --seed 3
      raydance generate "the same, but low" --run runs/mine --out low.npz --clip walk.bvh
      raydance generate "a slow turn" --run runs/mine --out turn.glb --candidates 8
      raydance generate "walks on" --run runs/mine --out on.bvh --after walk.bvh --frames 100
      raydance generate "a slow turn" --run runs/mine --out turn.bvh --steer plan.yaml
      raydance generate --music song.ogg --run runs/dances --out dance.mp4
      raydance generate "a ball rolls left" --box 20,60,50,90 --run runs/tracks --out ball.gif
    """
    from raydance.motion import export
    from raydance.motion.export.edits import Edits
    from raydance.systems.steering_plan import SteeringPlan, read_plan
    from raydance.tracks.export import WRITERS as OF_TRACKS

    writing = writing_options(unit, up, limits, names)
    if writing or out.suffix.lower() not in OF_TRACKS:
        export.check_suffix(out, **writing)
    plan = read_plan(steer) if steer else SteeringPlan()
    told = {"after": after, "before": before, "edit": edit, "strength": strength}
    plan = plan.model_copy(update={k: v for k, v in told.items() if v is not None})
    plan.loop = plan.loop or loop
    is_steered = plan != SteeringPlan(strength=plan.strength)
    chosen = {"seed": seed, "genre": genre, "steps": steps, "guidance": guidance}
    chosen |= {"frames": frames, "source": source, "candidates": candidates}
    options = {name: value for name, value in chosen.items() if value is not None}
    given: dict[str, Any] = {"text": text, "music": music, "motion": motion, "box": box}
    given |= dict(signal_places(signals))
    if is_steered:
        given["steering"] = plan.opened(lambda file: read_motion(file, fps, mapping))
    answer_task(
        "generate",
        run,
        given,
        options | ({} if clean else {"clean_feet": False}) | split_choices(choices or ()),
        out,
        fps=fps,
        mapping=mapping,
        edits=Edits(fps=out_fps, in_place=in_place),
        writing=writing,
        as_json=as_json,
    )


def search(
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="A sentence about movement.")
    ] = None,
    motion: Annotated[
        str | None, typer.Option(metavar="FILE", help="A motion file to search with instead.")
    ] = None,
    tracks: Annotated[
        str | None, typer.Option(metavar="FILE", help="2-D tracks to search with: the first one.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="A trained run; by default the library's own."),
    ] = None,
    library: Annotated[
        str | None,
        typer.Option(metavar="CAPTIONS", help="A captioned library (see `raydance caption`)."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Clips to find.")] = 5,
    fps: FpsOption = None,
    mapping: MappingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find clips by a sentence or by a motion.

    Searches what the run was trained on, or a library that it captioned; each clip counts by its
    nearest window.

    \b
    Examples:
      raydance search "a slow turn" --run runs/mine
      raydance search "a slow turn" --library captions/studio
      raydance search --motion walk.bvh --run runs/mine -k 10 --json
    """
    _check_k(k)
    given = {"text": text, "motion": motion, "tracks": tracks}
    num_given = sum(value is not None for value in given.values())
    if num_given > 1:
        raise InputError("a sentence, --motion FILE or --tracks FILE, not both")
    if num_given == 0:
        raise InputError("what to search for? Give a sentence or --motion FILE")
    if library is not None:
        search_library(local(library), run, given, k, fps=fps, mapping=mapping, as_json=as_json)
    elif run is not None:
        answer_task("search", run, given, {"k": k}, None, fps=fps, mapping=mapping, as_json=as_json)
    else:
        raise InputError("where to search? Give --run RUN or --library CAPTIONS")


def _check_k(k: int) -> None:
    if k < 1:
        raise InputError(f"-k {k}; at least 1")
