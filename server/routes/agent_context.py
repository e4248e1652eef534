"""What is in an agent's context window, and what its model would be sent."""

from actors import compiled
from actors.models.payload import build
from actors.offer import Offer, model_request
from actors.protocol import AgentEdit
from server.blueprint import input_message
from server.errors import Unsupported
from server.model_choice import find_model
from server.routing import Routes, Server
from server.views import current_prompt
from server.wire.common import AgentId, Object
from server.wire.context import ContextWindowOverview, Recompile, RetrieveContext, context_overview
from server.wire.send import MessageCreate, SendMessages
from storage.errors import InvalidArgument

routes = Routes("agents")


@routes.get("/v1/agents/{agent_id}/context")
async def retrieve_context(
    server: Server, agent_id: AgentId, query: RetrieveContext
) -> ContextWindowOverview:
    """Retrieve what is in an agent's context window, part by part, with sizes in tokens.

    Nothing is changed: if memory has changed since the agent's last step, the prompt is compiled for
    this answer only.
    """
    if query.conversation_id not in (None, "default"):
        raise Unsupported("Conversations are not supported by this server")
    loaded = await server.fleet.agent(agent_id)
    return context_overview(
        loaded.state,
        loaded.blocks,
        await current_prompt(server.fleet, loaded),
        Offer(loaded.state.agent).schemas(),
        await server.fleet.archives.contents(loaded.state.agent),
    )


@routes.post("/v1/agents/{agent_id}/recompile")
async def recompile_agent(server: Server, agent_id: AgentId, query: Recompile) -> str:
    """Compile an agent's system prompt anew, and answer with it; with `dry_run` it is not stored."""
    if query.dry_run:
        loaded = await server.fleet.agent(agent_id)
        state, archival = loaded.state, await server.fleet.archives.contents(loaded.state.agent)
        return compiled.compile_text(state.agent, loaded.blocks, state.history, state.context, archival)
    loaded = await server.fleet.edit_agent(agent_id, AgentEdit(recompile=True))
    return loaded.state.context[0].text()


@routes.post("/v1/agents/{agent_id}/system-prompt/recompile", hidden=True)
async def recompile_system_prompt(server: Server, agent_id: AgentId, query: Recompile) -> str:
    """Compile an agent's system prompt anew; the older path."""
    return await recompile_agent(server, agent_id, query)


@routes.post("/v1/agents/{agent_id}/messages/preview-raw-payload")
async def preview_raw_payload(server: Server, agent_id: AgentId, body: SendMessages) -> Object:
    """Show what the model's provider would be sent for these messages. Nothing is sent or stored."""
    loaded = await server.fleet.agent(agent_id)
    state = loaded.state
    inputs = []
    for given in body.inputs():
        if not isinstance(given, MessageCreate):
            raise InvalidArgument("Only messages can be previewed, not approvals")
        inputs.append(input_message(agent_id, given))
    llm = await find_model(server, body.override_model) if body.override_model else state.agent.llm_config
    system = body.override_system or await current_prompt(server.fleet, loaded)
    request = model_request(state, system, inputs, llm, Offer(state.agent))
    return build(request, llm.model_endpoint_type, stream=body.streaming and body.stream_tokens)
