"""Tools on the wire."""

from typing import Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from server.wire.common import DEFAULT_USER, Keys, PageParams, Short
from storage.records import Tool

ToolType = Literal[
    "custom",
    "letta_core",
    "letta_memory_core",
    "letta_multi_agent_core",
    "letta_sleeptime_core",
    "letta_voice_sleeptime_core",
    "letta_builtin",
    "letta_files_core",
    "external_langchain",
    "external_composio",
    "external_mcp",
]


class ToolResponse(TypedDict):
    id: str
    name: str
    tool_type: str
    description: str
    json_schema: dict[str, Any]
    tags: list[str]
    source_type: str
    source_code: str | None
    args_json_schema: dict[str, Any] | None
    return_char_limit: int
    pip_requirements: list[dict[str, Any]] | None
    npm_requirements: list[dict[str, Any]] | None
    default_requires_approval: bool | None
    enable_parallel_execution: bool
    metadata_: dict[str, Any]
    project_id: str | None
    created_by_id: str | None
    last_updated_by_id: str | None


def tool_response(tool: Tool) -> ToolResponse:
    return {
        "id": tool.id,
        "name": tool.name,
        "tool_type": tool.tool_type,
        "description": tool.description,
        "json_schema": tool.json_schema,
        "tags": tool.tags,
        "source_type": tool.source_type,
        "source_code": tool.source_code,
        "args_json_schema": tool.args_json_schema,
        "return_char_limit": tool.return_char_limit,
        "pip_requirements": tool.pip_requirements,
        "npm_requirements": tool.npm_requirements,
        "default_requires_approval": tool.default_requires_approval,
        "enable_parallel_execution": tool.enable_parallel_execution,
        "metadata_": tool.metadata,
        "project_id": tool.project_id,
        "created_by_id": tool.created_by_id or DEFAULT_USER,
        "last_updated_by_id": tool.created_by_id or DEFAULT_USER,
    }


class ListAgentTools(PageParams):
    cursors = "tool"
    limit: int = Field(10, ge=1, le=1000)


class ListTools(PageParams):
    cursors = "tool"
    name: Short | None = None
    names: Keys = Field([])
    tool_ids: Keys = Field([])
    search: Short | None = Field(None, description="Part of the name, in any case.")
    tool_types: Keys = Field([])
    exclude_tool_types: Keys = Field([])
    return_only_letta_tools: bool = False
    project_id: Short | None = None

    def matches(self, tool: Tool) -> bool:
        return (
            (self.name is None or tool.name == self.name)
            and (not self.names or tool.name in self.names)
            and (not self.tool_ids or tool.id in self.tool_ids)
            and (self.search is None or self.search.lower() in tool.name.lower())
            and (not self.tool_types or tool.tool_type in self.tool_types)
            and tool.tool_type not in self.exclude_tool_types
            and (not self.return_only_letta_tools or tool.tool_type.startswith("letta_"))
            and (self.project_id is None or tool.project_id == self.project_id)
        )
