"""Stored messages as a chat-completions history that every provider takes.

Providers differ in how strict they are, and a history that one of them refuses would leave its agent
stuck for ever. So whatever is stored, what is sent keeps to the strictest rules: only the first
message is a system message, user and assistant take turns beginning and ending with the user (or a
tool), nothing is empty, every tool call is followed by its one return, and names, ids and arguments
are well formed.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from actors.packing import HIDDEN, pack_summary, pack_system_alert, pack_tool_return
from storage.records import Agent, Message, ToolCall, ToolReturn

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_ID_LIMIT = 40
_NAME_LIMIT = 64
_OPENING = f"{HIDDEN}The conversation starts here."
_CLOSING = f"{HIDDEN}Go on."
_NOT_RUN = "This tool call was interrupted before it returned. It may or may not have had an effect."

_Chat = list[dict[str, Any]]
_Answer = tuple[ToolReturn, datetime]
"""What a call returned, and when."""


def to_chat(messages: Sequence[Message], agent: Agent, *, system: str | None = None) -> list[dict[str, Any]]:
    """Convert a context into chat-completions messages.

    Args:
        messages: what is in the context, oldest first.
        agent: whose context it is.
        system: the system prompt; without it, the first message has it if it is a system message.
    """
    if system is None and messages and messages[0].role == "system":
        system, messages = messages[0].text(), messages[1:]
    chat: _Chat = []
    ids: set[str] = set()
    for message, answers in zip(messages, _match(messages), strict=True):
        if message.role == "assistant":
            _say(chat, "assistant", message.text())
            if message.tool_calls:
                _call(chat, message, answers, ids, agent.timezone)
        elif message.role != "tool":  # returns are written next to the calls that they answer
            _say(chat, "user", _heard(message, agent))
    if not chat or chat[0]["role"] != "user":
        chat.insert(0, {"role": "user", "content": _OPENING})
    if chat[-1]["role"] == "assistant":
        chat.append({"role": "user", "content": _CLOSING})
    return [{"role": "system", "content": system}, *chat] if system and system.strip() else chat


def _match(messages: Sequence[Message]) -> list[list[_Answer]]:
    """Find for each call of each message the return that answers it. Providers reuse call ids, so a
    return belongs to the latest message with a call of its id."""
    answers: list[list[_Answer]] = []
    waiting: dict[str, list[tuple[int, int]]] = {}
    for position, message in enumerate(messages):
        calls = message.tool_calls if message.role == "assistant" else []
        answers.append([(_interrupted(call), message.created_at) for call in calls])
        waiting.update({call.id: [] for call in calls})
        for index, call in enumerate(calls):
            waiting[call.id].append((position, index))
        for returned in message.tool_returns:
            if places := waiting.get(returned.tool_call_id):
                row, column = places.pop(0)
                answers[row][column] = (returned, message.created_at)
    return answers


def _say(chat: _Chat, role: str, content: str | list[dict[str, Any]]) -> None:
    """Add a turn, or go on with the last one if it is the same speaker's."""
    if not (content.strip() if isinstance(content, str) else content):
        return
    last = chat[-1] if chat else None
    if last is None or last["role"] != role:
        chat.append({"role": role, "content": content})
    elif isinstance(last["content"], str) and isinstance(content, str):
        last["content"] = f"{last['content']}\n\n{content}"
    else:
        last["content"] = [*_parts(last["content"]), *_parts(content)]


def _call(chat: _Chat, message: Message, answers: list[_Answer], ids: set[str], timezone: str) -> None:
    """Add the tool calls of an assistant message, and their returns right after them."""
    if not (chat and chat[-1]["role"] == "assistant"):
        chat.append({"role": "assistant", "content": None})
    turn, returns = chat[-1], []
    turn["tool_calls"] = []
    for call, (returned, at) in zip(message.tool_calls, answers, strict=True):
        identifier = _unique(call.id, ids)
        turn["tool_calls"].append(_function(identifier, call))
        content = pack_tool_return(returned, at, timezone)
        returns.append({"role": "tool", "tool_call_id": identifier, "content": content})
    chat += returns


def _function(identifier: str, call: ToolCall) -> dict[str, Any]:
    try:
        arguments = call.arguments if isinstance(orjson.loads(call.arguments), dict) else "{}"
    except orjson.JSONDecodeError:
        arguments = "{}"  # its return says what was wrong with them
    name = _ILLEGAL.sub("_", call.name)[:_NAME_LIMIT] or "unnamed"
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def _interrupted(call: ToolCall) -> ToolReturn:
    return ToolReturn(tool_call_id=call.id, name=call.name, status="error", content=_NOT_RUN)


def _unique(identifier: str, ids: set[str]) -> str:
    clean = _ILLEGAL.sub("_", identifier)[:_ID_LIMIT] or "call"
    unique, count = clean, 1
    while unique in ids:
        count += 1
        unique = f"{clean[: _ID_LIMIT - 8]}_{count}"
    ids.add(unique)
    return unique


def _content(message: Message) -> str | list[dict[str, Any]]:
    """A user's words: text, or parts if there are images among them."""
    if not isinstance(message.content, list) or all(part.get("type") != "image" for part in message.content):
        return message.text()
    parts = []
    for part in message.content:
        if part.get("type") == "image":
            parts.append(_image(part))
        elif str(part.get("text") or "").strip():
            parts.append({"type": "text", "text": part["text"]})
    return parts


def _image(part: dict[str, Any]) -> dict[str, Any]:
    source = part.get("source") or {}
    if source.get("data"):
        url = f"data:{source.get('media_type') or 'image/png'};base64,{source['data']}"
    elif source.get("url"):
        url = source["url"]
    else:
        return {"type": "text", "text": "[an image that is no longer available]"}
    detail = {"detail": source["detail"]} if source.get("detail") else {}
    return {"type": "image_url", "image_url": {"url": url, **detail}}


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _heard(message: Message, agent: Agent) -> str | list[dict[str, Any]]:
    """What comes from outside the agent, as it reads it."""
    match message.role:
        case "summary":
            return _summary(message, agent)
        case "system":
            return _alert(message, agent)
        case _:
            return _content(message)


def _summary(message: Message, agent: Agent) -> str:
    counts = message.compaction or {}
    # The summary itself has joined the context, so one more message has left it.
    hidden = counts.get("messages_count_before", 0) - counts.get("messages_count_after", 0) + 1
    return pack_summary(message.text(), max(hidden, 0), message.created_at, agent.timezone)


def _alert(message: Message, agent: Agent) -> str:
    text = message.text()
    return pack_system_alert(text, message.created_at, agent.timezone) if text.strip() else ""
