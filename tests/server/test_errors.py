"""Each error has its status, its body and its advice about trying again."""

import re

import pytest

from actors.models.errors import ModelEmptyResponse, ModelError, ModelRateLimit, ModelTimeout
from server.routing import Routes
from storage.errors import (
    Busy,
    Conflict,
    GreenroomError,
    InvalidArgument,
    NotFound,
    StaleBlock,
    StoreCorrupt,
    StoreFull,
    Unavailable,
)


class PendingApproval(Conflict):
    """Please approve or deny the pending request before continuing."""

    code = "pending_approval"


def raising(error):
    routes = Routes("errors")

    @routes.get("/v1/error")
    async def fail() -> None:
        raise error

    return routes


@pytest.mark.parametrize(
    ("error", "status", "body", "headers"),
    [
        (InvalidArgument("Bad."), 400, {"detail": "INVALID_ARGUMENT: Bad."}, {}),
        (NotFound("No agent."), 404, {"detail": "NOT_FOUND: No agent."}, {}),
        (Conflict("Twice."), 409, {"detail": "CONFLICT: Twice."}, {"x-should-retry": "false"}),
        (
            PendingApproval(),
            409,
            {"detail": f"PENDING_APPROVAL: {PendingApproval.__doc__}"},
            {"x-should-retry": "false"},
        ),
        (StaleBlock("Changed."), 409, {"detail": "STALE_BLOCK: Changed."}, {"Retry-After": "1"}),
        (Busy("Later."), 429, {"detail": "BUSY: Later."}, {"Retry-After": "1"}),
        (Unavailable("Soon."), 503, {"detail": "UNAVAILABLE: Soon."}, {"Retry-After": "1"}),
        (StoreCorrupt("Damaged."), 503, {"detail": "STORE_CORRUPT: Damaged."}, {}),
        (StoreFull("Full."), 507, {"detail": "STORE_FULL: Full."}, {}),
        (GreenroomError("Odd."), 500, {"detail": "INTERNAL_ERROR: Odd."}, {}),
        (
            ModelRateLimit("Slow down.", detail="tokens per minute", retry_after=7),
            429,
            {"error": {"type": "llm_rate_limit", "message": "Slow down.", "detail": "tokens per minute"}},
            {"Retry-After": "7"},
        ),
        (
            ModelTimeout("Too slow."),
            504,
            {"error": {"type": "llm_timeout", "message": "Too slow.", "detail": "Too slow."}},
            {},
        ),
        (
            ModelEmptyResponse("Nothing."),
            500,
            {"error": {"type": "llm_empty_response", "message": "Nothing.", "detail": "Nothing."}},
            {},
        ),
        (
            ModelError("Broken."),
            500,
            {"error": {"type": "llm_error", "message": "Broken.", "detail": "Broken."}},
            {},
        ),
    ],
)
async def test_known_errors(start, error, status, body, headers):
    client = await start(raising(error))
    response = await client.get("/v1/error")
    assert response.status == status
    assert await response.json() == body
    for name in ("x-should-retry", "Retry-After"):
        assert response.headers.get(name) == headers.get(name)


async def test_an_unknown_error_leaves_a_trace_in_the_log_and_only_its_id_with_the_client(start, caplog):
    client = await start(raising(RuntimeError("password=hunter2 in /etc/secret.py")))
    response = await client.get("/v1/error")
    body = await response.json()
    assert response.status == 500
    assert body["detail"] == "An unknown error occurred"
    assert re.fullmatch("[0-9a-f]{32}", body["trace_id"])
    assert "hunter2" not in await response.text()
    assert body["trace_id"] in caplog.text
    assert "RuntimeError: password=hunter2" in caplog.text
