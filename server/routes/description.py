"""The API's description of itself, and the server's numbers."""

from functools import lru_cache
from importlib.resources import files

import orjson
from aiohttp import web

from server.metrics import METRICS
from server.openapi import describe
from server.routing import ROUTES, Route, Routes, Server

routes = Routes("description")

ONLY_OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = files("server") / "docs"


@routes.get("/", public=True, hidden=True)
async def root() -> web.Response:
    return web.Response(status=307, headers={"Location": "/docs"})


@routes.get("/openapi.json", public=True, hidden=True)
async def openapi(request: web.Request) -> web.Response:
    return web.Response(body=_document(*request.app[ROUTES].values()), content_type="application/json")


@routes.get("/docs", public=True, hidden=True)
async def docs() -> web.Response:
    return _file("index.html", "text/html")


@routes.get("/docs/docs.js", public=True, hidden=True)
async def docs_script() -> web.Response:
    return _file("docs.js", "text/javascript")


@routes.get("/docs/docs.css", public=True, hidden=True)
async def docs_style() -> web.Response:
    return _file("docs.css", "text/css")


@routes.get("/metrics", hidden=True)
async def metrics(server: Server, request: web.Request) -> web.Response:
    text = request.app[METRICS].render(await server.fleet.metrics())
    return web.Response(body=text, content_type="text/plain", charset="utf-8")


@lru_cache(maxsize=1)
def _document(*table: Route) -> bytes:
    return orjson.dumps(describe(table))


def _file(name: str, content_type: str) -> web.Response:
    text = (PAGE / name).read_text(encoding="utf-8")
    return web.Response(text=text, content_type=content_type, headers={"Content-Security-Policy": ONLY_OURS})
