"""Requests reach handlers as typed arguments, or are refused before they do anything."""

import zlib
from typing import Annotated

import pytest
from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from server.routing import Routes, Server

routes = Routes("things")
ThingId = Annotated[str, StringConstraints(pattern="^thing-[0-9a-f]{4}$")]
calls = []


class Thing(TypedDict):
    id: str
    value: str


class Filters(BaseModel):
    tags: list[str] | None = None
    deep: bool = False
    limit: int = Field(50, ge=1, le=1000)
    order: str = "desc"

    @model_validator(mode="before")
    @classmethod
    def legacy(cls, data):
        return {**data, "order": "asc"} if data.get("ascending") == "true" else data


class NewThing(BaseModel):
    value: str = "nothing"
    count: int = 0
    note: Annotated[str, Field(max_length=10)] = ""
    metadata: dict[str, object] = {}


class Named(BaseModel):
    name: str


@routes.get("/v1/things/")
async def list_things(query: Filters) -> list[str]:
    """List things."""
    return [*(query.tags or []), str(query.deep), str(query.limit), query.order]


@routes.get("/v1/things/count")
async def count_things() -> int:
    return 7


@routes.get("/v1/things/{thing_id}")
async def retrieve_thing(server: Server, thing_id: ThingId) -> Thing:
    """Retrieve a thing.

    And say what it is worth.
    """
    return {"id": thing_id, "value": server.settings.host}


@routes.get("/v1/things/{thing_id}/parts/{label}/")
async def retrieve_part(thing_id: ThingId, label: str) -> str:
    return label


@routes.post("/v1/things/", status=201)
async def create_thing(body: NewThing) -> NewThing:
    calls.append(body)
    return body


@routes.post("/v1/names")
async def create_name(body: Named) -> str:
    calls.append(body)
    return body.name


@routes.post("/v1/things/{thing_id}/touch")
async def touch(thing_id: ThingId, body: Named | None = None) -> str | None:
    return body.name if body else None


@routes.delete("/v1/things/{thing_id}", status=204)
async def delete_thing(thing_id: ThingId) -> None:
    calls.append(thing_id)


@routes.get("/v1/page")
async def page(request: web.Request) -> web.Response:
    return web.Response(text=request.path)


@pytest.fixture
async def client(start):
    calls.clear()
    return await start(routes, max_body_mb=0.1)


@pytest.mark.parametrize("prefix", ["/v1", "/latest"])
@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/things", ["False", "50", "desc"]),
        ("/things/", ["False", "50", "desc"]),
        ("/things/count", 7),
        ("/things/count/", 7),
        ("/things/thing-00ff", {"id": "thing-00ff", "value": "127.0.0.1"}),
        ("/things/thing-00ff/", {"id": "thing-00ff", "value": "127.0.0.1"}),
        ("/things/thing-00ff/parts/human", "human"),
        ("/things/thing-00ff/parts/a%2Fb%20c/", "a/b c"),
    ],
)
async def test_both_slash_forms_answer_directly(client, prefix, path, answer):
    response = await client.get(prefix + path, allow_redirects=False)
    assert (response.status, await response.json()) == (200, answer)


async def test_query_strings_have_lists_booleans_and_unknown_keys(client):
    response = await client.get("/v1/things?tags=a&tags=b&deep=true&limit=9&ascending=true&what=ever")
    assert await response.json() == ["a", "b", "True", "9", "asc"]


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/v1/things/thing-XXXX", "path.thing_id: String should match pattern"),
        ("/v1/things/thing-00%00f", "path.thing_id: NUL"),
        ("/v1/things?limit=0", "query.limit: Input should be greater than or equal to 1"),
        ("/v1/things?limit=99999999999999999999999999", "query.limit"),
        ("/v1/things?deep=perhaps", "query.deep"),
        ("/v1/things?tags=a%00b", "query: NUL"),
    ],
)
async def test_wrong_paths_and_queries_are_refused(client, path, complaint):
    response = await client.get(path)
    body = await response.json()
    assert response.status == 422
    assert complaint in body["detail"]
    assert body["trace_id"] == ""


async def test_a_body_arrives_as_its_model(client):
    response = await client.post("/v1/things/", json={"value": "gold", "unknown": 1, "count": 2})
    assert response.status == 201
    assert await response.json() == {"value": "gold", "count": 2, "note": "", "metadata": {}}


@pytest.mark.parametrize("data", [b"", b" \n", b"null"])
async def test_an_empty_body_is_nothing_given(client, data):
    headers = {"Content-Type": "application/json"}
    response = await client.post("/v1/things", data=data, headers=headers)
    assert (await response.json())["value"] == "nothing"
    response = await client.post("/v1/things/thing-0000/touch", data=data, headers=headers)
    assert (response.status, await response.json()) == (200, None)
    response = await client.post("/v1/names", data=data, headers=headers)
    assert response.status == 422
    assert "body.name: Field required" in (await response.json())["detail"]


HOSTILE = {
    "no JSON": b"{value",
    "no object": b"[1]",
    "a string": b'"text"',
    "wrong type": b'{"value": {"a": 1}}',
    "too long a text": b'{"note": "12345678901"}',
    "invalid UTF-8": b'{"value": "\xff\xfe"}',
    "lone surrogate": b'{"value": "\\ud800"}',
    "NaN": b'{"count": NaN}',
    "Infinity": b'{"count": -Infinity}',
    "infinite by exponent": b'{"count": 1e999}',
    "huge integer": b'{"count": 123456789012345678901234567890}',
    "fraction": b'{"count": 1.5}',
    "NUL": b'{"value": "a\\u0000b"}',
    "NUL below": b'{"metadata": {"a": [{"b": "\\u0000"}]}}',
    "NUL in a key": b'{"metadata": {"a\\u0000": 1}}',
    "deep": b'{"metadata": {"a": ' + b"[" * 150 + b"]" * 150 + b"}}",
    "very deep": b"[" * 30_000,
    "deep objects": b'{"metadata": ' + b'{"a":' * 200 + b"1" + b"}" * 201,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_bodies_are_refused_and_change_nothing(client, data):
    response = await client.post("/v1/things/", data=data, headers={"Content-Type": "application/json"})
    assert response.status == 422
    assert (await response.json())["detail"].startswith("body")
    assert calls == []


async def test_wide_is_not_deep(client):
    body = {"metadata": {"a": [[] for _ in range(500)]}}
    response = await client.post("/v1/things/", json=body)
    assert response.status == 201


async def test_a_secret_value_is_not_repeated_to_the_client(client):
    response = await client.post("/v1/things/", json={"count": "hunter2"})
    assert "hunter2" not in await response.text()


@pytest.mark.parametrize("how", ["length", "chunks", "zip bomb"])
async def test_a_long_body_is_refused(client, how):
    async def chunks():
        for _ in range(20):
            yield b"x" * 10_000

    headers = {"Content-Type": "application/json"}
    data = {"length": b"x" * 200_000, "chunks": chunks(), "zip bomb": zlib.compress(b"x" * 50_000_000)}[how]
    if how == "zip bomb":
        headers["Content-Encoding"] = "deflate"
    response = await client.post("/v1/things/", data=data, headers=headers)
    assert response.status == 413
    assert "0.1 MB" in (await response.json())["detail"]
    assert calls == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_only_json_is_read(client, kind):
    response = await client.post("/v1/things/", data=b'{"value": "a"}', headers={"Content-Type": kind})
    assert response.status == 415
    assert "application/json" in (await response.json())["detail"]
    assert calls == []


async def test_204_has_no_body(client):
    response = await client.delete("/v1/things/thing-0000")
    assert (response.status, await response.read()) == (204, b"")
    assert calls == ["thing-0000"]


async def test_a_handler_may_answer_by_itself(client):
    response = await client.get("/v1/page/")
    assert await response.text() == "/v1/page/"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/nothing", 404), ("PUT", "/v1/things", 405)]
)
async def test_unknown_paths_and_methods_are_told_in_json(client, method, path, status):
    response = await client.request(method, path)
    assert response.status == status
    assert set(await response.json()) == {"detail"}


def test_a_parameter_that_the_path_does_not_have_is_a_mistake():
    with pytest.raises(TypeError, match="thing_id"):

        @routes.get("/v1/elsewhere")
        async def handler(thing_id: ThingId) -> None: ...
