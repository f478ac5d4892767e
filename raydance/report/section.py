"""What a report is made of: sections, animations, and what a system that adds its own is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from raydance.data.dataset import Dataset
from raydance.training.run_folder import Run


class Section(NamedTuple):
    """A part of the page: its anchor, its title and its markup (see `raydance.report.page`)."""

    anchor: str
    title: str
    markup: str


@dataclass(frozen=True, kw_only=True)
class Animation:
    """A GIF and what it shows.

    Attributes:
        file: name within its folder.
        title: the sentence or the movement.
        text: one line about both sides.
    """

    file: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """What sections are made from.

    Attributes:
        out: the folder of the page.
        dataset: the main one, or None where it is not there any more.
        evaluation: of this run on its test split, or None where it could not be measured.
        sentences: that a user wants to see answered; some test captions where there are none.
    """

    run: Run
    out: Path
    dataset: Dataset | None
    evaluation: Mapping[str, Any] | None
    sentences: Sequence[str] = ()

    @property
    def figures(self) -> Path:
        """The folder of the pictures, which is there."""
        folder = self.out / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
