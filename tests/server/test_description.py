"""The API describes itself, and counts what it does."""

import json
import re

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from server import routes as all_routes
from server.routes import description, health
from server.routing import Routes
from server.sse import web

things = Routes("things")


class Thing(TypedDict):
    id: str
    parts: list["Part"]


class Part(TypedDict):
    label: str


class Filters(BaseModel):
    tags: list[str] | None = None
    limit: int = 50


class NewThing(BaseModel):
    name: str


@things.post("/v1/things/", status=201)
async def create_thing(query: Filters, body: NewThing) -> Thing:
    """Create a thing.

    It stays until it is deleted.
    """
    return {"id": body.name, "parts": []}


@things.get("/v1/things/{thing_id}/stream")
async def stream_thing(thing_id: str) -> Thing | web.StreamResponse:
    """Stream a thing."""
    return {"id": thing_id, "parts": []}


@things.delete("/v1/things/{thing_id}", status=204)
async def delete_thing(thing_id: str) -> None:
    """Delete a thing."""


@pytest.fixture
async def client(start):
    return await start(things, health.routes, description.routes)


@pytest.fixture
async def document(client):
    return await (await client.get("/openapi.json")).json()


async def test_operations_are_described_from_their_signatures(document):
    assert document["openapi"].startswith("3.1")
    operation = document["paths"]["/v1/things/"]["post"]
    assert operation["summary"] == "Create a thing"
    assert operation["description"] == "It stays until it is deleted."
    assert [parameter["name"] for parameter in operation["parameters"]] == ["tags", "limit"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/NewThing"}
    answer = operation["responses"]["201"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/Thing"}
    assert "Part" in document["components"]["schemas"]


async def test_streams_and_empty_answers_are_described(document):
    content = document["paths"]["/v1/things/{thing_id}/stream"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/event-stream"}
    assert document["paths"]["/v1/things/{thing_id}"]["delete"]["responses"]["204"] == {
        "description": "Success."
    }


async def test_only_public_operations_need_no_password(document):
    assert document["paths"]["/v1/health/"]["get"]["security"] == []
    assert "security" not in document["paths"]["/v1/things/"]["post"]


async def test_every_operation_of_the_server_is_described(start):
    client = await start(*all_routes.ALL)
    document = await (await client.get("/openapi.json")).json()
    shown = [route for resource in all_routes.ALL for route in resource if not route.hidden]
    for route in shown:
        operation = document["paths"][route.path][route.method.lower()]
        assert operation["summary"], f"{route.method} {route.path} has no docstring"
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names)) == len(shown)
    used = set(re.findall(r"#/components/schemas/([^\"]+)", json.dumps(document)))
    assert used <= set(document["components"]["schemas"])


async def test_the_page_needs_nothing_from_elsewhere(client):
    response = await client.get("/")
    assert str(response.url.path) == "/docs"
    page = await response.text()
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert not re.search(r"https?://", page)
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (await client.get(asset)).status == 200, asset


@pytest.mark.parametrize("path", ["/v1/health", "/v1/health/", "/latest/ready/", "/v1/ready"])
async def test_health(client, path):
    body = await (await client.get(path)).json()
    assert body["status"] == "ok"
    assert re.match(r"\d+\.\d+\.\d+", body["version"])


async def test_requests_are_counted_by_route(client):
    for name in ("a", "b"):
        await client.delete(f"/v1/things/{name}")
    await client.get("/v1/secret-path-of-a-user")
    text = await (await client.get("/metrics")).text()
    assert 'greenroom_requests_total{method="DELETE",route="/v1/things/{thing_id}",status="204"} 2.0' in text
    assert 'greenroom_requests_total{method="any",route="unknown",status="404"} 1.0' in text
    assert "secret-path" not in text
    assert "# TYPE greenroom_agents_resident gauge\ngreenroom_agents_resident 3.0" in text
    assert "# TYPE greenroom_steps_total counter\ngreenroom_steps_total 41.0" in text
    assert "greenroom_requests_open 1.0" in text


async def test_numbers_are_behind_the_password_and_the_description_is_not(start):
    client = await start(description.routes, password="correct horse")
    assert (await client.get("/metrics")).status == 401
    assert (await client.get("/docs")).status == 200
    assert (await client.get("/openapi.json")).status == 200
