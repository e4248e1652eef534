"""Passages, wherever they are."""

from server.archive_choice import archive_of, find_archive
from server.routing import Routes, Server
from server.wire.archives import ScoredPassage, SearchPassages, passage_response
from storage.queries import PassageFilter, PassageHit, PassageQuery
from storage.records import Archive

routes = Routes("passages")


@routes.post("/v1/passages/search")
async def search_passages(server: Server, body: SearchPassages) -> list[ScoredPassage]:
    """Search passages of one archive, of an agent's archive, or of all archives.

    One archive is searched by meaning if it has an embedding model; all at once, by words. Without a
    query, the newest passages are found.
    """
    hits = await _find(server, body)
    archives = await server.fleet.store.documents(Archive, list({hit.passage.archive_id for hit in hits}))
    by_id = {archive.id: archive for archive in archives}
    return [
        {
            "passage": passage_response(hit.passage, by_id.get(hit.passage.archive_id)),
            "score": hit.score,
            "metadata": {},
        }
        for hit in hits
    ]


async def _find(server: Server, body: SearchPassages) -> list[PassageHit]:
    search, archive = body.storage_search(), None
    if body.archive_id is not None:
        archive = await find_archive(server, body.archive_id)
    elif body.agent_id is not None:
        _, archive = await archive_of(server, body.agent_id)
        if archive is None:
            return []
    search.archive_id = archive.id if archive else None
    if not search.query.strip():
        wanted = search.model_dump(include=set(PassageFilter.model_fields))
        newest = await server.fleet.store.passages(PassageQuery(**wanted, limit=body.limit, descending=True))
        return [PassageHit(passage, 0.0) for passage in newest]
    if archive is not None:
        return await server.fleet.archives.search(archive, search)
    return await server.fleet.store.search_passages(search)
