"""Errors over HTTP: one JSON shape, RFC 9457 (problem details), whatever went wrong.

{"type": "urn:raydance:invalid-value", "title": "Unprocessable Content", "status": 422,
 "detail": "frames: 0; allowed: 2 or more",
 "errors": [{"where": "body.frames", "type": "greater_than_equal", "message": ...}]}
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, get_type_hints

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raydance.errors import InputError, RaydanceError
from raydance.validation_messages import message_of

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
_MISTAKES: Final = 20  # that one answer names; a body may make a hundred thousand
_WHERE_CHARACTERS: Final = 200
_BUSY: Final = {"Retry-After": str(RETRY_AFTER_S)}

_log = logging.getLogger(__name__)


TYPES: Final = {
    400: "malformed-request",
    401: "key-needed",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-too-slow",
    409: "not-finished",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-value",
    500: "internal-fault",
    503: "busy",
}
"""Status -> the end of the type of its problems, `urn:raydance:...`, for programs to tell apart."""


class Mistake(BaseModel):
    """One value that is not allowed."""

    where: str = Field(description="Its place in the request", examples=["body.frames"])
    type: str = Field(description="Kind of mistake", examples=["greater_than_equal"])
    message: str = Field(
        description="The value; what is allowed", examples=["0; allowed: 2 or more"]
    )


class ProblemDetails(BaseModel):
    """What every error looks like (RFC 9457), as `application/problem+json`."""

    type: str = Field(
        description="Kind of problem, for programs",
        json_schema_extra={"enum": [f"urn:raydance:{name}" for name in TYPES.values()]},
    )
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


def response(
    status: int,
    detail: str,
    errors: Sequence[Mistake] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as a response."""
    body = ProblemDetails(
        type=f"urn:raydance:{TYPES.get(status, 'other')}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=_sendable(detail),
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


def _sendable(text: str) -> str:
    """Text that UTF-8 can carry: JSON and file names may bring halves of characters."""
    return text.encode("utf-8", "replace").decode()


class ErrorHandler:
    """Answers what nothing else did: a fault of ours, told in our words and to the log.

    Within the other layers, so that they see its status and add their headers; the framework's own
    place for this is outside of all of them.

    Args:
        app: what is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun |= message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise
            answer = await _raised(Request(scope), error)
            await answer(scope, receive, send)


async def _own(request: Request, error: Problem) -> JSONResponse:
    return response(error.status, error.detail, headers=error.headers)


async def _of_the_framework(request: Request, error: HTTPException) -> JSONResponse:
    return response(error.status_code, str(error.detail), headers=error.headers)


async def _of_a_value(request: Request, error: RequestValidationError) -> JSONResponse:
    found = error.errors()
    mistakes: list[Mistake] = []
    lines = []
    for one in found[:_MISTAKES]:
        place = [str(part) for part in one["loc"]]
        allowed = _fields(request, one) if not mistakes else []  # once is enough
        message = _sendable(message_of(one, allowed))
        # A mistake of JSON's grammar has a character's number for its place.
        name = "body" if one["type"] == "json_invalid" else ".".join(place[1:] or place)
        mistakes.append(
            Mistake(
                where=_sendable(".".join(place))[:_WHERE_CHARACTERS],
                type=one["type"],
                message=message,
            )
        )
        lines.append(f"{_sendable(name)[:_WHERE_CHARACTERS]}: {message}")
    is_syntax = any(one["type"] == "json_invalid" for one in found)
    detail = "; ".join(lines)
    if len(found) > _MISTAKES:
        detail += f"; and {len(found) - _MISTAKES} more"
    return response(400 if is_syntax else 422, detail, mistakes)


def _fields(request: Request, error: Mapping[str, Any]) -> list[str]:
    """Names that a body may have at its top, where an unknown one was found there."""
    if len(error["loc"]) != 2:
        return []
    kind = (error.get("ctx") or {}).get("kind")
    endpoint = request.scope.get("endpoint")
    kinds = [kind] if kind else list(get_type_hints(endpoint).values()) if endpoint else []
    bodies = [one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)]
    return list(bodies[0].model_fields) if bodies else []


async def _raised(request: Request, error: Exception) -> JSONResponse:
    cause = cause_of(error)
    if isinstance(cause, (Busy, Changed)):
        return busy(str(cause))
    if isinstance(cause, NotHere):
        return response(404, str(cause))
    if isinstance(cause, InputError):
        return response(422, str(cause))
    if isinstance(cause, ClientDisconnect):
        return response(400, "the request ended before all of it was there")  # nobody reads it
    _log.error("%s %r failed", request.method, request.url.path, exc_info=error)
    return response(500, "a fault of the service; its log has more")
