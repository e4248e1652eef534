"""Blocks: labelled text that agents have in their prompts."""

from server.block_labels import check_label
from server.errors import Unsupported
from server.routing import Routes, Server
from server.views import check_cursors, view
from server.wire.agent_requests import ListAgentsOfBlock
from server.wire.agents import AgentState
from server.wire.blocks import BlockResponse, CreateBlock, ListBlocks, UpdateBlock, block_response
from server.wire.common import BlockId
from storage.ids import new_id
from storage.queries import AgentQuery, BlockQuery
from storage.records import Block, now

routes = Routes("blocks")


@routes.get("/v1/blocks/")
async def list_blocks(server: Server, query: ListBlocks) -> list[BlockResponse]:
    """List blocks."""
    if query.identity_id or query.identifier_keys:
        raise Unsupported("Identities are not supported, so blocks cannot be listed by them")
    await check_cursors(query, server.fleet.store.block)
    return [block_response(block) for block in await server.fleet.store.find_blocks(query.storage_query())]


@routes.get("/v1/blocks/count")
async def count_blocks(server: Server) -> int:
    """Count the blocks."""
    return await server.fleet.store.count_blocks(BlockQuery(hidden=True))


@routes.post("/v1/blocks/")
async def create_block(server: Server, body: CreateBlock) -> BlockResponse:
    """Create a block that no agent has yet."""
    created = now()
    block = Block(id=new_id("block"), created_at=created, updated_at=created, **body.fields())
    await server.fleet.store.create_block(block)
    return block_response(block)


@routes.get("/v1/blocks/{block_id}")
async def retrieve_block(server: Server, block_id: BlockId) -> BlockResponse:
    """Retrieve a block."""
    return block_response(await server.fleet.store.block(block_id))


@routes.patch("/v1/blocks/{block_id}")
async def update_block(server: Server, block_id: BlockId, body: UpdateBlock) -> BlockResponse:
    """Change a block. Every agent that has it sees the change at its next step."""
    await check_label(server.fleet, await server.fleet.store.block(block_id), body.label)
    return block_response(await server.fleet.edit_block(block_id, body.fields()))


@routes.delete("/v1/blocks/{block_id}")
async def delete_block(server: Server, block_id: BlockId) -> None:
    """Delete a block. The agents that have it lose it."""
    await server.fleet.delete_block(block_id)


@routes.get("/v1/blocks/{block_id}/agents")
async def list_agents_of_block(
    server: Server, block_id: BlockId, query: ListAgentsOfBlock
) -> list[AgentState]:
    """List the agents that have a block."""
    await server.fleet.store.block(block_id)
    found = await server.fleet.find_agents(AgentQuery(**query.page(), block_id=block_id, hidden=True))
    return [view(loaded, query.included()) for loaded in found]
