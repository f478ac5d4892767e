"""The epoch whose weights a training kept, from its metrics.

Training compares weights in some epochs only (`raydance.training.loop.fit`), so the epoch of the
lowest loss may not be the one that was kept. Each line has `checked`; for older runs it follows
from `check_every`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any


def checks_of(config: Mapping[str, Any]) -> dict[str, int]:
    """`check_every` of each trained stage of a run's configuration, given as plain data."""
    return {
        name: part["train"]["check_every"]
        for name, part in config.items()
        if isinstance(part, Mapping) and "train" in part
    }


def is_checked(line: Mapping[str, Any], check_every: int = 1) -> bool:
    """Whether training compared the loss of this line's epoch with the best one before."""
    if "checked" in line:
        return bool(line["checked"])
    num_done: int = line["epoch"] + 1
    return num_done % check_every == 0 or num_done == line["epochs"]


def kept_line(lines: Iterable[dict[str, Any]], check_every: int = 1) -> dict[str, Any] | None:
    """The line of the epoch whose weights were kept; None where no checked loss was finite."""
    kept, lowest = None, math.inf
    for line in lines:
        total = line["validation"]["total"]
        if is_checked(line, check_every) and total < lowest:
            kept, lowest = line, total
    return kept
