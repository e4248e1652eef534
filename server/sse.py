"""Server-sent events: a run's frames, kept alive while it is silent, ended in order whatever happens."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import orjson
from aiohttp import web

from server.errors import reason_of, stream_error

Frame = dict[str, Any]
"""The JSON object of one event. One whose ``message_type`` is ``error_message`` becomes an error event."""

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
WAITING_FRAMES = 64
"""Frames made ahead of a slow client; with more waiting, the source is not asked."""
WRITE_SECONDS = 60
"""A client that takes nothing for this long is cut off."""


async def stream(
    request: web.Request,
    frames: AsyncGenerator[Frame, None],
    *,
    keepalive: float,
    ping: Callable[[], Frame] | None = None,
    run_id: str | None = None,
) -> web.StreamResponse:
    """Send frames as they come, then ``[DONE]``.

    The response begins with the first frame or ping; what ``frames`` raises before is an ordinary
    HTTP error, what it raises later is sent as a stop reason and an error event. When the client goes
    away, ``frames`` is closed.

    Args:
        keepalive: seconds of silence after which something is sent.
        ping: makes the frame to send then; without it a comment is sent, which clients skip.
        run_id: named in an error event.
    """
    response = web.StreamResponse(headers=HEADERS)
    waiting: asyncio.Queue[Frame | Exception | None] = asyncio.Queue(WAITING_FRAMES)
    source = asyncio.create_task(_feed(frames, waiting))
    encoder = _Encoder(run_id)
    try:
        while not encoder.ended:
            try:
                async with asyncio.timeout(keepalive):
                    items = [await waiting.get()]
            except TimeoutError:
                items = [ping()] if ping else []
            while not waiting.empty():
                items.append(waiting.get_nowait())
            if not response.prepared:
                if items and isinstance(items[0], Exception):
                    raise items[0]
                await response.prepare(request)
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(encoder.encode(items) or b": ping\n\n")
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    finally:
        source.cancel()
        await asyncio.gather(source, return_exceptions=True)
    return response


async def _feed(
    frames: AsyncGenerator[Frame, None], waiting: asyncio.Queue[Frame | Exception | None]
) -> None:
    try:
        async with aclosing(frames):
            async for frame in frames:
                await waiting.put(frame)
    except Exception as error:  # noqa: BLE001 - the client is told, whatever it is
        await waiting.put(error)
    else:
        await waiting.put(None)


class _Encoder:
    """Turns frames into bytes and remembers what the stream still owes the client."""

    def __init__(self, run_id: str | None) -> None:
        self.ended = False
        self._run_id = run_id
        self._stopped = False

    def encode(self, items: list[Frame | Exception | None]) -> bytes:
        return b"".join(self._encode(item) for item in items)

    def _encode(self, item: Frame | Exception | None) -> bytes:
        if item is None:
            self.ended = True
            return b"data: [DONE]\n\n"
        if isinstance(item, Exception):
            return self._encode_error(item)
        kind = item.get("message_type")
        self._stopped |= kind == "stop_reason"
        event = b"event: error\n" if kind == "error_message" else b""
        return event + b"data: " + orjson.dumps(item) + b"\n\n"

    def _encode_error(self, error: Exception) -> bytes:
        reason = {"message_type": "stop_reason", "stop_reason": reason_of(error)}
        frames = [] if self._stopped else [reason]
        return self.encode([*frames, stream_error(error, self._run_id), None])
