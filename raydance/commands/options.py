"""Options and small helpers that several commands share."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raydance.errors import InputError
from raydance.plain_text import well_formed

if TYPE_CHECKING:
    from raydance.motion.clip import Clip


def check_out(out: Any) -> Any:
    """Callback of options that name a folder to write: Ray and Parquet take no other names.

    Raises:
        InputError: its path is not UTF-8.
    """
    path = os.path.abspath(out)
    if well_formed(path) != path:
        raise InputError(f"{path}: a name that is not UTF-8; choose another --out")
    return out


# Text, not `Path`: that would make one slash of the two in a URI.
RunOption = Annotated[
    str, typer.Option("--run", metavar="RUN", help="A trained run: a folder, or its URI.")
]
DataOption = Annotated[
    str, typer.Option("--data", metavar="DATASET", help="A dataset: a folder, or its URI.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="A running Ray cluster, from one of its nodes: auto, or HOST:6379. An embedded one by "
        "default."
    ),
]
LocalOption = Annotated[
    bool, typer.Option("--local", help="A plain loop in this process, without Ray.")
]
PresetOption = Annotated[str, typer.Option(help="paper, default or quick.")]
SystemOption = Annotated[
    str, typer.Option("--system", metavar="NAME", help="Such as everything2motion or lang2motion.")
]
MusicDataOption = Annotated[
    str | None,
    typer.Option(
        "--music", metavar="DATASET", help="Clips with songs, beside --data: a folder or URI."
    ),
]
SignalsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--signal",
        metavar="NAME=PLACE",
        help="A further input on the motion's clock: its file, or folder; may be repeated.",
    ),
]
WorkFolderOption = Annotated[
    Path,
    typer.Option(metavar="DIR", callback=check_out, help="The folder to write or to go on with."),
]
FpsOption = Annotated[
    float | None, typer.Option("--fps", help="The file's true frame rate, where it is wrong.")
]
MappingOption = Annotated[
    Path | None,
    typer.Option(
        "--mapping", help="YAML or JSON lines `canonical joint: source joint` for your skeleton."
    ),
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="A public data set with its captions, labels and splits: humanml3d, kit, aist++, "
        "finedance, babel, amass, 100style, lafan1, bandai; auto finds out which.",
    ),
]
UnitsOption = Annotated[
    str | None,
    typer.Option("--units", help="m, cm, mm, inch, cmu, or metres per unit; detected by default."),
]
UpOption = Annotated[
    str | None, typer.Option("--up", help="The axis that points up: x, y or z; detected.")
]
SkeletonOption = Annotated[
    Path | None, typer.Option("--skeleton", help="The ASF file of an AMC file.")
]
LimitsOption = Annotated[
    bool,
    typer.Option(
        "--limits/--no-limits",
        help="Whether fitted rotations prefer what human joints can do where positions leave it "
        "open.",
    ),
]


NamesOption = Annotated[
    str | None,
    typer.Option(
        "--names", help="Of joints in a .bvh or .glb file: own (by default) or mixamo (Mixamo's)."
    ),
]
OutFpsOption = Annotated[
    float | None,
    typer.Option("--out-fps", min=1, max=240, help="Frames per second of the written file."),
]
InPlaceOption = Annotated[
    bool, typer.Option("--in-place", help="Keep the written motion on one spot of the floor.")
]


def writing_options(
    unit: str | None, up: str | None, limits: bool, names: str | None = None
) -> dict[str, Any]:
    """What `raydance.motion.export.write_clip` takes: the options that were given."""
    given = {"unit": unit, "up": up, "limits": None if limits else False, "names": names}
    return {name: value for name, value in given.items() if value is not None}


def signal_places(signals: Iterable[str] | None) -> Iterator[tuple[str, str]]:
    """Name and place of each `NAME=PLACE`.

    Raises:
        InputError: one without a name or place, an unknown name, or one given twice.
    """
    from raydance.data.signals import signal_of

    seen: set[str] = set()
    for signal in signals or ():
        name, _, place = signal.partition("=")
        if not name or not place:
            raise InputError(f"--signal {signal}: NAME=PLACE is needed")
        if signal_of(name).name in seen:
            raise InputError(f"--signal {signal}: {name} is given twice")
        seen.add(name)
        yield name, place


def datasets_by_role(data: str, music: str | None) -> dict[str, str]:
    """The datasets that `--data` and `--music` name."""
    return {"data": data} | ({"music": music} if music is not None else {})


def local_datasets(data: str, music: str | None, say: Callable[[str], None]) -> dict[str, Path]:
    """The folders of `datasets_by_role`: those of URIs are copied here first.

    Raises:
        RaydanceError: as `local`.
    """
    return {role: local(place, say) for role, place in datasets_by_role(data, music).items()}


def local(place: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """The path that an argument names; for a URI, of its copy, which is fetched first.

    Raises:
        InputError: nothing at the URI, or not a URI that can be read.
    """
    from raydance.data import storage

    return storage.fetch(place, say=say) if storage.is_uri(place) else Path(place)


def destination(out: str, record: str, what: str, *, keep_extra: bool = False) -> Path:
    """Where to write or go on: a folder, or for a URI its copy, brought up to date.

    Args:
        record: the file that marks such a folder, as `run.json`.
        what: it is, for the message.
        keep_extra: files of the copy that the store lacks stay.

    Raises:
        InputError: a URI at which something else lies.
    """
    from raydance.data import storage

    if not storage.is_uri(out):
        return Path(out)
    names = storage.names_in(out)
    if not names:  # a copy of what was removed there must not come back
        shutil.rmtree(storage.local_path(out), ignore_errors=True)
        return storage.local_path(out)
    if record not in names:
        raise InputError(f"{out}: not empty and not {what} of raydance; choose another --out")
    return storage.fetch(out, keep_extra=keep_extra)


def metres_per_unit(units: str | None) -> float | None:
    """The value of `--units`.

    Raises:
        InputError: neither a known unit nor a number above 0.
    """
    from raydance.motion.units import UNITS

    if units is None:
        return None
    if units in UNITS:
        return UNITS[units]
    try:
        value = float(units)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise InputError(f"--units {units}; allowed: {', '.join(UNITS)}, or metres per unit")
    return value


def check_up(up: str | None) -> str | None:
    """The value of `--up`.

    Raises:
        InputError: not an axis.
    """
    from raydance.motion.units import AXES

    if up is not None and up not in AXES:
        raise InputError(f"--up {up}; allowed: {', '.join(AXES)}")
    return up


def read_motion(place: str, fps: float | None, mapping: Path | None, **reading: Any) -> Clip:
    """Read a motion file; with a mapping file, its joints are the canonical ones afterwards.

    Args:
        reading: further arguments of `read_clip`.

    Raises:
        InputError: a file that cannot be read, or a mapping that does not fit it.
    """
    from raydance.motion.formats import read_clip

    clip = read_clip(local(place), fps=fps, **reading)
    if mapping is None:
        return clip
    from raydance.motion.mapping import load_mapping

    return _on_canonical_joints(clip, load_mapping(mapping))


def _on_canonical_joints(clip: Clip, mapping: Mapping[str, Any]) -> Clip:
    import numpy as np

    from raydance.motion import skeleton
    from raydance.motion.mapping import map_to_canonical

    mapped = map_to_canonical(clip, mapping)
    kept = [int(i) for i in np.flatnonzero(mapped.joint_mask)]
    return dataclasses.replace(
        clip,
        joint_names=tuple(skeleton.JOINTS[i] for i in kept),
        parents=skeleton.parents_among(kept),
        positions=mapped.positions[:, kept],
        rotations=None,
        offsets=None,
    )
