"""What the strictest model providers demand of a chat-completions history."""

import json
import re
from typing import Any

_KEYS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}
_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_ID = re.compile(r"^[a-zA-Z0-9_-]{1,40}$")


def violations(messages: list[dict[str, Any]]) -> list[str]:
    """Everything that some provider would refuse; empty for a good history."""
    found: list[str] = []
    turns = messages[1:] if messages and messages[0].get("role") == "system" else messages
    if not turns or turns[0].get("role") != "user":
        found.append("the first turn is not the user's")
    if turns and turns[-1].get("role") == "assistant":
        found.append("the last turn is the assistant's")
    seen: set[str] = set()
    previous = ""
    for position, message in enumerate(messages):
        role = message.get("role", "")
        problems = _shape(message, role)
        if role == "system" and position:
            problems.append("system message inside the history")
        if role in ("user", "assistant") and role == previous:
            problems.append("the same speaker twice in a row")
        for call in message.get("tool_calls", []):
            problems += _call(call, seen)
        found += [f"{position} ({role}): {problem}" for problem in problems]
        previous = role
    return found + _unpaired(messages)


def _unpaired(messages: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    waiting: list[str] = []
    for position, message in enumerate([*messages, {"role": "end"}]):
        if message.get("role") == "tool":
            if message.get("tool_call_id") in waiting:
                waiting.remove(message["tool_call_id"])
            else:
                found.append(f"{position} (tool): return without a call right before it")
            continue
        if waiting:
            found.append(f"{position}: calls {waiting} right before it have no return")
        waiting = [call.get("id") for call in message.get("tool_calls", [])]
    return found


def _shape(message: dict[str, Any], role: str) -> list[str]:
    if role not in _KEYS:
        return ["unknown role"]
    problems = [f"unknown key {key}" for key in message.keys() - _KEYS[role]]
    if "tool_calls" in message and not message["tool_calls"]:
        problems.append("empty list of tool calls")
    content = message.get("content")
    if content is None:
        if not message.get("tool_calls"):
            problems.append("no content")
    elif isinstance(content, str):
        if not content.strip():
            problems.append("empty content")
    elif role != "user" or not content:
        problems.append("content in parts")
    else:
        problems += [f"bad part {part}" for part in content if not _good_part(part)]
    return problems


def _good_part(part: dict[str, Any]) -> bool:
    if part.get("type") == "text":
        return part.keys() == {"type", "text"} and bool(part["text"].strip())
    if part.get("type") == "image_url":
        return str(part["image_url"]["url"]).startswith(("https://", "http://", "data:image/"))
    return False


def _call(call: dict[str, Any], seen: set[str]) -> list[str]:
    problems = []
    if not _ID.match(str(call.get("id"))):
        problems.append(f"bad call id {call.get('id')!r}")
    if call.get("id") in seen:
        problems.append(f"call id {call['id']} used twice")
    seen.add(str(call.get("id")))
    if call.get("type") != "function":
        problems.append("call is no function")
    function = call.get("function", {})
    if not _NAME.match(function.get("name", "")):
        problems.append(f"bad function name {function.get('name')!r}")
    try:
        if not isinstance(json.loads(function.get("arguments", "")), dict):
            problems.append("arguments are no object")
    except ValueError:
        problems.append("arguments are no JSON")
    return problems
