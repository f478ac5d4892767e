"""100STYLE (I. Mason et al., 2022): walks, runs and idling in a hundred styles, `Style_FW.bvh`.

`Frame_Cuts.csv` says where in a recording the movement is (`FW_START`, `FW_STOP`, frames of the
file); what lies outside is a T-pose and the way into it. `Dataset_List.csv` describes the styles.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from raydance.data.file_search import FoundFile
from raydance.data.layouts.base import Layout, Notes, Tree, read_small_text
from raydance.motion.captions import CaptionRow
from raydance.plain_text import sentence

_MOVEMENTS: Final = {
    "FW": "walk forwards",
    "BW": "walk backwards",
    "FR": "run forwards",
    "BR": "run backwards",
    "SW": "walk sideways",
    "SR": "run sideways",
    "ID": "stand idle",
    "TR1": "change between movements",
    "TR2": "change between movements",
    "TR3": "change between movements",
}
_FPS: Final = 60.0
_NAME: Final = re.compile(rf"^([A-Za-z0-9]+)_({'|'.join(_MOVEMENTS)})$")
_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _matches(tree: Tree) -> bool:
    return sum(bool(_NAME.match(file.path.stem)) for file in tree.with_suffix(".bvh")) > 0


def _read(tree: Tree) -> tuple[Iterable[FoundFile], Notes]:
    notes = Notes()
    cuts = _table(tree, "frame_cuts.csv", notes, "recordings are read whole, with their T-poses")
    about = _table(tree, "dataset_list.csv", notes, "styles are described by their names alone")
    notes.add("no split files; recordings get their split by hash")
    notes.add("captions are made of names of movements and styles, and of the styles' descriptions")
    return _motions(tree, cuts, about, notes), notes


def _table(tree: Tree, name: str, notes: Notes, without: str) -> dict[str, dict[str, str]]:
    """A table's rows by style, column names in upper case; empty, with a note, if it is missing."""
    path = tree.named(name)
    if path is None:
        title = "_".join(word.capitalize() for word in name.removesuffix(".csv").split("_"))
        notes.add(f"missing: {title}.csv; {without}")
        return {}
    lines = read_small_text(path, notes).split("\n")
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        notes.count("text files cannot be read", f"{path}: {error}")
        return {}
    head = [cell.strip().upper() for cell in rows[0]] if rows else []
    return {row[0].strip(): dict(zip(head, map(str.strip, row))) for row in rows[1:] if row}


def _motions(
    tree: Tree, cuts: dict[str, dict[str, str]], about: dict[str, dict[str, str]], notes: Notes
) -> Iterator[FoundFile]:
    for file in tree.with_suffix(".bvh"):
        found = _NAME.match(file.path.stem)
        if found is None:
            notes.count("names are not of the form Style_FW.bvh and left out", file.path.name)
            continue
        style, movement = found.groups()
        words = _WORDS.sub(" ", style).lower()
        span_s = _cut(cuts.get(style, {}), movement)
        if cuts and span_s is None:
            notes.count("recordings have no cut and are read whole", file.path.stem)
        row = CaptionRow(
            file=file.path,
            captions=tuple(_captions(words, movement, about.get(style, {}))),
            span_s=span_s,
            clip_id=file.name,  # one part of each file: it needs no name of its own
        )
        labels = {"style": words, "content": _MOVEMENTS[movement]}
        yield replace(file, rows=(row,), labels=labels)


def _cut(row: dict[str, str], movement: str) -> tuple[float, float] | None:
    """When a movement begins and ends, in seconds; `N/A` stands where there is none."""
    try:
        begin, end = int(row[f"{movement}_START"]), int(row[f"{movement}_STOP"])
    except (KeyError, ValueError):
        return None
    return (begin / _FPS, end / _FPS) if 0 <= begin < end else None


def _captions(style: str, movement: str, about: dict[str, str]) -> Iterator[str]:
    yield f"{_MOVEMENTS[movement]}, {style}"
    description = sentence(about.get("DESCRIPTION", ""))
    if description:
        yield f"{_MOVEMENTS[movement]}, {description}"


STYLE100 = Layout(title="100STYLE", matches=_matches, read=_read)
