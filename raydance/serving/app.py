"""The service of Dance-Language as an ASGI application, over any backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI

from raydance.serving import generation_routes, motion_routes, schema, word_routes
from raydance.serving.application import Settings, assemble
from raydance.serving.backend import Backend
from raydance.serving.context import Context
from raydance.serving.request_schema import Embed, Search
from raydance.serving.uploads import Uploads

_DESCRIPTION: Final = (
    "Dance and words in one space: motion from a sentence, words for motion, and clips near either."
)
_JOB_ROUTES: Final = ("generate", "interpolate", "convert", "describe", "embed", "search", "clips/")
_ROUTERS: Final = (generation_routes.router, motion_routes.router, word_routes.router)
_BODIES: Final = (
    Search,
    Embed,
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

    return assemble(
        _ROUTERS,
        settings,
        start,
        job_names=_JOB_ROUTES,
        bodies=_BODIES,
        description=_DESCRIPTION,
    )
