"""The scripted model behind HTTP, so that the way to a real provider can be tested and measured.

It speaks the OpenAI protocol: ``/v1/chat/completions``, ``/v1/models`` and ``/v1/embeddings``. A user
message such as ``fault: 500`` makes it misbehave; :mod:`~actors.models.scripted.faults` says how.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web

from actors.models.request import Completion, ModelDelta
from actors.models.scripted import embed, play, respond
from actors.models.scripted.faults import FAULTS, fault_of
from actors.models.tokens import estimate

MODEL = "scripted"
LARGEST_REQUEST = 64 * 2**20
BACKLOG = 1024
"""Clients that may connect at the same moment."""


def make_app(*, latency_ms: float = 0, tokens_per_second: float = 0) -> web.Application:
    """The endpoint as an aiohttp application.

    Args:
        latency_ms: milliseconds before an answer begins.
        tokens_per_second: speed of its writing; 0 is as fast as it can.
    """
    seen: Counter[str] = Counter()
    pace = {"latency_ms": latency_ms, "tokens_per_second": tokens_per_second}

    async def chat(request: web.Request) -> web.StreamResponse:
        try:
            body = orjson.loads(await request.read())
            messages, tools = body["messages"], [tool["function"] for tool in body.get("tools") or ()]
            fault = fault_of(messages, seen)
            if fault:
                return await FAULTS[fault](request)
            parallel = body.get("parallel_tool_calls", True)
            completion = respond(messages, tools, _choice(body.get("tool_choice")), parallel=parallel)
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
            return _error(400, f"The request cannot be read: {error!r}")
        if body.get("stream"):
            usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return await _stream(request, completion, pace, usage=usage)
        if latency_ms or tokens_per_second:
            async for _ in play(completion, **pace):
                pass
        return _json(_whole(completion))

    async def models(_: web.Request) -> web.Response:
        row = {"id": MODEL, "object": "model", "owned_by": "greenroom", "context_window": 128_000}
        return _json({"object": "list", "data": [row]})

    async def embeddings(request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if fault := fault_of([{"role": "user", "content": "\n".join(texts)}], seen):
            return await FAULTS[fault](request)
        tokens = sum(map(estimate, texts))
        rows = [
            {"object": "embedding", "index": index, "embedding": embed(text)}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _json({"object": "list", "model": MODEL, "data": rows, "usage": usage})

    app = web.Application(client_max_size=LARGEST_REQUEST)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/embeddings", embeddings)
    return app


def run_scripted_server(
    host: str = "127.0.0.1",
    port: int = 8290,
    *,
    latency_ms: float = 0,
    tokens_per_second: float = 0,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; the command ``greenroom scripted-model``.

    Args:
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        latency_ms: milliseconds before an answer begins.
        tokens_per_second: speed of its writing; 0 is as fast as it can.
        ready: is told the base URL once it listens.
    """
    app = make_app(latency_ms=latency_ms, tokens_per_second=tokens_per_second)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(app, host, port, ready))


async def _serve(app: web.Application, host: str, port: int, ready: Callable[[str], None] | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=BACKLOG)
        await site.start()
        if ready:
            ready(f"http://{host}:{runner.addresses[0][1]}/v1")
        await stop.wait()
    finally:
        await runner.cleanup()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415

        return uvloop.new_event_loop
    return None


def _choice(given: Any) -> str | None:
    choice = given["function"]["name"] if isinstance(given, dict) else given
    return choice if isinstance(choice, str) else None


async def _stream(
    request: web.Request, completion: Completion, pace: dict[str, float], *, usage: bool
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    head = _head(completion, "chat.completion.chunk")
    batch = bytearray()
    # At full speed the pieces leave in few writes; at a given speed each leaves when it is written.
    most = 1 if pace["tokens_per_second"] else 16_384

    async def send(choices: list[dict[str, Any]], extra: dict[str, Any] | None = None) -> None:
        batch.extend(b"data: " + orjson.dumps({**head, "choices": choices, **(extra or {})}) + b"\n\n")
        if len(batch) >= most:
            await response.write(bytes(batch))
            batch.clear()

    async for delta in play(completion, **pace):
        await send([{"index": 0, "delta": _delta(delta), "finish_reason": None}])
    await send([{"index": 0, "delta": {}, "finish_reason": completion.finish_reason}])
    if usage:
        await send([], {"usage": _usage(completion)})
    await response.write(bytes(batch) + b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _head(completion: Completion, kind: str) -> dict[str, Any]:
    return {"id": completion.response_id, "object": kind, "created": int(time.time()), "model": MODEL}


def _whole(completion: Completion) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": completion.text}
    if completion.reasoning:
        message["reasoning_content"] = completion.reasoning
    if completion.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in completion.tool_calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": completion.finish_reason}
    return {**_head(completion, "chat.completion"), "choices": [choice], "usage": _usage(completion)}


def _delta(delta: ModelDelta) -> dict[str, Any]:
    if delta.kind == "text":
        return {"content": delta.text}
    if delta.kind == "reasoning":
        return {"reasoning_content": delta.text}
    call: dict[str, Any] = {"index": delta.index, "function": {"arguments": delta.text}}
    if delta.tool_call_id:
        call |= {"id": delta.tool_call_id, "type": "function"}
        call["function"]["name"] = delta.tool_name
    return {"tool_calls": [call]}


def _usage(completion: Completion) -> dict[str, Any]:
    usage = completion.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    error = {"error": {"message": message, "type": "invalid_request_error", "code": None}}
    return web.Response(status=status, body=orjson.dumps(error), content_type="application/json")
