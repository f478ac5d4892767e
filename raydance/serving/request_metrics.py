"""What the service tells Prometheus: requests by route and status, and how long they took."""

from __future__ import annotations

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class RequestMetrics:
    """Counts requests.

    Args:
        app: what is measured.
        registry: where the figures are kept.
        routes: of the application, to name those that were refused before they were reached.
        replica: of this process among those that answer; each has figures of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        registry: CollectorRegistry,
        routes: Sequence[BaseRoute],
        replica: str = "",
    ) -> None:
        self._app = app
        self._routes = routes
        self._replica = replica
        names = ("replica", "method", "route")
        self._requests = Counter(
            "raydance_http_requests", "Requests answered", (*names, "status"), registry=registry
        )
        self._seconds = Histogram(
            "raydance_http_request_seconds",
            "Time until the answer was sent",
            names,
            buckets=_BUCKETS,
            registry=registry,
        )
        self._present = Gauge(
            "raydance_http_requests_in_flight", "Requests", ("replica",), registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499  # the caller went away

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        self._present.labels(self._replica).inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._present.labels(self._replica).dec()
            # So would methods, which a caller may invent.
            route = self._route_of(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            names = (self._replica, method, route)
            self._requests.labels(*names, str(status)).inc()
            self._seconds.labels(*names).observe(time.perf_counter() - started)

    def _route_of(self, scope: Scope) -> str:
        """The route's pattern, not the path: names of clips would make a series each."""
        route = scope.get("route")
        if route is None:
            matches = ((route, route.matches(scope)[0]) for route in self._routes)
            route = next((route for route, match in matches if match is Match.FULL), None)
        return getattr(route, "path", "other")
