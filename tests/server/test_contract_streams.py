"""Streams of runs: their frames, their order, their errors."""

import json
import threading

import pytest
from letta_client import APIStatusError, NotFoundError

from tests.server.test_contract_messages import cancel_once_running, user


def frames(http, agent, content, *, route="messages/stream", **options):
    """All frames of a stream as (event, data)."""
    body = {"messages": [user(content)], **options}
    response = http.post(f"/v1/agents/{agent.id}/{route}", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = []
    for block in response.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            data = lines["data"]
            found.append((lines.get("event"), data if data == "[DONE]" else json.loads(data)))
    return found


def types(found):
    return [data if isinstance(data, str) else data["message_type"] for _, data in found]


def of_type(found, kind):
    return [data for _, data in found if isinstance(data, dict) and data["message_type"] == kind]


@pytest.mark.parametrize("route", ["messages/stream", "messages"])
def test_steps_are_streamed_as_whole_messages(http, agent, route):
    streaming = {"streaming": True} if route == "messages" else {}
    found = frames(http, agent, "my name is Nora", route=route, **streaming)

    assert types(found) == [
        "ping",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
        "stop_reason",
        "usage_statistics",
        "[DONE]",
    ]
    assert all(event is None for event, _ in found)
    ping, call, *_ = (data for _, data in found)
    assert ping["run_id"].startswith("run-")
    assert json.loads(call["tool_call"]["arguments"])
    usage = found[-2][1]
    assert usage["step_count"] == 2
    assert usage["total_tokens"] > 0


def test_the_client_can_do_without_pings(http, agent):
    found = frames(http, agent, 'say "x"', include_pings=False)

    assert types(found) == ["assistant_message", "stop_reason", "usage_statistics", "[DONE]"]


@pytest.mark.parametrize("model", ["greenroom/scripted", "openai/scripted"])
def test_tokens_are_streamed_as_pieces_of_messages(client, http, make_agent, model):
    agent = make_agent(model=model)
    text = "one two three four five"

    found = frames(http, agent, f'think about it, then say "{text}"', stream_tokens=True)

    pieces = [data for _, data in found if isinstance(data, dict) and "id" in data]
    reasoning = [each for each in pieces if each["message_type"] == "reasoning_message"]
    answer = [each for each in pieces if each["message_type"] == "assistant_message"]
    assert len(answer) > 1
    assert "".join(each["content"] for each in answer) == text
    assert len({(each["id"], each["otid"]) for each in answer}) == 1
    listed = client.agents.messages.list(agent.id).items[-2:]
    assert [each.message_type for each in listed] == ["reasoning_message", "assistant_message"]
    assert listed[0].reasoning == "".join(each["reasoning"] for each in reasoning)
    assert [(each.id, each.otid) for each in listed] == [
        (reasoning[0]["id"], reasoning[0]["otid"]),
        (answer[0]["id"], answer[0]["otid"]),
    ]


def test_tool_calls_are_streamed_as_pieces(http, agent):
    found = frames(http, agent, 'call conversation_search {"query": "some words"}', stream_tokens=True)

    pieces = of_type(found, "tool_call_message")
    first, *rest = (each["tool_call"] for each in pieces)
    assert (first["name"], first["tool_call_id"] is not None) == ("conversation_search", True)
    assert rest
    arguments = "".join(each["arguments"] or "" for each in (first, *rest))
    assert json.loads(arguments) == {"query": "some words"}
    assert all(each["tool_calls"] == each["tool_call"] for each in pieces)
    assert types(found).count("tool_return_message") == 1


def test_agents_that_speak_with_a_tool_stream_their_words(http, make_agent):
    agent = make_agent(agent_type="memgpt_v2_agent", model="openai/scripted")

    found = frames(http, agent, 'say "one two three four"', stream_tokens=True)
    answer = of_type(found, "assistant_message")
    assert len(answer) > 1
    assert "".join(each["content"] for each in answer) == "one two three four"
    assert "tool_call_message" not in types(found)
    assert "tool_return_message" not in types(found)

    found = frames(http, agent, "my name is Mia", stream_tokens=True)
    calls = of_type(found, "tool_call_message")
    assert len(calls) == 1
    assert "request_heartbeat" not in json.loads(calls[0]["tool_call"]["arguments"])
    assert types(found).index("tool_call_message") < types(found).index("tool_return_message")


@pytest.mark.parametrize("tokens", [False, True])
def test_the_official_client_reads_streams(client, agent, tokens):
    with client.agents.messages.create(
        agent.id, messages=[user("my name is Lena")], streaming=True, stream_tokens=tokens
    ) as stream:
        found = [each.message_type for each in stream]

    assert found[0] == "ping"
    assert found[-2:] == ["stop_reason", "usage_statistics"]


def test_only_wanted_types_are_streamed(http, agent):
    found = frames(http, agent, "my name is Kim", include_return_message_types=["tool_return_message"])

    assert types(found) == ["ping", "tool_return_message", "stop_reason", "usage_statistics", "[DONE]"]


@pytest.mark.parametrize("pings", [False, True])
@pytest.mark.parametrize(("fault", "kind"), [("500", "llm_error"), ("429", "llm_rate_limit")])
def test_a_models_failure_ends_the_stream_in_order(client, http, make_agent, pings, fault, kind):
    agent = make_agent(model="openai/scripted")

    found = frames(http, agent, f"fault: {fault}", include_pings=pings)

    start = ["ping"] if pings else []
    assert types(found) == [*start, "stop_reason", "error_message", "[DONE]"]
    (_, stop), (event, error), _ = found[-3:]
    assert stop["stop_reason"] == "llm_api_error"
    assert event == "error"
    assert error["error_type"] == kind
    assert error["run_id"] == client.runs.list(agent_id=agent.id).items[0].id


def test_the_official_client_raises_a_streams_error(client, make_agent):
    agent = make_agent(model="openai/scripted")

    with (
        pytest.raises(APIStatusError, match="llm_error"),
        client.agents.messages.create(agent.id, messages=[user("fault: 500")], streaming=True) as stream,
    ):
        list(stream)


def test_an_unknown_agent_is_404_before_the_stream(client):
    with pytest.raises(NotFoundError):
        client.agents.messages.create(
            "agent-00000000-0000-4000-8000-000000000000", messages=[user("hi")], streaming=True
        )


def test_a_cancelled_stream_says_so_once(client, http, make_agent):
    agent = make_agent(model="openai/scripted")
    found = []
    reader = threading.Thread(target=lambda: found.extend(frames(http, agent, "fault: hang")))
    reader.start()

    cancel_once_running(client, agent)
    reader.join()

    assert types(found) == ["ping", "stop_reason", "[DONE]"]
    assert found[1][1]["stop_reason"] == "cancelled"


def test_a_run_goes_on_when_its_client_goes_away(client, agent):
    with client.agents.messages.create(
        agent.id, messages=[user("my name is Iris")], streaming=True
    ) as stream:
        run_id = next(iter(stream)).run_id

    run = wait_until_ended(client, run_id)
    assert run.status == "completed"
    assert "Iris" in client.agents.blocks.retrieve("human", agent_id=agent.id).value


def wait_until_ended(client, run_id):
    while True:
        try:
            run = client.runs.retrieve(run_id)
        except NotFoundError:
            continue
        if run.completed_at is not None:
            return run
