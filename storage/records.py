"""What is stored: the records, and how a checkpoint changes an agent's state.

An agent's life is a log of :class:`Delta`, one per commit. :func:`apply` folds a delta into a
:class:`State`; the same function runs in the agent, in the shard that folds the log into state
rows, and wherever a past state is rebuilt.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

import zstandard
from pydantic import BaseModel, ConfigDict, Field

from storage.ids import uuid_of

RECENT_KEYS = 64
LAST_PLACE = 2**63 - 1

StopReason = Literal[
    "end_turn",
    "error",
    "llm_api_error",
    "invalid_llm_response",
    "invalid_tool_call",
    "max_steps",
    "max_tokens_exceeded",
    "no_tool_call",
    "tool_rule",
    "cancelled",
    "insufficient_credits",
    "requires_approval",
    "context_window_overflow_in_system_prompt",
]
RunStatus = Literal["created", "running", "completed", "failed", "cancelled"]
AgentType = Literal[
    "memgpt_agent",
    "memgpt_v2_agent",
    "letta_v1_agent",
    "react_agent",
    "workflow_agent",
    "split_thread_agent",
    "sleeptime_agent",
    "voice_convo_agent",
    "voice_sleeptime_agent",
]


def now() -> datetime:
    return datetime.now(UTC)


class Record(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    def pack(self) -> bytes:
        """Compressed JSON without the fields that hold their default."""
        return zstandard.compress(self.model_dump_json(exclude_defaults=True).encode(), 1)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        return cls.model_validate_json(zstandard.decompress(data))

    def __reduce__(self) -> tuple[Any, ...]:
        # Between processes JSON is several times cheaper than a pickled pydantic object.
        return type(self).model_validate_json, (self.model_dump_json(exclude_defaults=True).encode(),)


class ToolCall(Record):
    id: str
    name: str
    arguments: str
    """The arguments as the model wrote them: a JSON object, if the model behaved."""


class ToolReturn(Record):
    tool_call_id: str
    name: str
    status: Literal["success", "error"]
    content: str
    stdout: list[str] = Field(default_factory=list)
    stderr: list[str] = Field(default_factory=list)


class Message(Record):
    """One row of an agent's history. One assistant message holds a step's reasoning, text and
    tool calls; one tool message holds all their returns."""

    id: str
    ordinal: int = 0
    """Position in the agent's whole history, from 0; given by :func:`apply`."""
    role: Literal["system", "user", "assistant", "tool", "summary"]
    created_at: datetime
    content: str | list[dict[str, Any]] | None = None
    """Text, or content parts as the API has them (``{"type": "text" | "image", ...}``)."""
    reasoning: str | None = None
    reasoning_signature: str | None = None
    tool_calls: list[ToolCall] = Field(default_factory=list)
    tool_returns: list[ToolReturn] = Field(default_factory=list)
    name: str | None = None
    otid: str | None = None
    sender_id: str | None = None
    group_id: str | None = None
    run_id: str | None = None
    step_id: str | None = None
    tokens: int = 0
    """Size in the prompt, counted once, when the message was made."""
    compaction: dict[str, Any] | None = None
    """Of a ``summary``: what caused it and what it saved (the API's ``compaction_stats``)."""

    def text(self) -> str:
        """The words of the message, without images."""
        if isinstance(self.content, list):
            return "\n".join(part.get("text", "") for part in self.content if part.get("text"))
        return self.content or ""


class Usage(Record):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})


class Step(Record):
    """One model call and the tools it asked for."""

    id: str
    run_id: str
    agent_id: str
    created_at: datetime
    model: str
    model_handle: str
    model_endpoint: str | None = None
    provider_name: str = ""
    context_window: int = 0
    usage: Usage = Field(default_factory=Usage)
    status: Literal["pending", "success", "failed", "cancelled"] = "success"
    stop_reason: StopReason | None = None
    error_type: str | None = None
    error: str | None = None
    step_ns: int = 0
    llm_ns: int = 0
    tool_ns: int = 0
    feedback: Literal["positive", "negative"] | None = None
    tags: list[str] = Field(default_factory=list)
    origin: str | None = None
    """``compaction`` for the model call that summarised older messages."""


class Run(Record):
    """All steps that one request caused."""

    id: str
    agent_id: str
    status: RunStatus
    created_at: datetime
    completed_at: datetime | None = None
    background: bool = False
    stop_reason: StopReason | None = None
    request: dict[str, Any] = Field(default_factory=dict)
    """The options of the request, enough to go on with the run after a crash."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    conversation_id: str | None = None
    usage: Usage = Field(default_factory=Usage)
    steps: int = 0
    """Committed steps."""
    ttft_ns: int | None = None
    total_duration_ns: int | None = None
    error_type: str | None = None
    error: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")


class Document(Record):
    """A record under an id of its own that several may change."""

    id: str
    version: int = 0
    """Counts its changes. A write names the version it is based on; a stale one is refused."""
    created_at: datetime
    updated_at: datetime
    deleted: bool = False


class Block(Document):
    """Labelled text in the prompt of every agent it is attached to."""

    label: str
    value: str
    limit: int = 100_000
    description: str | None = None
    read_only: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    name: str | None = None
    """Template name."""
    is_template: bool = False
    preserve_on_migration: bool = False
    hidden: bool | None = None
    project_id: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    deployment_id: str | None = None
    entity_id: str | None = None
    shared: bool = False
    """More than one agent has had it attached, so its changes are told to every host."""
    changed_by: dict[str, str] = Field(default_factory=dict)
    """What made this version: ``agent_id``, ``run_id``, ``step_id``, ``message_id``, ``tool_call_id``."""


class Archive(Document):
    """Passages that are searched together: the archival memory of the agents it is attached to. Deleting
    it deletes them."""

    name: str
    description: str | None = None
    embedding_config: dict[str, Any] | None = None
    """The model that its passages are embedded with; without one they are found by their words."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    agent_id: str | None = None
    """The agent that it was made for. It goes with that agent unless another has it by then."""


DOCUMENTS: dict[str, type[Document]] = {"block": Block, "archive": Archive}
"""The kinds of documents, by the prefix of their ids."""


class Passage(Record):
    """A text in an archive. It never changes; it can only be deleted."""

    id: str
    archive_id: str
    text: str
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime
    deleted: bool = False
    vector: bytes | None = Field(None, exclude=True)
    """What it means: float32 numbers in the machine's order. It is stored beside the JSON, not in it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _passage, (self.model_dump_json(exclude_defaults=True).encode(), self.vector)


def _passage(body: bytes, vector: bytes | None) -> Passage:
    passage = Passage.model_validate_json(body)
    passage.vector = vector
    return passage


class LlmConfig(Record):
    """The model an agent talks to, and how; the API's object of the same name."""

    model: str
    model_endpoint_type: str
    context_window: int
    handle: str
    provider_name: str
    provider_category: Literal["base", "byok"] = "base"
    display_name: str | None = None
    model_endpoint: str | None = None
    model_wrapper: str | None = None
    put_inner_thoughts_in_kwargs: bool = False
    temperature: float = 1.0
    max_tokens: int | None = None
    enable_reasoner: bool = True
    reasoning_effort: str | None = None
    max_reasoning_tokens: int = 0
    effort: str | None = None
    frequency_penalty: float | None = None
    compatibility_type: str | None = None
    verbosity: str | None = None
    tier: str | None = None
    parallel_tool_calls: bool = False
    response_format: dict[str, Any] | None = None
    strict: bool = False
    return_logprobs: bool = False
    top_logprobs: int | None = None
    return_token_ids: bool = False
    tool_call_parser: str | None = None


class Tool(Record):
    """Something the model can call; the API's object of the same name."""

    id: str
    name: str
    tool_type: str
    description: str = ""
    json_schema: dict[str, Any]
    """Function schema as the model sees it: ``name``, ``description``, ``parameters``."""
    tags: list[str] = Field(default_factory=list)
    source_type: str = "python"
    source_code: str | None = None
    args_json_schema: dict[str, Any] | None = None
    return_char_limit: int = 50_000
    pip_requirements: list[dict[str, Any]] | None = None
    npm_requirements: list[dict[str, Any]] | None = None
    default_requires_approval: bool | None = None
    enable_parallel_execution: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)
    project_id: str | None = None
    created_by_id: str | None = None


class Secret(Record):
    id: str
    key: str
    value: str
    description: str | None = None
    created_at: datetime


class Group(Record):
    """The sleep-time agents that look after an agent's memory in the background. It is part of the
    agent that they work for, and has that agent's uuid in its own id."""

    agent_ids: list[str]
    description: str = ""
    frequency: int | None = 5
    """They work after every so many runs, beginning with the first; ``None``: after each."""
    turns: int = -1
    """Runs since they last worked; -1 before the first."""
    last_message_id: str | None = None
    """The newest message that they have been shown."""


class Agent(Record):
    """What an agent is, without what it remembers. The API's ``AgentState`` is made from it."""

    id: str
    name: str
    agent_type: AgentType = "letta_v1_agent"
    system: str
    """The prompt's template, before memory is put in."""
    llm_config: LlmConfig
    embedding_config: dict[str, Any] | None = None
    compaction_settings: dict[str, Any] | None = None
    """As the client gave them; what is left out has its default."""
    compaction_llm: LlmConfig | None = None
    """The model that summarises, if it is not the agent's own."""
    response_format: dict[str, Any] | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] = Field(default_factory=list)
    tool_ids: list[str] = Field(default_factory=list)
    tool_rules: list[dict[str, Any]] = Field(default_factory=list)
    block_ids: list[str] = Field(default_factory=list)
    secrets: list[Secret] = Field(default_factory=list)
    identity_ids: list[str] = Field(default_factory=list)
    source_ids: list[str] = Field(default_factory=list)
    archive_ids: list[str] = Field(default_factory=list)
    """Its archival memory: one archive, or none until something is put into it."""
    project_id: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    deployment_id: str | None = None
    entity_id: str | None = None
    message_buffer_autoclear: bool = False
    enable_sleeptime: bool | None = None
    group: Group | None = None
    manager_id: str | None = None
    """Of a sleep-time agent: the agent that it works for."""
    timezone: str = "UTC"
    max_files_open: int | None = None
    per_file_view_window_char_limit: int | None = None
    hidden: bool | None = None
    created_by_id: str | None = None
    created_at: datetime
    updated_at: datetime
    last_run_completion: datetime | None = None
    last_run_duration_ms: int | None = None
    last_stop_reason: StopReason | None = None


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


class Page(BaseModel):
    """Where a listing starts and how far it goes. Cursors are ids; they belong to the listing's
    order, so ``after`` means "further on" whichever way it is sorted."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=1000)
    descending: bool = True
    after: str | None = None
    before: str | None = None


class AgentQuery(Page):
    order_by: Literal["created_at", "updated_at", "last_run_completion"] = "created_at"
    """Ids without a value come last."""
    name: str | None = None
    query_text: str | None = None
    """Part of the name, in any case."""
    tags: list[str] = []
    match_all_tags: bool = False
    project_id: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    identity_id: str | None = None
    created_by_id: str | None = None
    last_stop_reason: str | None = None
    block_id: str | None = None
    """Agents that this block is attached to."""
    archive_id: str | None = None
    """Agents that this archive is attached to."""
    grouped: bool = False
    """Only agents that have sleep-time agents."""
    hidden: bool = False
    """Whether hidden agents are listed too."""


@dataclass(slots=True, frozen=True)
class AgentKey:
    """Where an agent stands in a listing."""

    id: str
    value: int | None = None
    """Microseconds since 1970 of what the listing is ordered by; None by creation, which ids tell,
    and for agents that have no such time."""

    def place(self, sign: int) -> int:
        """A number that goes up along a listing; ``sign`` is -1 if that is descending, else 1."""
        return LAST_PLACE if self.value is None else self.value * sign

    def order(self, descending: bool) -> tuple[int, int]:
        """Sorts the keys of several shards into the listing's order."""
        sign = -1 if descending else 1
        return self.place(sign), uuid_of(self.id).int * sign


class BlockQuery(Page):
    descending: bool = False
    label: str | None = None
    name: str | None = None
    """Template name."""
    templates_only: bool = False
    label_search: str | None = None
    description_search: str | None = None
    value_search: str | None = None
    project_id: str | None = None
    tags: list[str] = []
    match_all_tags: bool = False
    agents_eq: list[int] = []
    """Connected to one of these numbers of agents."""
    agents_gt: int | None = None
    agents_lt: int | None = None
    hidden: bool = False


class VersionQuery(BaseModel):
    """Versions of a block, by their numbers."""

    model_config = ConfigDict(extra="forbid")

    block_id: str
    above: int | None = None
    below: int | None = None
    descending: bool = True
    limit: int = Field(50, ge=1, le=1000)


class DocumentQuery(Page):
    """Documents of one kind, by their ids; blocks have a query of their own."""

    kind: str
    """Prefix of the ids."""
    name: str | None = None


class PassageFilter(BaseModel):
    """Which passages are wanted."""

    model_config = ConfigDict(extra="forbid")

    archive_id: str | None = None
    """Without one, passages of all archives."""
    tags: list[str] = []
    match_all_tags: bool = False
    start: datetime | None = None
    end: datetime | None = None


class PassageQuery(PassageFilter, Page):
    """Passages by the time they are from. That time can be given, so ids do not tell it."""

    descending: bool = False
    text: str | None = None
    """Part of the text, in any case."""


class PassageSearch(PassageFilter):
    """The passages that match best: by meaning with a ``vector``, else by the words of the query."""

    query: str = ""
    vector: bytes | None = None
    """float32 numbers; only with an ``archive_id``, whose passages have vectors of the same size."""
    limit: int = Field(5, ge=1, le=1000)


@dataclass(slots=True)
class PassageHit:
    passage: Passage
    score: float
    """Higher is better: the cosine, or the BM25 score."""


@dataclass(slots=True, frozen=True)
class Contents:
    """What an archive has in it."""

    passages: int = 0
    tags: tuple[str, ...] = ()


class MessageQuery(Page):
    """Messages of one agent, or of all when ``agent_id`` is missing. Here ``after`` means newer and
    ``before`` older, whatever the order; the page is the newest rows when descending, the oldest
    otherwise, and comes back oldest first either way."""

    agent_id: str | None = None
    run_id: str | None = None
    step_id: str | None = None
    roles: list[str] = []
    words: list[str] = []
    """All of these must occur, in any case."""
    start: datetime | None = None
    end: datetime | None = None


class MessageSearch(BaseModel):
    """The messages that match best, of one agent or of all. Of system and tool messages there is nothing
    to be found."""

    model_config = ConfigDict(extra="forbid")

    query: str = ""
    """Any of its words, best matches first; words in double quotes as a phrase. Empty: the newest."""
    agent_id: str | None = None
    roles: list[Literal["user", "assistant", "summary", "reasoning"]] = []
    """``reasoning`` is an assistant's, apart from what it says. Without any, all of them."""
    start: datetime | None = None
    end: datetime | None = None
    limit: int = Field(50, ge=1, le=1000)


@dataclass(slots=True)
class Hit:
    """A message that was found."""

    message: Message
    agent_id: str
    role: str
    """As in a search's ``roles``: which of the message's texts was found."""
    score: float
    """Higher is better; 0 where nothing was to be matched."""
    rank: int = 0
    """Its place, from 1, among the matches; 0 where nothing was to be matched."""


def ranked(hits: Iterable[Hit], limit: int) -> list[Hit]:
    """The best of hits, perhaps of several shards, best first; of equally good ones the newest."""
    best = sorted(hits, key=lambda hit: (hit.score, hit.message.id), reverse=True)[:limit]
    return [replace(hit, rank=hit.rank and place) for place, hit in enumerate(best, 1)]


class RunQuery(Page):
    agent_ids: list[str] = []
    statuses: list[str] = []
    stop_reason: str | None = None
    background: bool | None = None
    conversation_id: str | None = None


class StepQuery(Page):
    agent_id: str | None = None
    run_id: str | None = None
    model: str | None = None
    feedback: str | None = None
    has_feedback: bool | None = None
    tags: list[str] = []
    start: datetime | None = None
    end: datetime | None = None
    project_id: str | None = None
