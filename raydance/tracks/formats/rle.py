"""COCO's run-length encoding of masks, decoded in NumPy.

`pycocotools` decodes the same, but its C code trusts the file: runs that do not fill the mask leave
whatever was in the memory. Here runs must add up to the mask's size.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.tracks.formats import base

_MAX_PIXELS: Final = 1 << 26
_FIRST: Final = 48  # a run is written in digits of five bits, each a character from "0" on


def decode(value: Any, place: str) -> np.ndarray:
    """A mask `[H, W]` bool of `{"size": [H, W], "counts": text or list of runs}`.

    Raises:
        FormatError: anything else, a size out of range, or runs that do not fill the mask.
    """
    runs, (width, height) = _parsed(value, place)
    is_set = np.arange(len(runs)) % 2 == 1
    # Columns first, as in Fortran.
    return np.repeat(is_set, runs).reshape(width, height).T


def box(value: Any, place: str) -> tuple[np.ndarray | None, tuple[int, int]]:
    """The box `[4]` (left, top, right, bottom) of a mask, None if it is empty, and its size (width,
    height); without decoding the pixels.

    Raises:
        FormatError: as `decode`.
    """
    runs, (width, height) = _parsed(value, place)
    ends = np.cumsum(runs)[1::2]
    starts = ends - runs[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts] - 1
    if not len(starts):
        return None, (width, height)
    first, last = starts // height, ends // height
    # A run over the end of a column reaches from the bottom to the top.
    is_whole = last > first
    top = 0 if is_whole.any() else (starts % height).min()
    bottom = height if is_whole.any() else (ends % height).max() + 1
    return np.array([first.min(), top, last.max() + 1, bottom], float), (width, height)


def _parsed(value: Any, place: str) -> tuple[np.ndarray, tuple[int, int]]:
    """Runs, of which the first is not set, and (width, height)."""
    value = base.mapping(value, place)
    size = value.get("size")
    if not isinstance(size, list) or len(size) != 2:
        raise FormatError(place, f"size {str(size)[:60]}; [height, width] is needed")
    width, height = base.check_size((size[1], size[0]), place)
    if width * height > _MAX_PIXELS:
        raise FormatError(place, f"{width} x {height} pixels; at most {_MAX_PIXELS} are allowed")
    return _runs(value.get("counts"), width * height, place), (width, height)


def _runs(counts: Any, total: int, place: str) -> np.ndarray:
    if isinstance(counts, str):
        runs = _from_text(counts, place)
    elif isinstance(counts, list) and all(type(run) is int for run in counts):
        if len(counts) > total + 2 or any(not 0 <= run <= total for run in counts):
            raise FormatError(place, f"a run outside of 0 to {total} pixels")
        runs = np.array(counts, np.int64)
    else:
        raise FormatError(place, "counts: text or a list of whole numbers is needed")
    if ((runs < 0) | (runs > total)).any() or runs.sum() != total:
        reason = f"runs of {int(runs.sum())} pixels; {total} in runs from 0 are needed"
        raise FormatError(place, reason)
    return runs


def _from_text(text: str, place: str) -> np.ndarray:
    """Runs of the compressed text; from the fourth on each is told by how it differs from that
    two before."""
    if not text.isascii() or not text:
        raise FormatError(place, "counts: text of ASCII characters is needed")
    digits = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - _FIRST
    if ((digits < 0) | (digits > 63)).any():
        raise FormatError(place, "counts: a character outside of the code")
    is_last = (digits & 0x20) == 0
    if not is_last[-1]:
        raise FormatError(place, "counts: the text is cut off")
    number = np.concatenate([[0], np.cumsum(is_last)[:-1]])
    starts = np.flatnonzero(np.concatenate([[True], is_last[:-1]]))
    place_in = np.arange(len(digits)) - starts[number]
    if place_in.max() > 6:
        raise FormatError(place, "counts: a run of more digits than any mask needs")
    values = np.zeros(len(starts), np.int64)
    np.add.at(values, number, (digits & 0x1F) << (5 * place_in))
    ends = np.flatnonzero(is_last)
    is_negative = (digits[ends] & 0x10) != 0
    values -= is_negative * (np.int64(1) << (5 * (place_in[ends] + 1)))
    # Every other run is a sum of the differences before it.
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values
