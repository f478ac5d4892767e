"""Public data sets as they come: which of their files hold motion, and what belongs to it.

A new data set is a file here and a line in `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from raydance.data.file_search import FoundFile
from raydance.data.layouts.aistpp import AISTPP
from raydance.data.layouts.amass import AMASS
from raydance.data.layouts.babel import BABEL
from raydance.data.layouts.bandai import BANDAI
from raydance.data.layouts.base import Layout, PublicSet, Tree
from raydance.data.layouts.finedance import FINEDANCE
from raydance.data.layouts.humanml3d import HUMANML3D
from raydance.data.layouts.kit import KIT
from raydance.data.layouts.lafan1 import LAFAN1
from raydance.data.layouts.style100 import STYLE100
from raydance.errors import InputError

LAYOUTS: Final[Mapping[str, Layout]] = {
    "humanml3d": HUMANML3D,
    "kit": KIT,
    "aist++": AISTPP,
    "finedance": FINEDANCE,
    "babel": BABEL,  # before AMASS, whose recordings lie beside it
    "amass": AMASS,
    "100style": STYLE100,
    "lafan1": LAFAN1,
    "bandai": BANDAI,
}
"""Name -> layout, in the order in which `auto` tries them."""

AUTO: Final = "auto"


def recognise(tree: Tree) -> str | None:
    """The name of the layout that a tree looks like, if any."""
    return next((name for name, layout in LAYOUTS.items() if layout.matches(tree)), None)


def check_name(name: str) -> str:
    """The name of a layout, or `auto`.

    Raises:
        InputError: no such layout.
    """
    if name not in LAYOUTS and name != AUTO:
        raise InputError(f"layout {name}; allowed: {AUTO}, {', '.join(LAYOUTS)}")
    return name


def read(sources: Sequence[str | Path], name: str) -> PublicSet:
    """A data set's motion files, with captions, labels and splits.

    Args:
        name: a key of `LAYOUTS`, or `auto` for the one that the folders look like.

    Raises:
        InputError: no such layout, or nothing that fits it below the sources.
    """
    check_name(name)
    tree = Tree(sources)
    known = recognise(tree) if name == AUTO else name
    places = ", ".join(map(str, sources))
    if known is None:
        raise InputError(f"{places}: not a known layout; known are {', '.join(LAYOUTS)}")
    layout = LAYOUTS[known]
    found, notes = layout.read(tree)
    files = tuple(_with_song(file, notes.music) for file in found)
    if not files:
        why = "".join(f"; {line}" for line in notes.lines())
        raise InputError(f"{places}: no motion of {layout.title} there{why}")
    return PublicSet(
        title=layout.title,
        files=(*files, *tree.unreadable),
        notes=notes.lines(),
        music=notes.music,
    )


def _with_song(file: FoundFile, music: Mapping[str, Path]) -> FoundFile:
    """A file with its song: the one of its own name, or of its label `music`."""
    song = music.get(file.path.stem) or music.get(file.labels.get("music", ""))
    return replace(file, signals={"music": song}) if song is not None else file
