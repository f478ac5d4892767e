"""`raydance describe`, `generate` and `search`: a trained run at work, without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    local,
    read_motion,
    writing_options,
)
from raydance.commands.output import print_json, print_lines
from raydance.errors import InputError
from raydance.plain_text import one_line, repaired

if TYPE_CHECKING:
    from raydance.motion.clip import Clip
    from raydance.systems.dance_language.answers import Hit
    from raydance.systems.dance_language.run import DanceLanguage
    from raydance.systems.dance_language.understanding import Understood
    from raydance.systems.dance_language.writer_step import WrittenSegment

NOT_CALIBRATED = (
    "trained before runs knew how sure their answers are; train it again to have that said"
)


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
    clip = read_motion(file, fps, mapping)
    system = dance_language_of(local(run))
    if written:
        _print_written(file, system.write(clip, k), as_json)
        return
    segments = system.describe(clip, k)
    if as_json:
        facts = {"file": file, "seconds": clip.duration_s, "notices": system.notices(clip)}
        print_json({**facts, "segments": segments})
        return
    print_lines(f"{file}: {clip.duration_s:.1f} s, {len(segments) - 1} windows")
    for notice in system.notices(clip):
        print_lines(notice)
    for i, part in enumerate(segments):
        what = "the whole" if i == 0 else f"{part.start_s:.1f}-{part.end_s:.1f} s"
        name = system.cluster_names.get(part.cluster)
        about = [f"cluster {part.cluster}{f', {name}' if name else ''}"]
        if part.is_unlike_training:
            about.append("unlike the training data: its captions say little")
        elif part.confidence is not None:
            about.append(f"the first caption is right with {part.confidence:.0%}")
        print_lines(f"{what} ({'; '.join(about)})")
        for caption in part.captions:
            print_lines(
                f"  {caption.text}{'  [derived from kinematics]' if caption.derived else ''}"
            )
    if not system.judge.is_calibrated:
        print_lines(f"{run}: {NOT_CALIBRATED}")


def _print_written(file: str, segments: list[WrittenSegment], as_json: bool) -> None:
    if as_json:
        print_json({"file": file, "written": segments})
        return
    for i, part in enumerate(segments):
        print_lines("the whole" if i == 0 else f"{part.start_s:.1f}-{part.end_s:.1f} s")
        for sentence in part.sentences:
            note = sentence.origin if sentence.novel else f"{sentence.origin}; a training caption"
            print_lines(f"  {sentence.log_probability:6.2f}  {sentence.text}  [{note}]")


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
        typer.Option(metavar="FILE", help="A song to dance to; for runs of everything2motion."),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(metavar="L,T,R,B", help="Where an object starts; for runs of lang2motion."),
    ] = None,
    choices: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="Options of the run's own task."),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            help="Length; a window by default, at most a minute. Longer motion is made window by "
            "window, each going on from the one before."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another motion.")] = 0,
    seed_motion: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A motion to go on from; for runs of everything2motion."),
    ] = None,
    genre: Annotated[
        str | None, typer.Option(help="Kind of dance; for runs of everything2motion.")
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
        typer.Option(help="Motions that the flow makes; the one that fits best is kept."),
    ] = None,
    clip: Annotated[
        str | None, typer.Option(metavar="FILE", help="The motion that --source clip starts from.")
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
    from raydance.motion.contacts import clean_feet
    from raydance.motion.export.edits import Edits
    from raydance.systems.dance_language.steering_plan import SteeringPlan, read_plan

    if _declares_tasks(run):
        from raydance.commands.task import answer_task, split_choices

        chosen = {"seed": seed, "genre": genre, "steps": steps, "guidance": guidance}
        chosen |= {"frames": frames, "source": source, "candidates": candidates}
        kept = {name: value for name, value in chosen.items() if value is not None}
        inputs = {"text": text, "music": music, "motion": seed_motion, "box": box}
        answer_task(
            "generate",
            run,
            inputs,
            kept | split_choices(choices or ()),
            out,
            fps=fps,
            mapping=mapping,
            as_json=as_json,
        )
        return
    others = {"--music": music, "--box": box, "--seed-motion": seed_motion, "--genre": genre}
    for option in [name for name, value in others.items() if value is not None]:
        raise InputError(f"{option} is for runs of another system; this one is of dance-language")
    if text is None:
        raise InputError("what shall be danced? Give a sentence")
    options = writing_options(unit, up, limits, names)
    export.check_suffix(out, **options)
    start = read_motion(clip, fps, mapping) if clip else None
    plan = read_plan(steer) if steer else SteeringPlan()
    given = {"after": after, "before": before, "edit": edit, "strength": strength}
    plan = plan.model_copy(update={k: v for k, v in given.items() if v is not None})
    plan.loop = plan.loop or loop
    steering = plan.steering(lambda file: read_motion(file, fps, mapping))
    system = dance_language_of(local(run))
    made = system.make(
        text,
        frames=frames,
        seed=seed,
        source=source,
        clip=start,
        steps=steps,
        guidance=guidance,
        candidates=candidates,
        steering=steering,
        timeline=plan.sentences(),
    )
    motion = made.motion[0]
    report = None
    if clean and "constraints" not in made.facts:  # steered: clean already
        motion, report = clean_feet(motion, system.fps, system.joint_mask)
    clip_made = system.as_clip(motion, one_line(out.stem), repaired(text))
    edits = Edits(fps=out_fps, in_place=in_place)
    written = export.write_clip(out, clip_made, edits, **options)
    facts = {"file": out, "text": text, "frames": len(motion), "fps": system.fps, "seed": seed}
    if as_json:
        found = {
            "made": made.facts,
            "understood_as": made.understood,
            "notices": made.notices,
            "residual": written.residual,
            "notes": written.notes,
            "feet": report,
        }
        print_json(facts | found)
    else:
        print_lines(f"{out}: {len(motion)} frames, {len(motion) / system.fps:.1f} s")
        if made.understood is not None:
            nearest = made.understood
            print_lines(f"  understood as: {nearest.caption} ({nearest.similarity:.2f})")
        for notice in made.notices:
            print_lines(f"  not understood: {notice}")
        settings = [
            f"{name} {value:g}"
            for name, value in made.facts.items()
            if name not in ("source", "constraints")
        ]
        print_lines(f"  made by: {', '.join([made.facts['source'], *settings])}")
        for constraint in made.facts.get("constraints", ()):
            print_lines(f"  {_kept(constraint)}")
        if report is not None and not report.note:
            slid, slides = report.skate_before_m_s, report.skate_after_m_s
            print_lines(f"  standing feet slid {100 * slid:.1f} cm/s, now {100 * slides:.1f}")
        for note in written.notes:
            print_lines(f"  {note}")


def _kept(constraint: Mapping[str, Any]) -> str:
    """How well the motion keeps to a constraint, in words."""
    what = constraint["kind"]
    if "joint" in constraint:
        what += f" of {constraint['joint']}"
    if "time_s" in constraint:
        what += f" at {constraint['time_s']:g} s"
    said = f"{what}: {constraint['residual_cm']:.1f} cm off"
    if constraint.get("settled_cm", 0.0) >= 1.0:
        said += f", after a correction of {constraint['settled_cm']:.0f} cm"
    return said


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
    if sum(value is not None for value in (text, motion, tracks)) > 1:
        raise InputError("a sentence, --motion FILE or --tracks FILE, not both")
    query: Any
    if motion is not None:
        query = read_motion(motion, fps, mapping)
    elif text is not None:
        query = text
    elif tracks is not None:
        from raydance.commands.task import first_track

        query = first_track(local(tracks), fps)
    else:
        raise InputError("what to search for? Give a sentence or --motion FILE")
    if library is not None and (local(library) / "task.json").exists():
        from raydance.commands.over_library import search_library

        search_library(local(library), run, query, k, as_json=as_json)
        return
    if run is not None and library is None and _declares_tasks(run):
        from raydance.commands.task import answer_task

        given = {"text": text, "tracks": tracks}
        answer_task("search", run, given, {"k": k}, None, as_json=as_json)
        return
    if tracks is not None:
        raise InputError("--tracks: give --run or --library of a system that searches tracks")
    hits, understood = _find(query, k, run, library)
    if as_json:
        print_json({"understood_as": understood, "hits": [asdict(hit) for hit in hits]})
        return
    if understood is not None:
        nearest = f"understood as: {understood.caption} ({understood.similarity:.2f})"
        print_lines(f"not understood: {understood.notice}" if understood.notice else nearest)
    for hit in hits:
        marked = zip(hit.captions, hit.derived)
        said = [f"{words} (derived)" if derived else words for words, derived in marked]
        words = "; ".join(said) or ", ".join(hit.labels.values()) or "no words"
        print_lines(
            f"{hit.score:7.3f}  {hit.clip_id}  {hit.start_s:.1f}-{hit.end_s:.1f} s  {words}"
        )


def _find(
    query: str | Clip, k: int, run: str | None, library: str | None
) -> tuple[list[Hit], Understood | None]:
    """The nearest clips of a run's own library, or of a captioned one; how words were taken."""
    if library is None:
        if run is None:
            raise InputError("where to search? Give --run RUN or --library CAPTIONS")
        system = dance_language_of(local(run))
        hits = system.search(query, k)
    else:
        from raydance.library.finder import Finder
        from raydance.library.store import CaptionStore, run_identity

        store = CaptionStore.open(local(library))
        place = local(run or store.facts["run"]["path"])
        store.check_run(run_identity(place), place)
        system = dance_language_of(place)
        hits = Finder(store).search(system.point_of(query), k)
    return hits, system.understand([query])[0] if isinstance(query, str) else None


def dance_language_of(run: str | Path) -> DanceLanguage:
    """A run of Dance-Language, ready for work.

    Raises:
        ArtifactError: not a run, damaged, or not finished.
        InputError: a run of another system.
    """
    from raydance.systems.dance_language.run import load

    return load(run)


def _declares_tasks(run: str) -> bool:
    """Whether a run is of a system whose commands follow from its tasks; what is no run is told
    about later, as options that make no sense come first."""
    from raydance.errors import ArtifactError
    from raydance.systems import system_of_run

    try:
        return system_of_run(local(run)).name != "dance-language"
    except ArtifactError:
        return False


def _check_k(k: int) -> None:
    if k < 1:
        raise InputError(f"-k {k}; at least 1")
