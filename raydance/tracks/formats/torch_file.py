"""Tensors out of a .pt file without executing anything and without torch.

A .pt file (since torch 1.6) is a .zip of a pickle, `data.pkl`, and one member with the raw bytes of
each storage. The pickle is read by `safe_pickle`: the few names of torch that tensors need stand
for functions that check every size; all others are refused and reported.
"""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError
from raydance.motion.formats import safe_pickle

MAX_BYTES: Final = 1 << 30
_MAX_MEMBERS: Final = 10_000
_MAX_PICKLE_BYTES: Final = 16 << 20

_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
"""Errors of reading a member whose bytes make no sense."""

_STORAGES: Final = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}


class _StorageKind:
    """Stands for a class of torch such as `FloatStorage`, which is only named, never called."""

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)


class _Storage:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values


def load(path: str | Path) -> Any:
    """The content of a .pt file made of dicts, lists, tuples, numbers, text, tensors and arrays.

    Returns:
        The same with a NumPy array for each tensor.

    Raises:
        FormatError: the file is too large, damaged, of the old format without a .zip, or asks for
            anything else (which is named).
    """
    name = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, name).load()
    except OSError as error:
        raise FormatError(name, f"cannot be read ({error.strerror or error})") from None
    except (*_DAMAGED, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        reason = f"not a .pt file of torch 1.6 or later ({str(error)[:100]})"
        raise FormatError(name, reason) from None


class _Archive:
    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.archive, self.name = archive, name
        members = archive.infolist()
        if len(members) > _MAX_MEMBERS:
            raise FormatError(name, f"{len(members)} members; at most {_MAX_MEMBERS} are allowed")
        pickles = [m for m in members if m.filename.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise FormatError(name, f"{len(pickles)} members data.pkl; one is needed")
        self.pickle = pickles[0]
        self.folder = self.pickle.filename[: -len("data.pkl")]
        self.members = {m.filename: m for m in members}
        self.storages: dict[str, _Storage] = {}
        self.left = MAX_BYTES

    def load(self) -> Any:
        order = self.members.get(self.folder + "byteorder")
        if order is not None and self._read(order, 16) != b"little":
            raise FormatError(self.name, "written on a big-endian machine; little is read")
        stand_ins: dict[tuple[str, str], Any] = {
            ("torch", kind): _StorageKind(dtype) for kind, dtype in _STORAGES.items()
        }
        stand_ins["torch._utils", "_rebuild_tensor_v2"] = self._tensor
        stand_ins["collections", "OrderedDict"] = _empty_hooks
        return safe_pickle.loads(
            self._read(self.pickle, _MAX_PICKLE_BYTES),
            self.name,
            stand_ins=stand_ins,
            stored=self._storage,
        )

    def _read(self, member: zipfile.ZipInfo, limit: int) -> bytes:
        if member.file_size > limit:
            reason = f"{member.filename}: {member.file_size} bytes; at most {limit} are read"
            raise FormatError(self.name, reason)
        with self.archive.open(member) as stream:
            data = stream.read(limit + 1)
        if len(data) != member.file_size:
            raise FormatError(self.name, f"{member.filename}: damaged")
        return data

    def _take(self, num_bytes: int) -> None:
        self.left -= num_bytes
        if self.left < 0:
            raise FormatError(self.name, f"more than {MAX_BYTES} bytes of tensors")

    def _storage(self, key: Any) -> _Storage:
        if not isinstance(key, tuple) or len(key) != 5 or key[0] != "storage":
            raise ValueError("a persistent id that is no storage")
        _, kind, place, _, count = key
        if not isinstance(kind, _StorageKind) or not isinstance(place, str):
            raise ValueError("a storage of an unknown kind")
        if place not in self.storages:
            member = self.members.get(f"{self.folder}data/{place}")
            if member is None:
                raise ValueError(f"storage {place[:40]!r} is not in the file")
            if type(count) is not int or member.file_size != count * kind.dtype.itemsize:
                raise ValueError(
                    f"storage {place[:40]!r}: its size is not that of {count!r} values"
                )
            self._take(member.file_size)
            data = self._read(member, MAX_BYTES)
            if kind.dtype.kind == "b":
                values = np.frombuffer(data, np.uint8) != 0
            else:
                values = np.frombuffer(data, kind.dtype)
            self.storages[place] = _Storage(values)
        return self.storages[place]

    def _tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, *further: Any
    ) -> np.ndarray:
        """Stands for `torch._utils._rebuild_tensor_v2`."""
        whole = [offset, *size, *stride]
        if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in whole):
            raise ValueError("a tensor without a storage, or of negative sizes")
        if len(size) != len(stride) or len(size) > 8:
            raise ValueError(f"a tensor with {len(size)} sizes and {len(stride)} strides")
        values = storage.values
        self._take(math.prod(size) * values.itemsize)
        if math.prod(size) == 0:
            return np.zeros(size, values.dtype)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride))
        if last >= len(values):
            raise ValueError(f"a tensor up to value {last} of a storage of {len(values)}")
        steps = [step * values.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(values[offset:], size, steps).copy()


def _empty_hooks(*given: Any) -> dict[str, Any]:
    """Stands for `collections.OrderedDict`; a tensor has an empty one for its hooks."""
    if given:
        raise ValueError("an ordered dict with content")
    return {}
