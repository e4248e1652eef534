"""What each provider is sent."""

import pytest

from actors.models import ModelRequest
from actors.models.payload import build
from storage.records import LlmConfig

ROLL = {
    "name": "roll",
    "description": "",
    "parameters": {"type": "object", "properties": {"sides": {"type": "integer"}}, "required": ["sides"]},
}
HELLO = [{"role": "user", "content": "hello"}]


def body(model="gpt-4o", provider="openai", *, tools=(), stream=False, messages=HELLO, choice=None, **llm):
    config = LlmConfig(
        model=model,
        model_endpoint_type=provider,
        context_window=8_000,
        handle=f"{provider}/{model}",
        provider_name=provider,
        **llm,
    )
    request = ModelRequest(config, messages, list(tools), choice, user="agent-1")
    return build(request, provider, stream=stream)


def test_a_plain_request():
    assert body() == {"model": "gpt-4o", "messages": HELLO, "temperature": 1.0, "user": "agent-1"}


def test_reasoning_models_get_their_own_parameters():
    options = {"max_tokens": 100, "reasoning_effort": "low", "verbosity": "low", "temperature": 0.2}
    thinking = body("gpt-5-mini", **options)
    assert thinking["max_completion_tokens"] == 100
    assert thinking["reasoning_effort"] == thinking["verbosity"] == "low"
    assert not {"temperature", "max_tokens"} & set(thinking)
    plain = body("gpt-4o", **options)
    assert plain["max_tokens"] == 100
    assert plain["temperature"] == 0.2
    assert not {"reasoning_effort", "verbosity", "max_completion_tokens"} & set(plain)


def test_tools_come_with_the_choice_and_whether_several_may_be_called():
    assert "parallel_tool_calls" not in body()
    made = body(tools=[ROLL], choice="required", parallel_tool_calls=True)
    assert made["tools"] == [{"type": "function", "function": ROLL}]
    assert made["tool_choice"] == "required"
    assert made["parallel_tool_calls"] is True
    assert body(tools=[ROLL], choice="roll")["tool_choice"] == {
        "type": "function",
        "function": {"name": "roll"},
    }
    assert "tool_choice" not in body(tools=[ROLL], choice="auto")
    assert "parallel_tool_calls" not in body("o3-mini", tools=[ROLL])


def test_lm_studio_cannot_be_told_a_tool_so_it_is_offered_no_other():
    other = {**ROLL, "name": "other"}
    made = body("qwen", "lmstudio", tools=[other, ROLL], choice="roll")
    assert [tool["function"]["name"] for tool in made["tools"]] == ["roll"]
    assert made["tool_choice"] == "required"


def test_strict_only_where_the_schema_allows_it():
    free = {**ROLL, "parameters": {**ROLL["parameters"], "required": []}}
    strict, loose = (tool["function"] for tool in body(tools=[ROLL, free], strict=True)["tools"])
    assert strict["strict"] is True
    assert strict["parameters"]["additionalProperties"] is False
    assert loose == free
    assert "strict" not in body("claude", "anthropic", tools=[ROLL], strict=True)["tools"][0]["function"]


def test_usage_is_asked_for_in_streams():
    assert body(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body("mistral-large", "mistral", stream=True)


@pytest.mark.parametrize("provider", ["anthropic", "groq", "mistral", "ollama"])
def test_the_user_is_not_told_to_providers_that_do_not_ask(provider):
    assert "user" not in body(provider=provider)


def test_anthropic_takes_no_temperature_above_one():
    assert body("claude", "anthropic", temperature=1.5)["temperature"] == 1.0


def test_mistral_gets_call_ids_it_takes_and_they_still_match():
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_0123456789", "function": {}}]},
        {"role": "tool", "tool_call_id": "call_0123456789", "content": "4"},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "4"},
    ]
    call, result, native = body("mistral-large", "mistral", messages=messages)["messages"]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9
    assert native["tool_call_id"] == "abcDEF123"
    assert messages[1]["tool_call_id"] == "call_0123456789", "the agent's own messages stay as they are"


def test_plain_text_is_no_response_format():
    json_format = {"type": "json_object"}
    assert body(response_format=json_format)["response_format"] == json_format
    assert "response_format" not in body(response_format={"type": "text"})
