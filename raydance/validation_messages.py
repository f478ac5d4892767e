"""Pydantic's validation errors in the project's own words: "seconds: 100; allowed: up to 60"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any, Final

_SHOWN_CHARACTERS: Final = 40
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "{} or more"),
    "less_than_equal": ("le", "up to {}"),
    "greater_than": ("gt", "above {}"),
    "less_than": ("lt", "below {}"),
}
_SIZES: Final = {
    "string_too_short": ("min_length", "{} or more", "characters"),
    "string_too_long": ("max_length", "up to {}", "characters"),
    "too_short": ("min_length", "{} or more", "values"),
    "too_long": ("max_length", "up to {}", "values"),
}
_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "an object",
    "mapping": "an object",
    "model": "an object",
}


def message_of(error: Mapping[str, Any], fields: Sequence[str] = ()) -> str:
    """What is wrong with a value, and what is allowed, without the value's name.

    Args:
        error: one of `ValidationError.errors()`.
        fields: names that are allowed beside an unknown one.
    """
    kind, value, context = error["type"], error.get("input"), error.get("ctx") or {}
    if kind == "missing":
        return "missing; a value is needed"
    if kind == "extra_forbidden":
        return f"unknown; allowed: {', '.join(fields)}" if fields else "unknown; leave it out"
    if kind == "json_invalid":
        return f"not JSON ({context.get('error', 'it ends too early')})"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"]))
    allowed = _allowed(kind, context)
    if allowed is None:
        text = str(error["msg"])
        return f"{shown(value)}; {text[:1].lower()}{text[1:]}"
    if kind in _SIZES and isinstance(value, Sized):
        return f"{len(value)} {_SIZES[kind][2]}; allowed: {allowed}"
    return f"{shown(value)}; allowed: {allowed}"


def _allowed(kind: str, context: Mapping[str, Any]) -> str | None:
    """What a value may be; None where only pydantic knows."""
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return words.format(_number(context[name]))
    if kind in _SIZES:
        name, words, _ = _SIZES[kind]
        return words.format(context[name])
    if kind in ("literal_error", "enum"):
        return str(context["expected"]).replace("'", "").replace(" or ", ", ")
    if kind == "string_pattern_mismatch":
        blank = context["pattern"] == r"\S"
        return "text that is not blank" if blank else f"text like {context['pattern']}"
    if kind == "int_from_float":
        return _KINDS["int"]
    if kind == "finite_number":
        return _KINDS[kind]
    family, _, rest = kind.partition("_")
    return _KINDS.get(family) if rest in ("type", "parsing", "attributes_type") else None


def shown(value: object) -> str:
    """A value that a caller sent, short enough for one line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str):
        return repr(value[:_SHOWN_CHARACTERS])
    return "an object" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)[:_SHOWN_CHARACTERS]
    return f"{value:g}"
