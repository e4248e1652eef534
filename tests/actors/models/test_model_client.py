"""The client against real endpoints, in good and bad weather."""

import asyncio
import pickle
import socket

import pytest
from aiohttp import web

from actors.models import (
    ContextWindowExceeded,
    ModelAuthentication,
    ModelBadRequest,
    ModelEmptyResponse,
    ModelError,
    ModelInsufficientCredits,
    ModelRateLimit,
    ModelRequest,
    Models,
    ModelTimeout,
)
from actors.models.scripted_server import make_app
from storage.errors import Busy

KEY = "correct-horse-battery-staple"
ROLL = {
    "name": "roll",
    "description": "Roll dice.",
    "parameters": {"type": "object", "properties": {"sides": {"type": "integer"}}, "required": ["sides"]},
}


def ask(llm, text, tools=(), **options):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return ModelRequest(llm, messages, list(tools), **options)


async def test_a_plain_answer_with_the_providers_usage(scripted, llm):
    completion = await scripted.complete(ask(llm, 'say "good morning"'))
    assert completion.text == "good morning"
    assert completion.finish_reason == "stop"
    assert completion.response_id.startswith("scripted-")
    usage = completion.usage
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_streamed_pieces_add_up_to_the_answer(scripted, llm):
    pieces = []
    completion = await scripted.complete(ask(llm, 'think, then say "one two three"'), pieces.append)
    assert [piece.text for piece in pieces if piece.kind == "text"] == ["one", " two", " three"]
    assert "".join(piece.text for piece in pieces if piece.kind == "reasoning") == completion.reasoning
    assert completion.text == "one two three"
    assert completion.usage.reasoning_tokens > 0


async def test_streaming_and_not_streaming_give_the_same_tool_calls(scripted, llm):
    llm = llm.model_copy(update={"parallel_tool_calls": True})
    request = ask(llm, 'call roll {"sides": 6}\ncall roll {"sides": 20}', [ROLL])
    pieces = []
    streamed = await scripted.complete(request, pieces.append)
    whole = await scripted.complete(request)
    for completion in (streamed, whole):
        assert [(call.name, call.arguments) for call in completion.tool_calls] == [
            ("roll", '{"sides": 6}'),
            ("roll", '{"sides": 20}'),
        ]
        assert completion.finish_reason == "tool_calls"
    firsts = [piece for piece in pieces if piece.tool_call_id]
    assert [(piece.index, piece.tool_name) for piece in firsts] == [(0, "roll"), (1, "roll")]
    assert "".join(piece.text for piece in pieces if piece.index == 1) == '{"sides": 20}'


async def test_one_tool_at_a_time_unless_parallel_calls_are_on(scripted, llm):
    completion = await scripted.complete(ask(llm, 'call roll {"sides": 6}\ncall roll {"sides": 20}', [ROLL]))
    assert len(completion.tool_calls) == 1


async def test_arguments_that_are_no_json_are_passed_on(scripted, llm):
    completion = await scripted.complete(ask(llm, "call roll {sides: six", [ROLL]))
    assert completion.tool_calls[0].arguments == "{sides: six"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("fault", "error", "error_type"),
    [
        ("400", ModelBadRequest, "llm_bad_request"),
        ("401", ModelAuthentication, "llm_authentication"),
        ("402", ModelInsufficientCredits, "llm_insufficient_credits"),
        ("429", ModelRateLimit, "llm_rate_limit"),
        ("500", ModelError, "llm_error"),
        ("quota", ModelInsufficientCredits, "llm_insufficient_credits"),
        ("context", ContextWindowExceeded, "llm_bad_request"),
        ("empty", ModelEmptyResponse, "llm_empty_response"),
        ("no-choices", ModelEmptyResponse, "llm_empty_response"),
        ("garbage", ModelError, "llm_error"),
    ],
)
async def test_each_failure_is_told_apart(scripted, llm, fault, error, error_type, streamed):
    with pytest.raises(error) as caught:
        await scripted.complete(ask(llm, f"fault: {fault}"), (lambda _: None) if streamed else None)
    assert type(caught.value) is error
    assert caught.value.error_type == error_type
    assert "sk-" not in str(caught.value)


async def test_a_web_page_is_no_answer(scripted, llm):
    with pytest.raises(ModelError, match="no JSON"):
        await scripted.complete(ask(llm, "fault: html"))
    with pytest.raises(ModelEmptyResponse):
        await scripted.complete(ask(llm, "fault: html"), lambda _: None)


@pytest.mark.parametrize("fault", ["429 2", "500 2", "garbage 2", "empty 2", "half-stream 2"])
async def test_what_passes_is_tried_again(serve, connect, llm, monkeypatch, fault):
    monkeypatch.setattr("actors.models.client.FIRST_PAUSE", 0.001)
    url = await serve(make_app())
    text = f'fault: {fault} and then say "better"'
    assert (await connect(url, retries=2).complete(ask(llm, text))).text == "better"
    with pytest.raises(ModelError):
        await connect(url, retries=1).complete(ask(llm, f"again {text}"))


async def test_what_does_not_pass_is_not_tried_again(serve, connect, llm):
    models = connect(await serve(make_app()), retries=2)
    with pytest.raises(ModelAuthentication, match="THERE_API_KEY"):
        await models.complete(ask(llm, 'fault: 401 1 say "not reached"'))


async def test_the_pause_that_the_provider_asks_for_is_kept(serve, connect, llm, monkeypatch):
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)

    monkeypatch.setattr("actors.models.client.asyncio.sleep", pause)

    async def limited(request):
        return web.Response(status=429, headers={"Retry-After": "7" if len(pauses) < 2 else "3600"})

    with pytest.raises(ModelRateLimit) as caught:
        await connect(await serve(limited), retries=5).complete(ask(llm, "hello"))
    assert pauses == [7, 7]
    assert caught.value.retry_after == 3600


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_no_answer_in_time(serve, connect, llm, streamed):
    models = connect(await serve(make_app()), timeout=0.2)
    with pytest.raises(ModelTimeout):
        await models.complete(ask(llm, "fault: hang"), (lambda _: None) if streamed else None)


async def test_a_stream_that_stops_moving(serve, connect, llm):
    models = connect(await serve(make_app()), timeout=0.2, retries=3)
    pieces = []
    with pytest.raises(ModelTimeout):
        await models.complete(ask(llm, "fault: stall"), pieces.append)
    assert len(pieces) == 1, "what was told is not told again by a second try"


async def test_a_stream_that_breaks_off_is_not_begun_again(serve, connect, llm):
    models = connect(await serve(make_app()), retries=3)
    pieces = []
    with pytest.raises(ModelError):
        await models.complete(ask(llm, "fault: half-stream"), pieces.append)
    assert len(pieces) == 1


async def test_a_stream_that_drips_for_ever_ends(serve, connect, llm, monkeypatch):
    monkeypatch.setattr("actors.models.client.STREAM_TIMEOUTS", 1)

    async def drip(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b": still here\n\n")
            await asyncio.sleep(0.01)

    with pytest.raises(ModelTimeout):
        await connect(await serve(drip), timeout=0.3).complete(ask(llm, "hello"), lambda _: None)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_answer_without_end_is_cut_off(serve, connect, llm, monkeypatch, streamed):
    monkeypatch.setattr("actors.models.client.LARGEST_ANSWER", 100_000)

    async def pour(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b"data: {}\n" * 1000)

    with pytest.raises(ModelError, match="does not come to an end"):
        await connect(await serve(pour)).complete(ask(llm, "hi"), (lambda _: None) if streamed else None)


async def test_nobody_listens(connect, llm):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(ModelError, match="connection to there") as caught:
        await connect(url).complete(ask(llm, "hello"))
    assert caught.value.error_type == "llm_error"


async def test_something_that_does_not_speak_http(connect, llm):
    async def babble(reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ModelError):
            await connect(f"http://127.0.0.1:{port}/v1").complete(ask(llm, "hello"))


async def test_a_provider_that_repeats_the_key_does_not_leak_it(serve, connect, llm):
    async def tell(request):
        said = {"error": {"message": f"I do not like {request.headers['Authorization']} nor {KEY}"}}
        return web.json_response(said, status=401)

    with pytest.raises(ModelAuthentication) as caught:
        await connect(await serve(tell)).complete(ask(llm, "hello"))
    assert "I do not like" in str(caught.value)
    assert KEY not in repr(vars(caught.value)) + str(caught.value)
    assert caught.value.__suppress_context__


async def test_no_more_calls_than_allowed_and_a_bound_on_those_that_wait(serve, connect, llm):
    running, most = 0, 0
    full, gate = asyncio.Event(), asyncio.Event()

    async def slow(request):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            full.set()
        await gate.wait()
        running -= 1
        return web.json_response({"choices": [{"message": {"content": "done"}, "finish_reason": "stop"}]})

    models = connect(await serve(slow), calls=2)
    calls = [asyncio.create_task(models.complete(ask(llm, "hello"))) for _ in range(2 + 4 * 2)]
    await full.wait()
    with pytest.raises(Busy):
        await models.complete(ask(llm, "one too many"))
    gate.set()
    answers = await asyncio.wait_for(asyncio.gather(*calls), 10)
    assert [answer.text for answer in answers] == ["done"] * 10
    assert most == 2


async def test_a_cancelled_call_gives_its_place_back(serve, connect, llm):
    arrived, left = asyncio.Event(), asyncio.Event()

    async def hang_once(request):
        if arrived.is_set():
            return web.json_response({"choices": [{"message": {"content": "free again"}}]})
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    models = connect(await serve(hang_once), calls=1)
    call = asyncio.create_task(models.complete(ask(llm, "hello")))
    await arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    second = await asyncio.wait_for(models.complete(ask(llm, "hello")), 5)
    assert second.text == "free again"
    await asyncio.wait_for(left.wait(), 5)


async def test_a_parameter_that_a_model_refuses_is_left_out_from_then_on(serve, connect, llm):
    seen = []

    async def picky(request):
        body = await request.json()
        seen.append(body)
        if "temperature" in body:
            said = {"error": {"message": "Unsupported value: 'temperature' is not for this model."}}
            return web.json_response(said, status=400)
        if "max_tokens" in body:
            said = {"error": {"message": "Unsupported: 'max_tokens'. Use 'max_completion_tokens' instead."}}
            return web.json_response(said, status=400)
        return web.json_response({"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]})

    models = connect(await serve(picky))
    llm = llm.model_copy(update={"temperature": 0.5, "max_tokens": 100})
    assert (await models.complete(ask(llm, "hello"))).text == "yes"
    assert (await models.complete(ask(llm, "hello"))).text == "yes"
    assert len(seen) == 4
    assert seen[-1]["max_completion_tokens"] == 100


async def test_a_server_that_ignores_the_wish_to_stream(serve, connect, llm):
    async def whole(request):
        return web.json_response({"choices": [{"message": {"content": "all at once"}}]})

    pieces = []
    models = connect(await serve(whole))
    assert (await models.complete(ask(llm, "hello"), pieces.append)).text == "all at once"
    assert [piece.text for piece in pieces] == ["all at once"]


async def test_an_error_in_an_answer_with_status_200(serve, connect, llm):
    async def lie(request):
        return web.json_response({"error": {"code": 429, "message": "slow down"}})

    with pytest.raises(ModelRateLimit, match="slow down"):
        await connect(await serve(lie)).complete(ask(llm, "hello"))


async def test_a_provider_that_is_not_configured_names_its_variable(llm):
    llm = llm.model_copy(update={"provider_name": "anthropic"})
    with pytest.raises(ModelAuthentication, match="ANTHROPIC_API_KEY"):
        await Models([], calls=1, timeout=1, retries=0).complete(ask(llm, "hello"))


async def test_embeddings_keep_their_order(serve, connect, monkeypatch):
    monkeypatch.setattr("actors.models.client.TEXTS_PER_CALL", 2)
    models = connect(await serve(make_app()))
    there = {"handle": "there/scripted", "embedding_model": "scripted"}
    here = {"handle": "greenroom/scripted", "embedding_model": "scripted"}
    texts = ["a red fox", "a blue whale", "tax law"]
    assert await models.embed(there, texts) == await models.embed(here, texts)


async def test_too_few_embeddings_are_an_error(serve, connect):
    async def forgetful(request):
        return web.json_response({"data": [{"index": 0, "embedding": [1.0]}]})

    models = connect(await serve(forgetful))
    with pytest.raises(ModelError, match="2 embeddings"):
        await models.embed({"handle": "there/x", "embedding_model": "x"}, ["a", "b"])


def test_errors_travel_between_processes():
    error = ModelRateLimit("slow down", detail="too fast", retry_after=3)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message, copy.detail, copy.retry_after) == (
        ModelRateLimit,
        "slow down",
        "too fast",
        3,
    )
