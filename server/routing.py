"""The route table: handlers say with their signature what they take and what they return.

    routes = Routes("agents")

    @routes.get("/v1/agents/{agent_id}")
    async def retrieve_agent(server: Server, agent_id: AgentId, query: RetrieveAgent) -> AgentState:
        '''Retrieve an agent.'''

Parameters are filled by name: ``server``, ``request`` (aiohttp's), ``query`` (a pydantic model),
``body`` (whatever pydantic validates; ``Model | None = None`` where it may be left out); any other
one is taken from the path. A handler returns JSON values or a response of its own, a stream for
instance. The OpenAPI description is made from the same table.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_type_hints

import orjson
from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from server.errors import InvalidRequest
from server.inputs import contains_nul, query_values, read_json
from server.known_agents import KnownAgents

if TYPE_CHECKING:
    from actors.fleet import Fleet
    from actors.models.catalog import Catalog
    from server.settings import Settings

VERSIONS = ("/v1/", "/latest/")
"""What is served below the first is served below the others too."""

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])


class Decorator(Protocol):
    def __call__(self, handler: Handler, /) -> Handler: ...


@dataclass(frozen=True)
class Server:
    """What handlers work with."""

    settings: "Settings"
    fleet: "Fleet"
    catalog: "Catalog"
    known: KnownAgents


@dataclass(frozen=True, eq=False)
class Route:
    """One operation of the API."""

    method: str
    path: str
    tag: str
    handler: Callable[..., Awaitable[Any]]
    status: int
    public: bool
    hidden: bool
    parameters: dict[str, Any] = field(init=False)
    """Annotations of the path's parameters, by name."""
    query: type[BaseModel] | None = field(init=False)
    body: Any = field(init=False)
    """Annotation of the body; ``None`` where there is none."""
    returns: Any = field(init=False)

    def __post_init__(self) -> None:
        hints = get_type_hints(self.handler, include_extras=True)
        found = {
            "returns": hints.pop("return"),
            "query": hints.pop("query", None),
            "body": hints.pop("body", None),
            "parameters": {name: hint for name, hint in hints.items() if name not in ("server", "request")},
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)
        for name in self.parameters:
            if f"{{{name}}}" not in self.path:
                raise TypeError(f"{self.handler.__qualname__}: {self.path} has no {{{name}}}")

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.handler) or "").partition("\n")[0].rstrip(".")

    @property
    def description(self) -> str:
        return (inspect.getdoc(self.handler) or "").partition("\n")[2].strip()


SERVER = web.AppKey("server", Server)
ROUTES = web.AppKey("routes", dict[Any, Route])
"""Which route an aiohttp handler serves."""


class Routes:
    """The operations of one resource.

    Args:
        tag: heading of the resource in the API's description.
    """

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def add(
        self, method: str, path: str, *, status: int = 200, public: bool = False, hidden: bool = False
    ) -> Decorator:
        """Make the decorated function the handler of an operation.

        Args:
            path: as the API writes it; with and without a slash at its end are the same.
            status: of a successful answer; 204 has no body.
            public: served without the password.
            hidden: left out of the API's description.
        """

        def register(handler: Handler) -> Handler:
            self._routes.append(Route(method, path, self.tag, handler, status, public, hidden))
            return handler

        return register

    def get(self, path: str, **options: Any) -> Decorator:
        return self.add("GET", path, **options)

    def post(self, path: str, **options: Any) -> Decorator:
        return self.add("POST", path, **options)

    def put(self, path: str, **options: Any) -> Decorator:
        return self.add("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Decorator:
        return self.add("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Decorator:
        return self.add("DELETE", path, **options)


def mount(app: web.Application, route: Route) -> None:
    """Serve a route below every version, with and without a slash at its end."""
    handler = _adapt(route)
    app[ROUTES][handler] = route
    first, *others = VERSIONS
    paths = [route.path]
    if route.path.startswith(first):
        paths += [other + route.path.removeprefix(first) for other in others]
    for path in paths:
        bare = path.rstrip("/")
        forms = [bare + "{_slash:/?}"] if "{" in bare else [bare, bare + "/"] if bare else ["/"]
        for form in forms:
            app.router.add_route(route.method, form, handler)


def _adapt(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    takes = inspect.signature(route.handler).parameters
    parameters = {name: TypeAdapter(hint) for name, hint in route.parameters.items()}
    body = _Body(route.body) if route.body is not None else None

    async def handle(request: web.Request) -> web.StreamResponse:
        arguments: dict[str, Any] = {}
        if parameters:
            arguments |= _path_arguments(request, parameters)
        if route.query is not None:
            arguments["query"] = _query_argument(request, route.query)
        if body is not None:
            arguments["body"] = await body.read(request)
        if "server" in takes:
            arguments["server"] = request.app[SERVER]
        if "request" in takes:
            arguments["request"] = request
        result = await route.handler(**arguments)
        if isinstance(result, web.StreamResponse):
            return result
        if route.status == 204:
            return web.Response(status=204)
        encoded = orjson.dumps(result, default=_encode)
        return web.Response(body=encoded, status=route.status, content_type="application/json")

    return handle


def _path_arguments(request: web.Request, adapters: dict[str, TypeAdapter[Any]]) -> dict[str, Any]:
    arguments = {}
    for name, adapter in adapters.items():
        value = request.match_info[name]
        if "\0" in value:
            raise InvalidRequest(f"path.{name}: NUL characters are not allowed")
        try:
            arguments[name] = adapter.validate_python(value)
        except ValidationError as error:
            raise InvalidRequest.of(error, f"path.{name}") from None
    return arguments


def _query_argument(request: web.Request, model: type[BaseModel]) -> BaseModel:
    try:
        return model.model_validate(query_values(request.query, model))
    except ValidationError as error:
        raise InvalidRequest.of(error, "query") from None


class _Body:
    def __init__(self, annotation: Any) -> None:
        self._adapter = TypeAdapter(annotation)
        try:
            self._adapter.validate_python(None)
            self._empty: Any = None
        except ValidationError:
            self._empty = {}

    async def read(self, request: web.Request) -> Any:
        value = await read_json(request)
        try:
            body = self._adapter.validate_python(self._empty if value is None else value)
        except ValidationError as error:
            raise InvalidRequest.of(error, "body") from None
        # Models may drop NULs from their texts. Where they do not, nothing further down would like them.
        if b"\\u0000" in await request.read() and contains_nul(self._adapter.dump_python(body)):
            raise InvalidRequest("body: NUL characters are not allowed")
        return body


def _encode(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True)
    raise TypeError(f"{type(value).__name__} is no JSON value")
