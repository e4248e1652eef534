"""Answers as sloppy servers give them."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from actors.models import ModelEmptyResponse, ModelError, Provider
from actors.models.answer import LONGEST_LINE, Pieces

THERE = Provider(
    name="there",
    type="openai",
    endpoint_type="openai",
    base_url="http://there/v1",
    api_key=SecretStr("sk-secret-0123456789"),
    variable="THERE_API_KEY",
)


def read_whole(body):
    pieces = Pieces(THERE)
    pieces.whole(json.dumps(body).encode())
    return pieces.finish(lambda: 7)


def read_stream(*deltas, tail="data: [DONE]\n\n", told=None):
    pieces = Pieces(THERE, told.append if told is not None else None)
    for delta in deltas:
        pieces.feed(f"data: {json.dumps({'choices': [{'delta': delta}]})}\n\n".encode())
    pieces.feed(tail.encode())
    return pieces.finish(lambda: 7)


def call(arguments="", **rest):
    return {"tool_calls": [{**rest, "function": {"arguments": arguments, **rest.pop("function", {})}}]}


def test_missing_usage_is_estimated():
    usage = read_whole({"choices": [{"message": {"content": "x" * 40}}]}).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (7, 10, 17)


def test_usage_in_its_several_forms():
    told = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    usage = read_whole({"choices": [{"message": {"content": "x"}}], "usage": told}).usage
    assert (usage.total_tokens, usage.cached_input_tokens, usage.reasoning_tokens) == (120, 64, 5)
    told = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_cache_hit_tokens": 32}
    body = {"choices": [{"message": {"content": "x"}}], "usage": told}
    assert read_whole(body).usage.cached_input_tokens == 32


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_under_either_name(key):
    assert read_whole({"choices": [{"message": {key: "hm", "content": "yes"}}]}).reasoning == "hm"


def test_thinking_as_content_parts():
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "yes"},
    ]
    completion = read_whole({"choices": [{"message": {"content": parts}}]})
    assert (completion.reasoning, completion.text) == ("hm", "yes")


def test_an_empty_message_is_an_answer():
    completion = read_whole({"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]})
    assert completion.text is None
    assert not completion.tool_calls


def test_a_cut_off_answer_says_so():
    body = {"choices": [{"message": {"content": "and th"}, "finish_reason": "length"}]}
    assert read_whole(body).finish_reason == "length"


def test_tool_calls_without_ids_get_some_and_objects_become_text():
    calls = [{"function": {"name": "roll", "arguments": {"sides": 6}}}, {"function": {"name": "roll"}}]
    first, second = read_whole({"choices": [{"message": {"tool_calls": calls}}]}).tool_calls
    assert json.loads(first.arguments) == {"sides": 6}
    assert second.arguments == "{}"
    assert first.id
    assert first.id != second.id


def test_two_calls_never_share_an_id():
    calls = [{"id": "call_0", "function": {"name": name}} for name in ("a", "b")]
    first, second = read_whole({"choices": [{"message": {"tool_calls": calls}}]}).tool_calls
    assert first.id != second.id


def test_calls_that_all_have_number_zero_are_told_apart_by_id():
    completion = read_stream(
        call('{"sides":', id="a", index=0, function={"name": "roll"}),
        call(" 6}", index=0),
        call("{}", id="b", index=0, function={"name": "flip"}),
    )
    assert [(made.id, made.name) for made in completion.tool_calls] == [("a", "roll"), ("b", "flip")]
    assert completion.tool_calls[0].arguments == '{"sides": 6}'


def test_a_chunk_may_be_cut_anywhere():
    stream = 'data: {"choices":[{"delta":{"content":"grüße"}}]}\r\n\r\n: note\r\ndata:[DONE]\r\n\r\n'.encode()
    for size in (1, 3, 7):
        pieces = Pieces(THERE)
        for start in range(0, len(stream), size):
            pieces.feed(stream[start : start + size])
        assert pieces.finish(lambda: 0).text == "grüße"


def test_a_last_line_needs_no_line_end():
    assert read_stream({"content": "yes"}, tail="data: [DONE]").text == "yes"


def test_a_stream_without_its_end_is_an_error():
    with pytest.raises(ModelError, match="in the middle"):
        read_stream({"content": "and th"}, tail="")
    with pytest.raises(ModelEmptyResponse):
        read_stream(tail="")


def test_an_event_without_end_is_refused_early():
    pieces = Pieces(THERE)
    pieces.feed(b"data: " + b"x" * (LONGEST_LINE - 10))
    with pytest.raises(ModelError, match="without an end"):
        pieces.feed(b"x" * LONGEST_LINE)


KEYS = st.sampled_from(
    [
        "choices",
        "delta",
        "message",
        "content",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "index",
        "usage",
        "prompt_tokens",
        "error",
        "code",
        "text",
        "thinking",
        "finish_reason",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(body=st.dictionaries(KEYS, JSON), delta=JSON)
def test_no_json_at_all_breaks_the_reader(body, delta):
    """Whatever comes in, it is an answer or a ModelError."""
    for attempt in (
        lambda: read_whole(body),
        lambda: read_whole({"choices": [{"message": delta}]}),
        lambda: read_stream(delta, delta, told=[]),
    ):
        try:
            completion = attempt()
        except ModelError:
            continue
        assert all(isinstance(made.arguments, str) for made in completion.tool_calls)
