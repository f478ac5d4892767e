"""The service as an ASGI application, over any backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.middleware.cors import CORSMiddleware

from raydance.serving import (
    docs,
    generation_routes,
    job_routes,
    motion_routes,
    problems,
    schema,
    word_routes,
)
from raydance.serving.access_control import AccessControl
from raydance.serving.assets import add_page
from raydance.serving.backend import Backend
from raydance.serving.bounds import BODY_S, Bounds
from raydance.serving.concurrency_limit import ConcurrencyLimit
from raydance.serving.context import Context
from raydance.serving.docs_page import add_docs
from raydance.serving.head_method import HeadMethod
from raydance.serving.jobs import JobLimits
from raydance.serving.reader import Limits
from raydance.serving.request_metrics import RequestMetrics
from raydance.serving.uploads import Uploads
from raydance.version import VERSION

_DESCRIPTION: Final = (
    "Dance and words in one space: motion from a sentence, words for motion, and clips near either."
)
# Named only in bodies that a route reads by itself, so FastAPI does not see them.
_MORE_SCHEMAS: Final = (
    schema.Search,
    schema.Embed,
    job_routes.JobRequest,
    problems.ProblemDetails,
)
_JOB_ROUTES: Final = ("generate", "interpolate", "convert", "describe", "embed", "search", "clips/")
_ROUTERS: Final = (generation_routes.router, motion_routes.router, word_routes.router)
_ANSWERS_AS_FILES: Final = (
    schema.Generated,
    schema.GeneratedMany,
    schema.Motion,
    schema.ClipMotion,
    schema.Embedded,
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a service is offered.

    Attributes:
        key_digests: of the API keys (`guard.digest`); none, and no key is asked for.
        origins: of pages elsewhere that may call the API (CORS); none by default.
        page: folder of the built web page; without it only the API is there.
        replica: of this process, for the metrics.
        most_requests: answered at once; more are turned away.
        body_s: until the body of a request must be here.
        jobs: how many, how large and how long jobs may be.
        has_jobs: whether there are jobs; not where several processes speak HTTP, since a job is
            known to the one that took it.
    """

    limits: Limits = field(default_factory=Limits)
    key_digests: Sequence[bytes] = ()
    origins: Sequence[str] = ()
    page: str | None = None
    replica: str = ""
    most_requests: int = 64
    body_s: float = BODY_S
    jobs: JobLimits = field(default_factory=JobLimits)
    has_jobs: bool = True


def create_app(backend: Callable[[], Backend], settings: Settings) -> FastAPI:
    """The application.

    Args:
        backend: makes what answers; called in the event loop, when the application starts.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        uploads = Uploads(settings.limits)
        app.state.context = Context(backend(), uploads, settings.limits)
        app.state.ready = app.state.context.backend.ready
        app.state.jobs = job_routes.jobs_of(app, settings.jobs)
        try:
            yield
        finally:
            await app.state.jobs.close()
            await uploads.close()

    app = FastAPI(
        title="raydance",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    routers = [*_ROUTERS]
    if settings.has_jobs:
        routers.append(job_routes.install(app, _JOB_ROUTES, settings.jobs))
    registry = CollectorRegistry()
    _add_state(app, registry)
    add_docs(app)
    if settings.page is not None:
        add_page(app, Path(settings.page))
    app.add_middleware(problems.ErrorHandler)
    app.add_middleware(Bounds, upload_bytes=settings.limits.upload_bytes, body_s=settings.body_s)
    app.add_middleware(ConcurrencyLimit, most=settings.most_requests)
    app.add_middleware(AccessControl, digests=settings.key_digests)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["X-API-Key", "Authorization", "Content-Type"],
            expose_headers=[
                "X-Raydance-Note",
                *docs.OF_GENERATED,
                "X-Raydance-Residual-Cm",
                "Content-Disposition",
                "X-Raydance-Upload",
                "Location",
                "Retry-After",
            ],
        )
    app.add_middleware(HeadMethod)
    routes = [*(route for router in routers for route in router.routes), *app.routes]
    app.add_middleware(RequestMetrics, registry=registry, routes=routes, replica=settings.replica)
    app.openapi = lambda: _document(app, bool(settings.key_digests))  # type: ignore[method-assign]
    return app


def _add_state(app: FastAPI, registry: CollectorRegistry) -> None:
    @app.get("/healthz", tags=["state"], response_model=schema.Status)
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["state"], response_model=schema.Status)
    async def readyz() -> dict[str, str]:
        """Whether everything is loaded; waits for it."""
        await app.state.context.backend.ready()
        return {"status": "ok"}

    @app.get("/metrics", tags=["state"], response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Figures for Prometheus."""
        return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _document(app: FastAPI, needs_key: bool) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (*_MORE_SCHEMAS, *_ANSWERS_AS_FILES):
            found = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= found.pop("$defs", {})
            schemas[model.__name__] = found
        docs.complete(document, needs_key)
        app.openapi_schema = document
    return app.openapi_schema
