"""The events of a run as frames of a stream, and as the answer of a request that waits for it all."""

from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from pydantic_core import from_json
from typing_extensions import TypedDict

from actors.protocol import Delta, Ended, Made
from server.wire.common import seconds
from server.wire.messages import (
    Call,
    Common,
    Display,
    EventMessage,
    LettaMessage,
    common,
    expand,
    part_otid,
    shown_call,
)
from storage.records import Message, StopReason, ToolCall

SHOWN_ROLES = ("assistant", "tool", "summary")


class Ping(Common):
    message_type: Literal["ping"]


class Stop(TypedDict):
    message_type: Literal["stop_reason"]
    stop_reason: StopReason


class UsageStatistics(TypedDict):
    message_type: Literal["usage_statistics"]
    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    step_count: int
    run_ids: list[str] | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    context_tokens: int | None


class ErrorMessage(TypedDict):
    message_type: Literal["error_message"]
    run_id: str
    error_type: str
    message: str
    detail: str | None


class LettaResponse(TypedDict):
    messages: list[LettaMessage]
    stop_reason: Stop
    usage: UsageStatistics
    logprobs: None
    turns: None


def letta_response(ended: Ended, display: Display) -> LettaResponse:
    return {
        "messages": [
            part for message in ended.messages for part in _shown(message, display) if display.wants(part)
        ],
        "stop_reason": stop(ended.run.stop_reason or "end_turn"),
        "usage": usage_statistics(ended),
        "logprobs": None,
        "turns": None,
    }


def stop(reason: StopReason) -> Stop:
    return {"message_type": "stop_reason", "stop_reason": reason}


def usage_statistics(ended: Ended) -> UsageStatistics:
    run, usage = ended.run, ended.run.usage
    return {
        "message_type": "usage_statistics",
        "completion_tokens": usage.completion_tokens,
        "prompt_tokens": usage.prompt_tokens,
        "total_tokens": usage.total_tokens,
        "step_count": run.steps,
        "run_ids": ended.run_ids or None,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "context_tokens": None,
    }


def ping(run_id: str) -> Ping:
    return {
        "id": f"ping-{uuid4()}",
        "date": seconds(datetime.now(UTC)),
        "name": None,
        "otid": None,
        "sender_id": None,
        "step_id": None,
        "is_err": None,
        "seq_id": None,
        "run_id": run_id,
        "message_type": "ping",
    }


def _shown(message: Message, display: Display) -> list[LettaMessage]:
    """What the client is told of a message that its run made: a summary comes with the event that it
    stands for, what was given to the agent is not echoed."""
    if message.role not in SHOWN_ROLES:
        return []
    parts = expand(message, display)
    if message.role != "summary" or message.compaction is None:
        return parts
    event: EventMessage = {
        **common(message, len(parts)),
        "message_type": "event_message",
        "event_type": "compaction",
        "event_data": {
            "trigger": message.compaction["trigger"],
            "context_token_estimate": message.compaction["context_tokens_before"],
            "context_window": message.compaction["context_window"],
        },
    }
    return [event, *parts]


class Renderer:
    """Turns the events of one run into API messages, as they come.

    A message that came in pieces is shown in pieces. Calls whose arguments have to be edited for
    display are the exception: they are shown whole, once their message is complete.
    """

    def __init__(self, run_id: str, display: Display) -> None:
        self._run_id = run_id
        self._display = display
        self._partial: _Partial | None = None

    def render(self, event: Delta | Made | Ended) -> list[LettaMessage]:
        """The API messages to send for an event; empty when there is nothing to show."""
        message_id = _message_id(event)
        messages: list[LettaMessage] = []
        if self._partial and self._partial.message_id != message_id:
            messages = self._partial.rest()
            self._partial = None
        if isinstance(event, Delta):
            self._partial = self._partial or _Partial(event, self._run_id, self._display)
            messages += self._partial.show(event)
        elif isinstance(event, Made):
            sent = self._partial.sent if self._partial else set()
            messages += [
                part for part in _shown(event.message, self._display) if part["message_type"] not in sent
            ]
            self._partial = None
        return [message for message in messages if self._display.wants(message)]


def _message_id(event: Delta | Made | Ended) -> str | None:
    if isinstance(event, Delta):
        return event.message_id
    return event.message.id if isinstance(event, Made) else None


class _Partial:
    """A message that the model is still writing.

    Args:
        first: its first piece.
        run_id: the run that makes it.
        display: what the client wants to see.
    """

    def __init__(self, first: Delta, run_id: str, display: Display) -> None:
        self.message_id = first.message_id
        self.sent: set[str] = set()
        """Types of the parts that the client has had."""
        self._display = display
        self._common: Common = {
            "id": first.message_id,
            "date": seconds(first.created_at),
            "name": None,
            "otid": None,
            "sender_id": None,
            "step_id": first.step_id,
            "is_err": None,
            "seq_id": None,
            "run_id": run_id,
        }
        self._parts: dict[str, int] = {}
        """Position of each part among the message's parts."""
        self._speaking: ToolCall | None = None
        """The call of the speaking tool that is being written."""
        self._spoken = 0
        """Characters of it that the client has had."""
        self._withheld: list[ToolCall] = []

    def show(self, delta: Delta) -> list[LettaMessage]:
        if delta.kind == "tool_call":
            return self._show_call(delta)
        if not delta.text:
            return []
        if delta.kind == "text" and self._display.text_is_assistant:
            return [self._speech("text", delta.text)]
        self.sent.add("reasoning_message")
        return [
            {
                **self._part(delta.kind),
                "message_type": "reasoning_message",
                "source": "reasoner_model" if delta.kind == "reasoning" else "non_reasoner_model",
                "reasoning": delta.text,
                "signature": None,
            }
        ]

    def rest(self) -> list[LettaMessage]:
        """What is to be shown when the message is complete."""
        if not self._withheld:
            return []
        calls = [shown_call(call) for call in self._withheld]
        return [
            {
                **self._part("calls"),
                "message_type": "tool_call_message",
                "tool_call": calls[0],
                "tool_calls": calls,
            }
        ]

    def _show_call(self, delta: Delta) -> list[LettaMessage]:
        if delta.tool_name:
            call = ToolCall(id=delta.tool_call_id or "", name=delta.tool_name, arguments="")
            speaks = self._display.use_assistant_message and call.name == self._display.tool_name
            self._speaking, self._spoken = call if speaks else None, 0
            if not speaks and not self._display.text_is_assistant:
                self._withheld.append(call)
        if self._speaking:
            return self._show_speech(self._speaking, delta.text)
        if not self._display.text_is_assistant:
            if self._withheld:
                self._withheld[-1].arguments += delta.text
            return []
        self.sent.add("tool_call_message")
        piece: Call = {
            "name": delta.tool_name,
            "arguments": delta.text or None,
            "tool_call_id": delta.tool_call_id,
        }
        return [
            {
                **self._part("calls"),
                "message_type": "tool_call_message",
                "tool_call": piece,
                "tool_calls": piece,
            }
        ]

    def _show_speech(self, call: ToolCall, fragment: str) -> list[LettaMessage]:
        call.arguments += fragment
        words = _partial_object(call.arguments).get(self._display.tool_kwarg)
        if not isinstance(words, str) or len(words) <= self._spoken:
            return []
        news, self._spoken = words[self._spoken :], len(words)
        return [self._speech(call.id, news)]

    def _speech(self, part: str, text: str) -> LettaMessage:
        self.sent.add("assistant_message")
        return {**self._part(part), "message_type": "assistant_message", "content": text}

    def _part(self, part: str) -> Common:
        index = self._parts.setdefault(part, len(self._parts))
        return {**self._common, "otid": part_otid(self.message_id, index)}


def _partial_object(text: str) -> dict[str, object]:
    """The beginning of a JSON object, as far as it is written."""
    try:
        value = from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
