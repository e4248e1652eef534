"""What the server and the hosts say to each other: requests, edits and the events of a run."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from storage.errors import GreenroomError
from storage.records import Block, LlmConfig, Message, Record, Run


class SendRequest(Record):
    """Messages for an agent, and how to run it on them."""

    run_id: str
    """Made by the server, with the agent's slot, so that a request sent twice is one run."""
    messages: list[Message]
    """Input, role ``user``, ``system`` or ``assistant``; ``run_id`` is set on each."""
    reply: Literal["result", "steps", "tokens"] = "result"
    """What comes back besides the final :class:`Ended`: nothing, each message, or token deltas."""
    max_steps: int = 50
    override_llm: LlmConfig | None = None
    override_system: str | None = None
    compaction_messages: bool = False
    """Whether the answer has the summaries in it that took the place of older messages."""
    background: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Kept on the run."""
    request_config: dict[str, Any] = Field(default_factory=dict)
    """Kept on the run: options that only the API's representation depends on."""


class AgentEdit(Record):
    """Changes to an agent, made in one commit between two of its steps."""

    set: dict[str, Any] = Field(default_factory=dict)
    """Fields of ``storage.records.Agent`` with their new JSON values."""
    attach_tools: list[str] = Field(default_factory=list)
    detach_tools: list[str] = Field(default_factory=list)
    attach_blocks: list[str] = Field(default_factory=list)
    detach_blocks: list[str] = Field(default_factory=list)
    message_ids: list[str] | None = None
    """The context from now on: messages of the agent's own history, beginning with its system message."""
    recompile: bool = False
    """Compile the system message anew although nothing that it is made from has changed."""
    attach_archive: str | None = None
    """An agent has at most one."""
    detach_archive: str | None = None
    default_archive: bool = False
    """Make an archive for the agent if it has none."""
    reset_messages: bool = False
    """Forget the context (not the history): only a fresh system message stays."""
    initial_messages: list[Message] = Field(default_factory=list)
    """Put into the context after a reset."""


class CompactRequest(Record):
    """Summarise an agent's older messages now."""

    run_id: str
    settings: dict[str, Any] = Field(default_factory=dict)
    """In place of the agent's own ``compaction_settings`` of the same names."""
    llm: LlmConfig | None = None
    """The model that summarises, if the settings name one."""


@dataclass(slots=True)
class Delta:
    """A piece of a message that the model is still writing."""

    message_id: str
    created_at: datetime
    step_id: str
    index: int
    """Which of the message's parts: the API shows reasoning, text and tool calls as separate ones."""
    kind: Literal["reasoning", "text", "tool_call"]
    text: str = ""
    """New text; for a tool call, a fragment of its arguments."""
    tool_call_id: str | None = None
    tool_name: str | None = None
    """With ``tool_call_id`` in the first delta of a call only."""


@dataclass(slots=True)
class Made:
    """A finished message, in the order of the history."""

    message: Message


@dataclass(slots=True)
class Ended:
    """The run is over and committed: its final record and the messages it made, inputs left out."""

    run: Run
    messages: list[Message]
    run_ids: list[str] = field(default_factory=list)
    """Runs of sleep-time agents that this one caused."""


@dataclass(slots=True)
class Failed:
    """The run is over and committed as failed, or could not start."""

    error: GreenroomError
    run_id: str


@dataclass(slots=True)
class Done:
    """The answer to an operation that is no run."""

    value: Any


Event = Delta | Made | Ended | Failed


@dataclass(slots=True)
class Operation:
    """What a server asks of an agent's host."""

    id: int
    """Names the operation in the replies to it."""
    kind: Literal["send", "enqueue", "compact", "edit", "delete", "cancel", "settle", "refresh", "drain"]
    agent_id: str
    """Empty for what concerns the whole host: ``refresh``, which tells a block's new version to every
    agent that has it, and ``drain``."""
    payload: Any = None
    """:class:`SendRequest`, :class:`CompactRequest`, :class:`AgentEdit`, run ids, a block, or seconds."""
    again: bool = False
    """The host that had it before died; what it did may be in the store already."""


@dataclass(slots=True)
class Announcement:
    """What a run has to tell others, before the run itself is answered: the new version of a shared
    block to all who have it, or a request to another agent."""

    block: Block | None = None
    agent_id: str = ""
    request: SendRequest | None = None


@dataclass(slots=True)
class Reply:
    operation: int
    event: Event | Announcement | Done
    last: bool


class Moved(GreenroomError):
    """The agent lives on another host."""

    code = "moved"
