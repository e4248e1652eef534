"""The blocks in an agent's core memory, by their labels."""

from actors.protocol import AgentEdit
from server.block_labels import check_label
from server.routing import Routes, Server
from server.views import view
from server.wire.agents import EVERYTHING, AgentState, MemoryResponse, memory_response
from server.wire.blocks import BlockResponse, ListAgentBlocks, UpdateBlock, block_response
from server.wire.common import AgentId, BlockId, Key
from storage.commits import Loaded
from storage.errors import NotFound
from storage.records import Block

routes = Routes("agents.blocks")


@routes.get("/v1/agents/{agent_id}/core-memory")
async def retrieve_core_memory(server: Server, agent_id: AgentId) -> MemoryResponse:
    """Retrieve an agent's core memory."""
    return memory_response(await server.fleet.agent(agent_id))


@routes.get("/v1/agents/{agent_id}/core-memory/blocks")
async def list_agent_blocks(server: Server, agent_id: AgentId, query: ListAgentBlocks) -> list[BlockResponse]:
    """List the blocks of an agent."""
    loaded = await server.fleet.agent(agent_id)
    return [block_response(block) for block in query.pick(loaded.blocks)]


@routes.get("/v1/agents/{agent_id}/core-memory/blocks/{block_label}")
async def retrieve_agent_block(server: Server, agent_id: AgentId, block_label: Key) -> BlockResponse:
    """Retrieve a block of an agent by its label."""
    return block_response(_labelled(await server.fleet.agent(agent_id), block_label))


@routes.patch("/v1/agents/{agent_id}/core-memory/blocks/{block_label}")
async def update_agent_block(
    server: Server, agent_id: AgentId, block_label: Key, body: UpdateBlock
) -> BlockResponse:
    """Change a block of an agent; its label may change too."""
    loaded = await server.fleet.agent(agent_id)
    block = _labelled(loaded, block_label)
    await check_label(server.fleet, block, body.label)
    return block_response(await server.fleet.edit_block(block.id, body.fields()))


@routes.patch("/v1/agents/{agent_id}/core-memory/blocks/attach/{block_id}")
async def attach_block(server: Server, agent_id: AgentId, block_id: BlockId) -> AgentState:
    """Give an agent a block. Attaching one that it has changes nothing."""
    loaded = await server.fleet.edit_agent(agent_id, AgentEdit(attach_blocks=[block_id]))
    group = loaded.state.agent.group
    for sleeptime_id in group.agent_ids if group else []:
        await server.fleet.edit_agent(sleeptime_id, AgentEdit(attach_blocks=[block_id]))
    return view(loaded, EVERYTHING)


@routes.patch("/v1/agents/{agent_id}/core-memory/blocks/detach/{block_id}")
async def detach_block(server: Server, agent_id: AgentId, block_id: BlockId) -> AgentState:
    """Take a block from an agent. The block stays."""
    return view(await server.fleet.edit_agent(agent_id, AgentEdit(detach_blocks=[block_id])), EVERYTHING)


def _labelled(loaded: Loaded, label: str) -> Block:
    for block in loaded.blocks:
        if block.label == label:
            return block
    raise NotFound(f"No block with label '{label}' found for agent '{loaded.state.agent.id}'")
