"""Parts of the OpenAPI document that FastAPI cannot read off a function."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from raydance.serving import examples
from raydance.serving.examples import EXAMPLES
from raydance.serving.form import MODEL, READING, UPLOAD, Fields
from raydance.serving.problems import MEDIA_TYPE
from raydance.serving.replies import FORMATS, NPZ, ZIP

_FILES: Final = {
    "file": {
        "type": "string",
        "format": "binary",
        "description": "A motion file; its name's suffix tells the format",
    },
    "skeleton": {
        "type": "string",
        "format": "binary",
        "description": "The .asf file that an .amc file needs, and no other",
    },
}
_PROBLEM: Final = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
_ANYWHERE: Final = {
    405: "Another method; `Allow` names those that there are",
    413: "The body is too large",
    415: "The body is packed, or of a kind that is not read",
    500: "A fault of the service",
}
_UNDER_V1: Final = {
    401: "An API key is missing or wrong",
    503: "Busy; `Retry-After` says when to come back",
}
_OF_REQUESTS: Final = {
    404: "No such model, clip or motion here",
    422: "A value that is not allowed; `detail` says which are",
}
_OF_BODIES: Final = {
    400: "The body cannot be understood",
    408: "The body did not come in time",
}
_KEYS: Final[dict[str, Any]] = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}
_HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    405: {"Allow": {"schema": {"type": "string"}}},
    503: {"Retry-After": {"schema": {"type": "integer"}}},
}

_OF_FILES: Final[dict[str, Any]] = {
    "Content-Disposition": {
        "description": "For files: a name to save it by",
        "schema": {"type": "string"},
    },
    "X-Raydance-Note": {
        "description": "For files: what the caller should know, such as how far joints are off",
        "schema": {"type": "string"},
    },
    "X-Raydance-Residual-Cm": {
        "description": "For files with rotations: how far a joint is at most from where it was",
        "schema": {"type": "number", "minimum": 0},
    },
}

OF_GENERATED: Final[dict[str, Any]] = {
    "X-Raydance-Made": {
        "description": "For files: how the motion was made, as `made` in JSON",
        "schema": {"type": "string"},
    },
    "X-Raydance-Understood-As": {
        "description": "For files: the nearest training caption and the cosine to it",
        "schema": {"type": "string"},
    },
    "X-Raydance-Understanding": {
        "description": "For files: how far the sentence lies within what the run learned, 0 to 1",
        "schema": {"type": "string"},
    },
}
"""Headers of generated files alone."""


def multipart(**fields: Any) -> dict[str, Any]:
    """`openapi_extra` of a route that takes a motion file."""
    schema = {
        "type": "object",
        "properties": {**_FILES, **UPLOAD, **READING, **MODEL, **fields},
        "additionalProperties": False,
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


def or_multipart(body: type[BaseModel], **fields: Any) -> dict[str, Any]:
    """`openapi_extra` of a route that takes JSON or a motion file."""
    extra = multipart(**fields)
    extra["requestBody"]["content"]["application/json"] = {
        "schema": {"$ref": f"#/components/schemas/{body.__name__}"}
    }
    return extra


def json_or_form(
    body: type[BaseModel], fields: Fields, files: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """`openapi_extra` of a route that takes JSON, or a form of texts and of files by suffixes."""
    sent = {
        name: {
            "type": "string",
            "format": "binary",
            "description": f"A file: {', '.join(suffixes)}",
        }
        for name, suffixes in files.items()
    }
    extra = or_multipart(body)
    form = extra["requestBody"]["content"]["multipart/form-data"]["schema"]
    form["properties"] = {**fields, **sent}
    return extra


def motion_content(
    body: type[BaseModel],
    headers: Mapping[str, Any] = MappingProxyType({}),
    also: Sequence[type[BaseModel]] = (),
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers motion as JSON or as a file.

    Args:
        headers: further ones of the files.
        also: other bodies that JSON may be; with them a zip is possible too.
    """
    binary = {"schema": {"type": "string", "format": "binary"}}
    content: dict[str, Any] = {media.partition(";")[0]: binary for media in FORMATS.values()}
    kinds = [{"$ref": f"#/components/schemas/{one.__name__}"} for one in (body, *also)]
    content["application/json"] = {"schema": {"anyOf": kinds} if also else kinds[0]}
    if also:
        content[ZIP] = binary
    return {
        200: {
            "description": "The motion, in the format asked for",
            "content": content,
            "headers": copy.deepcopy(_OF_FILES | dict(headers)),
        }
    }


def points_content(body: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers points as JSON or as arrays."""
    return {
        200: {
            "description": "The points, in the format asked for",
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}},
                NPZ: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    }


def document_of(app: FastAPI, bodies: Sequence[type[BaseModel]], needs_key: bool) -> dict[str, Any]:
    """The OpenAPI document of an application, made once.

    Args:
        bodies: named only in what routes read by themselves, so that FastAPI does not see them.
        needs_key: whether this service asks for a key.
    """
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in bodies:
            found = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= found.pop("$defs", {})
            schemas[model.__name__] = found
        complete(document, needs_key)
        app.openapi_schema = document
    return app.openapi_schema


def complete(document: dict[str, Any], needs_key: bool) -> None:
    """Add to every operation what the layers around the routes may answer, and the API key.

    Args:
        document: of FastAPI; changed in place.
        needs_key: whether this service asks for a key.
    """
    document["components"]["securitySchemes"] = copy.deepcopy(_KEYS)
    for path, operations in document["paths"].items():
        is_guarded = path.startswith("/v1/") or path == "/metrics"
        for operation in operations.values():
            known = dict(_ANYWHERE)
            if path.startswith("/v1/"):
                known |= _UNDER_V1
            if path.endswith("/result"):
                known[409] = "The job is not finished"
            if path == "/readyz":
                known[503] = _UNDER_V1[503]
            if "parameters" in operation or "requestBody" in operation:
                known |= _OF_REQUESTS
            if "requestBody" in operation:
                known |= _OF_BODIES
            if is_guarded:
                known[401] = _UNDER_V1[401]
            if is_guarded and needs_key:
                operation["security"] = [{name: []} for name in _KEYS]
            own = {code: answer for code, answer in operation["responses"].items() if code < "3"}
            for answer in own.values():
                _add_example(answer)
            operation["responses"] = own | {
                str(status): _problem(status, words) for status, words in sorted(known.items())
            }


def _add_example(answer: dict[str, Any]) -> None:
    """Show an answer of JSON, where there is one."""
    content = answer.get("content", {}).get("application/json")
    if content is None:
        return
    choices = content["schema"].get("anyOf", [content["schema"]])
    name = str(choices[0].get("$ref", "")).rpartition("/")[2]
    if name in EXAMPLES:
        content["example"] = copy.deepcopy(EXAMPLES[name])


def _problem(status: int, words: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": words,
        "content": {MEDIA_TYPE: copy.deepcopy(_PROBLEM) | {"example": examples.problem(status)}},
    }
    if status in _HEADERS:
        answer["headers"] = copy.deepcopy(_HEADERS[status])
    return answer
