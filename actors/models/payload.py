"""A model call as the JSON that its provider accepts: every provider's quirks are in this file."""

import hashlib
import re
from collections.abc import Collection
from typing import Any

from actors.models.request import ModelRequest
from storage.records import LlmConfig

OPTIONAL = (
    "temperature",
    "parallel_tool_calls",
    "frequency_penalty",
    "reasoning_effort",
    "verbosity",
    "stream_options",
    "user",
)
"""Parameters that a call can do without when a provider or model does not take them."""
OTHER_NAME = {"max_tokens": "max_completion_tokens"}

_REASONING_MODEL = re.compile(r"^(?:o\d|gpt-5(?!.*chat))")
_MISTRAL_CALL_ID = re.compile(r"^[A-Za-z0-9]{9}$")
_KNOWS_USER = {"openai", "openrouter"}
_KNOWS_STRICT = {"openai", "openrouter", "xai", "vllm"}
_KNOWS_EFFORT = {"google_ai", "groq", "openrouter", "vllm", "xai"}


def build(
    request: ModelRequest, provider: str, *, stream: bool, refused: Collection[str] = ()
) -> dict[str, Any]:
    """The body of a ``chat/completions`` request.

    Args:
        request: what is asked.
        provider: the provider's endpoint type.
        stream: whether the answer comes in pieces.
        refused: parameters that this model has turned down before.
    """
    llm = request.llm
    body: dict[str, Any] = {"model": llm.model, "messages": request.messages}
    if provider == "mistral":
        body["messages"] = [_mistral_message(message) for message in request.messages]
    if request.tools:
        body |= _tools(request, provider)
    body |= _sampling(llm, provider)
    if llm.response_format and llm.response_format.get("type") != "text":
        body["response_format"] = llm.response_format
    if request.user and provider in _KNOWS_USER:
        body["user"] = request.user
    if stream:
        body["stream"] = True
        if provider != "mistral":
            body["stream_options"] = {"include_usage": True}
    for parameter in refused:
        value = body.pop(parameter, None)
        if parameter in OTHER_NAME and value is not None:
            body[OTHER_NAME[parameter]] = value
    return body


def refused_parameter(message: str, body: dict[str, Any]) -> str | None:
    """Which optional parameter of this request a provider's complaint is about, if it is about one."""
    for name, other in OTHER_NAME.items():
        if name in body and name in message and other in message:
            return name
    named = (name for name in OPTIONAL if name in body and re.search(rf"['\"`]{name}['\"`]", message))
    return next(named, None)


def _sampling(llm: LlmConfig, provider: str) -> dict[str, Any]:
    reasons = provider == "openai" and bool(_REASONING_MODEL.match(llm.model))
    options: dict[str, Any] = {
        "max_completion_tokens" if reasons else "max_tokens": llm.max_tokens,
        "reasoning_effort": llm.reasoning_effort if reasons or provider in _KNOWS_EFFORT else None,
        "verbosity": llm.verbosity if reasons else None,
    }
    if not reasons:
        options["temperature"] = min(llm.temperature, 1.0) if provider == "anthropic" else llm.temperature
        options["frequency_penalty"] = llm.frequency_penalty
    return {name: value for name, value in options.items() if value is not None}


def _tools(request: ModelRequest, provider: str) -> dict[str, Any]:
    llm = request.llm
    offered, choice = request.tools, request.tool_choice
    if choice not in (None, "auto", "required") and provider == "lmstudio":
        offered, choice = [tool for tool in offered if tool["name"] == choice], "required"
    strict = llm.strict and provider in _KNOWS_STRICT
    part: dict[str, Any] = {
        "tools": [{"type": "function", "function": _strict(tool) if strict else tool} for tool in offered]
    }
    if choice == "required":
        part["tool_choice"] = "required"
    elif choice not in (None, "auto"):
        part["tool_choice"] = {"type": "function", "function": {"name": choice}}
    if not re.match(r"^o\d", llm.model):
        part["parallel_tool_calls"] = llm.parallel_tool_calls
    return part


def _strict(tool: dict[str, Any]) -> dict[str, Any]:
    """Mark a schema as strict if it can be: strict schemas know no optional and no free fields."""
    parameters = tool.get("parameters") or {}
    return {**tool, "strict": True, "parameters": _closed(parameters)} if _can_close(parameters) else tool


def _can_close(schema: dict[str, Any]) -> bool:
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        return set(schema.get("required", ())) == set(fields) and all(map(_can_close, fields.values()))
    if schema.get("type") == "array":
        return "items" in schema and _can_close(schema["items"])
    return "type" in schema or "anyOf" in schema


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "object":
        properties = {name: _closed(part) for name, part in schema.get("properties", {}).items()}
        return {**schema, "properties": properties, "additionalProperties": False}
    if schema.get("type") == "array":
        return {**schema, "items": _closed(schema["items"])}
    return schema


def _mistral_message(message: dict[str, Any]) -> dict[str, Any]:
    """Mistral takes tool call ids of nine letters and digits only; other models made other ones."""
    if "tool_call_id" in message:
        return {**message, "tool_call_id": _mistral_id(message["tool_call_id"])}
    if message.get("tool_calls"):
        calls = [{**call, "id": _mistral_id(call["id"])} for call in message["tool_calls"]]
        return {**message, "tool_calls": calls}
    return message


def _mistral_id(identifier: str) -> str:
    if _MISTRAL_CALL_ID.match(identifier):
        return identifier
    return hashlib.sha256(identifier.encode()).hexdigest()[:9]
