"""NumPy's .npy and .npz files as untrusted data.

Headers are checked before anything is allocated: no pickled objects, no more bytes than allowed,
and exactly as many as the shape says. An .npz is read member by member, so that a file with one
huge or strange member can still give the others.
"""

from __future__ import annotations

import io
import math
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Final, TypeVar

import numpy as np

from raydance.errors import FormatError

MAX_BYTES: Final = 2 << 30
"""Largest array that is read: 2 GiB, about 3.5 million frames of 50 joints."""

_FREE_BYTES: Final = 16 << 20
_MAX_RATIO: Final = 100  # motion packs to a third, or a tenth where hands are still
_MAX_HEADER_BYTES: Final = 10_000
_MAX_MEMBERS: Final = 1_000
_KINDS: Final = "biufUS"

T = TypeVar("T")


def read_npy(path: str | Path) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        FormatError: not an .npy file, truncated, too large, or of Python objects.
    """
    name = str(path)
    try:
        size = Path(path).stat().st_size
        with open(path, "rb") as stream:
            return _read_array(stream, size, name)
    except OSError as error:
        raise FormatError(name, f"cannot be read ({error.strerror or error})") from None


def shape_of_npy(path: str | Path) -> tuple[int, ...]:
    """The shape in the header of an .npy file; nothing else is read.

    Raises:
        FormatError: as `read_npy`.
    """
    name = str(path)
    try:
        size = Path(path).stat().st_size
        with open(path, "rb") as stream:
            return _read_header(stream, size, name)[0]
    except OSError as error:
        raise FormatError(name, f"cannot be read ({error.strerror or error})") from None


class NpzReader:
    """The members of an .npz file, each checked and read when asked for.

    Raises:
        FormatError: not an .npz file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise FormatError(self.path, f"cannot be read ({error.strerror or error})") from None
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise FormatError(self.path, f"not an .npz file ({error})") from None
        members = self._zip.infolist()
        if len(members) > _MAX_MEMBERS:
            self._zip.close()
            reason = f"{len(members)} members in the file, at most {_MAX_MEMBERS} are allowed"
            raise FormatError(self.path, reason)
        self._members = {m.filename.removesuffix(".npy"): m for m in members}

    def __enter__(self) -> NpzReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._members)

    def __contains__(self, key: str) -> bool:
        return key in self._members

    def shape(self, key: str) -> tuple[int, ...]:
        """A member's shape; only its header is read.

        Raises:
            FormatError: the member is not a plain array.
        """
        with self._open(key) as stream:
            return _guard(_read_header, stream, self._members[key].file_size, self._place(key))[0]

    def read(self, key: str) -> np.ndarray:
        """A member's array.

        Raises:
            FormatError: the member is damaged, too large or of Python objects.
        """
        member = self._members[key]
        read = partial(_read_array, packed=member.compress_size)
        with self._open(key) as stream:
            return _guard(read, stream, member.file_size, self._place(key))

    def number(self, key: str) -> float:
        """A member that is one finite number.

        Raises:
            FormatError: it is anything else.
        """
        value = self.read(key)
        if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
            raise FormatError(self._place(key), f"found {value.dtype} {value.shape}, one number")
        return float(value.reshape(()))

    def _place(self, key: str) -> str:
        return f"{self.path} [{key}]"

    def _open(self, key: str) -> IO[bytes]:
        try:
            return self._zip.open(self._members[key])
        except Exception as error:  # a damaged archive fails in many ways; `struct.error` is one
            raise FormatError(self._place(key), f"cannot be read ({error})") from None


def _guard(
    function: Callable[[IO[bytes], int, str], T], stream: IO[bytes], size: int, place: str
) -> T:
    """`function` with the errors of a damaged archive named."""
    try:
        return function(stream, size, place)
    except (FormatError, MemoryError):
        raise
    except Exception as error:  # each way of packing has errors of its own
        raise FormatError(place, f"damaged ({error})") from None


def _read_header(
    stream: IO[bytes], size: int, place: str
) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is in Fortran order, and dtype, after all checks."""
    header = np.lib.format
    try:
        version = header.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = header.read_array_header_1_0(stream, _MAX_HEADER_BYTES)
        elif version == (2, 0):
            shape, fortran, dtype = header.read_array_header_2_0(stream, _MAX_HEADER_BYTES)
        else:
            raise FormatError(place, f".npy version {version}; allowed: (1, 0), (2, 0)")
    except FormatError:
        raise
    except Exception as error:  # NumPy parses the header as Python text: many kinds of error
        raise FormatError(place, f"not an .npy array ({str(error)[:200]})") from None
    if dtype.hasobject or dtype.kind not in _KINDS or dtype.subdtype is not None:
        raise FormatError(place, f"values of type {dtype}; numbers or text are needed")
    if any(n < 0 for n in shape):
        raise FormatError(place, f"shape {shape} has a negative size")
    if dtype.itemsize == 0:
        raise FormatError(place, f"values of type {dtype}; they have no size")
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes > MAX_BYTES:
        raise FormatError(place, f"shape {shape} of {dtype}: more than {MAX_BYTES} bytes")
    if stream.tell() + num_bytes > size:
        there = max(size - stream.tell(), 0)
        raise FormatError(
            place, f"shape {shape} of {dtype} needs {num_bytes} bytes, {there} follow"
        )
    return shape, fortran, dtype


def _read_array(stream: IO[bytes], size: int, place: str, packed: int | None = None) -> np.ndarray:
    shape, fortran, dtype = _read_header(stream, size, place)
    num_bytes = math.prod(shape) * dtype.itemsize
    if packed is not None and num_bytes > max(_FREE_BYTES, _MAX_RATIO * packed):
        reason = (
            f"{packed} bytes would unpack to {num_bytes}; above {_FREE_BYTES} bytes at most"
            f" {_MAX_RATIO} times as many are allowed"
        )
        raise FormatError(place, reason)
    data = io.BytesIO()
    while data.tell() < num_bytes:
        block = stream.read(min(1 << 24, num_bytes - data.tell()))
        if not block:
            raise FormatError(place, f"{data.tell()} of {num_bytes} bytes; the file is truncated")
        data.write(block)
    array = np.frombuffer(data.getvalue(), dtype=dtype)
    if dtype.kind == "U":
        _check_characters(array, place)
    return array.reshape(shape, order="F" if fortran else "C")


def _check_characters(array: np.ndarray, place: str) -> None:
    """NumPy keeps any number as a character; Python and UTF-8 do not."""
    codes = array.view(array.dtype.byteorder.replace("|", "=") + "u4")
    wrong = (codes > sys.maxunicode) | ((codes >= 0xD800) & (codes < 0xE000))
    if wrong.any():
        raise FormatError(place, f"{int(codes[wrong][0]):#x} is no character")
