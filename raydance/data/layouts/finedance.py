"""FineDance (R. Li et al., 2023): `motion/001.npy`, `label_json/001.json`, `music_wav/001.wav`.

The data set itself has no split files; `train.txt`, `val.txt` and `test.txt` with one number per
line are honoured where somebody put them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from raydance.data.file_search import FoundFile
from raydance.data.layouts.base import (
    AUDIO_SUFFIXES,
    Layout,
    Notes,
    Tree,
    read_small_json,
    read_splits,
    texts_of,
    with_splits,
)
from raydance.errors import FormatError
from raydance.motion.formats import finedance
from raydance.motion.formats.numpy_file import shape_of_npy

_LABELS: Final = ("label_json", "labels", "label")
_SPLITS: Final = {"train": ("train.txt",), "val": ("val.txt",), "test": ("test.txt",)}


def _matches(tree: Tree) -> bool:
    files = tree.inside("motion", suffix=".npy")
    return bool(files) and _is_motion(files[0].path)


def _is_motion(path: Path) -> bool:
    try:
        return finedance.is_finedance(shape_of_npy(path))
    except FormatError:
        return False


def _read(tree: Tree) -> tuple[Iterable[FoundFile], Notes]:
    notes = Notes()
    split_of: dict[str, str] = {}
    are_complete = False
    if any(tree.named(*names) for names in _SPLITS.values()):
        split_of, are_complete = read_splits(tree, _SPLITS, notes)
    else:
        notes.add("no split files; recordings get their split by hash")
    labels = {file.path.stem: file.path for file in tree.inside(*_LABELS, suffix=".json")}
    if not labels:
        notes.add("missing: label_json/*.json; all dances are without labels")
    # Features of the music are .npy files of the same names, so only audio counts.
    notes.music = {file.path.stem: file.path for file in tree.with_suffix(*AUDIO_SUFFIXES)}
    if not notes.music:
        notes.add("missing: music_wav/*.wav; numbers of the music become labels all the same")
    files = _motions(tree, labels, notes)
    return with_splits(files, split_of, are_complete, lambda file: file.path.stem, notes), notes


def _motions(tree: Tree, labels: dict[str, Path], notes: Notes) -> Iterator[FoundFile]:
    for file in tree.inside("motion", suffix=".npy"):
        name = file.path.stem
        about = texts_of(read_small_json(labels[name], notes)) if name in labels else {}
        if labels and not about:
            notes.count("dances have no labels", name)
        if notes.music and name not in notes.music:
            notes.count("dances have no file of their music", name)
        folder = file.name.split("/")[0]
        # Of the two, `style1` only tells modern from traditional dances.
        genre = {"genre": about["style2"]} if "style2" in about else {}
        yield replace(file, recording=f"{folder}/{name}", labels=about | genre | {"music": name})


FINEDANCE = Layout(title="FineDance", matches=_matches, read=_read)
