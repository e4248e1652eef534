"""What is stored: agents, their messages, steps and runs, the documents they share."""

from datetime import UTC, datetime
from typing import Any, Literal, Self

import zstandard
from pydantic import BaseModel, ConfigDict, Field

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
