"""Bandai-Namco Research Motiondataset (M. Kobayashi et al., 2023): `dataset-1_bow_normal_001.bvh`.

Content and style stand in the name; they win over the numbers of the .json beside a recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from raydance.data.file_search import FoundFile
from raydance.data.layouts.base import Layout, Notes, Tree
from raydance.motion.captions import CaptionRow

_NAME: Final = re.compile(r"^dataset-(\d)_([a-z-]+)_([a-z-]+)_(\d+)$")


def _matches(tree: Tree) -> bool:
    return any(_NAME.match(file.path.stem) for file in tree.with_suffix(".bvh"))


def _read(tree: Tree) -> tuple[Iterable[FoundFile], Notes]:
    notes = Notes()
    notes.add("no split files; recordings get their split by hash")
    notes.add("captions are made of the names of content and style")
    return _motions(tree, notes), notes


def _motions(tree: Tree, notes: Notes) -> Iterator[FoundFile]:
    for file in tree.with_suffix(".bvh"):
        found = _NAME.match(file.path.stem)
        if found is None:
            notes.count("names are not of the data set and left out", file.path.name)
            continue
        _, content, style, _ = found.groups()
        content, style = content.replace("-", " "), style.replace("-", " ")
        caption = f"{content}, {style}"
        yield replace(
            file,
            rows=(CaptionRow(file=file.path, captions=(caption,)),),
            labels={"content": content, "style": style},
        )


BANDAI = Layout(title="Bandai-Namco Research Motiondataset", matches=_matches, read=_read)
