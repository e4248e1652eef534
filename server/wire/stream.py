"""The events of a run as frames of a stream, and as the answer of a request that waits for it all."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from pydantic_core import from_json
from typing_extensions import TypedDict

from actors.protocol import Delta, Ended, Made
from server.wire.common import seconds
from server.wire.messages import Call, Common, Display, LettaMessage, expand, expand_all, part_otid
from storage.records import Message, Run, StopReason

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
        "messages": expand_all(_shown(ended.messages), display),
        "stop_reason": stop(ended.run.stop_reason or "end_turn"),
        "usage": usage_statistics(ended.run),
        "logprobs": None,
        "turns": None,
    }


def stop(reason: StopReason) -> Stop:
    return {"message_type": "stop_reason", "stop_reason": reason}


def usage_statistics(run: Run) -> UsageStatistics:
    usage = run.usage
    return {
        "message_type": "usage_statistics",
        "completion_tokens": usage.completion_tokens,
        "prompt_tokens": usage.prompt_tokens,
        "total_tokens": usage.total_tokens,
        "step_count": run.steps,
        "run_ids": None,
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


def _shown(messages: Iterable[Message]) -> Iterable[Message]:
    return (message for message in messages if message.role in SHOWN_ROLES)


class Renderer:
    """Turns the events of one run into API messages, as they come.

    A message that was streamed in pieces is not sent again when it is finished, except for the
    parts that cannot be shown piece by piece: calls whose arguments have to be edited for display.
    """

    def __init__(self, run_id: str, display: Display) -> None:
        self._run_id = run_id
        self._display = display
        self._open: dict[str, _Partial] = {}

    def render(self, event: Delta | Made) -> list[LettaMessage]:
        """The API messages to send for an event; empty when there is nothing to show."""
        if isinstance(event, Delta):
            partial = self._open.setdefault(event.message_id, _Partial(self._run_id, self._display))
            messages = partial.piece(event)
        elif event.message.role in SHOWN_ROLES:
            streamed = self._open.pop(event.message.id, None)
            sent = streamed.sent if streamed else set()
            messages = [
                part
                for part in expand(event.message, self._display)
                if part["message_type"] not in sent and not (sent and _is_empty(part))
            ]
        else:
            messages = []
        return [message for message in messages if self._display.wants(message)]


def _is_empty(message: LettaMessage) -> bool:
    return message["message_type"] == "assistant_message" and not message["content"]


class _Partial:
    """A message that the model is still writing."""

    def __init__(self, run_id: str, display: Display) -> None:
        self.sent: set[str] = set()
        """Types of the parts that the client has had in pieces."""
        self._run_id = run_id
        self._display = display
        self._parts: dict[str, int] = {}
        self._call = ("", "")
        """Id and name of the tool call being written."""
        self._speech: dict[str, tuple[str, int]] = {}
        """Arguments so far of each call of the speaking tool, and how much of it was shown."""

    def piece(self, delta: Delta) -> list[LettaMessage]:
        if delta.kind == "tool_call":
            return self._tool_call(delta)
        if not delta.text:
            return []
        if delta.kind == "text" and self._display.text_is_assistant:
            return [self._assistant(delta, "text", delta.text)]
        source: Literal["reasoner_model", "non_reasoner_model"] = (
            "reasoner_model" if delta.kind == "reasoning" else "non_reasoner_model"
        )
        self.sent.add("reasoning_message")
        return [
            {
                **self._common(delta, delta.kind),
                "message_type": "reasoning_message",
                "source": source,
                "reasoning": delta.text,
                "signature": None,
            }
        ]

    def _tool_call(self, delta: Delta) -> list[LettaMessage]:
        if delta.tool_name:
            self._call = (delta.tool_call_id or "", delta.tool_name)
        identifier, name = self._call
        if self._display.use_assistant_message and name == self._display.tool_name:
            return self._spoken(delta, identifier)
        self._index("calls")
        if not self._display.text_is_assistant:
            return []
        self.sent.add("tool_call_message")
        call: Call = {
            "name": delta.tool_name,
            "arguments": delta.text or None,
            "tool_call_id": delta.tool_call_id,
        }
        return [
            {
                **self._common(delta, "calls"),
                "message_type": "tool_call_message",
                "tool_call": call,
                "tool_calls": call,
            }
        ]

    def _spoken(self, delta: Delta, identifier: str) -> list[LettaMessage]:
        written, shown = self._speech.get(identifier, ("", 0))
        written += delta.text
        words = _partial_object(written).get(self._display.tool_kwarg)
        self._speech[identifier] = written, len(words) if isinstance(words, str) else shown
        if not isinstance(words, str) or len(words) <= shown:
            self._index(identifier)
            return []
        return [self._assistant(delta, identifier, words[shown:])]

    def _assistant(self, delta: Delta, part: str, text: str) -> LettaMessage:
        self.sent.add("assistant_message")
        return {**self._common(delta, part), "message_type": "assistant_message", "content": text}

    def _index(self, part: str) -> int:
        return self._parts.setdefault(part, len(self._parts))

    def _common(self, delta: Delta, part: str) -> Common:
        return {
            "id": delta.message_id,
            "date": seconds(delta.created_at),
            "name": None,
            "otid": part_otid(delta.message_id, self._index(part)),
            "sender_id": None,
            "step_id": delta.step_id,
            "is_err": None,
            "seq_id": None,
            "run_id": self._run_id,
        }


def _partial_object(text: str) -> dict[str, object]:
    """The beginning of a JSON object, as far as it is written."""
    try:
        value = from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
