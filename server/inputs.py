"""Reading what clients send: JSON bodies and query strings, on the assumption that they are hostile."""

from collections.abc import Iterable
from typing import Any, get_args, get_origin

import orjson
from aiohttp import web
from multidict import MultiMapping
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from server.errors import InvalidRequest, UnsupportedMediaType

MAX_DEPTH = 100
"""Levels of nesting in a body. The encoder of responses gives up at 254."""


async def read_json(request: web.Request) -> Any:
    """The request's body as a JSON value; ``None`` when it is empty.

    Raises:
        InvalidRequest: it is no JSON, or nested too deep.
        UnsupportedMediaType: it does not say that it is JSON. Browsers send such bodies for any web
            page; JSON they send only after asking this server.
        web.HTTPRequestEntityTooLarge: it is longer than ``max_body_mb``.
    """
    raw = await request.read()
    if not raw.strip():
        return None
    kind = request.content_type
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType(f"The body must be JSON (Content-Type: application/json), not {kind}.")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"body: not valid JSON: {error}") from None
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise InvalidRequest(f"body: nested deeper than {MAX_DEPTH} levels")
    return value


def query_values(query: MultiMapping[str], model: type[BaseModel]) -> dict[str, Any]:
    """The query string as input for ``model``: a list field takes every repetition of its key.

    Raises:
        InvalidRequest: a value has a NUL character.
    """
    lists = {
        name for key, field in model.model_fields.items() if _is_list(field) for name in _names(key, field)
    }
    values = {name: query.getall(name) if name in lists else query[name] for name in query}
    if contains_nul(values):
        raise InvalidRequest("query: NUL characters are not allowed")
    return values


def contains_nul(value: Any) -> bool:
    """Whether a string within a JSON value has a NUL character."""
    return any(isinstance(leaf, str) and "\0" in leaf for leaf in _walk(value))


def _walk(value: Any) -> Iterable[Any]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item


def _deeper_than(value: Any, levels: int) -> bool:
    waiting = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        if children and depth > levels:
            return True
        waiting += [(child, depth + 1) for child in children]
    return False


def _is_list(field: FieldInfo) -> bool:
    annotation = field.annotation
    return any(get_origin(part) in (list, set, tuple) for part in (annotation, *get_args(annotation)))


def _names(key: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [key, *(choice for choice in alias.choices if isinstance(choice, str))]
    return [key, alias] if isinstance(alias, str) else [key]
