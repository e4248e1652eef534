"""Misbehaviour on request: what the HTTP endpoint does when a user message, or a text to be embedded,
says ``fault: NAME``.

``fault: NAME N`` does it for the first N calls with this message and answers normally afterwards.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from actors.models.scripted.prompt import read

_PIECE = '{"id":"half","choices":[{"index":0,"delta":{"content":"This answer will not be"}}]}'
_FAULT = re.compile(r"\bfault: (?P<name>[\w-]+)(?: (?P<times>\d+))?")


def fault_of(messages: list[dict[str, Any]], seen: Counter[str]) -> str | None:
    """The fault that the newest message asks for now.

    Args:
        messages: the prompt.
        seen: counts the calls with messages that ask for a number of faults.
    """
    text = read(messages, []).user
    match = _FAULT.search(text) if "fault: " in text else None
    if match is None or match["name"] not in FAULTS:
        return None
    if match["times"]:
        seen[text] += 1
        if seen[text] > int(match["times"]):
            return None
    return match["name"]


def _status(
    status: int, code: str, message: str, **headers: str
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        error = {"error": {"message": message, "type": code, "param": None, "code": code}}
        return web.json_response(error, status=status, headers=headers)

    return answer


def _body(body: str, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type=content_type)

    return answer


async def _hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def _half_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(f"data: {_PIECE}\n\ndata: {_PIECE[:30]}".encode())
    if request.transport:
        request.transport.close()
    return response


async def _stall(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(f"data: {_PIECE}\n\n".encode())
    return await _hang(request)


FAULTS: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    "400": _status(400, "invalid_request_error", "The request was not understood."),
    "401": _status(401, "invalid_api_key", "Incorrect API key provided: sk-made-up-0123456789."),
    "402": _status(402, "insufficient_credits", "The balance is used up."),
    "429": _status(429, "rate_limit_exceeded", "Too many requests.", **{"Retry-After": "0.01"}),
    "500": _status(500, "server_error", "Something broke."),
    "quota": _status(429, "insufficient_quota", "You exceeded your current quota."),
    "context": _status(
        400, "context_length_exceeded", "This model's maximum context length is 8192 tokens; you sent 9000."
    ),
    "html": _body("<html><body><h1>Bad gateway</h1></body></html>", "text/html"),
    "garbage": _body('{"choices": [{"mess', "application/json"),
    "empty": _body("", "application/json"),
    "no-choices": _body('{"id": "x", "choices": []}', "application/json"),
    "hang": _hang,
    "half-stream": _half_stream,
    "stall": _stall,
}
