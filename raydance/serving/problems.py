"""Errors over HTTP: one JSON shape, RFC 9457 (problem details), whatever went wrong.

{"type": "about:blank", "title": "Unprocessable Content", "status": 422,
 "detail": "frames: 0; allowed: 2 to 1200", "errors": [{"where": "body.frames", ...}]}
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raydance.errors import InputError, RaydanceError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
_MISTAKES: Final = 20  # that one answer names; a body may make a hundred thousand
_WHERE_CHARACTERS: Final = 200
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
    mistakes = [
        Mistake(
            where=_sendable(".".join(map(str, one["loc"])))[:_WHERE_CHARACTERS],
            message=_sendable(str(one["msg"])),
        )
        for one in found[:_MISTAKES]
    ]
    is_syntax = any(one["type"] == "json_invalid" for one in found)
    detail = "; ".join(f"{mistake.where}: {mistake.message}" for mistake in mistakes)
    if len(found) > _MISTAKES:
        detail += f"; and {len(found) - _MISTAKES} more"
    return response(400 if is_syntax else 422, detail, mistakes)


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
