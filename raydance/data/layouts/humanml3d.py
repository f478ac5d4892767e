"""HumanML3D and KIT-ML as C. Guo et al. publish them (2022): `new_joints/`, `new_joint_vecs/` and
`texts/` with a file per motion, and lists of ids.

A line of a text is `a caption#its words with their kinds#begin#end`, times in seconds; 0.0 and 0.0
mean the whole motion. `M012314` is the mirror image of `012314`. It keeps to the split of its
source, whatever the lists say, because it is the same performance. Joints are read where they are;
features hold the same motion and only stand in for joints that are missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from raydance.data.file_search import FoundFile
from raydance.data.layouts.base import (
    Layout,
    Notes,
    Tree,
    read_small_text,
    read_splits,
    with_splits,
)
from raydance.errors import FormatError
from raydance.motion.captions import CaptionRow
from raydance.motion.formats import humanml3d
from raydance.motion.formats.numpy_file import shape_of_npy
from raydance.plain_text import sentence

_MIRRORED: Final = re.compile(r"^M(\d+)$")
_SPLITS: Final = {"train": ("train.txt",), "val": ("val.txt",), "test": ("test.txt",)}
_JOINTS, _FEATURES, _TEXTS = "new_joints", "new_joint_vecs", "texts"
_MAX_CAPTIONS: Final = 1000


def layout_of(title: str, num_joints: int, num_features: int) -> Layout:
    """The layout of a data set in this form, told apart by the shape of its arrays."""

    def matches(tree: Tree) -> bool:
        shapes = (
            ((num_joints, 3), tree.inside(_JOINTS, suffix=".npy")),
            ((num_features,), tree.inside(_FEATURES, suffix=".npy")),
        )
        return any(files and _shape(files[0].path) == shape for shape, files in shapes)

    return Layout(title=title, matches=matches, read=_read)


def _shape(path: Path) -> tuple[int, ...]:
    try:
        return shape_of_npy(path)[1:]
    except FormatError:
        return ()


def _read(tree: Tree) -> tuple[Iterable[FoundFile], Notes]:
    notes = Notes()
    texts = {file.path.stem: file.path for file in tree.inside(_TEXTS, suffix=".txt")}
    split_of, are_complete = _splits(tree, notes)
    if not texts:
        packed = " (texts.zip is not unpacked)" if tree.named("texts.zip") else ""
        notes.add(f"missing: texts/*.txt{packed}; all motions are without captions")
    files = with_splits(_motions(tree, notes), split_of, are_complete, _id_of_source, notes)
    return _with_captions(files, texts, notes), notes


def _motions(tree: Tree, notes: Notes) -> Iterator[FoundFile]:
    joints = tree.inside(_JOINTS, suffix=".npy")
    features = tree.inside(_FEATURES, suffix=".npy")
    there = {file.path.stem for file in joints}
    if not joints:
        notes.add(f"missing: {_JOINTS}/*.npy; positions are recovered from {_FEATURES}")
    only_features = [file for file in features if file.path.stem not in there]
    if joints and only_features:
        notes.count(f"motions are in {_FEATURES} alone", only_features[0].path.stem)
    for file in (*joints, *only_features):
        folder = file.name.split("/")[0]
        yield replace(file, recording=f"{folder}/{_id_of_source(file)}")


def _id_of_source(file: FoundFile) -> str:
    """The id of the motion that a file holds, or is the mirror image of."""
    return _MIRRORED.sub(r"\1", file.path.stem)


def _splits(tree: Tree, notes: Notes) -> tuple[dict[str, str], bool]:
    listed, are_complete = read_splits(tree, _SPLITS, notes)
    if not are_complete and (path := tree.named("train_val.txt")) is not None:
        for name in read_small_text(path, notes).split():
            listed.setdefault(name, "train")
    split_of = {name: split for name, split in listed.items() if not _MIRRORED.match(name)}
    for name, split in listed.items():
        source = _MIRRORED.sub(r"\1", name)
        if split_of.setdefault(source, split) != split:
            notes.count("mirrored motions are moved to the split of their source", name)
    return split_of, are_complete


def _with_captions(
    files: Iterable[FoundFile], texts: dict[str, Path], notes: Notes
) -> Iterator[FoundFile]:
    for file in files:
        path = texts.get(file.path.stem)
        rows = tuple(_rows(file.path, path, notes)) if path else ()
        if texts and not rows:
            notes.count("motions have no caption", file.path.stem)
        yield replace(file, rows=rows)


def _rows(motion: Path, path: Path, notes: Notes) -> Iterator[CaptionRow]:
    """The captions of each part of a motion."""
    captions: dict[tuple[float, float] | None, list[str]] = {}
    first_line: dict[tuple[float, float] | None, int] = {}
    lines = read_small_text(path, notes).split("\n")
    for number, line in enumerate(lines[:_MAX_CAPTIONS], start=1):
        if not line.strip():
            continue
        text, *rest = line.split("#")
        try:
            begin, end = (float(word) for word in rest[-2:])
        except ValueError:
            begin = end = -1.0
        # Not a number means the whole, as zero does; the published texts hold both.
        begin, end = (0.0 if math.isnan(time) else time for time in (begin, end))
        is_whole = begin == end == 0.0
        if not sentence(text) or not (is_whole or 0.0 <= begin < end < math.inf):
            place = f"{path.name} line {number}: {line[:60]!r}"
            notes.count("captions are not of the form `text#words#begin#end`", place)
            continue
        span = None if is_whole else (begin, end)
        captions.setdefault(span, []).append(sentence(text))
        first_line.setdefault(span, number)
    for span, found in captions.items():
        yield CaptionRow(file=motion, captions=tuple(found), span_s=span, line=first_line[span])


HUMANML3D = layout_of("HumanML3D", humanml3d.NUM_JOINTS, humanml3d.NUM_FEATURES)
