"""Archives: passages that agents search together."""

from actors.archives import new_passage
from server.archive_choice import archive_of, find_archive
from server.model_choice import choose_embedding
from server.routing import Routes, Server
from server.views import check_cursors, view
from server.wire.agent_requests import ListAgentsOfBlock
from server.wire.agents import AgentState
from server.wire.archives import (
    ArchiveResponse,
    CreateArchive,
    CreatePassage,
    CreatePassages,
    ListArchives,
    PassageResponse,
    UpdateArchive,
    archive_response,
    passage_response,
)
from server.wire.common import Key, PassageId
from storage.errors import NotFound
from storage.ids import new_id
from storage.queries import AgentQuery, DocumentQuery
from storage.records import Archive, Passage, now

routes = Routes("archives")


@routes.post("/v1/archives/")
async def create_archive(server: Server, body: CreateArchive) -> ArchiveResponse:
    """Create an archive. Without an embedding model, its passages are found by their words."""
    embedding = await choose_embedding(server, body)
    if embedding is None and server.settings.default_embedding:
        embedding = await server.catalog.resolve_embedding(server.settings.default_embedding)
    made = now()
    archive = Archive(
        id=new_id("archive"),
        name=body.name,
        description=body.description,
        embedding_config=embedding,
        created_at=made,
        updated_at=made,
    )
    await server.fleet.store.create_document(archive)
    return archive_response(archive)


@routes.get("/v1/archives/")
async def list_archives(server: Server, query: ListArchives) -> list[ArchiveResponse]:
    """List archives."""

    async def find(cursor: str) -> Archive:
        return await find_archive(server, cursor)

    await check_cursors(query, find)
    if query.agent_id is not None:
        _, archive = await archive_of(server, query.agent_id)
        wanted = archive and not (query.after or query.before) and query.name in (None, archive.name)
        return [archive_response(archive)] if archive and wanted else []
    page = DocumentQuery(**query.page(), kind="archive", name=query.name)
    return [archive_response(archive) for archive in await server.fleet.store.find_documents(Archive, page)]


@routes.get("/v1/archives/{archive_id}")
async def retrieve_archive(server: Server, archive_id: Key) -> ArchiveResponse:
    """Retrieve an archive."""
    return archive_response(await find_archive(server, archive_id))


@routes.patch("/v1/archives/{archive_id}")
async def update_archive(server: Server, archive_id: Key, body: UpdateArchive) -> ArchiveResponse:
    """Change an archive's name or description."""
    await find_archive(server, archive_id)
    return archive_response(await server.fleet.store.edit_document(Archive, archive_id, body.given()))


@routes.delete("/v1/archives/{archive_id}", status=204)
async def delete_archive(server: Server, archive_id: Key) -> None:
    """Delete an archive and the passages in it. The agents that have it lose it."""
    await find_archive(server, archive_id)
    await server.fleet.store.edit_document(Archive, archive_id, {"deleted": True})


@routes.get("/v1/archives/{archive_id}/agents")
async def list_agents_of_archive(
    server: Server, archive_id: Key, query: ListAgentsOfBlock
) -> list[AgentState]:
    """List the agents that have an archive."""
    await find_archive(server, archive_id)
    found = await server.fleet.find_agents(AgentQuery(**query.page(), archive_id=archive_id, hidden=True))
    return [view(loaded, query.included()) for loaded in found]


@routes.post("/v1/archives/{archive_id}/passages")
async def create_passage(server: Server, archive_id: Key, body: CreatePassage) -> PassageResponse:
    """Put a text into an archive."""
    [created] = await create_passages(server, archive_id, CreatePassages(passages=[body]))
    return created


@routes.post("/v1/archives/{archive_id}/passages/batch")
async def create_passages(server: Server, archive_id: Key, body: CreatePassages) -> list[PassageResponse]:
    """Put texts into an archive, all or none."""
    archive = await find_archive(server, archive_id)
    passages = [passage_of(archive, given) for given in body.passages]
    stored = await server.fleet.archives.insert(archive, passages)
    return [passage_response(passage, archive) for passage in stored]


@routes.delete("/v1/archives/{archive_id}/passages/{passage_id}", status=204)
async def delete_passage(server: Server, archive_id: Key, passage_id: PassageId) -> None:
    """Delete a passage of an archive."""
    await remove_passage(server, await find_archive(server, archive_id), passage_id)


def passage_of(archive: Archive, given: CreatePassage) -> Passage:
    """The passage that a client wants in an archive; it is not stored yet."""
    return new_passage(
        archive, given.text, tags=given.tags, metadata=given.metadata, created_at=given.created_at
    )


async def remove_passage(server: Server, archive: Archive, passage_id: str) -> None:
    """Raises NotFound if the passage is not in this archive."""
    passage = await server.fleet.store.passage(passage_id)
    if passage.archive_id != archive.id:
        raise NotFound(f"Passage not found with id='{passage_id}' in archive {archive.id}")
    await server.fleet.store.write_passages([passage.model_copy(update={"deleted": True, "vector": None})])
