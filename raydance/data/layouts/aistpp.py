"""AIST++ (R. Li et al., 2021): `motions/`, `keypoints3d/`, `splits/`, `ignore_list.txt`.

A name such as `gBR_sBM_cAll_d04_mBR0_ch01` says genre, situation, camera, dancer, music and
choreography. Motions (SMPL rotations) are read where they are, keypoints of the others. The splits
are those of the task from music to motion, `crossmodal_*.txt`, and those by dancer, `pose_*.txt`,
where the first are missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
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
from raydance.motion.captions import SPLITS

_NAME: Final = re.compile(r"^g([A-Z]{2})_s([A-Z]{2})_c\w+?_d(\d+)_(m[A-Z]{2}\d)_ch(\d+)$")
_GENRES: Final = {
    "BR": "break",
    "PO": "pop",
    "LO": "lock",
    "MH": "middle hip-hop",
    "LH": "la style hip-hop",
    "HO": "house",
    "WA": "waack",
    "KR": "krump",
    "JS": "street jazz",
    "JB": "ballet jazz",
}
_SITUATIONS: Final = {"BM": "basic", "FM": "advanced"}
_MOTIONS, _KEYPOINTS = "motions", "keypoints3d"
_SPLITS: Final = {split: (f"crossmodal_{split}.txt", f"pose_{split}.txt") for split in SPLITS}


def _matches(tree: Tree) -> bool:
    return any(
        _NAME.match(file.path.stem)
        for file in tree.inside(_MOTIONS, _KEYPOINTS, suffix=".pkl")[:100]
    )


def _read(tree: Tree) -> tuple[Iterable[FoundFile], Notes]:
    notes = Notes()
    split_of, are_complete = read_splits(tree, _SPLITS, notes)
    ignored: set[str] = set()
    if (path := tree.named("ignore_list.txt")) is None:
        notes.add("missing: ignore_list.txt; sequences with known faults may be among the motions")
    else:
        ignored = set(read_small_text(path, notes).split())
    notes.music = tree.music()
    if not notes.music:
        notes.add("missing: music (such as mBR0.wav); its names become labels all the same")
    files = _motions(tree, ignored, notes)
    return with_splits(files, split_of, are_complete, lambda file: file.path.stem, notes), notes


def _motions(tree: Tree, ignored: set[str], notes: Notes) -> Iterator[FoundFile]:
    motions = tree.inside(_MOTIONS, suffix=".pkl")
    keypoints = tree.inside(_KEYPOINTS, suffix=".pkl")
    there = {file.path.stem for file in motions}
    if not motions:
        notes.add(f"missing: {_MOTIONS}/*.pkl; {_KEYPOINTS} (17 joints) stand in")
    for file in (*motions, *(file for file in keypoints if file.path.stem not in there)):
        if file.path.stem in ignored:
            notes.count("sequences of ignore_list.txt are left out", file.path.stem)
            continue
        if motions and file.path.stem not in there:
            notes.count(f"sequences are in {_KEYPOINTS} alone", file.path.stem)
        folder = file.name.split("/")[0]
        labels = _labels(file.path.stem)
        if not labels:
            notes.count("names are not of AIST++ and give no labels", file.path.stem)
        if notes.music and labels and labels["music"] not in notes.music:
            notes.count("sequences have no file of their music", labels["music"])
        yield replace(file, recording=f"{folder}/{file.path.stem}", labels=labels)


def _labels(name: str) -> dict[str, str]:
    found = _NAME.match(name)
    if found is None:
        return {}
    genre, situation, dancer, music, choreography = found.groups()
    return {
        "genre": _GENRES.get(genre, genre),
        "situation": _SITUATIONS.get(situation, situation),
        "dancer": dancer,
        "music": music,
        "choreography": choreography,
    }


AISTPP = Layout(title="AIST++", matches=_matches, read=_read)
