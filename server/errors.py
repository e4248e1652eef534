"""Errors as the API answers them: the one place where they get their HTTP status and their body."""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError

from actors.compaction import SystemPromptTooLong
from storage.errors import (
    Busy,
    Conflict,
    GreenroomError,
    InvalidArgument,
    NotFound,
    SequenceGap,
    StaleBlock,
    StaleEpoch,
    StoreError,
    StoreFull,
    Unavailable,
)
from storage.records import StopReason

log = logging.getLogger("greenroom.server")

MAX_COMPLAINTS = 10
"""Complaints about one request that are told; a union of models makes dozens."""


class InvalidRequest(GreenroomError):
    """The request does not have the shape that the API asks for."""

    code = "invalid_request"

    @classmethod
    def of(cls, error: ValidationError, where: str) -> "InvalidRequest":
        """Say what is wrong, without repeating the client's values: they may be secret or huge.

        Args:
            where: ``path``, ``query`` or ``body``.
        """
        complaints = [
            f"{'.'.join(map(str, (where, *item['loc'])))}: {item['msg']}"
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        more = len(complaints) - MAX_COMPLAINTS
        return cls("; ".join(complaints[:MAX_COMPLAINTS]) + (f"; and {more} more" if more > 0 else ""))


class UnsupportedMediaType(GreenroomError):
    """The body is of a kind that this route does not read."""

    code = "unsupported_media_type"


class Unauthorized(GreenroomError):
    """Unauthorized"""

    code = "unauthorized"


class Forbidden(GreenroomError):
    """This request is not allowed."""

    code = "forbidden"


class Unsupported(GreenroomError):
    """This server does not do that."""

    code = "not_implemented"


STATUS: Mapping[type[GreenroomError], int] = {
    InvalidArgument: 400,
    SystemPromptTooLong: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    StaleBlock: 409,
    StaleEpoch: 409,
    SequenceGap: 409,
    UnsupportedMediaType: 415,
    InvalidRequest: 422,
    Busy: 429,
    Unsupported: 501,
    Unavailable: 503,
    StoreError: 503,
    StoreFull: 507,
    GreenroomError: 500,
}
PLAIN = (Unauthorized, Forbidden, InvalidRequest, UnsupportedMediaType)
"""Errors of HTTP itself; all others carry their code in the text, as the API's clients expect."""
PASSING = (StaleBlock, StaleEpoch, SequenceGap)
"""Conflicts that another try resolves."""

MODEL_STATUS: Mapping[str, int] = {
    "llm_bad_request": 400,
    "llm_authentication": 401,
    "llm_insufficient_credits": 402,
    "llm_rate_limit": 429,
    "llm_timeout": 504,
}
"""Status of what went wrong at a model provider, by code; any other ``llm_`` code is a 500."""


def status_of(error: GreenroomError) -> int:
    """The HTTP status of an error: that of the nearest class that has one."""
    if error.code.startswith("llm_"):
        return MODEL_STATUS.get(error.code, 500)
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def reason_of(error: Exception) -> StopReason:
    """Why a run stopped that failed with this error."""
    if isinstance(error, SystemPromptTooLong):
        return "context_window_overflow_in_system_prompt"
    of_model = isinstance(error, GreenroomError) and error.code.startswith("llm_")
    return "llm_api_error" if of_model else "error"


def body_of(error: GreenroomError) -> dict[str, Any]:
    """The JSON body that goes with it."""
    if error.code.startswith("llm_"):
        detail = getattr(error, "detail", None) or error.message
        return {"error": {"type": error.code, "message": error.message, "detail": detail}}
    if isinstance(error, InvalidRequest):
        return {"trace_id": "", "detail": error.message}
    if isinstance(error, PLAIN):
        return {"detail": error.message}
    return {"detail": f"{error.code.upper()}: {error.message}"}


def response_of(error: GreenroomError) -> web.Response:
    """An error as a response, with what it tells clients about trying again."""
    status = status_of(error)
    headers = {}
    if isinstance(error, Conflict):
        headers["x-should-retry"] = "false"
    wait = 1 if isinstance(error, PASSING) else getattr(error, "retry_after", None)
    if wait is not None:
        headers["Retry-After"] = str(wait)
    return json_error(status, body_of(error), headers)


def http_response_of(error: web.HTTPException, max_body_mb: float) -> web.StreamResponse:
    """What aiohttp refuses by itself (unknown path, wrong method, body too long), as JSON."""
    if error.status < 400:
        return error
    detail = error.reason
    if error.status == 413:
        detail = f"The request's body is longer than the {max_body_mb:g} MB this server takes."
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return json_error(error.status, {"detail": detail}, headers)


def unknown(error: Exception, where: str) -> dict[str, Any]:
    """The body of an error that nobody foresaw. Its trace goes to the log, under the id in the body."""
    trace_id = uuid.uuid4().hex
    log.error("%s failed [trace %s]", where, trace_id, exc_info=error)
    return {"detail": "An unknown error occurred", "trace_id": trace_id}


def stream_error(error: Exception, run_id: str | None) -> dict[str, Any]:
    """An error as the ``error_message`` of an event stream that has already begun."""
    if isinstance(error, GreenroomError):
        named = error.code.startswith("llm_") or isinstance(error, SystemPromptTooLong)
        kind = error.code if named else "internal_error"
        message, detail = error.message, getattr(error, "detail", None)
    else:
        body = unknown(error, "stream")
        kind, message, detail = "internal_error", body["detail"], f"trace_id: {body['trace_id']}"
    return {
        "message_type": "error_message",
        "run_id": run_id or "",
        "error_type": kind,
        "message": message,
        "detail": detail,
    }


def json_error(status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(body), content_type="application/json", headers=headers
    )
