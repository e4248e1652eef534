"""How an agent changes: one :class:`Delta` per commit, folded into its :class:`State`.

An agent's life is a log of deltas. :func:`apply` folds one into the state; the same function runs in
the agent, in the shard that folds the log into state rows, and wherever a past state is rebuilt.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from storage.records import Agent, Block, Document, Message, Passage, Record, Run, Step

RECENT_KEYS = 64


class QueuedRun(Record):
    """A request that was acknowledged before it ran. It is kept until its run has ended, so that it
    is run whatever dies in between."""

    run: Run
    request: dict[str, Any]
    """``actors.protocol.SendRequest`` as JSON values."""


class State(Record):
    """Everything an agent needs to go on: what it is, the messages in its context, its open run."""

    agent: Agent
    context: list[Message] = Field(default_factory=list)
    """In-context messages, oldest first; the first is the system message with the compiled prompt."""
    history: int = 0
    """Messages ever made; the next one's ordinal."""
    run: Run | None = None
    """The run in progress, if any."""
    queued: list[QueuedRun] = Field(default_factory=list)
    """Requests that run when their turn comes, oldest first."""
    keys: dict[str, str] = Field(default_factory=dict)
    """The newest ``RECENT_KEYS`` client message keys (``otid``) and the run each one started."""
    compiled: dict[str, int] = Field(default_factory=dict)
    """Block versions that the system message was compiled from."""


class Delta(Record):
    """What one commit changes. Fields left out change nothing."""

    agent: dict[str, Any] = Field(default_factory=dict)
    """Changed fields of :class:`Agent`, as JSON values."""
    messages: list[Message] = Field(default_factory=list)
    """New messages, appended to history and context."""
    system: str | None = None
    """New text of the system message."""
    compiled: dict[str, int] | None = None
    context: list[str] | None = None
    """Ids of the messages in context from now on, in their order, the new ones included."""
    recalled: list[Message] = Field(default_factory=list)
    """Older messages that come back into the context; they are in the history already."""
    run: Run | None = None
    step: Step | None = None
    queued: list[QueuedRun] = Field(default_factory=list)


def apply(state: State, delta: Delta) -> None:
    """Fold one commit into the state, in place.

    The delta's messages get their ordinals here, so that agent and shard agree on them.
    """
    if delta.agent:
        state.agent = Agent.model_validate({**state.agent.model_dump(), **delta.agent})
    for message in delta.messages:
        message.ordinal = state.history
        state.history += 1
        state.context.append(message)
    if delta.context is not None:
        by_id = {message.id: message for message in [*delta.recalled, *state.context]}
        state.context = [by_id[identifier] for identifier in delta.context if identifier in by_id]
    if delta.system is not None and state.context:
        state.context[0] = state.context[0].model_copy(update={"content": delta.system})
    if delta.compiled is not None:
        state.compiled = delta.compiled
    if delta.run is not None:
        state.run = None if delta.run.ended else delta.run
        if delta.run.ended:
            state.queued = [each for each in state.queued if each.run.id != delta.run.id]
            agent = state.agent
            agent.last_stop_reason = delta.run.stop_reason
            agent.last_run_completion = delta.run.completed_at
            agent.last_run_duration_ms = (delta.run.total_duration_ns or 0) // 1_000_000
            agent.updated_at = delta.run.completed_at or agent.updated_at
    state.queued += delta.queued
    _remember_keys(state, delta.messages)


def _remember_keys(state: State, messages: list[Message]) -> None:
    for message in messages:
        if message.role == "user" and message.otid and message.run_id:
            state.keys[message.otid] = message.run_id
    while len(state.keys) > RECENT_KEYS:
        del state.keys[next(iter(state.keys))]


@dataclass(slots=True)
class BlockWrite:
    """A new version of a block, to be committed together with what caused it."""

    block: Block
    based_on: int | None
    """The version it replaces; ``None`` for a block that is new."""


@dataclass(slots=True)
class DocumentWrite:
    """A new version of a document that is no block."""

    document: Document
    based_on: int | None
    """The version it replaces; ``None`` for a document that is new."""


@dataclass(slots=True)
class Entry:
    """One row of the step log: what one commit hands to the store.

    ``create`` carries a packed :class:`State`, ``step`` and ``edit`` a packed :class:`Delta`,
    ``delete`` nothing; ``blocks`` and ``documents`` have writes that belong to no agent.
    """

    kind: Literal["create", "step", "edit", "delete", "blocks", "documents"]
    stream: str
    """The agent's id; for ``blocks`` and ``documents`` the id of the first of them."""
    seq: int
    """0 for ``create``, then one more for each commit of this agent; ignored where there is none."""
    epoch: int
    payload: bytes = b""
    key: str | None = None
    """Makes a repeated commit harmless: the same seq and key are acknowledged again."""
    blocks: list[BlockWrite] = field(default_factory=list)
    documents: list[DocumentWrite] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    """New passages, and deleted ones. Their archives must exist, and be in this shard."""

    def writes(self) -> Iterator[tuple[Document, int | None]]:
        """The documents it writes, blocks too, with the version that each replaces."""
        for block_write in self.blocks:
            yield block_write.block, block_write.based_on
        for write in self.documents:
            yield write.document, write.based_on


@dataclass(slots=True, frozen=True)
class Committed:
    """The acknowledgement of an entry: it is in the log, durably."""

    seq: int
    epoch: int
    """The epoch it was committed under; an older one than the entry's if it is a repeated entry."""


@dataclass(slots=True)
class Loaded:
    """An agent as the store has it."""

    seq: int
    state: State
    blocks: list[Block]
