"""LaFAN1 (F. Harvey et al., 2020): `walk1_subject5.bvh`, an action, a take and who performed it.

There are no split files; the published experiments test on subject 5, and so does this layout.
Takes of one number belong together (several people in one scene), so they share their split, but
for those of subject 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from raydance.data.file_search import FoundFile
from raydance.data.layouts.base import Layout, Notes, Tree
from raydance.motion.captions import CaptionRow
from raydance.motion.windows import split_of

_NAME: Final = re.compile(r"^([a-zA-Z]+)(\d+)_subject(\d+)$")
_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TESTED: Final = "5"


def _matches(tree: Tree) -> bool:
    return any(_NAME.match(file.path.stem) for file in tree.with_suffix(".bvh"))


def _read(tree: Tree) -> tuple[Iterable[FoundFile], Notes]:
    notes = Notes()
    notes.add("subject 5 is the test split, as published; train and val are by hash")
    notes.add("captions are made of the names of the actions")
    return _motions(tree, notes), notes


def _motions(tree: Tree, notes: Notes) -> Iterator[FoundFile]:
    for file in tree.with_suffix(".bvh"):
        found = _NAME.match(file.path.stem)
        if found is None:
            notes.count("names are not of the form walk1_subject1.bvh and left out", file.path.name)
            continue
        action, take, subject = found.groups()
        words = _WORDS.sub(" ", action).lower()
        scene = f"{action}{take}"
        is_test = subject == _TESTED
        split = "test" if is_test else "val" if split_of(scene) == "val" else "train"
        yield replace(
            file,
            split=split,
            recording=file.name if is_test else f"{file.name.split('/')[0]}/{scene}",
            rows=(CaptionRow(file=file.path, captions=(words,)),),
            labels={"content": words, "actor": f"subject {subject}", "take": take},
        )


LAFAN1 = Layout(title="LaFAN1", matches=_matches, read=_read)
