"""The container of a glTF 2.0 file (Khronos, glTF 2.0 specification, 2021): JSON and its buffers.

Read without pygltflib, which decodes no accessors and believes every index of a file. Here each
index, size and type is checked before it is used, and buffers in other files lie in the folder of
the file or below.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import numpy as np

from raydance.errors import FormatError
from raydance.plain_text import is_file_name

MAX_BYTES: Final = 512 << 20
_MAX_JSON_BYTES: Final = 64 << 20
_MAGIC, _VERSION = b"glTF", 2
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_COMPONENTS: Final[dict[int, np.dtype[Any]]] = {
    5120: np.dtype("<i1"),
    5121: np.dtype("<u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}
_WIDTHS: Final = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class GltfData:
    """A glTF file whose objects and arrays are checked as they are asked for.

    Raises:
        FormatError: not a glTF 2.0 file, or too large.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.name = str(path)
        self._binary: bytes | None = None
        data = _read_bytes(self._path, self.name)
        if data[:4] == _MAGIC:
            text, self._binary = _chunks(data, self.name)
        else:
            text = data
        self._json = _parse(text, self.name)
        self._buffers: dict[int, bytes] = {}
        asset = self._json.get("asset")
        version = asset.get("version") if isinstance(asset, dict) else None
        if not str(version).startswith("2."):
            raise FormatError(self.name, f"glTF version {str(version)[:20]}; 2.0 is read")

    def top(self, key: str) -> list[dict[str, Any]]:
        """The objects of a top-level list; empty where there is none."""
        return self.objects(self._json, key, "the file")

    def objects(self, holder: Mapping[str, Any], key: str, place: str) -> list[dict[str, Any]]:
        """A list of objects inside another."""
        found = holder.get(key, [])
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise FormatError(self.name, f"{key} of {place}: a list of objects is needed")
        return found

    def index(self, holder: Mapping[str, Any], key: str, count: int, place: str) -> int:
        """An index below `count`."""
        return self.checked_index(holder.get(key), count, f"{key} of {place}")

    def checked_index(self, value: Any, count: int, place: str) -> int:
        """`value` as an index below `count`."""
        if type(value) is not int or not 0 <= value < count:
            raise FormatError(self.name, f"{place}: found {repr(value)[:40]}, {count} are there")
        return value

    def numbers(
        self, holder: Mapping[str, Any], key: str, usual: tuple[float, ...], place: str
    ) -> np.ndarray:
        """A list of as many finite numbers as `usual` has, or `usual`."""
        found = holder.get(key, usual)
        is_list = isinstance(found, (list, tuple)) and len(found) == len(usual)
        if not is_list or not all(type(value) in (int, float) for value in found):
            raise FormatError(self.name, f"{key} of {place}: {len(usual)} numbers are needed")
        try:
            values = np.array(found, dtype=np.float64)
        except OverflowError:
            values = np.array([np.inf])
        if not np.isfinite(values).all():
            raise FormatError(self.name, f"{key} of {place}: numbers must be finite")
        return values

    def array(self, value: Any, width: int, place: str) -> np.ndarray:
        """An accessor's values `[N, width]`, float64; whole numbers that are shares become those.

        Args:
            value: the accessor's index as the file gives it.
            place: what it is for, for errors.
        """
        accessors = self.top("accessors")
        number = self.checked_index(value, len(accessors), place)
        accessor, place = accessors[number], f"accessor {number}"
        if "sparse" in accessor:
            raise FormatError(self.name, f"{place} is sparse, which is not read")
        kind, component = accessor.get("type"), accessor.get("componentType")
        if not isinstance(kind, str) or _WIDTHS.get(kind) != width:
            reason = f"{place}: type {str(kind)[:20]}; {width} components are needed"
            raise FormatError(self.name, reason)
        if type(component) is not int or component not in _COMPONENTS:
            raise FormatError(self.name, f"{place}: component type {str(component)[:20]}")
        dtype = _COMPONENTS[component]
        count = accessor.get("count")
        if type(count) is not int or not 0 < count <= MAX_BYTES:
            raise FormatError(self.name, f"{place}: count {str(count)[:20]}")
        view, stride = self._view(accessor, place)
        start = self._size(accessor, "byteOffset", place)
        row = width * dtype.itemsize
        stride = stride or row
        if stride < row or start + (count - 1) * stride + row > len(view):
            reason = f"{place}: {count} rows of {stride} bytes, {len(view)} are there"
            raise FormatError(self.name, reason)
        rows = np.ndarray((count, width), dtype, view, start, (stride, dtype.itemsize))
        values = rows.astype(np.float64)
        if accessor.get("normalized") is True and dtype.kind in "iu":
            values = np.maximum(values / float(np.iinfo(dtype.str).max), -1.0)
        return values

    def _size(self, holder: Mapping[str, Any], key: str, place: str) -> int:
        value = holder.get(key, 0)
        if type(value) is not int or not 0 <= value <= MAX_BYTES:
            raise FormatError(self.name, f"{key} of {place}: found {repr(value)[:40]}")
        return value

    def _view(self, accessor: Mapping[str, Any], place: str) -> tuple[memoryview, int]:
        """The bytes of an accessor's view, and its stride or 0."""
        views = self.top("bufferViews")
        number = self.index(accessor, "bufferView", len(views), place)
        view, place = views[number], f"buffer view {number}"
        buffers = self.top("buffers")
        buffer = self.index(view, "buffer", len(buffers), place)
        if buffer not in self._buffers:
            self._buffers[buffer] = self._buffer(buffers[buffer], buffer)
        data = self._buffers[buffer]
        start, length = self._size(view, "byteOffset", place), self._size(view, "byteLength", place)
        if start + length > len(data):
            reason = f"{place}: bytes {start} to {start + length}, the buffer has {len(data)}"
            raise FormatError(self.name, reason)
        return memoryview(data)[start : start + length], self._size(view, "byteStride", place)

    def _buffer(self, buffer: Mapping[str, Any], number: int) -> bytes:
        place = f"buffer {number}"
        if "uri" not in buffer:
            if self._binary is None:
                raise FormatError(self.name, f"{place} has no uri, and there is no binary chunk")
            return self._binary
        uri = buffer["uri"]
        if not isinstance(uri, str) or not is_file_name(uri):
            raise FormatError(self.name, f"{place}: the uri is not text")
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            try:
                return base64.b64decode(body, validate=True) if head.endswith(";base64") else b""
            except (binascii.Error, ValueError) as error:
                raise FormatError(self.name, f"{place}: {error}") from None
        folder = self._path.parent.resolve()
        path = (folder / unquote(uri)).resolve()
        if ":" in uri.split("/")[0] or not path.is_relative_to(folder):
            reason = f"{place}: {uri[:80]!r} is not in the folder of the file or below"
            raise FormatError(self.name, reason)
        return _read_bytes(path, self.name)


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise FormatError(name, f"{path.name} cannot be read ({error.strerror or error})") from None
    if len(data) > MAX_BYTES:
        raise FormatError(name, f"{path.name}: larger than {MAX_BYTES} bytes")
    return data


def _chunks(data: bytes, name: str) -> tuple[bytes, bytes | None]:
    """JSON and binary chunk of a GLB file."""
    if len(data) < 20:
        raise FormatError(name, f"{len(data)} bytes; the file is truncated")
    version, length = struct.unpack_from("<II", data, 4)
    if version != _VERSION:
        raise FormatError(name, f"GLB version {version}; {_VERSION} is read")
    if length > len(data):
        raise FormatError(name, f"{len(data)} of {length} bytes; the file is truncated")
    found: dict[int, bytes] = {}
    start = 12
    while start + 8 <= length:
        size, kind = struct.unpack_from("<II", data, start)
        if start + 8 + size > length:
            raise FormatError(name, f"a chunk of {size} bytes at {start} goes beyond the file")
        found.setdefault(kind, data[start + 8 : start + 8 + size])
        start += 8 + size
    if _JSON_CHUNK not in found:
        raise FormatError(name, "no JSON chunk")
    return found[_JSON_CHUNK], found.get(_BINARY_CHUNK)


def _parse(text: bytes, name: str) -> dict[str, Any]:
    if len(text) > _MAX_JSON_BYTES:
        raise FormatError(name, f"{len(text)} bytes of JSON; at most {_MAX_JSON_BYTES} are read")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(name, f"not a glTF file ({str(error)[:200]})") from None
    if not isinstance(data, dict):
        raise FormatError(name, f"found {type(data).__name__}; glTF is an object")
    return data
