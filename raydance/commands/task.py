"""`raydance task`, and how commands let a run answer: inputs read, answers printed or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raydance.commands.options import (
    FpsOption,
    JsonOption,
    MappingOption,
    RunOption,
    SignalsOption,
    read_motion,
    signal_places,
)
from raydance.commands.options import local as local_copy
from raydance.commands.output import print_json, print_lines
from raydance.errors import InputError
from raydance.plain_text import repaired

if TYPE_CHECKING:
    from raydance.motion.export.edits import Edits
    from raydance.motion.export.written_file import WrittenFile
    from raydance.systems.tasks import Answer, Task

TextOption = Annotated[str | None, typer.Option("--text", help="A sentence.")]
MusicOption = Annotated[
    str | None, typer.Option("--music", metavar="FILE", help="A song: wav, flac, ogg or mp3.")
]
MotionOption = Annotated[str | None, typer.Option("--motion", metavar="FILE", help="A motion.")]
TracksOption = Annotated[
    str | None, typer.Option("--tracks", metavar="FILE", help="2-D tracks; the first is taken.")
]
BoxOption = Annotated[
    str | None,
    typer.Option("--box", metavar="L,T,R,B", help="A box: left, top, right, bottom, pixels."),
]
MaskOption = Annotated[
    str | None,
    typer.Option("--mask", metavar="FILE", help="A picture in which an object is not black."),
]
ImageOption = Annotated[
    str | None, typer.Option("--image", metavar="FILE", help="A picture in place of a sentence.")
]
OverlayOption = Annotated[
    str | None,
    typer.Option("--overlay", metavar="FILE", help="Drawn trails, in place of a sentence."),
]
ChoicesOption = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="An option; may be repeated."),
]


def task(
    name: Annotated[str, typer.Argument(metavar="TASK", help="Such as generate or search.")],
    run: RunOption,
    text: TextOption = None,
    music: MusicOption = None,
    signals: SignalsOption = None,
    motion: MotionOption = None,
    tracks: TracksOption = None,
    box: BoxOption = None,
    mask: MaskOption = None,
    image: ImageOption = None,
    overlay: OverlayOption = None,
    choices: ChoicesOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The file to write, where it makes one; a folder with --library."
        ),
    ] = None,
    library: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER", help="Do it with every file of a folder; may be repeated."),
    ] = None,
    each: Annotated[
        str | None,
        typer.Option(metavar="INPUT", help="The input that --library's files are, as music."),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="SUFFIX", help="Of files that --library writes.")
    ] = "",
    fps: FpsOption = None,
    mapping: MappingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a run do one of its tasks; `raydance info RUN` lists them.

    \b
    Examples:
      raydance task generate --run runs/dances --music song.ogg --out dance.bvh
      raydance task generate --run runs/tracks --text "a ball rolls left" --out ball.gif
      raydance task generate --run runs/paper --image a.png --mask a-mask.png --out a.gif
      raydance task search --run runs/tracks --text "a dog runs" --option k=10
      raydance task classify --run runs/tracks --library tracks/ --out named \\
        --option "labels=[rolls, falls]"
    """
    if library:
        from raydance.commands.over_library import answer_library

        told = {"music": music, "motion": motion, "tracks": tracks, "mask": mask, "box": box}
        told |= {"image": image, "overlay": overlay} | dict(signal_places(signals))
        for option in [kind for kind, value in told.items() if value is not None]:
            raise InputError(f"--{option}: a library is answered with --text and --option alone")
        if out is None:
            raise InputError("--library: give --out FOLDER")
        answer_library(
            library,
            run,
            name,
            str(out),
            each=each,
            suffix=f".{format}" if format else "",
            inputs={"text": text} if text is not None else {},
            options=split_choices(choices or ()),
            as_json=as_json,
        )
        return
    given = {"text": text, "music": music, "motion": motion, "tracks": tracks}
    given |= {"box": box, "mask": mask, "image": image, "overlay": overlay}
    given |= dict(signal_places(signals))
    answer_task(
        name,
        run,
        given,
        split_choices(choices or ()),
        out,
        fps=fps,
        mapping=mapping,
        as_json=as_json,
    )


def split_choices(choices: Sequence[str]) -> dict[str, Any]:
    """`name=value` pairs, with values as YAML reads them.

    Raises:
        InputError: one without a name or `=`.
    """
    from raydance.config import parse_yaml

    found: dict[str, Any] = {}
    for choice in choices:
        name, mark, value = choice.partition("=")
        if not mark or not name:
            raise InputError(f"--option {choice}: NAME=VALUE is needed")
        try:
            found[name] = parse_yaml(value)
        except ValueError:
            found[name] = value
    return found


def answer_task(
    name: str,
    run: str,
    given: Mapping[str, Any],
    options: Mapping[str, Any],
    out: Path | None,
    *,
    fps: float | None = None,
    mapping: Path | None = None,
    edits: Edits | None = None,
    writing: Mapping[str, Any] | None = None,
    as_json: bool = False,
) -> None:
    """Read the inputs, let the run answer, and write or print what it says.

    Args:
        given: what the user gave for each kind of input: words, files, or what is read already.
        edits, writing: of files of motion; see `export.write_clip`.

    Raises:
        InputError: a task that the run has not, or an input or option that it does not take.
    """
    from raydance.systems import load_run
    from raydance.systems.tasks import task_of

    inputs = read_inputs(given, fps, mapping)
    wanted = task_of(load_run(local_copy(run)), name)
    if wanted.output == "table" and out is not None:
        raise InputError(f"{name} answers rows of words; leave out --out, or use --json")
    if wanted.output != "table" and out is None and not as_json:
        raise InputError(f"{name} makes {wanted.output}: give --out FILE")
    if out is not None:
        check_out_file(wanted, out, writing or {})
    (answer,) = wanted.answer([wanted.request(inputs, options)])
    files: dict[Path, WrittenFile] = {}
    if out is not None:
        files = write_answer(answer, out, given, edits, writing or {})
    notes = list(dict.fromkeys(note for file in files.values() for note in file.notes))
    if as_json:
        facts = answer.to_dict()
        if files:
            facts.pop("samples", None)
            residuals = [file.residual for file in files.values()]
            facts |= {"files": list(files), "residuals": residuals, "notes": notes}
        print_json(facts)
        return
    for file in files:
        frames, fps = answer.num_frames, answer.fps  # type: ignore[union-attr]
        print_lines(f"{file}: {frames} frames, {frames / fps:.1f} s")
    lines = [*_lines_of(answer), *(f"  {note}" for note in notes)]
    if lines:
        print_lines(*lines)


def _lines_of(answer: Answer) -> Iterator[str]:
    if answer.lines:
        yield from answer.lines
        return
    from raydance.motion.contacts import Report

    for row in getattr(answer, "rows", ()):
        yield "  ".join(_shown(value) for value in row.values())
    for key, value in answer.facts.items():
        if key == "feet":
            yield from (f"  {Report(**report).line}" for report in value if not report["note"])
            continue
        yield f"  {key.replace('_', ' ')}: {_shown(value)}"
    yield from (f"  {notice}" for notice in answer.notices)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def read_inputs(
    given: Mapping[str, Any], fps: float | None, mapping: Path | None
) -> dict[str, Any]:
    """Inputs as tasks take them, of the words and files that a user gave for each kind.

    Raises:
        InputError: a file that cannot be read, or values that make no sense.
    """
    from raydance.data.signals import SIGNALS
    from raydance.tracks.pictures import READERS

    inputs: dict[str, Any] = {}
    for kind, value in given.items():
        if value is None:
            continue
        if kind == "motion":
            value = read_motion(value, fps, mapping)
        elif kind in SIGNALS:
            value = _existing(local_copy(value))
        elif kind == "tracks":
            value = first_track(local_copy(value), fps)
        elif kind == "box":
            value = _box(value)
        elif kind in READERS:
            value = READERS[kind](_existing(local_copy(value)))
        inputs[kind] = value
    return inputs


def _existing(path: Any) -> Path:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    return Path(path)


def first_track(path: Any, fps: float | None) -> Any:
    """The first track of a file.

    Raises:
        InputError: none can be read.
    """
    from raydance.tracks.formats import ReadOptions, read_tracks

    found = read_tracks(path, ReadOptions(fps=fps))
    if not found.tracks:
        why = f" ({found.skipped[0]})" if found.skipped else ""
        raise InputError(f"{path}: no track in it{why}")
    return found.tracks[0]


def _box(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 4 or values[2] <= values[0] or values[3] <= values[1]:
        raise InputError(f"--box {text}: left,top,right,bottom in pixels is needed, as 10,20,60,90")
    return values


def check_out_file(task: Task, out: Path, writing: Mapping[str, Any]) -> None:
    """Say early what cannot be written.

    Raises:
        InputError: a suffix that motion or tracks are not written to, or an option that the
            suffix does not have.
    """
    from raydance.motion import export
    from raydance.tracks.export import WRITERS

    if task.output == "motion":
        export.check_suffix(out, **writing)
    elif out.suffix.lower() not in WRITERS:
        raise InputError(f"{out}: tracks are written to {', '.join(WRITERS)}")


def write_answer(
    answer: Answer,
    out: Path,
    given: Mapping[str, Any],
    edits: Edits | None,
    writing: Mapping[str, Any],
) -> dict[Path, WrittenFile]:
    """Write each sample: the first to `out`, further ones with a number in their names."""
    from raydance.motion.export.video import add_sound
    from raydance.systems.tasks import MotionAnswer, TracksAnswer

    assert isinstance(answer, MotionAnswer | TracksAnswer)
    options = {"edits": edits, **writing} if isinstance(answer, MotionAnswer) else {}
    files = {}
    for sample in range(answer.num_samples):
        file = out if sample == 0 else out.with_name(f"{out.stem}-{sample + 1}{out.suffix}")
        files[file] = answer.write(sample, file, repaired(given.get("text") or ""), **options)
        if answer.kind == "motion" and given.get("music") and file.suffix.lower() == ".mp4":
            add_sound(file, local_copy(str(given["music"])))
    return files
