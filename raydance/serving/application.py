"""What every service has, whatever its routes: settings, state, limits, keys, jobs, metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware

from raydance.serving import docs, job_routes, problems, schema
from raydance.serving.access_control import AccessControl
from raydance.serving.assets import add_page
from raydance.serving.bounds import BODY_S, Bounds
from raydance.serving.concurrency_limit import ConcurrencyLimit
from raydance.serving.docs_page import add_docs
from raydance.serving.head_method import HeadMethod
from raydance.serving.jobs import JobLimits
from raydance.serving.reader import Limits
from raydance.serving.request_metrics import RequestMetrics
from raydance.serving.uploads import Uploads
from raydance.version import VERSION

_HEADERS: Final = (
    "X-Raydance-Note",
    *docs.OF_GENERATED,
    "X-Raydance-Residual-Cm",
    "Content-Disposition",
    "X-Raydance-Upload",
    "Location",
    "Retry-After",
)
"""What a page elsewhere may read."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a service is offered.

    Attributes:
        key_digests: of the API keys (`access_control.digest`); none, and no key is asked for.
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


def assemble(
    routers: Sequence[APIRouter],
    settings: Settings,
    start: Callable[[FastAPI, Uploads], Callable[[], Awaitable[None]]],
    *,
    job_names: Sequence[str],
    bodies: Sequence[type[BaseModel]],
    description: str = "",
) -> FastAPI:
    """An application of some routes.

    Args:
        start: called in the event loop when the application starts, to put what routes need into
            `app.state`; returns what waits until everything is loaded.
        job_names: routes that jobs may ask for; see `job_routes.install`.
        bodies: of requests and answers; see `docs.document_of`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        uploads = Uploads(settings.limits)
        app.state.ready = start(app, uploads)
        app.state.jobs = job_routes.jobs_of(app, settings.jobs)
        try:
            yield
        finally:
            await app.state.jobs.close()
            await uploads.close()

    app = FastAPI(
        title="raydance",
        version=VERSION,
        description=description,
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    for router in routers:
        app.include_router(router)
    if settings.has_jobs:
        routers = [*routers, job_routes.install(app, job_names, settings.jobs)]
    registry = CollectorRegistry()
    _add_state(app, registry)
    add_docs(app)
    known: list[type[BaseModel]] = [*bodies, job_routes.JobRequest, problems.ProblemDetails]
    app.openapi = lambda: docs.document_of(app, known, bool(settings.key_digests))  # type: ignore[method-assign]
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
            expose_headers=list(_HEADERS),
        )
    app.add_middleware(HeadMethod)
    routes = [*(route for router in routers for route in router.routes), *app.routes]
    app.add_middleware(RequestMetrics, registry=registry, routes=routes, replica=settings.replica)
    return app


def _add_state(app: FastAPI, registry: CollectorRegistry) -> None:
    @app.get("/healthz", tags=["state"], response_model=schema.Status)
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["state"], response_model=schema.Status)
    async def readyz(request: Request) -> dict[str, str]:
        """Whether everything is loaded; waits for it."""
        await request.app.state.ready()
        return {"status": "ok"}

    @app.get("/metrics", tags=["state"], response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Figures for Prometheus."""
        return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
