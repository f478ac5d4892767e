"""`raydance convert`: a motion file into another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raydance.commands.options import (
    FpsOption,
    InPlaceOption,
    JsonOption,
    LimitsOption,
    MappingOption,
    NamesOption,
    OutFpsOption,
    SkeletonOption,
    UnitsOption,
    UpOption,
    check_up,
    metres_per_unit,
    read_motion,
    writing_options,
)
from raydance.commands.output import print_json, print_lines


def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A motion file, or its URI.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="A .npz, .bvh, .glb, .gif or .mp4 file to write.")
    ],
    out_unit: Annotated[
        str | None, typer.Option(help="Of the written .bvh file: m, cm (by default), mm or inch.")
    ] = None,
    out_up: Annotated[
        str | None, typer.Option(help="The up axis of the written .bvh file: y (by default) or z.")
    ] = None,
    names: NamesOption = None,
    out_fps: OutFpsOption = None,
    in_place: InPlaceOption = False,
    loop: Annotated[
        bool, typer.Option("--loop", help="Bring the last frame to the pose of the first.")
    ] = False,
    start: Annotated[
        float | None, typer.Option(min=0, help="Keep the part from this second on.")
    ] = None,
    end: Annotated[float | None, typer.Option(min=0, help="Keep the part to this second.")] = None,
    limits: LimitsOption = True,
    fps: FpsOption = None,
    units: UnitsOption = None,
    up: UpOption = None,
    skeleton: SkeletonOption = None,
    mapping: MappingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a motion file into another format.

    Recordings with rotations keep them; positions alone get rotations by a fit, and how far that
    moves the joints is said. With --mapping the joints are the canonical ones afterwards.

    \b
    Examples:
      raydance convert walk.bvh --out walk.glb
      raydance convert walk.npz --out walk.bvh --out-unit m --out-up z
      raydance convert dance.bvh --out loop.glb --names mixamo --out-fps 30 --in-place --loop
      raydance convert 05_02.amc --skeleton 05.asf --out dance.mp4
    """
    from raydance.motion import export
    from raydance.motion.export.edits import Edits, edited

    options = writing_options(out_unit, out_up, limits, names)
    export.check_suffix(out, **options)
    clip = read_motion(
        file, fps, mapping, units=metres_per_unit(units), up=check_up(up), skeleton=skeleton
    )
    edits = Edits(start_s=start, end_s=end, in_place=in_place, loop=loop, fps=out_fps)
    clip = edited(clip, edits)
    written = export.write_clip(out, clip, **options)
    facts = {
        "file": out,
        "joints": len(clip.joint_names),
        "frames": clip.num_frames,
        "fps": clip.fps,
        "seconds": clip.duration_s,
    }
    if as_json:
        print_json(facts | {"residual": written.residual, "notes": written.notes})
        return
    print_lines(
        f"{out}: {len(clip.joint_names)} joints, {clip.num_frames} frames at {clip.fps:g} fps, "
        f"{clip.duration_s:.2f} s"
    )
    for note in written.notes:
        print_lines(f"  {note}")
