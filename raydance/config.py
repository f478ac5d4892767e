"""Frozen dataclasses to and from plain data, and `a.b=value` overrides.

A configuration is a tree of frozen, keyword-only dataclasses whose leaves are booleans, integers,
floats, strings, None, tuples of these, and `Literal`s. Unknown keys and wrong types are refused
by name, with what is allowed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from raydance.errors import ConfigError, InputError

T = TypeVar("T")

_MIN_VALUES: Final = 10_000
_MAX_BITS: Final = 2048


def to_dict(config: Any) -> dict[str, Any]:
    """Plain data (dicts, lists, scalars) of a configuration dataclass, ready for JSON or YAML."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(cls: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """Build `cls` from plain data; keys left out take their defaults.

    Raises:
        ConfigError: an unknown key or a value of the wrong type, named in full (`vae.hidden`).
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or cls.__name__}: found {data!r}, a mapping of keys is needed")
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(str(key) for key in set(data) - known)
    if unknown:
        keys = ", ".join(_join(where, key) for key in unknown)
        raise ConfigError(f"unknown key {keys}; known here: {', '.join(sorted(known))}")
    values = {key: _convert(hints[key], value, _join(where, key)) for key, value in data.items()}
    try:
        return cls(**values)
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where or cls.__name__}: {error}") from None


def override(config: T, assignments: Iterable[str]) -> T:
    """Apply `a.b=value` strings (values in YAML) to a configuration.

    Raises:
        ConfigError: no `=`, an unknown key or a wrong type.
    """
    data = to_dict(config)
    for assignment in assignments:
        path, sep, text = assignment.partition("=")
        if not sep or not path.strip():
            raise ConfigError(f"{assignment!r}: an override has the form a.b=value")
        *parents, last = path.strip().split(".")
        node = data
        for depth, key in enumerate(parents):
            child = node.get(key)
            if not isinstance(child, dict):
                prefix = ".".join(parents[: depth + 1])
                sections = ", ".join(k for k, v in node.items() if isinstance(v, dict)) or "none"
                raise ConfigError(f"unknown section {prefix} in {path}; sections here: {sections}")
            node = child
        if last not in node:
            raise ConfigError(f"unknown key {path}; known here: {', '.join(sorted(node))}")
        try:
            value = parse_yaml(text)
        except ValueError:
            raise ConfigError(f"{assignment!r}: the value is not readable as YAML") from None
        nested = isinstance(node[last], dict) and isinstance(value, dict)
        node[last] = _lay(node[last], value) if nested else value
    return from_dict(type(config), data)


def merge(config: T, changes: Mapping[str, Any]) -> T:
    """A copy of `config` with a nested mapping of changes laid over it.

    Raises:
        ConfigError: an unknown key or a wrong type.
    """
    return from_dict(type(config), _lay(to_dict(config), changes))


def parse_yaml(text: str) -> Any:
    """Plain data of YAML or JSON text.

    Raises:
        ValueError: not YAML, nested too deep, larger than it looks because its aliases repeat each
            other, or with a number of more digits than any configuration needs.
    """
    try:
        data = yaml.safe_load(text)
        _check_values(data, max(_MIN_VALUES, len(text)))
    except (yaml.YAMLError, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from None
    return data


def _check_values(data: Any, most: int) -> None:
    """Count the values of plain data as if aliases were written out, and bound whole numbers."""
    waiting, count = [data], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise ValueError(f"a whole number of {value.bit_length()} bits")
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, (list, tuple, set)):
            waiting += value
        if count + len(waiting) > most:
            raise ValueError(f"aliases that stand for more than {most} values")


def read_small_yaml(path: Path, what: str, most_bytes: int) -> Any:
    """What a user's small YAML or JSON file holds.

    Raises:
        InputError: not readable, or too large to be `what` it should be.
    """
    try:
        if path.stat().st_size > most_bytes:
            raise InputError(f"{path}: larger than {most_bytes} bytes; not {what}")
        return parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable as YAML or JSON ({error})") from None


def load_mapping(path: str | Path) -> dict[str, Any]:
    """Read a nested mapping from a YAML or JSON file.

    Raises:
        ConfigError: an unreadable file, or one that is not a mapping.
    """
    try:
        data = parse_yaml(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as YAML or JSON ({error})") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a mapping of keys is needed, found {type(data).__name__}")
    return data


def parse_range(option: str, text: str) -> tuple[int, int]:
    """`4` -> (4, 4), `1:8` -> (1, 8).

    Raises:
        InputError: neither form, less than one, or MIN above MAX; `option` is named.
    """
    parts = text.split(":")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"{option} {text}; allowed: a number, or MIN:MAX such as 1:4")
    least, most = int(parts[0]), int(parts[-1])
    if least < 1:
        raise InputError(f"{option} {text}; at least 1")
    if least > most:
        raise InputError(f"{option} {text}; MIN:MAX needs MIN <= MAX")
    return least, most


def _lay(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(out.get(key), dict)
        out[key] = _lay(out[key], value) if nested else value
    return out


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        arms = typing.get_args(hint)
        if value is None and type(None) in arms:
            return None
        for arm in arms:
            if arm is type(None):
                continue
            try:
                return _convert(arm, value, where)
            except ConfigError:
                continue
        raise _wrong(where, value, hint)
    if origin is typing.Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            raise ConfigError(f"{where}: {value!r}; allowed: {', '.join(map(str, allowed))}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise _wrong(where, value, hint)
        args = typing.get_args(hint)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(args) != len(value):
            raise ConfigError(f"{where}: {len(value)} values, {len(args)} are needed")
        return tuple(_convert(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value)))
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where)
    if hint is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)  # of a string too: YAML reads 1e-3 as one
        except (ValueError, OverflowError):
            raise _wrong(where, value, hint) from None
        if not math.isfinite(number):
            raise ConfigError(f"{where}: found {value!r}, a finite number is needed")
        return number
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    raise _wrong(where, value, hint)


def _wrong(where: str, value: Any, hint: Any) -> ConfigError:
    wanted = hint.__name__ if isinstance(hint, type) else str(hint)
    return ConfigError(f"{where}: found {value!r} ({type(value).__name__}), {wanted} is needed")
