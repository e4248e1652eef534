"""Groups: agents and the sleep-time agents that look after their memory."""

from typing import Annotated

from actors.protocol import AgentEdit
from server.errors import Unsupported
from server.routing import Routes, Server
from server.sleeptime import end_sleeptime
from server.wire.common import AgentId, id_pattern
from server.wire.groups import GroupResponse, ListGroups, UpdateGroup, group_id, group_response, manager_id
from storage.errors import NotFound
from storage.queries import AgentQuery
from storage.records import Agent, Group

routes = Routes("groups")

GroupId = Annotated[str, id_pattern("group")]


@routes.get("/v1/groups/")
async def list_groups(server: Server, query: ListGroups) -> list[GroupResponse]:
    """List groups."""
    page = query.page()
    for side in ("after", "before"):
        page[side] = manager_id(page[side]) if page[side] else None
    found = await server.fleet.find_agents(AgentQuery(**page, grouped=True, hidden=True))
    agents = [loaded.state.agent for loaded in found]
    return [group_response(agent, agent.group) for agent in agents if agent.group]


@routes.post("/v1/groups/")
async def create_group() -> None:
    """Groups of this kind are made with their agent."""
    raise Unsupported("Groups are made by creating or updating an agent with `enable_sleeptime`")


@routes.get("/v1/groups/count")
async def count_groups(server: Server) -> int:
    """Count the groups."""
    return await server.fleet.store.count_agents(AgentQuery(grouped=True, hidden=True))


@routes.get("/v1/groups/{group_id}")
async def retrieve_group(server: Server, group_id: GroupId) -> GroupResponse:
    """Retrieve a group."""
    return group_response(*await _find(server, group_id))


@routes.patch("/v1/groups/{group_id}")
async def update_group(server: Server, group_id: GroupId, body: UpdateGroup) -> GroupResponse:
    """Change how often the sleep-time agents work."""
    agent, group = await _find(server, group_id)
    changes: dict[str, object] = {}
    if body.description is not None:
        changes["description"] = body.description
    if body.manager_config is not None:
        changes["frequency"] = body.manager_config.sleeptime_agent_frequency
    changed = group.model_copy(update=changes)
    loaded = await server.fleet.edit_agent(
        agent.id, AgentEdit(set={"group": changed.model_dump(mode="json")})
    )
    return group_response(loaded.state.agent, changed)


@routes.delete("/v1/groups/{group_id}")
async def delete_group(server: Server, group_id: GroupId) -> None:
    """Delete a group with its sleep-time agents. The agent that they worked for stays."""
    agent, _ = await _find(server, group_id)
    change = {"enable_sleeptime": False, "group": None}
    await server.fleet.edit_agent(agent.id, AgentEdit(set=change))
    await end_sleeptime(server, agent)


@routes.get("/v1/agents/{agent_id}/groups")
async def list_agent_groups(server: Server, agent_id: AgentId) -> list[GroupResponse]:
    """List the groups that an agent is in."""
    agent = (await server.fleet.agent(agent_id)).state.agent
    ids = [group_id(each) for each in (agent.id, agent.manager_id) if each]
    groups = [await _find_if_there(server, each) for each in ids]
    return [group_response(*each) for each in groups if each]


async def _find(server: Server, group_id: str) -> tuple[Agent, Group]:
    found = await _find_if_there(server, group_id)
    if found is None:
        raise NotFound(f"Group not found with id='{group_id}'")
    return found


async def _find_if_there(server: Server, group_id: str) -> tuple[Agent, Group] | None:
    try:
        agent = (await server.fleet.agent(manager_id(group_id))).state.agent
    except NotFound:
        return None
    return (agent, agent.group) if agent.group else None
