"""What every route works with, and the small steps that several of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Depends, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from raydance.serving import bounds
from raydance.serving.backend import Backend
from raydance.serving.problems import Problem
from raydance.serving.reader import Limits
from raydance.serving.uploads import Uploads

LONGEST_S: Final = 86_400.0
"""Longer than any clip."""

Body = TypeVar("Body", bound=BaseModel)
ClipId = Annotated[str, Path(min_length=1, max_length=1000, description="May contain slashes")]
StartS = Annotated[float, Query(ge=0, le=LONGEST_S, allow_inf_nan=False)]
EndS = Annotated[float, Query(gt=0, le=LONGEST_S, allow_inf_nan=False)]
ModelName = Annotated[str | None, Query(max_length=200, description="A served run")]
InLibrary = Annotated[bool, Query(description="A clip of the captioned library")]


@dataclass
class Context:
    """The service behind the routes."""

    backend: Backend
    uploads: Uploads
    limits: Limits


def context_of(request: Request) -> Context:
    """The service that a request is for."""
    context: Context = request.app.state.context
    return context


Service = Annotated[Context, Depends(context_of)]


def check_json(request: Request) -> None:
    """Refuse bodies that do not say that they are JSON.

    Raises:
        Problem: they say something else, or nothing.
    """
    if not bounds.is_json(request.headers):
        raise Problem(415, "content type: application/json is needed")


async def json_body(request: Request, kind: type[Body]) -> Body:
    """The JSON of a request that might have brought a form instead.

    Raises:
        Problem: neither.
        RequestValidationError: values that are not allowed.
    """
    if not bounds.is_json(request.headers):
        raise Problem(415, "content type: application/json or multipart/form-data is needed")
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        raise refused(error, kind) from None


def refused(error: ValidationError, kind: type[BaseModel]) -> RequestValidationError:
    """What is wrong with a request's body of a kind, as the service answers it."""
    mistakes = [
        {**one, "loc": ("body", *one["loc"]), "ctx": {**(one.get("ctx") or {}), "kind": kind}}
        for one in error.errors()
    ]
    return RequestValidationError(mistakes)


def clip_url(kind: str, clip_id: str, **query: Any) -> str:
    """The address of a clip's motion or picture."""
    known = {key: value for key, value in query.items() if value is not None}
    return f"/v1/{kind}/{quote(clip_id)}?{urlencode(known)}"
