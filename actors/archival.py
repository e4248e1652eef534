"""An agent's archival memory while its tools work on it."""

from actors.archives import Archives, default_archive, new_passage
from storage.commits import Delta, DocumentWrite
from storage.errors import ArchiveGone
from storage.ids import slot_of
from storage.queries import Contents, PassageHit, PassageSearch
from storage.records import Agent, Archive, Passage


class ArchivalMemory:
    """What the tools of one step insert, to be committed with the step.

    Args:
        agent: whose memory it is, as of the beginning of the step.
        archives: where it is.
    """

    def __init__(self, agent: Agent, archives: Archives) -> None:
        self._agent = agent
        self._archives = archives
        self._made: Archive | None = None
        self.passages: list[Passage] = []
        self.changed = False
        """Whether something was inserted."""

    async def insert(self, text: str, tags: list[str]) -> None:
        """Put a text into the agent's archive; it gets one if it has none.

        Raises:
            InvalidArgument, ArchiveGone, ModelError: it cannot be stored.
        """
        archive = self._made or await self._archives.of(self._agent)
        if archive is None:
            archive = self._made = default_archive(self._agent)
        passages = await self._archives.prepare(archive, [new_passage(archive, text, tags=tags)])
        if self._near(archive):
            self.passages += passages
        else:
            # Another shard cannot be in the same transaction as the step.
            await self._archives.store.write_passages(passages)
        self.changed = True

    async def search(self, search: PassageSearch) -> list[PassageHit]:
        """The passages that match best. Raises InvalidArgument, ModelError."""
        archive = await self._archives.of(self._agent)
        return await self._archives.search(archive, search) if archive else []

    def forget(self) -> None:
        """Drop what was inserted."""
        self._made, self.passages, self.changed = None, [], False

    def attach(self, agent: Agent, delta: Delta) -> list[DocumentWrite]:
        """The archive to create with the passages, if there is one; the delta attaches it.

        Args:
            agent: as it is when the step is committed.

        Raises:
            ArchiveGone: the agent has another archive by now.
        """
        if self.passages and agent.archive_ids != self._agent.archive_ids:
            raise ArchiveGone("The archive was replaced by another in the meantime.")
        if not self.passages or self._made is None:
            return []
        delta.agent["archive_ids"] = [self._made.id]
        return [DocumentWrite(self._made, None)]

    async def contents(self, agent: Agent) -> Contents:
        """What the agent's archive has in it once the step is committed."""
        contents = await self._archives.contents(agent)
        tags = {tag for passage in self.passages for tag in passage.tags}
        return Contents(contents.passages + len(self.passages), tuple(sorted(tags.union(contents.tags))))

    def _near(self, archive: Archive) -> bool:
        shards = len(self._archives.store.shards)
        return slot_of(archive.id) % shards == slot_of(self._agent.id) % shards
