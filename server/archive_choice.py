"""Which archive a request is about."""

from server.routing import Server
from storage.errors import InvalidArgument
from storage.ids import is_id
from storage.records import Agent, Archive


async def find_archive(server: Server, archive_id: str) -> Archive:
    """Raises InvalidArgument for what is no archive's id, NotFound for an archive that is not there."""
    if not is_id(archive_id, "archive"):
        raise InvalidArgument(f"'{archive_id}' is not an id of the form archive-<uuid>.")
    return await server.fleet.store.document(Archive, archive_id)


async def archive_of(server: Server, agent_id: str) -> tuple[Agent, Archive | None]:
    """An agent and its archive, if it has one. Raises NotFound if there is no such agent."""
    agent = (await server.fleet.agent(agent_id)).state.agent
    return agent, await server.fleet.archives.of(agent)
