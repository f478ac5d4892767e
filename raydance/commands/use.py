"""`raydance describe`, `generate` and `search`: a trained run at work, without Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

import raydance
from raydance.commands.options import (
    FpsOption,
    JsonOption,
    MappingOption,
    RunOption,
    local,
    print_json,
    read_motion,
)
from raydance.errors import InputError

if TYPE_CHECKING:
    from raydance.motion.clip import Clip
    from raydance.systems.answers import Hit


def describe(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A motion file, or its URI.")],
    run: RunOption,
    k: Annotated[int, typer.Option("-k", help="Captions for each part.")] = 3,
    fps: FpsOption = None,
    mapping: MappingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a motion file into words.

    The whole clip comes first, then each of its windows.

    \b
    Examples:
      raydance describe walk.bvh --run runs/mine
      raydance describe walk.bvh --run runs/mine -k 1 --json
    """
    _check_k(k)
    clip = read_motion(file, fps, mapping)
    segments = raydance.load(local(run)).describe(clip, k)
    if as_json:
        print_json({"file": file, "seconds": clip.duration_s, "segments": segments})
        return
    print(f"{file}: {clip.duration_s:.1f} s, {len(segments) - 1} windows")
    for i, part in enumerate(segments):
        what = "the whole" if i == 0 else f"{part.start_s:.1f}-{part.end_s:.1f} s"
        print(f"{what} (cluster {part.cluster})")
        for caption in part.captions:
            notes = [] if caption.cluster_verified else ["not of its cluster"]
            notes += ["derived from kinematics"] if caption.derived else []
            note = f"  [{'; '.join(notes)}]" if notes else ""
            print(f"  {caption.score:5.2f}  {caption.text}{note}")


def generate(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A sentence about movement.")],
    run: RunOption,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .npz, .bvh or .gif file to write.")],
    frames: Annotated[int | None, typer.Option(help="Length; a window by default.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another motion.")] = 0,
    source: Annotated[
        str | None,
        typer.Option(help="Where the motion latent comes from: prior, cluster, nearest or clip."),
    ] = None,
    clip: Annotated[
        str | None, typer.Option(metavar="FILE", help="The motion that --source clip starts from.")
    ] = None,
    fps: FpsOption = None,
    mapping: MappingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a sentence into motion.

    \b
    Examples:
      raydance generate "a dancer turns slowly" --run runs/mine --out turn.gif
      raydance generate "sharp kicks" --run runs/mine --out kicks.bvh --frames 80 --seed 3
      raydance generate "the same, but low" --run runs/mine --out low.npz --clip walk.bvh
    """
    write = WRITERS.get(out.suffix.lower())
    if write is None:
        raise InputError(f"--out {out}: suffix {out.suffix or 'missing'}; {', '.join(WRITERS)}")
    start = read_motion(clip, fps, mapping) if clip else None
    system = raydance.load(local(run))
    motion = system.generate(text, frames=frames, seed=seed, source=source, clip=start)[0]
    out.parent.mkdir(parents=True, exist_ok=True)
    note = write(out, system.as_clip(motion, out.stem, text))
    facts = {"file": out, "text": text, "frames": len(motion), "fps": system.fps, "seed": seed}
    if as_json:
        print_json(facts | {"note": note})
    else:
        print(f"{out}: {len(motion)} frames, {len(motion) / system.fps:.1f} s")
        if note:
            print(f"  {note}")


def search(
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="A sentence about movement.")
    ] = None,
    motion: Annotated[
        str | None, typer.Option(metavar="FILE", help="A motion file to search with instead.")
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
    if text is not None and motion is not None:
        raise InputError("a sentence or --motion FILE, not both")
    query: str | Clip
    if motion is not None:
        query = read_motion(motion, fps, mapping)
    elif text is not None:
        query = text
    else:
        raise InputError("what to search for? Give a sentence or --motion FILE")
    hits = _find(query, k, run, library)
    if as_json:
        print_json(hits)
        return
    for hit in hits:
        words = "; ".join(hit.captions) or ", ".join(hit.labels.values()) or "no words"
        print(f"{hit.score:7.3f}  {hit.clip_id}  {hit.start_s:.1f}-{hit.end_s:.1f} s  {words}")


def _find(query: str | Clip, k: int, run: str | None, library: str | None) -> list[Hit]:
    if library is None:
        if run is None:
            raise InputError("where to search? Give --run RUN or --library CAPTIONS")
        return raydance.load(local(run)).search(query, k)
    from raydance.captioning.finder import Finder
    from raydance.captioning.store import CaptionStore, run_identity

    store = CaptionStore.open(local(library))
    place = local(run or store.facts["run"]["path"])
    if run_identity(place) != store.facts["run"]["identity"]:
        raise InputError(f"{library}: not captioned by {place}, as it is now; caption it again")
    return Finder(store).search(raydance.load(place).point_of(query), k)


def _check_k(k: int) -> None:
    if k < 1:
        raise InputError(f"-k {k}; at least 1")


def _write_npz(path: Path, clip: Clip) -> str:
    import numpy as np

    from raydance.files import replacing

    arrays: dict[str, Any] = {
        "positions": clip.positions.astype(np.float32),
        "joint_names": np.array(clip.joint_names),
        "parents": np.array(clip.parents, dtype=np.int64),
        "fps": np.float64(clip.fps),
    }
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)
    return ""


def _write_bvh(path: Path, clip: Clip) -> str:
    from raydance.motion.export import bvh

    left = bvh.write(path, clip)
    return (
        f"rotations fitted to bones of fixed length: joints are {left.mean_m * 100:.1f} cm from "
        f"the generated points on average, {left.max_m * 100:.1f} cm at most"
    )


def _write_gif(path: Path, clip: Clip) -> str:
    import numpy as np

    from raydance.motion import skeleton
    from raydance.motion.render import render_gif

    # A generated clip has the joints of the training data, the figure all fifty.
    places = [skeleton.JOINTS.index(name) for name in clip.joint_names]
    motion = np.zeros((clip.num_frames, len(skeleton.JOINTS), 3), np.float32)
    motion[:, places] = clip.positions
    mask = np.isin(np.arange(len(skeleton.JOINTS)), places)
    titles = list(clip.captions) or None
    render_gif(path, motion, fps=clip.fps, titles=titles, joint_mask=mask)
    return ""


WRITERS: Final[dict[str, Callable[[Path, Clip], str]]] = {
    ".npz": _write_npz,
    ".bvh": _write_bvh,
    ".gif": _write_gif,
}
"""Suffix -> what writes a generated clip (`[T, 50, 3]` metres), whole or not at all.

A writer returns what a user should know of the file, or nothing."""
