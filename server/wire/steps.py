"""Steps on the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from server.wire.common import DEFAULT_ORGANIZATION, AgentId, Keys, OldestFirst, PageParams, Short
from storage.queries import StepQuery
from storage.records import Step, StopReason


class StepResponse(TypedDict):
    id: str
    agent_id: str
    run_id: str
    status: Literal["pending", "success", "failed", "cancelled"]
    stop_reason: StopReason | None
    model: str
    model_handle: str
    model_endpoint: str | None
    provider_name: str
    provider_category: str
    provider_id: str | None
    context_window_limit: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]
    error_type: str | None
    error_data: dict[str, Any] | None
    feedback: Literal["positive", "negative"] | None
    tags: list[str]
    messages: list[dict[str, Any]]
    origin: str | None
    project_id: str | None
    request_id: str | None
    tid: str | None
    trace_id: str | None


def step_response(step: Step) -> StepResponse:
    usage = step.usage
    return {
        "id": step.id,
        "agent_id": step.agent_id,
        "run_id": step.run_id,
        "status": step.status,
        "stop_reason": step.stop_reason,
        "model": step.model,
        "model_handle": step.model_handle,
        "model_endpoint": step.model_endpoint,
        "provider_name": step.provider_name,
        "provider_category": "base",
        "provider_id": None,
        "context_window_limit": step.context_window,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_creation_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "error_type": step.error_type,
        "error_data": {"message": step.error} if step.error else None,
        "feedback": step.feedback,
        "tags": step.tags,
        "messages": [],
        "origin": step.origin,
        "project_id": None,
        "request_id": None,
        "tid": None,
        "trace_id": None,
    }


class StepMetrics(TypedDict):
    id: str
    agent_id: str
    run_id: str
    organization_id: str
    step_start_ns: int
    step_ns: int
    llm_request_ns: int
    tool_execution_ns: int


def step_metrics(step: Step) -> StepMetrics:
    return {
        "id": step.id,
        "agent_id": step.agent_id,
        "run_id": step.run_id,
        "organization_id": DEFAULT_ORGANIZATION,
        "step_start_ns": int(step.created_at.timestamp() * 1_000_000_000),
        "step_ns": step.step_ns,
        "llm_request_ns": step.llm_ns,
        "tool_execution_ns": step.tool_ns,
    }


class ListSteps(PageParams):
    cursors = "step"
    agent_id: AgentId | None = None
    trace_ids: Keys = Field([])
    feedback: Literal["positive", "negative"] | None = None
    has_feedback: bool | None = None
    tags: Keys = Field([])
    model: Short | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    project_id: Short | None = None

    def storage_query(self) -> StepQuery:
        return StepQuery(
            **self.page(),
            agent_id=self.agent_id,
            model=self.model,
            feedback=self.feedback,
            has_feedback=self.has_feedback,
            tags=self.tags,
            start=self.start_date,
            end=self.end_date,
            project_id=self.project_id,
        )


class ListStepMessages(OldestFirst):
    cursors = "message"
    limit: int = Field(100, ge=1, le=1000)
