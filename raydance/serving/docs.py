"""Parts of the OpenAPI document that FastAPI cannot read off a function."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from raydance.serving.replies import FORMATS

_FILE: Final = {
    "file": {"type": "string", "format": "binary", "description": "A motion file of any format"}
}
_READING: Final[dict[str, Any]] = {
    "fps": {
        "type": "number",
        "minimum": 1,
        "maximum": 1000,
        "description": "The file's true frame rate, where it is wrong",
    },
    "units": {"type": "string", "enum": ["m", "cm", "mm", "inch"], "description": "Detected"},
    "up": {"type": "string", "enum": ["x", "y", "z"], "description": "Detected"},
}
_MODEL: Final = {"model": {"type": "string", "maxLength": 200, "description": "A served run"}}


def whole(low: int, high: int, default: int) -> dict[str, Any]:
    """A whole number in a form."""
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


def _form(fields: dict[str, Any], with_model: bool) -> dict[str, Any]:
    properties = _FILE | fields | _READING | (_MODEL if with_model else {})
    return {"schema": {"type": "object", "required": ["file"], "properties": properties}}


def multipart(*, with_model: bool = True, **fields: Any) -> dict[str, Any]:
    """`openapi_extra` of a route that takes a motion file."""
    form = _form(fields, with_model)
    return {"requestBody": {"required": True, "content": {"multipart/form-data": form}}}


def or_multipart(body: type[BaseModel], **fields: Any) -> dict[str, Any]:
    """`openapi_extra` of a route that takes JSON or a motion file."""
    extra = multipart(**fields)
    extra["requestBody"]["content"]["application/json"] = {
        "schema": {"$ref": f"#/components/schemas/{body.__name__}"}
    }
    return extra


def motion_content(body: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers motion as JSON or as a file."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    content: dict[str, Any] = {media.partition(";")[0]: binary for media in FORMATS.values()}
    content["application/json"] = {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}
    return {200: {"description": "The motion, in the format asked for", "content": content}}
