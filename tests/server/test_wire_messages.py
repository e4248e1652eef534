"""How stored messages become API messages."""

from datetime import UTC, datetime

import pytest

from server.wire.messages import Display, expand, expand_all, part_otid
from storage.records import Message, ToolCall, ToolReturn

ID = "message-01a2044d-6aa8-4001-8efa-d184ef5662e5"
PLAIN = Display(text_is_assistant=True)
SPEAKING = Display(text_is_assistant=False)


def message(role, **fields):
    created = datetime(2026, 11, 22, 10, 0, 1, 987654, UTC)
    return Message(id=ID, role=role, created_at=created, **{"run_id": "run-x", **fields})


def call(name="search", arguments='{"query": "x"}', number=1):
    return ToolCall(id=f"call_{number}", name=name, arguments=arguments)


def said(text, **more):
    return call("send_message", f'{{"message": "{text}"{"".join(more.values())}}}')


def kinds(parts):
    return [part["message_type"] for part in parts]


def test_dates_are_seconds_with_an_offset():
    [part] = expand(message("user", content="hi"), PLAIN)

    assert part["date"] == "2026-11-22T10:00:01+00:00"


@pytest.mark.parametrize("index", [0, 1, 9, 127])
def test_otids_replace_the_last_seven_bits(index):
    otid = part_otid(ID, index)

    assert otid[:-2] == ID[8:-2]
    assert int(otid[-2:], 16) & 0x7F == index
    assert int(otid[-2:], 16) & 0x80 == int(ID[-2:], 16) & 0x80


def test_an_assistants_parts_share_an_id():
    parts = expand(message("assistant", reasoning="hm", content="well", tool_calls=[call()]), PLAIN)

    assert kinds(parts) == ["reasoning_message", "assistant_message", "tool_call_message"]
    assert {part["id"] for part in parts} == {ID}
    assert [part["otid"] for part in parts] == [part_otid(ID, index) for index in range(3)]
    assert parts[0]["source"] == "reasoner_model"


def test_an_empty_answer_is_still_one():
    [part] = expand(message("assistant"), PLAIN)

    assert (part["message_type"], part["content"]) == ("assistant_message", "")


def test_unreadable_reasoning_is_shown_as_hidden():
    [part, _] = expand(message("assistant", reasoning_signature="c2ln", content="x"), PLAIN)

    assert (part["message_type"], part["state"]) == ("hidden_reasoning_message", "redacted")


def test_the_text_of_an_agent_that_speaks_with_a_tool_is_thought():
    stored = message("assistant", content="I should greet.", tool_calls=[said("Hello!")])

    for display in (SPEAKING, Display()):
        thought, speech = expand(stored, display)
        assert (thought["message_type"], thought["source"]) == ("reasoning_message", "non_reasoner_model")
        assert (speech["message_type"], speech["content"]) == ("assistant_message", "Hello!")
    assert kinds(expand(message("assistant", content="Hello."), Display())) == ["assistant_message"]


def test_speech_is_shown_as_a_call_on_demand():
    stored = message("assistant", tool_calls=[said("Hello!")])

    [part] = expand(stored, Display(use_assistant_message=False))
    assert part["message_type"] == "tool_call_message"

    renamed = Display(tool_name="say", tool_kwarg="words")
    [part] = expand(message("assistant", tool_calls=[call("say", '{"words": "Hi"}')]), renamed)
    assert (part["message_type"], part["content"]) == ("assistant_message", "Hi")


@pytest.mark.parametrize("arguments", ["", "{", "[]", '{"message": 7}', '{"text": "x"}'])
def test_speech_without_words_is_a_call(arguments):
    [part] = expand(message("assistant", tool_calls=[call("send_message", arguments)]), SPEAKING)

    assert part["tool_call"]["arguments"] == arguments


def test_calls_are_one_message_with_speech_apart():
    calls = [call(number=1), said("Hi"), call(number=2)]

    parts = expand(message("assistant", tool_calls=calls), SPEAKING)

    assert kinds(parts) == ["tool_call_message", "assistant_message"]
    assert [each["tool_call_id"] for each in parts[0]["tool_calls"]] == ["call_1", "call_2"]
    assert parts[0]["tool_call"] == parts[0]["tool_calls"][0]


def test_heartbeats_are_left_out_of_arguments():
    for given, shown in [
        ('{"query": "é", "request_heartbeat": true}', '{"query": "é"}'),
        ('{"query": "request_heartbeat"}', '{"query": "request_heartbeat"}'),
        ('{"request_heartbeat": tru', '{"request_heartbeat": tru'),
    ]:
        [part] = expand(message("assistant", tool_calls=[call(arguments=given)]), SPEAKING)
        assert part["tool_call"]["arguments"] == shown


def test_returns_are_one_message_that_mirrors_the_first():
    returns = [
        ToolReturn(tool_call_id="call_1", name="search", status="error", content="no", stdout=["out"]),
        ToolReturn(tool_call_id="call_2", name="send_message", status="success", content="sent"),
        ToolReturn(tool_call_id="call_3", name="search", status="success", content="7"),
    ]

    [part] = expand(message("tool", tool_returns=returns), PLAIN)
    assert (part["tool_return"], part["status"], part["tool_call_id"]) == ("no", "error", "call_1")
    assert (part["stdout"], part["stderr"], part["name"]) == (["out"], None, "search")
    assert [each["tool_call_id"] for each in part["tool_returns"]] == ["call_1", "call_3"]

    assert expand(message("tool", tool_returns=returns[1:2]), PLAIN) == []
    [part] = expand(message("tool", tool_returns=returns), Display(use_assistant_message=False))
    assert len(part["tool_returns"]) == 3


def test_user_messages_keep_their_otid_and_parts():
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}}
    text = {"type": "text", "text": "look"}

    [part] = expand(message("user", content=[text, image], otid="mine"), PLAIN)
    assert (part["content"], part["otid"]) == ([text, image], "mine")
    [part] = expand(message("user", content=[text]), PLAIN)
    assert (part["content"], part["otid"]) == ("look", part_otid(ID, 0))


def test_packed_messages_are_unpacked_only_where_agents_are_born_with_them():
    packed = '{"type": "user_message", "message": "hi", "time": "now"}'
    login = '{"type": "login", "last_login": "never"}'

    def content(text, run_id):
        return expand(message("user", content=text, run_id=run_id), PLAIN)[0]["content"]

    assert content(packed, None) == "hi"
    assert content(packed, "run-x") == packed
    assert content(login, None) == login
    assert content("{oops", None) == "{oops"


def test_only_wanted_messages_are_shown():
    stored = [message(role, content="x") for role in ("user", "assistant", "summary")]

    assert kinds(expand_all(stored, PLAIN)) == ["user_message", "assistant_message", "summary_message"]
    assert kinds(expand_all(stored, Display(types=frozenset({"user_message"})))) == ["user_message"]
