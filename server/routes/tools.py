"""Tools, and which of them an agent has."""

from collections.abc import Iterable
from typing import get_args

from actors.protocol import AgentEdit
from actors.tools.builtin import BUILTIN, BY_ID
from server.routing import Routes, Server
from server.views import tools_of
from server.wire.common import DEFAULT_ORGANIZATION, AgentId, PageParams, ToolId
from server.wire.tools import ListAgentTools, ListTools, ToolResponse, ToolType, tool_response
from storage.errors import InvalidArgument, NotFound
from storage.records import Tool

routes = Routes("tools")

TOOL_TYPES = get_args(ToolType)


@routes.get("/v1/tools/")
async def list_tools(query: ListTools) -> list[ToolResponse]:
    """List tools."""
    for tool_type in (*query.tool_types, *query.exclude_tool_types):
        if tool_type not in TOOL_TYPES:
            raise InvalidArgument(
                f"There is no tool type '{tool_type}'; the types are {', '.join(TOOL_TYPES)}"
            )
    return _page((tool for tool in BUILTIN.values() if query.matches(tool)), query)


@routes.get("/v1/tools/count")
async def count_tools() -> int:
    """Count the tools."""
    return len(BUILTIN)


@routes.get("/v1/tools/{tool_id}")
async def retrieve_tool(tool_id: ToolId) -> ToolResponse:
    """Retrieve a tool."""
    return tool_response(_find(tool_id))


@routes.get("/v1/agents/{agent_id}/tools")
async def list_agent_tools(server: Server, agent_id: AgentId, query: ListAgentTools) -> list[ToolResponse]:
    """List the tools that an agent has."""
    loaded = await server.fleet.agent(agent_id)
    return _page(tools_of(loaded.state.agent), query)


@routes.patch("/v1/agents/{agent_id}/tools/attach/{tool_id}")
async def attach_tool(server: Server, agent_id: AgentId, tool_id: ToolId) -> None:
    """Give an agent a tool. Attaching one that it has changes nothing."""
    _find(tool_id)
    await server.fleet.edit_agent(agent_id, AgentEdit(attach_tools=[tool_id]))


@routes.patch("/v1/agents/{agent_id}/tools/detach/{tool_id}")
async def detach_tool(server: Server, agent_id: AgentId, tool_id: ToolId) -> None:
    """Take a tool from an agent. Detaching one that it does not have changes nothing."""
    await server.fleet.edit_agent(agent_id, AgentEdit(detach_tools=[tool_id]))


def _find(tool_id: str) -> Tool:
    if tool_id not in BY_ID:
        raise NotFound(f"Tool with id={tool_id} not found in organization={DEFAULT_ORGANIZATION}")
    return BY_ID[tool_id]


def _page(tools: Iterable[Tool], query: PageParams) -> list[ToolResponse]:
    """A page of tools. Built-in ones were all made at once, in the order of their table."""
    for cursor in (query.after, query.before):
        if cursor is not None and cursor not in BY_ID:
            raise NotFound(f"No Tool found with id '{cursor}'")
    sign = -1 if query.descending else 1
    places = {tool.id: sign * place for place, tool in enumerate(BUILTIN.values())}
    after = places[query.after] if query.after else -len(places)
    before = places[query.before] if query.before else len(places)
    ordered = sorted(tools, key=lambda tool: places[tool.id])
    rows = [tool for tool in ordered if after < places[tool.id] < before]
    page = rows[-query.limit :] if query.before and not query.after else rows[: query.limit]
    return [tool_response(tool) for tool in page]
