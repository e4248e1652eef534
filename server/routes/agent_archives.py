"""The archival memory of agents."""

from actors.archives import check_text
from actors.protocol import AgentEdit
from server.archive_choice import archive_of, find_archive
from server.routes.archives import passage_of, remove_passage
from server.routing import Routes, Server
from server.wire.archives import (
    CreatePassage,
    FoundPassages,
    ListPassages,
    PassageResponse,
    SearchAgentPassages,
    found_passages,
    passage_response,
)
from server.wire.common import AgentId, Deleted, Key, PassageId
from storage.errors import NotFound
from storage.queries import PassageQuery

routes = Routes("agents.archives")


@routes.patch("/v1/agents/{agent_id}/archives/attach/{archive_id}")
async def attach_archive(server: Server, agent_id: AgentId, archive_id: Key) -> None:
    """Give an agent an archive. It can have one; attaching the one that it has changes nothing."""
    await find_archive(server, archive_id)
    await server.fleet.edit_agent(agent_id, AgentEdit(attach_archive=archive_id))


@routes.patch("/v1/agents/{agent_id}/archives/detach/{archive_id}")
async def detach_archive(server: Server, agent_id: AgentId, archive_id: Key) -> None:
    """Take an archive from an agent. The archive stays."""
    await find_archive(server, archive_id)
    await server.fleet.edit_agent(agent_id, AgentEdit(detach_archive=archive_id))


@routes.post("/v1/agents/{agent_id}/archival-memory")
async def create_memory(server: Server, agent_id: AgentId, body: CreatePassage) -> list[PassageResponse]:
    """Put a text into an agent's archive. An agent that has none gets one."""
    check_text(body.text)
    _, archive = await archive_of(server, agent_id)
    if archive is None:
        edited = await server.fleet.edit_agent(agent_id, AgentEdit(default_archive=True))
        archive = await find_archive(server, edited.state.agent.archive_ids[0])
    stored = await server.fleet.archives.insert(archive, [passage_of(archive, body)])
    return [passage_response(passage, archive) for passage in stored]


@routes.get("/v1/agents/{agent_id}/archival-memory")
async def list_memories(server: Server, agent_id: AgentId, query: ListPassages) -> list[PassageResponse]:
    """List the passages in an agent's archive, by the time they are from."""
    page = query.page()
    _, archive = await archive_of(server, agent_id)
    if archive is None:
        return []
    found = await server.fleet.store.passages(PassageQuery(**page, archive_id=archive.id, text=query.search))
    return [passage_response(passage, archive) for passage in found]


@routes.get("/v1/agents/{agent_id}/archival-memory/search")
async def search_memories(server: Server, agent_id: AgentId, query: SearchAgentPassages) -> FoundPassages:
    """Search an agent's archive, by meaning if it has an embedding model, else by words."""
    check_text(query.query)
    agent, archive = await archive_of(server, agent_id)
    hits = await server.fleet.archives.search(archive, query.storage_search()) if archive else []
    return found_passages(hits, agent.timezone)


@routes.delete("/v1/agents/{agent_id}/archival-memory/{memory_id}")
async def delete_memory(server: Server, agent_id: AgentId, memory_id: PassageId) -> Deleted:
    """Delete a passage from an agent's archive."""
    _, archive = await archive_of(server, agent_id)
    if archive is None:
        raise NotFound(f"Passage not found with id='{memory_id}'")
    await remove_passage(server, archive, memory_id)
    return {"message": f"Memory id={memory_id} successfully deleted"}
