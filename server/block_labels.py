"""Labels of blocks: no agent may have two blocks with the same one."""

from typing import TYPE_CHECKING

from storage.errors import Conflict
from storage.queries import AgentQuery
from storage.records import Block

if TYPE_CHECKING:
    from actors.fleet import Fleet

AT_ONCE = 200


async def check_label(fleet: "Fleet", block: Block, label: str | None) -> None:
    """Raises Conflict if an agent that has the block has another one with the label it is to get."""
    if label in (None, block.label):
        return
    query = AgentQuery(block_id=block.id, hidden=True, limit=AT_ONCE)
    while agents := await fleet.find_agents(query):
        for loaded in agents:
            if any(other.label == label and other.id != block.id for other in loaded.blocks):
                raise Conflict(f"Agent {loaded.state.agent.id} already has a block with label '{label}'")
        query = query.model_copy(update={"after": agents[-1].state.agent.id})
