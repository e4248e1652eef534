"""The API's description, OpenAPI 3.1, made from the route table."""

import functools
import operator
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

from aiohttp import web
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from server.routing import Route
from server.version import VERSION

REF = "#/components/schemas/{model}"
ERROR = {
    "description": "What went wrong, in words.",
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
        }
    },
}
JsonObject = dict[str, Any]


def describe(routes: Iterable[Route]) -> JsonObject:
    """Make the OpenAPI document of these routes, hidden ones left out."""
    shown = [route for route in routes if not route.hidden]
    schemas, definitions = _schemas(shown)
    paths: dict[str, JsonObject] = {}
    for route in shown:
        operation = _operation(route, schemas, definitions)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Greenroom",
            "version": VERSION,
            "description": "Stateful agents over the v1 agents REST API. Every path works with and without "
            "a slash at its end, and below /latest as below /v1.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in shown)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(definitions.items())),
            "securitySchemes": {"password": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"password": []}, {}],
    }


Key = tuple[int, str]


def _schemas(routes: list[Route]) -> tuple[dict[Key, JsonObject], JsonObject]:
    """The schema of everything each route takes and returns, and the definitions they share."""
    inputs: list[tuple[Key, JsonSchemaMode, TypeAdapter[Any]]] = []
    for route in routes:
        for part, mode, annotation in _parts(route):
            inputs.append(((id(route), part), mode, TypeAdapter(annotation)))
    found, document = TypeAdapter.json_schemas(inputs, ref_template=REF)
    return {key: schema for (key, _), schema in found.items()}, document.get("$defs", {})


def _parts(route: Route) -> Iterator[tuple[str, JsonSchemaMode, Any]]:
    for name, annotation in route.parameters.items():
        yield f"path.{name}", "validation", annotation
    if route.query is not None:
        yield "query", "validation", route.query
    if route.body is not None:
        yield "body", "validation", route.body
    returned = _json_part(route.returns)
    if returned is not web.StreamResponse:
        yield "returns", "serialization", returned


def _json_part(annotation: Any) -> Any:
    """What a handler returns, without the stream that it may return instead."""
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for part in get_args(annotation) if not _is_response(part)]
        return functools.reduce(operator.or_, parts) if parts else web.StreamResponse
    return web.StreamResponse if _is_response(annotation) else annotation


def _is_response(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, web.StreamResponse)


def _operation(route: Route, schemas: dict[Key, JsonObject], definitions: JsonObject) -> JsonObject:
    operation: JsonObject = {
        "tags": [route.tag],
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "parameters": list(_parameters(route, schemas, definitions)),
        "responses": {str(route.status): _answer(route, schemas), "4XX": ERROR, "5XX": ERROR},
    }
    if route.description:
        operation["description"] = route.description
    if route.public:
        operation["security"] = []
    if route.body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": schemas[id(route), "body"]}}}
    return operation


def _parameters(
    route: Route, schemas: dict[Key, JsonObject], definitions: JsonObject
) -> Iterator[JsonObject]:
    for name in route.parameters:
        schema = schemas[id(route), f"path.{name}"]
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if route.query is None:
        return
    query = schemas[id(route), "query"]
    query = definitions[query["$ref"].rpartition("/")[2]] if "$ref" in query else query
    for name, schema in query.get("properties", {}).items():
        parameter = {"name": name, "in": "query", "schema": schema}
        yield parameter | {"required": True} if name in query.get("required", ()) else parameter


def _answer(route: Route, schemas: dict[Key, JsonObject]) -> JsonObject:
    content: JsonObject = {}
    if (id(route), "returns") in schemas and route.status != 204:
        content["application/json"] = {"schema": schemas[id(route), "returns"]}
    if _is_response(route.returns) or any(_is_response(part) for part in get_args(route.returns)):
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {"description": "Success.", **({"content": content} if content else {})}
