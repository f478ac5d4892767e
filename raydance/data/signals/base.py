"""What a signal declares: how its files are found and read, and what networks see of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from raydance.data.schema import MODALITIES, ROW_COLUMNS
from raydance.errors import ConfigError

if TYPE_CHECKING:
    from raydance.music.alignment import StepFinding

_COLUMNS: Final = (*ROW_COLUMNS, *(column for one in MODALITIES.values() for column in one.columns))

RESERVED: Final[Mapping[str, tuple[str, ...]]] = {
    "inputs of tasks": (
        *("text", "motion", "signal", "tracks", "box", "mask", "image", "overlay", "steering"),
    ),
    "columns": (*(column.name for column in _COLUMNS), "caption_ids", "genre", "local"),
    "fields of a form": ("model", "format", "sample", "options", "file", "fps", "sound", "clip"),
    "options": (
        *("seconds", "frames", "seed", "samples", "source", "steps", "guidance", "candidates"),
        *("clean_feet", "signals"),
    ),
    "parts of the network": ("width", "pooled", "is_literal", "training"),
}
"""What names stand for -> names that no signal may have."""

_NAME: Final = re.compile(r"(?!(has|no|text)_)[a-z][a-z0-9_]*(?<!_encoder)(?<!_output)")


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A kind of input on the motion's clock: F values for each of its frames.

    Attributes:
        name: of its column `[T, F]`; the column `has_NAME` says which rows have it. None of those
            that are reserved.
        help: one such file in a few words, such as `a song`.
        values: names of the F values.
        suffixes: of such files, lower case, such as `.wav`.
        find: from a motion file and a folder to the signal's file, None without one.
        read: from a file and frames per second to `[T, F]` float32; row t is about the moment
            `t / fps` seconds. Raises errors of this package for what cannot be read.
        scaled: from `[..., F]` to units near one, as networks read them.
        find_step: whether motion is in step with a file, where that can be told: from the file,
            frames per second of its values, seconds from its begin to the motion's, joints
            `[T, J, 3]` in metres and their frames per second.

    Raises:
        ConfigError: a name that is reserved.
    """

    name: str
    help: str
    values: tuple[str, ...]
    suffixes: tuple[str, ...]
    find: Callable[[str, str], Path | None]
    read: Callable[[str, float], np.ndarray]
    scaled: Callable[[np.ndarray], np.ndarray]
    find_step: Callable[[str, float, float, np.ndarray, float], StepFinding] | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"signal {self.name!r}: a name is lower-case letters, digits and _, does not begin "
                "with has_, no_ or text_, and does not end with _encoder or _output"
            )
        for meaning, names in RESERVED.items():
            if self.name in names:
                raise ConfigError(
                    f"signal {self.name!r}: reserved, as all {meaning} are: {', '.join(names)}"
                )
