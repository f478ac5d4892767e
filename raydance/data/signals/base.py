"""What a signal declares: how its files are found and read, and what networks see of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A kind of input on the motion's clock: F values for each of its frames.

    Attributes:
        name: of its column `[T, F]`; the column `has_NAME` says which rows have it.
        help: one such file in a few words, such as `a song`.
        values: names of the F values.
        suffixes: of such files, lower case, such as `.wav`.
        find: from a motion file and a folder to the signal's file, None without one.
        read: from a file and frames per second to `[T, F]` float32; row t is about the moment
            `t / fps` seconds. Raises errors of this package for what cannot be read.
        scaled: from `[..., F]` to units near one, as networks read them.
    """

    name: str
    help: str
    values: tuple[str, ...]
    suffixes: tuple[str, ...]
    find: Callable[[str, str], Path | None]
    read: Callable[[str, float], np.ndarray]
    scaled: Callable[[np.ndarray], np.ndarray]
