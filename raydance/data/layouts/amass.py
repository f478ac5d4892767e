"""AMASS (N. Mahmood et al., 2019): a folder per corpus, in it one per subject, in it recordings.

`*_poses.npz` are SMPL-H, `*_stageii.npz` SMPL-X; `shape.npz` and `*_stagei.npz` hold a subject's
body and no motion. The same recording in both forms shares its split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from raydance.data.file_search import FoundFile
from raydance.data.layouts.base import Layout, Notes, Tree

MOTION: Final = re.compile(r"^(.+)_(poses|stageii)$")
_BODY: Final = re.compile(r"^(shape|.*_stagei)$")

CORPORA: Final = {
    "BioMotionLab_NTroje": "BMLrub",
    "DFaust_67": "DFaust",
    "MPI_HDM05": "HDM05",
    "MPI_Limits": "PosePrior",
    "MPI_mosh": "MoSh",
    "SSM_synced": "SSM",
    "TCD_handMocap": "TCDHands",
    "Transitions_mocap": "Transitions",
    "Eyes_Japan_Dataset": "EyesJapanDataset",
}
"""Names of corpora in the first edition -> in the later ones."""


def _matches(tree: Tree) -> bool:
    return any(MOTION.match(file.path.stem) for file in tree.with_suffix(".npz"))


def key_of(path: str) -> str:
    """A recording by corpus, subject and name, the same in all editions.

    Args:
        path: with or without suffix; only its last three parts count.
    """
    parts = path.removesuffix(".npz").split("/")[-3:]
    if len(parts) == 3:
        parts[0] = CORPORA.get(parts[0], parts[0])
    if found := MOTION.match(parts[-1]):
        parts[-1] = found[1]
    return "/".join(parts).replace(" ", "_").lower()


def motions(tree: Tree, notes: Notes) -> Iterator[FoundFile]:
    """The recordings, with corpus and subject as labels."""
    for file in tree.with_suffix(".npz"):
        if not MOTION.match(file.path.stem):
            if not _BODY.match(file.path.stem):
                notes.count("files are neither _poses nor _stageii and left out", file.path)
            continue
        parts = file.name.split("/")
        labels = {}
        if len(parts) >= 3:
            labels = {"corpus": CORPORA.get(parts[-3], parts[-3]), "subject": parts[-2]}
        yield replace(file, recording=key_of(file.name), labels=labels)


def _read(tree: Tree) -> tuple[Iterable[FoundFile], Notes]:
    notes = Notes()
    notes.add("no captions and no split files; BABEL has both (--layout babel)")
    return motions(tree, notes), notes


AMASS = Layout(title="AMASS", matches=_matches, read=_read)
