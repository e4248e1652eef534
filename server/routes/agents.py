"""Agents: create, retrieve, change, list, delete."""

from actors.protocol import AgentEdit
from actors.tools.rules import deduplicate
from server.blueprint import (
    build_agent,
    check_supported,
    find_tools,
    plain_fields,
    rules_of,
    secrets_of,
)
from server.errors import Unsupported
from server.model_choice import change_model, choose_embedding, choose_summarizer
from server.routing import Routes, Server
from server.sleeptime import add_sleeptime, end_sleeptime
from server.views import view
from server.wire.agent_requests import CreateAgent, ListAgents, RetrieveAgent, UpdateAgent
from server.wire.agents import EVERYTHING, AgentState
from server.wire.common import AgentId, Deleted
from storage.queries import AgentQuery

routes = Routes("agents")


@routes.post("/v1/agents/")
async def create_agent(server: Server, body: CreateAgent) -> AgentState:
    """Create an agent."""
    loaded, new_blocks = await build_agent(server, body)
    await server.fleet.create_agent(loaded.state, new_blocks)
    server.known.remember(loaded.state.agent.id, loaded.state.agent.agent_type)
    if body.enable_sleeptime:
        loaded = await add_sleeptime(server, loaded)
    return view(loaded, EVERYTHING)


@routes.get("/v1/agents/")
async def list_agents(server: Server, query: ListAgents) -> list[AgentState]:
    """List agents."""
    if query.identity_id or query.identifier_keys:
        raise Unsupported("Identities are not supported, so agents cannot be listed by them")
    return [
        view(loaded, query.included()) for loaded in await server.fleet.find_agents(query.storage_query())
    ]


@routes.get("/v1/agents/count")
async def count_agents(server: Server) -> int:
    """Count the agents."""
    return await server.fleet.store.count_agents(AgentQuery(hidden=True))


@routes.get("/v1/agents/{agent_id}")
async def retrieve_agent(server: Server, agent_id: AgentId, query: RetrieveAgent) -> AgentState:
    """Retrieve an agent."""
    return view(await server.fleet.agent(agent_id), query.included())


@routes.patch("/v1/agents/{agent_id}")
async def update_agent(server: Server, agent_id: AgentId, body: UpdateAgent) -> AgentState:
    """Change an agent. Lists replace what was there.

    `message_ids` says what is in the agent's context from now on: messages of its own history, the
    system message first. Messages that had left the context can be brought back with it, so this is
    also how a compaction is undone: with the ids that were in context before it.
    """
    loaded = await server.fleet.edit_agent(agent_id, await _edit(server, agent_id, body))
    if body.enable_sleeptime:
        loaded = await add_sleeptime(server, loaded)
    return view(loaded, EVERYTHING)


@routes.delete("/v1/agents/{agent_id}")
async def delete_agent(server: Server, agent_id: AgentId) -> Deleted:
    """Delete an agent and its messages. Its blocks stay where other agents have them."""
    agent = (await server.fleet.agent(agent_id)).state.agent
    await server.fleet.delete_agent(agent_id)
    server.known.forget(agent_id)
    await end_sleeptime(server, agent)
    return {"message": f"Agent id={agent_id} successfully deleted"}


async def _edit(server: Server, agent_id: str, body: UpdateAgent) -> AgentEdit:
    """The commit that an update asks for."""
    check_supported(body)
    agent = (await server.fleet.agent(agent_id)).state.agent
    fields = plain_fields(body)
    if "compaction_settings" in fields:
        fields["compaction_settings"] = {**(agent.compaction_settings or {}), **fields["compaction_settings"]}
        if summarizer := await choose_summarizer(server, body):
            fields["compaction_llm"] = summarizer.model_dump(mode="json")
    llm_config = await change_model(server, agent.llm_config, body)
    if llm_config is not agent.llm_config:
        fields["llm_config"] = llm_config.model_dump(mode="json")
    embedding = await choose_embedding(server, body)
    if embedding is not None:
        fields["embedding_config"] = embedding
    if body.tool_ids is not None:
        fields["tool_ids"] = [tool.id for tool in find_tools(dict.fromkeys(body.tool_ids))]
    rules = rules_of(body)
    if rules is not None:
        fields["tool_rules"] = deduplicate(rules)
    if body.block_ids is not None:
        fields["block_ids"] = list(dict.fromkeys(body.block_ids))
    if body.variables is not None:
        kept = secrets_of(body.variables, agent_id, agent.secrets)
        fields["secrets"] = [secret.model_dump(mode="json") for secret in kept]
    return AgentEdit(set=fields, message_ids=body.message_ids)
