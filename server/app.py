"""The web application: middlewares around the route table."""

import logging
import time
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler

from server import auth, errors, routes
from server.known_agents import KnownAgents
from server.metrics import METRICS, Metrics
from server.origins import Origins
from server.routing import ROUTES, SERVER, Routes, Server, mount
from server.settings import Settings
from storage.errors import GreenroomError

if TYPE_CHECKING:
    from actors.fleet import Fleet
    from actors.models.catalog import Catalog

log = logging.getLogger("greenroom.access")

REQUEST_ID = web.RequestKey("id", str)
REQUEST_ID_CHARACTERS = 128
CLIENT_GONE = 499
NO_ROUTE = ("any", "unknown")
"""Label of requests for what there is not: clients could make up any number of methods and paths."""


def create_app(
    settings: Settings, fleet: "Fleet", catalog: "Catalog", resources: Iterable[Routes] = routes.ALL
) -> web.Application:
    """Put the application together.

    Args:
        fleet: started; the application does not close it.
        resources: the operations to serve.
    """
    origins = Origins(settings.cors_origins, password=settings.password is not None)
    middlewares = [_observe, _answer_errors, origins.middleware()]
    if settings.password is not None:
        middlewares.append(auth.require(settings.password))
    app = web.Application(middlewares=middlewares, client_max_size=int(settings.max_body_mb * 2**20))
    app[SERVER] = Server(settings, fleet, catalog, KnownAgents(fleet))
    app[METRICS] = Metrics()
    app[ROUTES] = {}
    for resource in resources:
        for route in resource:
            mount(app, route)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Request-Id"] = request[REQUEST_ID]
        response.headers["X-Content-Type-Options"] = "nosniff"
        origins.allow(request, response)

    app.on_response_prepare.append(add_headers)
    return app


@web.middleware
async def _observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Number, count and log requests: never their query, their headers or their body."""
    given = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = (
        given if given.isascii() and 0 < len(given) <= REQUEST_ID_CHARACTERS else uuid.uuid4().hex
    )
    metrics = request.app[METRICS]
    route = request.app[ROUTES].get(request.match_info.handler)
    status, began = CLIENT_GONE, time.perf_counter()
    metrics.begin()
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        seconds = time.perf_counter() - began
        method, path = (route.method, route.path) if route else NO_ROUTE
        metrics.end(method, path, status, seconds)
        log.debug("%s %d %.1f ms [%s]", _line(request), status, seconds * 1e3, request[REQUEST_ID])


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return errors.http_response_of(error, request.app[SERVER].settings.max_body_mb)
    except GreenroomError as error:
        return errors.response_of(error)
    except Exception as error:  # noqa: BLE001 - the last resort: a trace for us, an id for the client
        return errors.json_error(500, errors.unknown(error, _line(request)))


def _line(request: web.Request) -> str:
    # The path as it was sent: decoded it could have a line break, and forge a line of the log.
    return f"{request.method} {request.rel_url.raw_path}"
