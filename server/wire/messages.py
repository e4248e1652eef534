"""How a stored message looks to clients.

One stored message becomes one or more API messages that share its id: an assistant's reasoning,
text and tool calls are separate ones. ``otid`` tells them apart.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from typing_extensions import TypedDict

from server.wire.common import seconds
from storage.records import Message, ToolCall, ToolReturn

MessageType = Literal[
    "system_message",
    "user_message",
    "assistant_message",
    "reasoning_message",
    "hidden_reasoning_message",
    "tool_call_message",
    "tool_return_message",
    "approval_request_message",
    "approval_response_message",
    "summary_message",
    "event_message",
]


class Common(TypedDict):
    id: str
    date: str
    name: str | None
    otid: str | None
    sender_id: str | None
    step_id: str | None
    is_err: bool | None
    seq_id: int | None
    run_id: str | None


class SystemMessage(Common):
    message_type: Literal["system_message"]
    content: str


class UserMessage(Common):
    message_type: Literal["user_message"]
    content: str | list[dict[str, Any]]


class AssistantMessage(Common):
    message_type: Literal["assistant_message"]
    content: str


class ReasoningMessage(Common):
    message_type: Literal["reasoning_message"]
    source: Literal["reasoner_model", "non_reasoner_model"]
    reasoning: str
    signature: str | None


class HiddenReasoningMessage(Common):
    message_type: Literal["hidden_reasoning_message"]
    state: Literal["redacted", "omitted"]
    hidden_reasoning: str | None


class Call(TypedDict):
    """A tool call, or a piece of one in a token stream, where what is not new is null."""

    name: str | None
    arguments: str | None
    tool_call_id: str | None


class ToolCallMessage(Common):
    message_type: Literal["tool_call_message"]
    tool_call: Call
    tool_calls: list[Call] | Call


class Return(TypedDict):
    type: Literal["tool"]
    tool_return: str
    status: Literal["success", "error"]
    tool_call_id: str
    stdout: list[str] | None
    stderr: list[str] | None


class ToolReturnMessage(Common):
    message_type: Literal["tool_return_message"]
    tool_return: str
    status: Literal["success", "error"]
    tool_call_id: str
    stdout: list[str] | None
    stderr: list[str] | None
    tool_returns: list[Return]


class SummaryMessage(Common):
    message_type: Literal["summary_message"]
    summary: str
    compaction_stats: dict[str, Any] | None


class EventMessage(Common):
    message_type: Literal["event_message"]
    event_type: Literal["compaction"]
    event_data: dict[str, Any]


LettaMessage = (
    SystemMessage
    | UserMessage
    | AssistantMessage
    | ReasoningMessage
    | HiddenReasoningMessage
    | ToolCallMessage
    | ToolReturnMessage
    | SummaryMessage
    | EventMessage
)


@dataclass(frozen=True, slots=True)
class Display:
    """What a client wants to see of messages."""

    text_is_assistant: bool | None = None
    """Whether plain text is for the user. Agents of the older types speak by calling a tool, and their
    plain text is inner thought. ``None`` where the type is not known: told by the message itself."""
    use_assistant_message: bool = True
    """Show a call of the speaking tool as an assistant message and leave out its return."""
    tool_name: str = "send_message"
    tool_kwarg: str = "message"
    types: frozenset[str] | None = None
    """Message types to keep; ``None`` keeps all."""

    def wants(self, message: LettaMessage) -> bool:
        kind = message["message_type"]
        return self.types is None or kind in self.types

    def speech(self, call: ToolCall) -> str | None:
        """What the agent says with this call, if it is one of the speaking tool."""
        if not self.use_assistant_message or call.name != self.tool_name:
            return None
        words = _arguments(call.arguments).get(self.tool_kwarg)
        return words if isinstance(words, str) else None


def expand_all(messages: Iterable[Message], display: Display) -> list[LettaMessage]:
    """The API messages of stored ones, in order, as far as the client wants them."""
    return [part for message in messages for part in expand(message, display) if display.wants(part)]


def expand(message: Message, display: Display) -> list[LettaMessage]:
    """All API messages of one stored message."""
    if message.role == "assistant":
        return _assistant(message, display)
    if message.role == "tool":
        return _returns(message, display)
    if message.role == "summary":
        return [
            {
                **common(message, 0),
                "message_type": "summary_message",
                "summary": message.text(),
                "compaction_stats": message.compaction,
            }
        ]
    if message.role == "system":
        return [
            {
                **common(message, 0, otid=message.otid),
                "message_type": "system_message",
                "content": _unpacked(message, message.text()),
            }
        ]
    return [
        {
            **common(message, 0, otid=message.otid),
            "message_type": "user_message",
            "content": _user_content(message),
        }
    ]


def common(message: Message, index: int, name: str | None = None, otid: str | None = None) -> Common:
    return {
        "id": message.id,
        "date": seconds(message.created_at),
        "name": name or message.name,
        "otid": otid or part_otid(message.id, index),
        "sender_id": message.sender_id,
        "step_id": message.step_id,
        "is_err": None,
        "seq_id": None,
        "run_id": message.run_id,
    }


def part_otid(message_id: str, index: int) -> str:
    """The message's uuid with its last 7 bits replaced by which part this is."""
    return f"{message_id[-36:-2]}{int(message_id[-2:], 16) & 0x80 | index & 0x7F:02x}"


def _assistant(message: Message, display: Display) -> list[LettaMessage]:
    parts: list[LettaMessage] = []
    if message.reasoning:
        parts.append(
            {
                **common(message, 0),
                "message_type": "reasoning_message",
                "source": "reasoner_model",
                "reasoning": message.reasoning,
                "signature": message.reasoning_signature,
            }
        )
    elif message.reasoning_signature:
        parts.append(
            {
                **common(message, 0),
                "message_type": "hidden_reasoning_message",
                "state": "redacted",
                "hidden_reasoning": message.reasoning_signature,
            }
        )
    text = message.text()
    for_user = display.text_is_assistant
    if for_user is None:
        for_user = _is_plain(message, display)
    if text and for_user:
        parts.append(_speech(message, len(parts), text))
    elif text:
        parts.append(
            {
                **common(message, len(parts)),
                "message_type": "reasoning_message",
                "source": "non_reasoner_model",
                "reasoning": text,
                "signature": None,
            }
        )
    parts.extend(_calls(message, len(parts), display))
    return parts or [_speech(message, 0, "")]


def _is_plain(message: Message, display: Display) -> bool:
    """Whether nothing in an assistant's message looks like an agent that speaks by calling a tool."""
    return not any(
        call.name == display.tool_name or '"request_heartbeat"' in call.arguments
        for call in message.tool_calls
    )


def _speech(message: Message, index: int, text: str) -> AssistantMessage:
    return {**common(message, index), "message_type": "assistant_message", "content": text}


def _calls(message: Message, index: int, display: Display) -> list[LettaMessage]:
    parts: list[LettaMessage] = []
    calls: list[Call] = []
    for call in message.tool_calls:
        speech = display.speech(call)
        if speech is not None:
            parts.append(_speech(message, index + len(parts), speech))
            continue
        calls.append(shown_call(call))
        if len(calls) == 1:
            parts.append(
                {
                    **common(message, index + len(parts)),
                    "message_type": "tool_call_message",
                    "tool_call": calls[0],
                    "tool_calls": calls,
                }
            )
    return parts


def shown_call(call: ToolCall) -> Call:
    return {"name": call.name, "arguments": _shown_arguments(call.arguments), "tool_call_id": call.id}


def _returns(message: Message, display: Display) -> list[LettaMessage]:
    returns = [
        _return(entry)
        for entry in message.tool_returns
        if not (display.use_assistant_message and entry.name == display.tool_name)
    ]
    if not returns:
        return []
    first = returns[0]
    name = next(e.name for e in message.tool_returns if e.tool_call_id == first["tool_call_id"])
    return [
        {
            **common(message, 0, name),
            "message_type": "tool_return_message",
            "tool_return": first["tool_return"],
            "status": first["status"],
            "tool_call_id": first["tool_call_id"],
            "stdout": first["stdout"],
            "stderr": first["stderr"],
            "tool_returns": returns,
        }
    ]


def _return(entry: ToolReturn) -> Return:
    return {
        "type": "tool",
        "tool_return": entry.content,
        "status": entry.status,
        "tool_call_id": entry.tool_call_id,
        "stdout": entry.stdout or None,
        "stderr": entry.stderr or None,
    }


def _user_content(message: Message) -> str | list[dict[str, Any]]:
    parts = message.content
    if not isinstance(parts, list):
        return _unpacked(message, parts or "")
    if len(parts) == 1 and parts[0]["type"] == "text":
        return _unpacked(message, parts[0]["text"])
    return parts


def _unpacked(message: Message, text: str) -> str:
    """The words in a packed message. Only what an agent was born with is packed; the words of a
    live user are shown as they are, whatever they look like."""
    if message.run_id is not None or not text.startswith("{"):
        return text
    packed = _arguments(text)
    words = packed.get("message")
    if packed.get("type") in ("user_message", "system_alert") and isinstance(words, str):
        return words
    return text


def _shown_arguments(arguments: str) -> str:
    """The arguments without the one that only steers the agent's loop."""
    if '"request_heartbeat"' not in arguments:
        return arguments
    fields = _arguments(arguments)
    if "request_heartbeat" not in fields:
        return arguments
    del fields["request_heartbeat"]
    return json.dumps(fields, ensure_ascii=False)


def _arguments(text: str) -> dict[str, Any]:
    """A JSON object, empty when the text is none: a model may write anything."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
