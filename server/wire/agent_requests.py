"""What clients may ask for an agent to be."""

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

from server.wire.agents import EVERYTHING, CompactionMode, Include
from server.wire.blocks import CreateBlock
from server.wire.common import (
    MAX_ITEMS,
    BlockId,
    Body,
    Key,
    Keys,
    Object,
    PageParams,
    Query,
    Short,
    Text,
    ToolId,
)
from server.wire.model_settings import LlmConfigInput, ModelSettings, ResponseFormat
from server.wire.send import MessageCreate
from server.wire.tool_rules import ToolRule
from storage.queries import AgentQuery
from storage.records import AgentType, StopReason


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not a time zone of the IANA database, such as Europe/Berlin")
    return name


Name = Annotated[str, StringConstraints(pattern=r"^[\w '\-]+$", max_length=255)]
Timezone = Annotated[str, StringConstraints(max_length=100), AfterValidator(_known_timezone)]
MAX_IN_CONTEXT = 20_000
Variables = Annotated[dict[Key, Text], Field(max_length=MAX_ITEMS)]


class CompactionSettings(Body):
    model: Key | None = None
    model_settings: ModelSettings | None = None
    prompt: Text | None = None
    prompt_acknowledgement: bool = False
    clip_chars: int | None = Field(None, ge=1, le=100_000_000)
    mode: CompactionMode = "sliding_window"
    sliding_window_percentage: float = Field(0.3, ge=0, le=1)

    nullable = frozenset({"clip_chars"})
    # Null means that a summary may be as long as it likes.


class EmbeddingConfigInput(Body):
    """An older way to choose an embedding model. The endpoint always comes from the provider."""

    embedding_model: Key
    embedding_endpoint_type: Short = "openai"
    handle: Key | None = None
    embedding_chunk_size: int | None = Field(None, ge=1, le=100_000)

    @property
    def resolved_handle(self) -> str:
        return self.handle or f"{self.embedding_endpoint_type}/{self.embedding_model}"


class AgentFields(Body):
    """What both creating and updating take."""

    name: Name | None = None
    system: Text | None = None
    description: Text | None = None
    metadata: Object | None = None
    model: Key | None = Field(None, description="Handle of the model, `provider/name`.")
    llm_config: LlmConfigInput | None = None
    model_settings: ModelSettings | None = None
    context_window_limit: int | None = Field(None, ge=1, le=100_000_000)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    parallel_tool_calls: bool | None = None
    reasoning: bool | None = None
    response_format: ResponseFormat | None = Field(None, discriminator="type")
    embedding: Key | None = None
    embedding_config: EmbeddingConfigInput | None = None
    compaction_settings: CompactionSettings | None = None
    tool_ids: list[ToolId] | None = Field(None, max_length=MAX_ITEMS)
    tool_rules: list[ToolRule] | None = Field(None, max_length=MAX_ITEMS)
    block_ids: list[BlockId] | None = Field(None, max_length=MAX_ITEMS)
    tags: Keys | None = None
    secrets: Variables | None = None
    tool_exec_environment_variables: Variables | None = None
    folder_ids: Keys | None = None
    source_ids: Keys | None = None
    identity_ids: Keys | None = None
    message_buffer_autoclear: bool | None = None
    enable_sleeptime: bool | None = None
    timezone: Timezone | None = None
    max_files_open: int | None = Field(None, ge=0, le=1000)
    per_file_view_window_char_limit: int | None = Field(None, ge=0, le=2_147_483_647)
    hidden: bool | None = None
    project_id: Short | None = None
    template_id: Short | None = None
    base_template_id: Short | None = None

    @property
    def variables(self) -> dict[str, str] | None:
        return self.secrets if self.secrets is not None else self.tool_exec_environment_variables


class CreateAgent(AgentFields):
    agent_type: AgentType = "letta_v1_agent"
    memory_blocks: list[CreateBlock] = Field([], max_length=MAX_ITEMS)
    tools: Keys = Field([], description="Names of tools to attach.")
    include_base_tools: bool = True
    include_multi_agent_tools: bool = False
    include_base_tool_rules: bool | None = None
    initial_message_sequence: list[MessageCreate] | None = Field(None, max_length=MAX_ITEMS)
    embedding_chunk_size: int = Field(300, ge=1, le=100_000)
    enable_reasoner: bool | None = None
    max_reasoning_tokens: int | None = Field(None, ge=0, le=10_000_000)


class UpdateAgent(AgentFields):
    message_ids: list[Short] | None = Field(None, max_length=MAX_IN_CONTEXT)
    last_stop_reason: StopReason | None = None
    last_run_completion: AwareDatetime | None = None
    last_run_duration_ms: int | None = Field(None, ge=0)

    nullable = frozenset({"max_tokens"})
    # Null means that the answer's length is up to the model again.


class RetrieveAgent(Query):
    include: list[Include] = Field([])
    include_relationships: Keys = Field([], description="Older form of `include`: `tools`, `memory`, ...")

    def included(self) -> frozenset[str]:
        return included(self.include, self.include_relationships)


class ListAgents(PageParams):
    cursors = "agent"
    order_by: Literal["created_at", "updated_at", "last_run_completion"] = "created_at"
    sort_by: Short | None = Field(None, description="Older form of `order_by`.")
    name: Short | None = None
    tags: Keys = Field([])
    match_all_tags: bool = False
    query_text: Short | None = Field(None, description="Part of the name, in any case.")
    project_id: Short | None = None
    template_id: Short | None = None
    base_template_id: Short | None = None
    identity_id: Short | None = None
    identifier_keys: Keys = Field([])
    created_by_id: Short | None = None
    last_stop_reason: StopReason | None = None
    include: list[Include] = Field([])
    include_relationships: Keys = Field([])
    show_hidden_agents: bool = False

    def included(self) -> frozenset[str]:
        return included(self.include, self.include_relationships)

    def storage_query(self) -> AgentQuery:
        legacy = self.sort_by if self.sort_by in ("created_at", "updated_at", "last_run_completion") else None
        return AgentQuery(
            **self.page(),
            order_by=self.order_by if "order_by" in self.model_fields_set or not legacy else legacy,
            name=self.name,
            query_text=self.query_text,
            tags=self.tags,
            match_all_tags=self.match_all_tags,
            project_id=self.project_id,
            template_id=self.template_id,
            base_template_id=self.base_template_id,
            created_by_id=self.created_by_id,
            last_stop_reason=self.last_stop_reason,
            hidden=self.show_hidden_agents,
        )


class ListAgentsOfBlock(PageParams):
    cursors = "agent"
    include: list[Include] = Field([])
    include_relationships: Keys = Field([])

    def included(self) -> frozenset[str]:
        return included(self.include, self.include_relationships)


def included(include: list[Include], relationships: list[str]) -> frozenset[str]:
    """The relationships to show. ``memory`` is the old name of the blocks."""
    older = {"agent.blocks" if name == "memory" else f"agent.{name}" for name in relationships}
    return frozenset(include) | (older & EVERYTHING)
