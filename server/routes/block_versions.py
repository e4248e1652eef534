"""Versions of blocks: every edit of a block made one, and none is ever lost."""

import asyncio

from server.blame import blame
from server.block_labels import check_label
from server.routing import Routes, Server
from server.wire.blocks import BlockResponse, block_response
from server.wire.common import AgentId, BlockId
from server.wire.versions import BlockBlame, BlockVersionResponse, ListVersions, RevertBlock, version_response
from storage.errors import NotFound
from storage.queries import VersionQuery

routes = Routes("blocks")


@routes.get("/v1/blocks/{block_id}/versions")
async def list_block_versions(
    server: Server, block_id: BlockId, query: ListVersions
) -> list[BlockVersionResponse]:
    """List the versions of a block, with what made each of them. Their numbers are the cursors."""
    await server.fleet.store.block(block_id)
    found = await server.fleet.store.block_versions(query.storage_query(block_id))
    return [version_response(block) for block in (found[::-1] if query.backwards else found)]


@routes.post("/v1/blocks/{block_id}/revert")
async def revert_block(server: Server, block_id: BlockId, body: RevertBlock) -> BlockResponse:
    """Give a block the value, label and description of an older version again, as a new version.

    Every agent that has the block sees the change at its next step.
    """
    block = await server.fleet.store.block(block_id)
    wanted = VersionQuery(block_id=block_id, above=body.version - 1, descending=False, limit=1)
    found = await server.fleet.store.block_versions(wanted)
    if not found or found[0].version != body.version:
        raise NotFound(f"Block {block_id} has no version {body.version}")
    await check_label(server.fleet, block, found[0].label)
    changes = found[0].model_dump(include={"value", "label", "description"})
    return block_response(await server.fleet.edit_block(block_id, changes))


@routes.get("/v1/agents/{agent_id}/memory/blame")
async def blame_memory(server: Server, agent_id: AgentId) -> list[BlockBlame]:
    """Tell for every line of an agent's blocks which version, step, message and tool call wrote it, and
    when.

    A line counts as written by the version that it first stands in, as versions are compared line by
    line. Only so many versions are read back: where `complete` is false, the lines without a version
    are older than those.
    """
    loaded = await server.fleet.agent(agent_id)
    store = server.fleet.store
    return list(await asyncio.gather(*(blame(store, block.id) for block in loaded.blocks)))
