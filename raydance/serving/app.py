"""The service of Dance-Language as an ASGI application, over any backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from raydance.serving import (
    docs,
    generation_routes,
    job_routes,
    motion_routes,
    problems,
    schema,
    word_routes,
)
from raydance.serving.application import Settings, assemble
from raydance.serving.backend import Backend
from raydance.serving.context import Context
from raydance.serving.request_schema import Embed, Search
from raydance.serving.uploads import Uploads

_DESCRIPTION: Final = (
    "Dance and words in one space: motion from a sentence, words for motion, and clips near either."
)
# Named only in bodies that a route reads by itself, so FastAPI does not see them.
_MORE_SCHEMAS: Final = (
    Search,
    Embed,
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


def create_app(backend: Callable[[], Backend], settings: Settings) -> FastAPI:
    """The application.

    Args:
        backend: makes what answers; called in the event loop, when the application starts.
    """

    def start(app: FastAPI, uploads: Uploads) -> Callable[[], Awaitable[None]]:
        app.state.context = Context(backend(), uploads, settings.limits)
        ready: Callable[[], Awaitable[None]] = app.state.context.backend.ready
        return ready

    app = assemble(_ROUTERS, settings, start, job_names=_JOB_ROUTES, description=_DESCRIPTION)
    app.openapi = lambda: _document(app, bool(settings.key_digests))  # type: ignore[method-assign]
    return app


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
