"""Event streams: frames in order, pings in silence, an ordered end whatever happens."""

import asyncio
import json

import pytest

from actors.models.errors import ModelTimeout
from server import sse
from server.routing import Routes
from storage.errors import NotFound

STOP = {"message_type": "stop_reason", "stop_reason": "end_turn"}


def streaming(source, **options):
    """A route that streams what ``source`` yields."""
    routes = Routes("streams")
    options.setdefault("keepalive", 20)

    @routes.post("/v1/stream")
    async def stream(request: sse.web.Request) -> sse.web.StreamResponse:
        return await sse.stream(request, source(), **options)

    return routes


def events(text):
    return [block for block in text.split("\n\n") if block]


def data(event):
    return json.loads(event.removeprefix("event: error\n").removeprefix("data: "))


async def test_frames_come_in_order_and_end_with_done(start):
    async def source():
        yield {"message_type": "assistant_message", "content": "a\nb"}
        yield STOP

    client = await start(streaming(source))
    response = await client.post("/v1/stream")
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["X-Request-Id"]
    assert await response.text() == (
        'data: {"message_type":"assistant_message","content":"a\\nb"}\n\n'
        'data: {"message_type":"stop_reason","stop_reason":"end_turn"}\n\n'
        "data: [DONE]\n\n"
    )


async def test_each_frame_leaves_when_it_is_made(start):
    go_on = asyncio.Event()

    async def source():
        yield {"n": 1}
        await go_on.wait()
        yield {"n": 2}

    client = await start(streaming(source))
    response = await client.post("/v1/stream")
    assert await response.content.readuntil(b"\n\n") == b'data: {"n":1}\n\n'
    go_on.set()
    assert await response.content.readuntil(b"\n\n") == b'data: {"n":2}\n\n'


@pytest.mark.parametrize("ping", [None, lambda: {"message_type": "ping", "id": "ping-1"}])
async def test_silence_is_filled_also_before_the_first_frame(start, ping):
    go_on = asyncio.Event()

    async def source():
        await go_on.wait()
        yield STOP

    client = await start(streaming(source, keepalive=0.01, ping=ping))
    response = await client.post("/v1/stream")
    expected = b'data: {"message_type":"ping","id":"ping-1"}\n\n' if ping else b": ping\n\n"
    for _ in range(2):
        assert await response.content.readuntil(b"\n\n") == expected
    go_on.set()
    assert (await response.content.read()).endswith(b"data: [DONE]\n\n")


async def test_an_error_before_the_first_frame_is_an_ordinary_one(start):
    async def source():
        raise NotFound("No agent.")
        yield

    client = await start(streaming(source))
    response = await client.post("/v1/stream")
    assert (response.status, await response.json()) == (404, {"detail": "NOT_FOUND: No agent."})


async def test_an_error_later_ends_the_stream_in_order(start):
    async def source():
        yield {"n": 1}
        raise ModelTimeout("Too slow.")

    client = await start(streaming(source, run_id="run-1"))
    first, reason, error, done = events(await (await client.post("/v1/stream")).text())
    assert data(first) == {"n": 1}
    assert data(reason) == {"message_type": "stop_reason", "stop_reason": "llm_api_error"}
    assert error.startswith("event: error\ndata: ")
    assert data(error) == {
        "message_type": "error_message",
        "run_id": "run-1",
        "error_type": "llm_timeout",
        "message": "Too slow.",
        "detail": None,
    }
    assert done == "data: [DONE]"


async def test_there_is_one_stop_reason_only(start):
    async def source():
        yield STOP
        raise ModelTimeout("Too slow.")

    client = await start(streaming(source))
    text = await (await client.post("/v1/stream")).text()
    assert text.count('stop_reason":') == 1
    assert text.count("event: error") == 1


async def test_an_error_frame_of_the_source_is_an_error_event(start):
    async def source():
        yield {"message_type": "error_message", "error_type": "llm_error"}

    client = await start(streaming(source))
    error, done = events(await (await client.post("/v1/stream")).text())
    assert error == 'event: error\ndata: {"message_type":"error_message","error_type":"llm_error"}'
    assert done == "data: [DONE]"


async def test_an_unknown_error_tells_the_client_an_id_only(start, caplog):
    async def source():
        yield {"n": 1}
        raise RuntimeError("hunter2")

    client = await start(streaming(source))
    text = await (await client.post("/v1/stream")).text()
    error = data(events(text)[2])
    assert error["error_type"] == "internal_error"
    assert "hunter2" not in text
    assert error["detail"].removeprefix("trace_id: ") in caplog.text
    assert "hunter2" in caplog.text


async def test_the_source_is_closed_when_the_client_goes(start):
    closed = asyncio.Event()

    async def source():
        try:
            yield {"n": 1}
            await asyncio.Event().wait()
        finally:
            closed.set()

    client = await start(streaming(source))
    response = await client.post("/v1/stream")
    await response.content.readuntil(b"\n\n")
    response.close()
    async with asyncio.timeout(10):
        await closed.wait()


async def test_a_slow_reader_holds_the_source_back(start):
    made = 0
    pausing = asyncio.Event()

    async def source():
        nonlocal made
        while True:
            made += 1
            pausing.set()
            yield {"text": "x" * 100_000}

    client = await start(streaming(source))
    response = await client.post("/v1/stream")
    # The source runs until nothing more fits anywhere between it and the reader.
    before = -1
    while made != before:
        before = made
        pausing.clear()
        for _ in range(1000):
            await asyncio.sleep(0)
    assert made < 500
    async with asyncio.timeout(10):
        while made == before:
            await response.content.readuntil(b"\n\n")
    response.close()


async def test_a_reader_that_takes_nothing_is_cut_off(start, monkeypatch):
    monkeypatch.setattr(sse, "WRITE_SECONDS", 0.05)
    closed = asyncio.Event()

    async def source():
        try:
            while True:
                yield {"text": "x" * 100_000}
        finally:
            closed.set()

    client = await start(streaming(source))
    response = await client.post("/v1/stream")
    async with asyncio.timeout(10):
        await closed.wait()
    response.close()
