"""Errors over HTTP: one JSON shape, RFC 9457 (problem details), whatever went wrong.

{"type": "about:blank", "title": "Unprocessable Content", "status": 422,
 "detail": "frames: 0; allowed: 2 to 1200", "errors": [{"where": "body.frames", ...}]}
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from raydance.errors import InputError, RaydanceError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
_BUSY: Final = {"Retry-After": str(RETRY_AFTER_S)}

_log = logging.getLogger(__name__)


class Mistake(BaseModel):
    """One value that is not allowed."""

    where: str = Field(description="Its place in the request", examples=["body.frames"])
    message: str


class ProblemDetails(BaseModel):
    """What every error looks like (RFC 9457), as `application/problem+json`."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="What was wrong, and what is allowed")
    errors: list[Mistake] | None = None


class Problem(Exception):
    """An error with its status; `detail` is written for the user.

    Args:
        headers: of the response.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class Busy(RaydanceError):
    """More work than is allowed to wait; come back later."""


class Changed(RaydanceError):
    """A run was replaced while a request was on its way; ask again from the start."""


class NotHere(RaydanceError):
    """A model, a clip or a motion that this service does not have."""


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
    }
    for status, description in (
        (400, "The request cannot be understood"),
        (401, "An API key is missing or wrong"),
        (404, "No such model, clip or motion here"),
        (413, "Too large"),
        (422, "A value that is not allowed; `detail` says which are"),
        (500, "A fault of the service"),
        (503, "Busy; `Retry-After` says when to come back"),
    )
}
"""What any route may answer besides its result, for the OpenAPI document."""


def response(
    status: int,
    detail: str,
    errors: Sequence[Mistake] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as a response."""
    body = ProblemDetails(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=list(errors) if errors else None,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True), status, headers=headers, media_type=MEDIA_TYPE
    )


def busy(detail: str) -> JSONResponse:
    """503, and when to come back."""
    return response(503, detail, headers=_BUSY)


def install(app: FastAPI) -> None:
    """Let every error of an app leave as a problem."""
    app.add_exception_handler(Problem, _own)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _of_the_framework)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _of_a_value)  # type: ignore[arg-type]
    app.add_exception_handler(RaydanceError, _raised)
    app.add_exception_handler(Exception, _raised)


def cause_of(error: BaseException) -> BaseException:
    """What lies beneath the wrappers of other processes."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "cause", None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error


async def _own(request: Request, error: Problem) -> JSONResponse:
    return response(error.status, error.detail, headers=error.headers)


async def _of_the_framework(request: Request, error: HTTPException) -> JSONResponse:
    return response(error.status_code, str(error.detail), headers=error.headers)


async def _of_a_value(request: Request, error: RequestValidationError) -> JSONResponse:
    mistakes = [
        Mistake(where=".".join(map(str, one["loc"])), message=str(one["msg"]))
        for one in error.errors()
    ]
    is_syntax = any(one["type"] == "json_invalid" for one in error.errors())
    detail = "; ".join(f"{mistake.where}: {mistake.message}" for mistake in mistakes)
    return response(400 if is_syntax else 422, detail, mistakes)


async def _raised(request: Request, error: Exception) -> JSONResponse:
    cause = cause_of(error)
    if isinstance(cause, (Busy, Changed)):
        return busy(str(cause))
    if isinstance(cause, NotHere):
        return response(404, str(cause))
    if isinstance(cause, InputError):
        return response(422, str(cause))
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return response(500, "a fault of the service; its log has more")
