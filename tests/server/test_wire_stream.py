"""How the events of a run become frames."""

from datetime import UTC, datetime

import pytest

from actors.protocol import Delta, Ended, Made
from server.wire.messages import Display, expand
from server.wire.stream import Renderer, letta_response
from storage.records import Message, Run, ToolCall, ToolReturn, Usage

ID = "message-01a2044d-6aa8-4001-8efa-d184ef5662e5"
NEXT_ID = "message-01a2044d-6aa8-4002-8efa-d184ef5662e5"
CREATED = datetime(2026, 11, 22, 10, 0, 1, tzinfo=UTC)
PLAIN = Display(text_is_assistant=True)
SPEAKING = Display(text_is_assistant=False)
RUN = Run(
    id="run-x",
    agent_id="agent-x",
    status="completed",
    stop_reason="end_turn",
    created_at=CREATED,
    usage=Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7),
    steps=1,
)


def piece(kind, text="", **more):
    return Delta(message_id=ID, created_at=CREATED, step_id="step-x", index=0, kind=kind, text=text, **more)


def call(name, *fragments, identifier="call_1"):
    first = piece("tool_call", "", tool_call_id=identifier, tool_name=name)
    return [first, *(piece("tool_call", fragment) for fragment in fragments)]


def made(role, **fields):
    return Made(Message(id=NEXT_ID, role=role, created_at=CREATED, run_id="run-x", **fields))


def render(events, display):
    renderer = Renderer("run-x", display)
    return [message for event in events for message in renderer.render(event)]


def kinds(messages):
    return [message["message_type"] for message in messages]


def test_pieces_of_a_part_share_id_and_otid():
    found = render(
        [piece("reasoning", "h"), piece("reasoning", "m"), piece("text", "a"), piece("text", "b")], PLAIN
    )

    assert [each.get("reasoning") or each.get("content") for each in found] == ["h", "m", "a", "b"]
    assert {each["id"] for each in found} == {ID}
    whole = Message(id=ID, role="assistant", created_at=CREATED, reasoning="hm", content="ab")
    assert [each["otid"] for each in expand(whole, PLAIN)] == [found[0]["otid"], found[2]["otid"]]


def test_calls_come_in_pieces():
    found = render([piece("text", "so"), *call("search", '{"a":', " 1}")], PLAIN)

    calls = [each["tool_call"] for each in found[1:]]
    assert calls == [
        {"name": "search", "arguments": None, "tool_call_id": "call_1"},
        {"name": None, "arguments": '{"a":', "tool_call_id": None},
        {"name": None, "arguments": " 1}", "tool_call_id": None},
    ]
    assert {each["otid"][-1] for each in found[1:]} == {"1"}


def test_a_finished_message_is_not_sent_again():
    whole = Made(Message(id=ID, role="assistant", created_at=CREATED, content="ab"))

    assert kinds(render([piece("text", "ab"), whole], PLAIN)) == ["assistant_message"]
    assert kinds(render([whole], PLAIN)) == ["assistant_message"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_speech_is_streamed_out_of_its_arguments(size):
    arguments = '{"inner": "x", "message": "say \\"hé\\u00e9\\n\\"", "request_heartbeat": false}'
    fragments = [arguments[start : start + size] for start in range(0, len(arguments), size)]

    found = render([*call("send_message", *fragments), Ended(RUN, [])], SPEAKING)

    assert set(kinds(found)) == {"assistant_message"}
    assert "".join(each["content"] for each in found) == 'say "héé\n"'


def test_calls_whose_arguments_are_edited_come_whole():
    returned = made(
        "tool", tool_returns=[ToolReturn(tool_call_id="call_1", name="f", status="success", content="7")]
    )
    events = [piece("text", "hm"), *call("f", '{"a": 1, "request', '_heartbeat": true}'), returned]

    found = render(events, SPEAKING)

    assert kinds(found) == ["reasoning_message", "tool_call_message", "tool_return_message"]
    assert found[1]["tool_call"]["arguments"] == '{"a": 1}'
    assert found[1]["otid"][-1] == "1"


def test_what_is_left_comes_before_the_end():
    found = render([*call("f", "{}"), *call("g", "{}", identifier="call_2"), Ended(RUN, [])], SPEAKING)

    [message] = found
    assert [each["name"] for each in message["tool_calls"]] == ["f", "g"]


def test_input_is_not_echoed():
    assert render([made("user", content="hi"), made("system", content="hi")], PLAIN) == []


def test_unwanted_types_are_left_out():
    display = Display(text_is_assistant=True, types=frozenset({"tool_call_message"}))

    assert kinds(render([piece("text", "a"), *call("f", "{}")], display)) == ["tool_call_message"] * 2


def test_a_summary_comes_with_its_event():
    stats = {"trigger": "requested", "context_tokens_before": 9, "context_window": 10}
    summary = made("summary", content="They talked.", compaction=stats)

    event, told = render([summary], PLAIN)

    assert (event["message_type"], event["event_type"]) == ("event_message", "compaction")
    assert event["event_data"]["context_token_estimate"] == 9
    assert (told["summary"], told["compaction_stats"]) == ("They talked.", stats)


def test_the_response_has_what_the_agent_did():
    call = ToolCall(id="call_1", name="f", arguments="{}")
    messages = [
        Message(id=ID, role="assistant", created_at=CREATED, tool_calls=[call]),
        Message(id=NEXT_ID, role="user", created_at=CREATED, content="heartbeat"),
    ]

    response = letta_response(Ended(RUN, messages, ["run-y"]), PLAIN)

    assert kinds(response["messages"]) == ["tool_call_message"]
    assert response["stop_reason"]["stop_reason"] == "end_turn"
    assert response["usage"]["total_tokens"] == 7
    assert response["usage"]["step_count"] == 1
    assert response["usage"]["run_ids"] == ["run-y"]
