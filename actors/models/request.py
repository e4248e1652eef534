"""What is asked of a model and what it answers, the same for every provider."""

from dataclasses import dataclass, field
from typing import Any, Literal

from storage.records import LlmConfig, ToolCall, Usage


@dataclass(slots=True)
class ModelRequest:
    llm: LlmConfig
    messages: list[dict[str, Any]]
    """In the chat-completions format: roles ``system``, ``user``, ``assistant`` (with
    ``tool_calls``) and ``tool``."""
    tools: list[dict[str, Any]]
    """Function schemas: ``name``, ``description``, ``parameters``."""
    tool_choice: str | None = None
    """``None`` or ``"auto"``: as the model likes; ``"required"``: some tool; else a tool's name."""
    user: str | None = None
    """Agent id, handed to providers that want to know on whose behalf they work."""


@dataclass(slots=True)
class Completion:
    text: str | None = None
    reasoning: str | None = None
    reasoning_signature: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    finish_reason: str = "stop"
    """``stop``, ``tool_calls``, ``length``, ``content_filter`` or what else the provider says."""
    response_id: str = ""


@dataclass(slots=True)
class ModelDelta:
    """A piece of an answer that the model is still writing."""

    kind: Literal["reasoning", "text", "tool_call"]
    text: str = ""
    """New text; for a tool call, a fragment of its arguments."""
    index: int = 0
    """Which of the tool calls."""
    tool_call_id: str | None = None
    tool_name: str | None = None
    """With ``tool_call_id`` in the first delta of a call only."""
