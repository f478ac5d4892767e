"""Arrays out of a pickle without executing it.

Pickles call functions by name, so a file from elsewhere may call anything. Here the few names that
NumPy arrays need stand for small classes of our own that check sizes before they build anything;
every other name is refused and reported. The opcodes are counted and checked beforehand, because
a pickle of harmless names can still fill the memory.

Only Python's own `Unpickler` is used: the C one reserves memory for a memo index that the file
chooses.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from raydance.errors import FormatError

MAX_BYTES: Final = 64 << 20
"""Largest pickle: an hour of AIST++ motion is a third of this."""

MAX_OPCODES: Final = 100_000

# All that pickled dicts, lists and tuples of numbers, text and arrays consist of. Left out: those
# that reach outside the file (PERSID, EXT1, NEXT_BUFFER) and second ways of calling (INST, OBJ,
# NEWOBJ). `genops` checks that the bytes an opcode announces are there.
_OPCODES: Final = frozenset(
    """PROTO FRAME STOP MARK POP POP_MARK DUP MEMOIZE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
    UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 GLOBAL STACK_GLOBAL REDUCE BUILD""".split()
)
_MAX_DEPTH: Final = 4
_MAX_DIMENSIONS: Final = 8


def load(path: str | Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """The content of a pickle made of dicts, lists, tuples, numbers, text and NumPy arrays.

    Raises:
        FormatError: the file is too large, damaged, or asks for any other name (which is given).
    """
    name = str(path)
    try:
        size = Path(path).stat().st_size
        if size > max_bytes:
            raise FormatError(name, f"{size} bytes; at most {max_bytes} are read from a pickle")
        data = Path(path).read_bytes()
    except OSError as error:
        raise FormatError(name, f"cannot be read ({error.strerror or error})") from None
    return loads(data, name)


def loads(
    data: bytes,
    name: str = "pickle",
    *,
    stand_ins: Mapping[tuple[str, str], Any] | None = None,
    stored: Callable[[Any], Any] | None = None,
) -> Any:
    """As `load`, from bytes that `name` names in errors.

    Args:
        stand_ins: (module, name) -> what stands for it, beside NumPy's. Those that can be called
            are called with whatever the file says and must check it.
        stored: makes a value of a persistent id, which it must check; without it none are read.

    Raises:
        FormatError: as `load`.
    """
    try:
        _check_opcodes(data, name, _OPCODES if stored is None else _OPCODES | {"BINPERSID"})
        unpickler = _Unpickler(io.BytesIO(data), name, stand_ins or {}, stored)
        return _Finisher(name).finish(unpickler.load(), _MAX_DEPTH)
    except FormatError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way; none may reach the user
        reason = f"not a readable pickle ({type(error).__name__}: {str(error)[:200]})"
        raise FormatError(name, reason) from None


def _check_opcodes(data: bytes, name: str, allowed: frozenset[str]) -> None:
    for count, (opcode, _, position) in enumerate(pickletools.genops(data)):
        if count >= MAX_OPCODES:
            raise FormatError(name, f"more than {MAX_OPCODES} pickle opcodes")
        if opcode.name not in allowed:
            reason = f"pickle opcode {opcode.name} at byte {position}; not needed for plain arrays"
            raise FormatError(name, reason)


class _DType:
    """Stands for `numpy.dtype`."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        self.value = np.dtype(_text(code))
        if self.value.kind not in "biufSU" or self.value.itemsize > 1024:
            raise ValueError(f"dtype {self.value}; plain numbers or text are needed")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = _text(state[1])
        if order == ">":
            self.value = self.value.newbyteorder(">")


class _Array:
    """Stands for an array that `_reconstruct` makes empty and its state then fills."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, raw = state
        self.value = self._budget.array(raw, dtype, shape, "F" if is_fortran else "C")


class _Budget:
    """Counts the bytes of all arrays, for a small pickle can build one block many times."""

    def __init__(self, num_bytes: int) -> None:
        self.left = num_bytes

    def array(self, raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
        if not isinstance(dtype, _DType):
            raise ValueError("an array without a dtype")
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        if not isinstance(raw, (bytes, bytearray)):
            raise ValueError(f"array data of type {type(raw).__name__}; bytes are needed")
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"array shape {str(shape)[:80]}")
        num_bytes = math.prod(shape) * dtype.value.itemsize
        if num_bytes != len(raw):
            raise ValueError(f"array shape {shape} needs {num_bytes} bytes, found {len(raw)}")
        self.left -= num_bytes
        if self.left < 0:
            raise ValueError("the arrays take more memory than the file has bytes")
        flat = np.frombuffer(raw, dtype.value)
        return flat.reshape(shape, order="F" if order == "F" else "C").copy()


class _ArrayClass:
    """Stands for the name `numpy.ndarray`, which is only ever handed to `_reconstruct`."""


# The type checker's notes on the standard library leave the Python version's parts out.
_BaseUnpickler: Any = pickle._Unpickler


class _Unpickler(_BaseUnpickler):
    def __init__(
        self,
        stream: io.BytesIO,
        name: str,
        stand_ins: Mapping[tuple[str, str], Any],
        stored: Callable[[Any], Any] | None,
    ) -> None:
        super().__init__(stream, encoding="latin1")
        self._name = name
        self._stand_ins = stand_ins
        self._stored = stored
        self._budget = _Budget(2 * len(stream.getbuffer()) + (1 << 20))

    def load_build(self) -> None:
        # The original sets attributes of whatever is there, functions and classes too.
        if len(self.stack) < 2 or not isinstance(self.stack[-2], (_DType, _Array)):
            raise ValueError("a state for something that is no array")
        state = self.stack.pop()
        self.stack[-1].__setstate__(state)

    def _check_keys(self, keys: list[Any]) -> None:
        # Hashing a tuple of tuples of tuples takes exponential time in a file of a few bytes.
        for key in keys:
            if type(key) not in (str, int):
                raise ValueError(f"a key of type {type(key).__name__}; text is needed")

    def load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_keys(self.stack[0::2])
        super().load_setitems()

    def load_dict(self) -> None:
        self._check_keys(self.stack[0::2])
        super().load_dict()

    dispatch = {
        **_BaseUnpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
    }

    def persistent_load(self, key: Any) -> Any:
        if self._stored is None:
            raise ValueError("a persistent id; none are read from this kind of file")
        return self._stored(key)

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            **self._stand_ins,
            ("numpy", "ndarray"): _ArrayClass,
            ("numpy", "dtype"): _DType,
            ("_codecs", "encode"): _encode,
            ("__builtin__", "bytes"): _no_bytes,
        }
        for package in ("numpy.core", "numpy._core"):
            known[f"{package}.multiarray", "_reconstruct"] = self._reconstruct
            known[f"{package}.multiarray", "scalar"] = self._scalar
            known[f"{package}.numeric", "_frombuffer"] = self._budget.array
            known[f"{package}.multiarray", "_frombuffer"] = self._budget.array
        if (module, name) not in known:
            reason = (
                f"the pickle asks for {module}.{name}; only dicts, lists, numbers, text and "
                "NumPy arrays are read, and nothing is executed"
            )
            raise FormatError(self._name, reason)
        return known[module, name]

    def _reconstruct(self, kind: Any, shape: Any, code: Any) -> _Array:
        if kind is not _ArrayClass:
            raise ValueError("an array of another class")
        return _Array(self._budget)

    def _scalar(self, dtype: Any, raw: Any = b"") -> Any:
        return self._budget.array(raw, dtype, (), "C")[()]


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Stands for `_codecs.encode`, by which protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError(f"_codecs.encode to {encoding!r}; only latin1 is allowed")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Stands for `bytes` called with nothing, by which protocol 2 writes empty bytes."""
    return b""


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin1")
    if not isinstance(value, str) or len(value) > 16:
        raise ValueError("a dtype that is not a short text")
    return value


class _Finisher:
    """Replaces our stand-ins by arrays.

    A list that holds another one many times is short in the file and long to walk, so the values
    walked are counted.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.left = MAX_OPCODES

    def finish(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise FormatError(self.name, f"more than {MAX_OPCODES} values")
        if isinstance(value, _Array):
            if value.value is None:
                raise FormatError(self.name, "an array without data")
            return value.value
        if isinstance(value, (dict, list, tuple)) and depth == 0:
            raise FormatError(self.name, f"containers nested more than {_MAX_DEPTH} deep")
        if isinstance(value, dict):
            return {key: self.finish(v, depth - 1) for key, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.finish(v, depth - 1) for v in value)
        if value is None or isinstance(
            value, (bool, int, float, str, bytes, np.generic, np.ndarray)
        ):
            return value
        kind = type(value).__name__.strip("_")
        raise FormatError(self.name, f"a value of type {kind}; an array or number is needed")
