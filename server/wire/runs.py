"""Runs on the wire."""

from datetime import datetime
from typing import Any

from pydantic import Field
from typing_extensions import TypedDict

from server.wire.common import MAX_ITEMS, AgentId, OldestFirst, PageParams, Query, Short
from server.wire.messages import MessageType
from server.wire.send import DisplayOptions
from storage.queries import RunQuery
from storage.records import Run, RunStatus, StopReason

ACTIVE: tuple[RunStatus, ...] = ("created", "running")


class RequestConfig(TypedDict):
    use_assistant_message: bool
    assistant_message_tool_name: str
    assistant_message_tool_kwarg: str
    include_return_message_types: list[MessageType] | None


class RunResponse(TypedDict):
    id: str
    agent_id: str
    status: RunStatus
    created_at: datetime
    completed_at: datetime | None
    background: bool
    metadata: dict[str, Any]
    request_config: RequestConfig
    stop_reason: StopReason | None
    callback_url: str | None
    callback_sent_at: datetime | None
    callback_status_code: int | None
    callback_error: str | None
    ttft_ns: int | None
    total_duration_ns: int | None
    base_template_id: str | None
    conversation_id: str | None


def run_response(run: Run) -> RunResponse:
    return {
        "id": run.id,
        "agent_id": run.agent_id,
        "status": run.status,
        "created_at": run.created_at,
        "completed_at": run.completed_at,
        "background": run.background,
        "metadata": run.metadata | ({"error": run.error} if run.error else {}),
        "request_config": _request_config(run),
        "stop_reason": run.stop_reason,
        "callback_url": None,
        "callback_sent_at": None,
        "callback_status_code": None,
        "callback_error": None,
        "ttft_ns": run.ttft_ns,
        "total_duration_ns": run.total_duration_ns,
        "base_template_id": None,
        "conversation_id": run.conversation_id,
    }


def request_options(run: Run) -> DisplayOptions:
    """How the client that caused the run wants its messages."""
    return DisplayOptions.model_validate(run.request)


def _request_config(run: Run) -> RequestConfig:
    options = request_options(run)
    return {
        "use_assistant_message": options.use_assistant_message,
        "assistant_message_tool_name": options.assistant_message_tool_name,
        "assistant_message_tool_kwarg": options.assistant_message_tool_kwarg,
        "include_return_message_types": options.include_return_message_types,
    }


class PromptTokensDetails(TypedDict):
    cached_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int


class CompletionTokensDetails(TypedDict):
    reasoning_tokens: int


class RunUsage(TypedDict):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


def run_usage(run: Run) -> RunUsage:
    usage = run.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_read_tokens": usage.cached_input_tokens,
            "cache_creation_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


class ListRuns(PageParams):
    cursors = "run"
    limit: int = Field(100, ge=1, le=1000)
    agent_id: AgentId | None = None
    agent_ids: list[AgentId] = Field([], max_length=MAX_ITEMS)
    statuses: list[RunStatus] = Field([])
    active: bool = False
    background: bool | None = None
    stop_reason: StopReason | None = None
    conversation_id: Short | None = None

    def storage_query(self) -> RunQuery:
        agents = [*self.agent_ids, *([self.agent_id] if self.agent_id else [])]
        return RunQuery(
            **self.page(),
            agent_ids=agents,
            statuses=list(ACTIVE) if self.active else list(self.statuses),
            stop_reason=self.stop_reason,
            background=self.background,
            conversation_id=self.conversation_id,
        )


class ListRunMessages(OldestFirst):
    cursors = "message"
    limit: int = Field(100, ge=1, le=1000)


class ListRunSteps(PageParams):
    cursors = "step"
    limit: int = Field(100, ge=1, le=1000)


class ActiveRuns(Query):
    agent_id: AgentId | None = None
    background: bool | None = None
