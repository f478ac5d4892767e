"""Parts of a form: fields of text, and files. A part's size and whether it carries a file name,
which clients choose as they like, do not decide what it is; its field does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from raydance.motion.units import AXES, LENGTHS
from raydance.serving.problems import Problem

Fields = Mapping[str, Mapping[str, Any]]
"""Fields of text by name, each with its JSON schema as in the API's document."""

READING: Final[Fields] = {
    "fps": {
        "type": "number",
        "minimum": 1,
        "maximum": 1000,
        "description": "The file's true frame rate, where it is wrong",
    },
    "units": {"type": "string", "enum": list(LENGTHS), "description": "Detected"},
    "up": {"type": "string", "enum": list(AXES), "description": "Detected"},
}
UPLOAD: Final[Fields] = {
    "upload": {
        "type": "string",
        "maxLength": 64,
        "description": "In place of a file: the header `X-Raydance-Upload` of the answer to it",
    }
}
MODEL: Final[Fields] = {
    "model": {"type": "string", "maxLength": 200, "description": "A served run"}
}

_MOST_PARTS: Final = 16
_TEXT_BYTES: Final = 4096  # of a field; more than any value that is allowed
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class _Parts(MultiPartParser):
    """Keeps every part in a file, which goes to the disk when it is large."""

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.file is None:  # as the parser makes them for parts with a file name
            file: Any = SpooledTemporaryFile(max_size=self.spool_max_size)
            self._files_to_close_on_error.append(file)
            part.file = UploadFile(file=file, size=0, headers=Headers(raw=part.item_headers))


async def read_form(request: Request, files: Sequence[str], texts: Sequence[str]) -> FormData:
    """The fields of a multipart form, each once: `UploadFile` for files, `str` for texts.

    Raises:
        Problem: not a form that can be read, or a field that is unknown, there twice or too long.
    """
    parser = _Parts(
        request.headers, request.stream(), max_files=_MOST_PARTS, max_fields=_MOST_PARTS
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"the form cannot be read: {error.message}") from None
    try:
        _check_names(form, (*files, *texts))
        items = [
            (name, await _text(name, part) if name in texts else part)
            for name, part in form.multi_items()
        ]
    except BaseException:
        await form.close()
        raise
    return FormData(items)


def _check_names(form: FormData, known: Sequence[str]) -> None:
    """Refuse fields that are unknown or there twice, as JSON bodies do.

    Raises:
        Problem: naming the field.
    """
    names = [name for name, _ in form.multi_items()]
    for name in names:
        if name not in known:
            raise Problem(422, f"field {name[:40]!r}; allowed: {', '.join(known)}")
        if names.count(name) > 1:
            raise Problem(422, f"{name}: given {names.count(name)} times; once is needed")


async def _text(name: str, part: UploadFile | str) -> str:
    assert isinstance(part, UploadFile)
    content = await part.read(_TEXT_BYTES + 1)
    await part.close()
    text = content.decode("utf-8", "replace")
    if len(content) > _TEXT_BYTES:
        raise Problem(422, f"{name}: {text[:40]!r} and more; at most {_TEXT_BYTES} bytes")
    return text


def fields_of(body: type[BaseModel], *names: str) -> dict[str, dict[str, Any]]:
    """Fields of a form that mean what those of a JSON body mean."""
    properties = body.model_json_schema()["properties"]
    found = {}
    for name in names:
        field = properties[name]
        field |= field.pop("anyOf", [{}])[0]  # a value, or null
        found[name] = {k: v for k, v in field.items() if k != "title" and v is not None}
    return found


def values_of(form: FormData, fields: Fields) -> dict[str, Any]:
    """The values of a form's fields; the default, else None, of those that are absent.

    Raises:
        Problem: a value that its schema does not allow.
    """
    return {name: _value(form.get(name), name, field) for name, field in fields.items()}


def _value(text: object, name: str, field: Mapping[str, Any]) -> Any:
    if text is None or text == "":
        return field.get("default")
    assert isinstance(text, str)
    kind = field["type"]
    if kind in ("integer", "number"):
        return _number(text, name, kind, field["minimum"], field["maximum"])
    longest = field.get("maxLength", len(text))
    if len(text) > longest:
        raise Problem(422, f"{name}: {len(text)} characters; allowed: up to {longest}")
    if kind == "boolean":
        if text.lower() not in _BOOLEANS:
            raise Problem(422, f"{name}: {text[:40]!r}; allowed: true, false")
        return _BOOLEANS[text.lower()]
    if text not in field.get("enum", [text]):
        raise Problem(422, f"{name}: {text[:40]!r}; allowed: {', '.join(field['enum'])}")
    return text


def _number(text: str, name: str, kind: str, low: float, high: float) -> float | int:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise Problem(422, f"{name}: {text[:40]!r}; allowed: {low:g} to {high:g}")
    if kind == "number":
        return value
    if value != int(value):
        raise Problem(422, f"{name}: {value:g}; a whole number is needed")
    return int(value)
