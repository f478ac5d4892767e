"""The caption table of a run: each unique caption with the columns that stages add to it.

Captions are embedded once; windows refer to them by `caption_id`. A caption that names a side has a
mirrored partner (left and right exchanged), which mirrored windows refer to.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from raydance.training.run_folder import load_bundle


class CaptionTable:
    """Unique captions and their columns.

    Attributes:
        texts: U captions.
        columns: name -> tensor `[U, ...]`, such as `text_embedding [U, D]`.
    """

    def __init__(self, texts: Sequence[str], columns: dict[str, Tensor]) -> None:
        self.texts = tuple(texts)
        self.columns = columns

    @classmethod
    def load(cls, paths: Sequence[str | Path]) -> CaptionTable:
        """Read the bundle of captions and those of stages that added columns to it.

        Raises:
            ArtifactError: a bundle is missing or damaged.
        """
        texts: Sequence[str] = ()
        columns: dict[str, Tensor] = {}
        for path in paths:
            tensors, data = load_bundle(Path(path))
            texts = data.get("texts", texts)
            columns |= tensors
        return cls(texts, columns)

    def look_up(self, caption_id_B: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Rows of the columns among `names`, one per caption id."""
        return {
            name: column.index_select(0, caption_id_B)
            for name, column in self.columns.items()
            if name in names
        }

    def subset(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Whole columns, as a batch over all captions."""
        return {name: self.columns[name] for name in names if name in self.columns} | {
            "caption_id": torch.arange(len(self.texts))
        }
