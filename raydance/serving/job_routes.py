"""Routes of jobs: begin one, follow it, fetch its answer, cancel it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.exceptions import ExceptionMiddleware

from raydance.errors import InputError
from raydance.serving import bounds, problems
from raydance.serving.context import json_body
from raydance.serving.jobs import Job, JobLimits, Jobs
from raydance.serving.problems import Problem

_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}


class JobRequest(BaseModel):
    """A request that is to be answered in the background."""

    model_config = ConfigDict(extra="forbid", strict=True)

    route: str = Field(
        min_length=1,
        max_length=1200,
        description="A route without /v1/, such as `generate` or `clips/CLIP_ID`",
        examples=["generate"],
    )
    request: dict[str, Any] = Field(
        default_factory=dict,
        description="The route's body; of `clips` its query",
        examples=[{"text": "a dancer turns slowly", "format": "gif"}],
    )


class JobState(BaseModel):
    """How far a job is."""

    id: str
    route: str
    state: Literal["queued", "running", "done", "failed"]
    progress: float = Field(description="Share done, 0 to 1")
    doing: str
    created: float = Field(description="Seconds since the epoch")
    expires: float | None = Field(description="When the answer is removed; null before it is there")
    url: str
    result_url: str
    media_type: str | None = Field(description="Of the answer; null before it is there")
    bytes: int = Field(description="Of the answer as far as it is there")
    problem: problems.ProblemDetails | None = Field(description="Why the job failed")


JobId = Annotated[str, Path(min_length=1, max_length=100)]


def install(app: FastAPI, routes: Sequence[str], limits: JobLimits) -> APIRouter:
    """Add the routes of jobs to an application.

    Args:
        routes: that jobs may ask for; with a slash at the end, everything below.

    Returns:
        The router; `app.state.jobs` has to be set to what `jobs_of` makes.
    """
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

    @router.post(
        "",
        status_code=202,
        response_model=JobState,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/JobRequest"}},
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "description": "The form of the route that `?route=` names",
                        }
                    },
                },
            }
        },
    )
    async def begin(
        request: Request,
        response: Response,
        route: Annotated[
            str | None, Query(max_length=1200, description="Of a form; JSON names its own")
        ] = None,
    ) -> JobState:
        """Begin a job: `JobRequest`, or a form of files for the route in the query."""
        if bounds.is_form(request.headers):
            if route is None:
                raise InputError("route: missing; a form needs ?route=, such as describe")
            kind = request.headers["content-type"]
            name, body, query = route, await request.body(), ""
        else:
            asked = await json_body(request, JobRequest)
            if route is not None:
                raise InputError("route: in the query; JSON has it in its body")
            kind, name, body, query = "application/json", asked.route, b"", ""
            if name.startswith("clips/"):
                query = urlencode(_texts(asked.request))
            else:
                body = orjson.dumps(asked.request)
        _check_route(name, routes)
        scope = _scope(request, name, query, kind, body)
        job = _jobs(request).start(name, scope, body)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return _state(job, limits)

    @router.get("/{job}", response_model=JobState)
    async def follow(request: Request, job: JobId) -> JobState:
        """How far a job is."""
        return _state(_jobs(request).find(job), limits)

    @router.get(
        "/{job}/result",
        response_class=Response,
        responses={
            200: {
                "description": "The answer of the job's route",
                "content": {"*/*": _BINARY},
            }
        },
    )
    async def result(request: Request, job: JobId) -> Response:
        """The answer, as the job's route would have given it; 409 before it is there."""
        found = _jobs(request).find(job)
        if found.finished is None:
            raise Problem(409, f"the job is {found.state}; ask {'/v1/jobs/' + found.id} when")
        return FileResponse(found.result, found.status, headers=found.headers)

    @router.delete("/{job}", status_code=204)
    async def cancel(request: Request, job: JobId) -> None:
        """Cancel a job, or remove its answer."""
        _jobs(request).forget(job)

    app.include_router(router)
    return router


def jobs_of(app: FastAPI, limits: JobLimits) -> Jobs:
    """The jobs of an application, which answers them past its limits on time and number."""
    handlers: dict[Any, Any] = dict(app.exception_handlers)
    # As FastAPI wraps its router; its exit stack holds what dependencies leave open.
    answering = ExceptionMiddleware(AsyncExitStackMiddleware(app.router), handlers=handlers)
    return Jobs(problems.ErrorHandler(answering), limits)


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


def _check_route(name: str, routes: Sequence[str]) -> None:
    for route in routes:
        is_below = route.endswith("/") and name.startswith(route) and name != route
        if is_below or (name == route and not route.endswith("/")):
            return
    raise InputError(f"route: {name[:100]!r}; allowed: {', '.join(routes)}")


def _texts(query: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


def _scope(request: Request, name: str, query: str, kind: str, body: bytes) -> dict[str, Any]:
    path = f"/v1/{name}"
    return {
        "type": "http",
        "asgi": request.scope["asgi"],
        "http_version": "1.1",
        "method": "GET" if name.startswith("clips/") else "POST",
        "scheme": request.scope["scheme"],
        "server": request.scope.get("server"),
        "client": request.scope.get("client"),
        "root_path": "",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query.encode(),
        "headers": [
            (b"content-type", kind.encode("latin-1")),
            (b"content-length", str(len(body)).encode()),
        ],
        "app": request.app,
        "state": dict(request.scope.get("state", {})),
    }


def _state(job: Job, limits: JobLimits) -> JobState:
    is_there = job.finished is not None
    return JobState(
        id=job.id,
        route=job.route,
        state=job.state,
        progress=round(job.progress, 3),
        doing=job.doing,
        created=job.created,
        expires=job.finished + limits.expiry_s if job.finished is not None else None,
        url=f"/v1/jobs/{job.id}",
        result_url=f"/v1/jobs/{job.id}/result",
        media_type=job.headers.get("content-type") if is_there else None,
        bytes=job.size,
        problem=problems.ProblemDetails(**job.problem) if job.problem else None,
    )
