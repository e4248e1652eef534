"""Agents on the wire: the state of an agent as clients see it."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

from typing_extensions import TypedDict

from actors import summary_prompts
from actors.compaction import SUMMARIZER_MODELS, Settings
from server.wire.blocks import BlockResponse, block_response
from server.wire.common import DEFAULT_ORGANIZATION, DEFAULT_USER
from server.wire.groups import GroupResponse, group_response
from server.wire.model_settings import model_settings
from server.wire.tools import ToolResponse, tool_response
from storage.commits import Loaded
from storage.records import Agent, AgentType, LlmConfig, Secret, StopReason, Tool

Include = Literal[
    "agent.blocks",
    "agent.identities",
    "agent.managed_group",
    "agent.pending_approval",
    "agent.secrets",
    "agent.sources",
    "agent.tags",
    "agent.tools",
]
CompactionMode = Literal["all", "sliding_window", "self_compact_all", "self_compact_sliding_window"]
EVERYTHING: frozenset[str] = frozenset(
    (
        "agent.blocks",
        "agent.identities",
        "agent.managed_group",
        "agent.secrets",
        "agent.sources",
        "agent.tags",
        "agent.tools",
    )
)
"""What the answers to changes include; reads include only what is asked for."""


class MemoryResponse(TypedDict):
    agent_type: AgentType
    git_enabled: bool
    blocks: list[BlockResponse]
    file_blocks: list[dict[str, Any]]
    prompt_template: str


class SecretResponse(TypedDict):
    id: str
    key: str
    value: str
    description: str | None
    agent_id: str
    organization_id: str
    created_at: datetime
    updated_at: datetime
    created_by_id: str
    last_updated_by_id: str


class CompactionSettingsResponse(TypedDict):
    model: str | None
    model_settings: dict[str, Any] | None
    prompt: str | None
    prompt_acknowledgement: bool
    clip_chars: int | None
    mode: CompactionMode
    sliding_window_percentage: float


class AgentState(TypedDict):
    id: str
    name: str
    agent_type: AgentType
    system: str
    description: str | None
    metadata: dict[str, Any] | None
    model: str | None
    embedding: str | None
    llm_config: dict[str, Any]
    embedding_config: dict[str, Any] | None
    model_settings: dict[str, Any]
    compaction_settings: CompactionSettingsResponse
    response_format: dict[str, Any] | None
    memory: MemoryResponse
    blocks: list[BlockResponse]
    tools: list[ToolResponse]
    sources: list[dict[str, Any]]
    tags: list[str]
    tool_rules: list[dict[str, Any]]
    message_ids: list[str]
    secrets: list[SecretResponse]
    tool_exec_environment_variables: list[SecretResponse]
    project_id: str | None
    template_id: str | None
    base_template_id: str | None
    deployment_id: str | None
    entity_id: str | None
    identity_ids: list[str]
    identities: list[dict[str, Any]]
    pending_approval: None
    message_buffer_autoclear: bool
    enable_sleeptime: bool | None
    multi_agent_group: GroupResponse | None
    managed_group: GroupResponse | None
    last_run_completion: datetime | None
    last_run_duration_ms: int | None
    last_stop_reason: StopReason | None
    timezone: str
    max_files_open: int | None
    per_file_view_window_char_limit: int | None
    hidden: bool | None
    created_at: datetime
    updated_at: datetime
    created_by_id: str
    last_updated_by_id: str


def agent_state(loaded: Loaded, include: Collection[str], tools: Collection[Tool]) -> AgentState:
    """The API's view of an agent.

    Args:
        include: relationships to show (see :data:`Include`); the others are empty.
        tools: what is attached to the agent; used only when included.
    """
    agent = loaded.state.agent
    blocks = [block_response(block) for block in loaded.blocks] if "agent.blocks" in include else []
    secrets = [_secret(agent, each) for each in agent.secrets] if "agent.secrets" in include else []
    group = group_response(agent, agent.group) if agent.group and "agent.managed_group" in include else None
    return {
        "id": agent.id,
        "name": agent.name,
        "agent_type": agent.agent_type,
        "system": agent.system,
        "description": agent.description,
        "metadata": agent.metadata,
        "model": agent.llm_config.handle,
        "embedding": (agent.embedding_config or {}).get("handle"),
        "llm_config": llm_config(agent.llm_config),
        "embedding_config": agent.embedding_config,
        "model_settings": model_settings(agent.llm_config),
        "compaction_settings": compaction_settings(agent),
        "response_format": agent.response_format,
        "memory": {
            "agent_type": agent.agent_type,
            "git_enabled": False,
            "blocks": blocks,
            "file_blocks": [],
            "prompt_template": "",
        },
        "blocks": blocks,
        "tools": [tool_response(tool) for tool in tools] if "agent.tools" in include else [],
        "sources": [],
        "tags": agent.tags if "agent.tags" in include else [],
        "tool_rules": agent.tool_rules,
        "message_ids": [message.id for message in loaded.state.context],
        "secrets": secrets,
        "tool_exec_environment_variables": secrets,
        "project_id": agent.project_id,
        "template_id": agent.template_id,
        "base_template_id": agent.base_template_id,
        "deployment_id": agent.deployment_id,
        "entity_id": agent.entity_id,
        "identity_ids": agent.identity_ids,
        "identities": [],
        "pending_approval": None,
        "message_buffer_autoclear": agent.message_buffer_autoclear,
        "enable_sleeptime": agent.enable_sleeptime,
        "multi_agent_group": group,
        "managed_group": group,
        "last_run_completion": agent.last_run_completion,
        "last_run_duration_ms": agent.last_run_duration_ms,
        "last_stop_reason": agent.last_stop_reason,
        "timezone": agent.timezone,
        "max_files_open": agent.max_files_open,
        "per_file_view_window_char_limit": agent.per_file_view_window_char_limit,
        "hidden": agent.hidden,
        "created_at": agent.created_at,
        "updated_at": agent.updated_at,
        "created_by_id": agent.created_by_id or DEFAULT_USER,
        "last_updated_by_id": agent.created_by_id or DEFAULT_USER,
    }


def llm_config(config: LlmConfig) -> dict[str, Any]:
    # A pydantic object keeps exactly its fields in __dict__, and dumping it costs ten times this copy.
    return dict(config.__dict__)


def compaction_settings(agent: Agent) -> CompactionSettingsResponse:
    """What the agent was given, completed with the defaults for its model."""
    settings = Settings.of(agent)
    config = agent.llm_config
    summarizer = SUMMARIZER_MODELS.get(config.provider_name, config.model)
    return {
        "model": settings.model or f"{config.provider_name}/{summarizer}",
        "model_settings": settings.model_settings,
        "prompt": settings.prompt or summary_prompts.of_mode(settings.mode),
        "prompt_acknowledgement": settings.prompt_acknowledgement,
        "clip_chars": settings.clip_chars,
        "mode": settings.mode,
        "sliding_window_percentage": settings.sliding_window_percentage,
    }


def memory_response(loaded: Loaded) -> MemoryResponse:
    return {
        "agent_type": loaded.state.agent.agent_type,
        "git_enabled": False,
        "blocks": [block_response(block) for block in loaded.blocks],
        "file_blocks": [],
        "prompt_template": "",
    }


def _secret(agent: Agent, secret: Secret) -> SecretResponse:
    return {
        "id": secret.id,
        "key": secret.key,
        "value": secret.value,
        "description": secret.description,
        "agent_id": agent.id,
        "organization_id": DEFAULT_ORGANIZATION,
        "created_at": secret.created_at,
        "updated_at": secret.created_at,
        "created_by_id": DEFAULT_USER,
        "last_updated_by_id": DEFAULT_USER,
    }
