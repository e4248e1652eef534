"""Who may use the server: passwords, web pages, and names it answers under."""

import logging

import pytest

from server.routing import Routes
from server.settings import Settings

PASSWORD = "correct horse ☂"
routes = Routes("things")
done = []


@routes.get("/v1/open", public=True)
async def open_thing() -> str:
    return "open"


@routes.get("/v1/closed")
async def closed_thing() -> str:
    return "closed"


@routes.post("/v1/closed")
async def change_thing() -> None:
    done.append("change")


@pytest.fixture(autouse=True)
def nothing_done():
    done.clear()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {PASSWORD}x"},
        {"Authorization": PASSWORD},
        {"Authorization": f"Basic {PASSWORD}"},
        {"X-BARE-PASSWORD": PASSWORD},
        {"Authorization": "Bearer "},
    ],
)
async def test_without_the_password_only_public_routes_answer(start, headers):
    client = await start(routes, password=PASSWORD)
    response = await client.get("/v1/closed", headers=headers)
    assert (response.status, await response.json()) == (401, {"detail": "Unauthorized"})
    assert (await client.get("/v1/nothing", headers=headers)).status == 401
    assert (await client.get("/v1/open/", headers=headers)).status == 200
    assert (await client.get("/latest/open/", headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {PASSWORD}"}, {"X-BARE-PASSWORD": f"password {PASSWORD}"}]
)
async def test_the_password_opens(start, headers):
    client = await start(routes, password=PASSWORD)
    response = await client.get("/v1/closed", headers=headers)
    assert (response.status, await response.json()) == (200, "closed")


async def test_without_a_password_any_key_is_ignored(start):
    client = await start(routes)
    response = await client.get("/v1/closed", headers={"Authorization": "Bearer My API Key"})
    assert response.status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_machines_need_a_password(host):
    with pytest.raises(ValueError, match="GREENROOM_PASSWORD"):
        Settings(host=host)
    assert Settings(host=host, password=PASSWORD).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_this_machine_needs_none(host):
    assert Settings(host=host).password is None


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:5173", "https://app.example"])
async def test_pages_that_may(start, origin):
    client = await start(routes, cors_origins="https://app.example, https://other.example/")
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    response = await client.options("/v1/closed", headers=preflight)
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "content-type,authorization"
    response = await client.post("/v1/closed", headers={"Origin": origin})
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert done == ["change"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://["]
)
async def test_pages_that_may_not(start, origin):
    client = await start(routes, cors_origins="https://app.example")
    response = await client.post("/v1/closed", headers={"Origin": origin})
    assert response.status == 403
    assert "GREENROOM_CORS_ORIGINS" in (await response.json())["detail"]
    assert "Access-Control-Allow-Origin" not in response.headers
    assert done == []


async def test_any_page_may_where_that_is_set(start):
    client = await start(routes, cors_origins="*")
    response = await client.post("/v1/closed", headers={"Origin": "https://evil.example"})
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == "https://evil.example"


async def test_the_browser_of_a_page_elsewhere_is_not_shown_answers_with_a_password_either(start):
    client = await start(routes, password=PASSWORD)
    headers = {"Origin": "https://evil.example", "Authorization": f"Bearer {PASSWORD}"}
    response = await client.get("/v1/closed", headers=headers)
    assert response.status == 200
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8283", 200),
        ("[::1]:8283", 200),
        ("localhost", 200),
        ("greenroom:8283", 200),
        ("host.docker.internal:8283", 200),
        ("app.example", 200),
        ("rebound.evil.example:8283", 403),
    ],
)
async def test_a_public_name_that_points_here_is_refused(start, host, status):
    client = await start(routes, cors_origins="https://app.example")
    response = await client.get("/v1/closed", headers={"Host": host})
    assert response.status == status


async def test_under_a_password_any_name_answers(start):
    client = await start(routes, password=PASSWORD)
    headers = {"Host": "agents.example.org", "Authorization": f"Bearer {PASSWORD}"}
    assert (await client.get("/v1/closed", headers=headers)).status == 200


async def test_requests_have_an_id(start):
    client = await start(routes)
    response = await client.get("/v1/open")
    assert len(response.headers["X-Request-Id"]) == 32
    response = await client.get("/v1/open", headers={"X-Request-Id": "mine-1"})
    assert response.headers["X-Request-Id"] == "mine-1"
    response = await client.get("/v1/open", headers={"X-Request-Id": "x" * 1000})
    assert len(response.headers["X-Request-Id"]) == 32


async def test_the_log_of_requests_has_nothing_secret(start, caplog):
    caplog.set_level(logging.DEBUG, "greenroom")
    client = await start(routes, password=PASSWORD)
    headers = {"Authorization": f"Bearer {PASSWORD}", "X-Request-Id": "mine-1"}
    await client.get("/v1/closed?search=hunter2", headers=headers)
    await client.get("/v1/%0AERROR forged")
    assert "GET /v1/closed 200" in caplog.text
    assert "mine-1" in caplog.text
    assert "hunter2" not in caplog.text
    assert not any(line.startswith("ERROR forged") for line in caplog.text.splitlines())
    assert "horse" not in caplog.text
    assert "horse" not in repr(Settings(password=PASSWORD))
