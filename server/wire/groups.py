"""Groups: an agent and the sleep-time agents that look after its memory."""

from typing import Literal

from pydantic import Field
from typing_extensions import TypedDict

from server.wire.common import Body, PageParams, Text
from storage.records import Agent, Group


class GroupResponse(TypedDict):
    id: str
    manager_type: Literal["sleeptime"]
    agent_ids: list[str]
    description: str
    manager_agent_id: str
    sleeptime_agent_frequency: int | None
    turns_counter: int
    last_processed_message_id: str | None
    shared_block_ids: list[str]
    max_turns: None
    termination_token: None
    max_message_buffer_length: None
    min_message_buffer_length: None
    hidden: bool | None
    project_id: str | None
    template_id: None
    base_template_id: None
    deployment_id: None


class ManagerConfig(Body):
    manager_type: Literal["sleeptime"] = "sleeptime"
    sleeptime_agent_frequency: int | None = Field(None, ge=1, le=10_000)


class UpdateGroup(Body):
    description: Text | None = None
    manager_config: ManagerConfig | None = None


class ListGroups(PageParams):
    cursors = "group"
    limit: int = Field(50, ge=1, le=1000)


def group_response(agent: Agent, group: Group) -> GroupResponse:
    return {
        "id": group_id(agent.id),
        "manager_type": "sleeptime",
        "agent_ids": group.agent_ids,
        "description": group.description,
        "manager_agent_id": agent.id,
        "sleeptime_agent_frequency": group.frequency,
        "turns_counter": group.turns,
        "last_processed_message_id": group.last_message_id,
        "shared_block_ids": agent.block_ids,
        "max_turns": None,
        "termination_token": None,
        "max_message_buffer_length": None,
        "min_message_buffer_length": None,
        "hidden": agent.hidden,
        "project_id": agent.project_id,
        "template_id": None,
        "base_template_id": None,
        "deployment_id": None,
    }


def group_id(agent_id: str) -> str:
    """The id of an agent's group."""
    return f"group-{agent_id.removeprefix('agent-')}"


def manager_id(group_id: str) -> str:
    """The id of the agent that has this group."""
    return f"agent-{group_id.removeprefix('group-')}"
